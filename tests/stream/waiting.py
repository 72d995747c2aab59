"""What a test needs to know about processes, descriptors and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STRANGERS: set[int] = set()
"""Processes that were there before the first far end."""


def wait_until(true: Callable[[], object], seconds: float = 30) -> None:
    """Return once *true* says so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def children() -> list[int]:
    """The processes that this one started and has not reaped, but for those that tests of other things left running."""
    return sorted(every_child() - STRANGERS)


def every_child() -> set[int]:
    """All processes that this one started and has not reaped."""
    found = ""
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            found += task.read_text()
    return set(map(int, found.split()))


def descriptors() -> int:
    """How many descriptors are open here."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def alive(pid: int) -> bool:
    """Whether a process runs; its zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
