"""What this very process does while it is watched: processes, sockets, libraries and files, by Python's audit events.

Used by ``test_strangers.py``. A hook cannot be taken out again, so there is one, which is deaf while nobody watches.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

FORBIDDEN = re.compile(
    r"os\.(exec|posix_spawn|spawn|fork|forkpty|system|startfile|putenv|chmod|chown|link|symlink)|pty\.spawn|ctypes\..*"
    r"|socket\.(connect|getaddrinfo|gethostbyname|bind|sendto|sendmsg)|urllib\.Request|webbrowser\.open|pickle\..*"
    r"|ftplib\..*|smtplib\..*|http\.client\..*|telnetlib\..*|sys\.(setprofile|settrace)"
)
"""Events that nothing we do for a pull request brings about."""


@dataclass(frozen=True)
class Started:
    """A process that was started, while *what* was worked on: its words and its variables."""

    what: str
    words: tuple[str, ...]
    variables: Mapping[str, str]

    @property
    def shape(self) -> str:
        """The words of git, with ``SHA`` for the name of an object and ``N`` for the number of a pull request."""
        kept = [word for word in self.words if not re.fullmatch(r"--unset=\w+", word)]
        text = " ".join(kept).removeprefix("env ")
        text = re.sub(r"\b[0-9a-f]{40}\b", "SHA", text)
        return re.sub(r"refs/((?:reconciler/)?pull)/\d+", r"refs/\1/N", text)


@dataclass
class Watch:
    """What was seen, each with the words of ``what`` at that moment."""

    what: str = ""
    started: list[Started] = field(default_factory=list)
    forbidden: list[tuple[str, str, Any]] = field(default_factory=list)
    opened: list[tuple[str, str, int]] = field(default_factory=list)

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            _, words, _, variables = args
            self.started.append(Started(self.what, tuple(map(str, words)), dict(variables or {})))
        elif event == "open" and isinstance(args[0], (str, bytes)):
            self.opened.append((self.what, args[0] if isinstance(args[0], str) else args[0].decode(), args[2]))
        elif FORBIDDEN.fullmatch(event):
            self.forbidden.append((self.what, event, args))


_watches: list[Watch] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    for watch in _watches:
        watch.hear(event, args)


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch everything that this process does in the meantime."""
    watch = Watch()
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
