"""The socket that the door listens on, made before the server so that whoever opens the door hears what is wrong.

Only ``web`` enters here.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from reconciler.errors import ConfigError

_WAITING = 32
"""Callers that may wait until they are let in."""


def listen_on(listen: str) -> socket.socket:
    """A socket that is bound and listens, so that whoever starts the door hears of what is wrong with it."""
    try:
        if listen.startswith("unix:"):
            return _listen_unix(Path(listen.removeprefix("unix:")))
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = "it is in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error)).lower()
        raise ConfigError(f"{listen} cannot be listened on: {why}", hint="web.listen says where to listen.") from error


def _listen_unix(path: Path) -> socket.socket:
    """A Unix socket for its owner and group, in place of one that nobody answers on any more."""
    if path.exists() and stat.S_ISSOCK(path.lstat().st_mode) and not _answers(path):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o660)  # what Linux makes the file with, less the umask: at no time more than this
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(_WAITING)
    except OSError:
        listener.close()
        raise
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        return caller.connect_ex(str(path)) == 0
