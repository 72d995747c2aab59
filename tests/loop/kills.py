"""A cycle that is killed at a chosen call of a port, for ``test_kills.py``; runs in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.cycle import cycle
from tests.loop.bench import Bench

# Every call of these is a place to die at: before it, and after it.
PORTS = {
    "repository": ("tip", "fetch", "tree", "commit", "blame", "write", "point", "push", "delete", "run"),
    "ansible": ("observe", "converge"),
    "state": ("begin", "finish", "delivered"),
    "audit": ("append", "publish"),
}
STEPS = (
    "tip",
    "fetch",
    "tree",
    "observe",
    "converge",
    "begin",
    "finish",
    "delivered",
    "append",
    "publish",
    "push",
    "delete",
)
"""The calls at which a cycle is killed; the others are only parts of them."""


class Countdown:
    """Counts the calls, and kills this process at one of them. ``journal`` names them in order."""

    def __init__(self, at: tuple[str, int, str] | None, journal: Path | None) -> None:
        self.at = at
        self.journal = journal
        self.seen: dict[str, int] = {}

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, deadly when its turn comes."""

        def wrapped(*arguments: Any, **options: Any) -> Any:
            number = self.seen[name] = self.seen.get(name, 0) + 1
            self.pass_by(name, number, "before")
            result = call(*arguments, **options)
            self.pass_by(name, number, "after")
            return result

        return wrapped

    def pass_by(self, name: str, number: int, when: str) -> None:
        """Die here, or write down that one could have."""
        if self.at == (name, number, when):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.journal:
            with self.journal.open("a") as journal:
                journal.write(f"{name} {number} {when}\n")


def run(folder: Path, now: float, at: tuple[str, int, str] | None, journal: Path | None = None) -> None:
    """One cycle on the bench in *folder*, killed at *at*: the name of a call, which one of them, before or after it."""
    bench = Bench(folder, now)
    counted = Countdown(at, journal)
    hosts = bench.hosts
    hosts.between_hosts = counted.wrap("host", lambda: None)
    with bench.world(hosts) as world:
        for port, names in PORTS.items():
            thing = getattr(world, port)
            for name in set(names) & set(STEPS):
                setattr(thing, name, counted.wrap(f"{port}.{name}", getattr(thing, name)))
        cycle(world, sweep=True)
