"""The values a configuration may hold, each checked with a sentence that says what is allowed.

``config`` builds its models of them. Files are looked at (they have to be there and readable), never changed.
"""

from __future__ import annotations

import os
import re
import stat
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST = timedelta(days=365)
_URL_SCHEMES = frozenset({"https", "http", "ssh", "file"})
_SCP_LIKE = re.compile(r"(?:[\w.-]+@)?[A-Za-z0-9][\w.-]*:(?![:/]{2})[^-\s:][^\s]*")


def state_directory() -> Path:
    """Return where systemd put the daemon's own directory, or /var/lib/reconciler."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given or "/var/lib/reconciler")


def _duration(value: Any) -> Any:
    """Seconds as a number, or a number and a unit."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(value)) if not isinstance(value, bool) else None
    if found is None or len(found[1]) > 12:
        raise ValueError("a time is a number of seconds, or a number and a unit such as 90s, 10m or 2h")
    seconds = float(found[1]) * _UNITS[found[2]]
    if not 1 <= seconds <= _MOST.total_seconds():
        raise ValueError("a time is at least 1s and at most 365d")
    return timedelta(seconds=seconds)


def _path(value: Any, info: ValidationInfo) -> Any:
    """A path, relative ones below the folder of the configuration file, ~ for the home directory."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("a path is a text that is not empty")
    folder: Path = (info.context or {}).get("folder", Path.cwd())
    try:
        return folder / Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{value} names a user that is not there") from error


def _readable_file(path: Path) -> Path:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {(error.strerror or 'no such file').lower()}") from error
    return path


def _private(path: Path) -> Path:
    """Refuse what ssh would refuse later, with less to say."""
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o007 or (found.st_uid == os.getuid() and mode & 0o077):
        raise ValueError(f"{path} can be read by others (mode {mode:04o}); try: chmod 600 {path}")
    return path


def _url(value: str) -> str:
    """Refuse what makes git run a program or talk over an open line (T16)."""
    if value.startswith("-") or not value.isprintable() or any(c.isspace() for c in value):
        raise ValueError("this is not a git URL that may be used; https://, ssh://, user@host:path and file:// are")
    if value.startswith("/"):
        return value
    scheme, separator, _ = value.partition("://")
    if not separator:
        if _SCP_LIKE.fullmatch(value):
            return value
        raise ValueError("a repository is an https://, ssh:// or file:// URL, user@host:path, or an absolute path")
    return _checked_scheme(value, scheme)


def _checked_scheme(value: str, scheme: str) -> str:
    if scheme not in _URL_SCHEMES:
        raise ValueError(f"{scheme}:// is not allowed; https://, ssh:// and file:// are")
    try:
        host = urlsplit(value).hostname or ""
    except ValueError as error:
        raise ValueError("this is not a URL") from error
    if scheme != "file" and (not host or host.startswith("-")):
        raise ValueError("the URL names no host")
    if scheme == "http" and not is_loopback(host):
        raise ValueError("http:// is for this machine only; use https://")
    return value


def is_loopback(host: str) -> bool:
    """Whether *host* is this very machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _branch(value: str) -> str:
    """What git check-ref-format accepts, and a little less."""
    parts = value.split("/")
    ok = all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", part) for part in parts)
    if not ok or ".." in value or any(part.endswith((".", ".lock")) for part in parts) or len(value) > 200:
        raise ValueError("this is not the name of a branch")
    return value


def _shard(value: str) -> str:
    if "/" in value or len(value) > 64:
        raise ValueError("a shard is one word of letters, digits, '.', '_' and '-'")
    try:
        return _branch(value)
    except ValueError:
        raise ValueError("a shard is one word of letters, digits, '.', '_' and '-'") from None


def _repository_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not value.isprintable() or ".git" in path.parts:
        raise ValueError("this is a folder within the repository: relative, without '..'")
    return str(path)


def _person(value: str) -> str:
    if not value.strip() or not value.isprintable() or set(value) & set("<>"):
        raise ValueError("this is one line of text without < and >")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A time, from 1 second to a year: ``90``, ``90s``, ``10m``, ``2h``, ``1d``."""
StateDirectory = Annotated[Path, BeforeValidator(_path)]
"""A directory, which need not be there yet."""
ReadableFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_readable_file)]
"""A file that is there and readable."""
KeyFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_readable_file), AfterValidator(_private)]
"""A private key that nobody else can read."""
Url = Annotated[str, AfterValidator(_url)]
"""Where a git repository is."""
Branch = Annotated[str, AfterValidator(_branch)]
"""A branch's name."""
Shard = Annotated[str, AfterValidator(_shard)]
"""One part of a branch's name."""
RepositoryPath = Annotated[str, AfterValidator(_repository_path)]
"""A folder within the repository."""
Person = Annotated[str, AfterValidator(_person)]
"""A name or an address in a commit."""
