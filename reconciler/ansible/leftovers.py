"""Which processes belong to a launch, and their end.

Every process below a launch inherits ``RECONCILER_RUN=<instance>:<pid>:<start>:<number>``: who started
it, told apart from a later process with the same pid by its start time. Called by the Ansible edge;
never touches a process without that mark or a control socket of ours in its title.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "RECONCILER_RUN"
GRACE = 3.0
"""Seconds between TERM and KILL: together well within the ten that a leftover may live."""


def mark(instance: str, number: int) -> str:
    """The value of the mark for the launch *number* of this process."""
    pid = os.getpid()
    return f"{instance}:{pid}:{started(pid)}:{number}"


def started(pid: int) -> str | None:
    """When a process began, in clock ticks since boot; None where there is no such process, or only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def marked_processes() -> Iterator[tuple[int, str]]:
    """The pid and mark of every marked process this user may look at."""
    prefix = f"{MARK}=".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        found = next((entry for entry in environment if entry.startswith(prefix)), None)
        if found is not None:
            yield int(folder.name), found.removeprefix(prefix).decode(errors="replace")


def connection_masters(sockets: Path) -> Iterator[int]:
    """The ssh masters that keep connections open; ssh writes its title over their environment, so no mark is left."""
    prefix = f"ssh: {sockets}/".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            title = (folder / "cmdline").read_bytes().rstrip(b"\0 ")
            ours = folder.stat().st_uid == os.getuid()
        except OSError:
            continue
        if ours and title.startswith(prefix) and title.endswith(b"[mux]"):
            yield int(folder.name)


def of_launch(value: str, sockets: Path) -> list[int]:
    """What is alive of one launch, its connection masters and this process excepted."""
    spared = {os.getpid(), *connection_masters(sockets)}
    return [pid for pid, found in marked_processes() if found == value and pid not in spared]


def orphans(instance: str, sockets: Path) -> list[int]:
    """What a dead process of this instance left behind, connection masters included."""
    alone = [pid for pid, value in marked_processes() if is_orphan(instance, value)]
    return alone + [pid for pid in connection_masters(sockets) if pid not in alone]


def is_orphan(instance: str, value: str) -> bool:
    """Whether a mark is of this instance and its launcher is no longer alive."""
    name, _, rest = value.rpartition(":")[0].partition(":")
    pid, _, start = rest.partition(":")
    return name == instance and pid.isdigit() and started(int(pid)) != start


def end(find: Callable[[], list[int]]) -> int:
    """TERM, then KILL what *find* finds until it finds nothing; returns how many there were."""
    first = find()
    for pid in first:
        send(pid, signal.SIGTERM)
    wait_for(first, GRACE)
    for _ in range(20):  # a process may start another while it is being ended
        left = find()
        for pid in left:
            send(pid, signal.SIGKILL)
        wait_for(left, 0.5)
        if not left:
            break
    return len(first)


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone, or may not be ours to signal."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def wait_for(pids: list[int], seconds: float) -> None:
    """Return when all of *pids* are gone, or after about that many seconds."""
    for _ in range(round(seconds / 0.05)):
        if all(started(pid) is None for pid in pids):
            return
        select.select([], [], [], 0.05)
