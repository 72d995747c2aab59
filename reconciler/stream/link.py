"""One way to one host: a process at our end, a socket to it, and its standard error. Called by ``sessions``.

``start_ssh`` is the real one; tests and benchmarks start others. Ending a link never waits: TERM, later KILL, then
the process is reaped, and until that is done its ``Leaving`` is asked now and then.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from reconciler import bundle
from reconciler.stream.command import ssh_words
from reconciler.stream.settings import StreamSettings

MARK = "RECONCILER_RUN"
"""The environment variable by which a later daemon knows what a killed one left."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KILL_AFTER = 1.0
"""Seconds between TERM and KILL; ssh needs milliseconds."""
PEEK = os.WEXITED | os.WNOHANG | os.WNOWAIT


class Process(Protocol):
    """What a link needs of its process."""

    def ended(self) -> int | None:
        """The exit code, negative for a signal; None while it runs. Its number stays taken until ``reap``."""

    def signal(self, number: signal.Signals) -> None:
        """Signal it and what it started."""

    def reap(self) -> None:
        """Let go of it, once it has ended."""


class Link:
    """An open way to a host. ``program`` is what has to be written to it first; both descriptors do not block."""

    __slots__ = ("errors", "process", "program", "socket")

    def __init__(self, channel: socket.socket, errors: int, process: Process, program: bytes = b"") -> None:
        self.socket = channel
        self.errors = errors
        self.process = process
        self.program = program
        channel.setblocking(False)
        if errors >= 0:
            os.set_blocking(errors, False)

    def read_errors(self, most: int) -> bytes:
        """What was written to standard error; raises BlockingIOError where that is nothing yet."""
        return os.read(self.errors, most)

    def close(self) -> None:
        """Close our descriptors and ask the process to end."""
        self.socket.close()
        if self.errors >= 0:
            os.close(self.errors)
        self.process.signal(signal.SIGTERM)


Start = Callable[[str, Mapping[str, Any], StreamSettings], Link]
"""Host, its connection variables and the settings in, an open link out; raises OSError or ValueError."""


class Group:
    """A process and what it started (a jump host's ssh, say), in a process group of their own."""

    __slots__ = ("popen",)

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen

    def ended(self) -> int | None:
        """See Process."""
        try:
            end = os.waitid(os.P_PID, self.popen.pid, PEEK)
        except ChildProcessError:
            return self.popen.returncode or 0
        if end is None:
            return None
        return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status

    def signal(self, number: signal.Signals) -> None:
        """See Process."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, number)

    def reap(self) -> None:
        """See Process."""
        # The number of the group is ours until here; who of it did not hear TERM goes now.
        self.signal(signal.SIGKILL)
        self.popen.wait()


def run(words: list[str], sent: bytes, env: Mapping[str, str]) -> Link:
    """Start a process that is spoken with over one socket, its standard input and output."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            popen = subprocess.Popen(
                words,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                cwd="/",
                env=dict(env),
                # Python's descriptors close by themselves; going over thousands of them would cost more than the start.
                close_fds=False,
                start_new_session=True,
            )
    except OSError:
        ours.close()
        raise
    assert popen.stderr is not None  # noqa: S101 - it was asked for above
    errors = os.dup(popen.stderr.fileno())
    popen.stderr.close()
    return Link(ours, errors, Group(popen), sent)


def start_ssh(host: str, variables: Mapping[str, Any], settings: StreamSettings) -> Link:
    """Start ssh to a host, with the program that looks at it."""
    sent = program(settings.playbooks)
    if settings.sockets is not None:
        settings.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = ssh_words(host, variables, settings, bundle.bootstrap(len(sent)))
    return run(words, sent, environment(settings))


@lru_cache(maxsize=1)
def program(playbooks: Path) -> bytes:
    """What is sent to every far end: one copy of it for all of them."""
    return bundle.resident_program(playbooks).encode("ascii", "backslashreplace")


def environment(settings: StreamSettings) -> dict[str, str]:
    """All that ssh sees of the world. Nothing is inherited, so no agent and no token of the daemon's."""
    found = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
    return found | {MARK: f"{settings.instance}:{os.getpid()}:{started()}:0"} if settings.instance else found


def started() -> str:
    """When this process began, in clock ticks since boot: with its pid, a name that is given once."""
    return Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
