"""Our own rows: the real daemon's cycle by either lane, with its world open as the daemon keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.ground import make_remote, write_config
from tests.bench.measure import BenchFailed, Cost
from tests.bench.peers.base import Found, Look
from tests.bench.served import Served

CONVERGING = 2
"""Cycles until everything is as declared: the first may meet what a peer's package has just changed."""


@dataclass(slots=True)
class Ours:
    """A daemon of our own on a folder of its own. It sweeps; in mode enforce it puts right what it finds."""

    folder: Path
    fleet: Fleet
    lane: str
    name: str
    looks: int
    resources: workload.Resources = field(default_factory=lambda: workload.RESOURCES)
    mode: str = "enforce"
    served: Served | None = None

    def install(self) -> str:
        """Write the desired state, open the daemon's world, and converge; raises BenchFailed where anything is left."""
        self.folder.mkdir()
        state = workload.desired_state(self.fleet.inventory, self.lane, self.resources, self.mode)
        ssh = {"key": str(self.fleet.key), "known_hosts": str(self.fleet.known_hosts)}
        config = write_config(self.folder, make_remote(self.folder, state), ssh=ssh)
        self.served = Served("sweeper", str(config))
        self.converge()
        return version("reconciler")

    def converge(self) -> None:
        """Put everything right; raises BenchFailed where anything is left."""
        assert self.served is not None, "it is installed first"
        last = [self.served.ask("converge") for _ in range(CONVERGING)][-1]
        if last["left"] or last["trouble"] or last["hosts"] != len(self.fleet.hosts):
            raise BenchFailed(f"the fleet did not converge: {last}")

    def look(self, count: int) -> list[Look]:
        """Sweeps, one after another; in mode enforce, what one finds is put right before the next."""
        answers = self.sweeps(count)
        if troubles := [answer for answer in answers if answer["trouble"] or answer["hosts"] != len(self.fleet.hosts)]:
            raise BenchFailed(f"the sweep was not whole: {troubles[0]}")
        return [Look(Cost(answer["wall"], answer["cpu"]), self.named(answer["changes"])) for answer in answers]

    def sweeps(self, count: int) -> list[dict[str, Any]]:
        """The sweeper's own answers."""
        assert self.served is not None, "it is installed first"
        return list(self.served.ask(count))

    def asks(self) -> dict[str, Any]:
        """What a sweep asks of each host."""
        assert self.served is not None, "it is installed first"
        return dict(self.served.ask("asks"))

    def named(self, changes: list[list[str]]) -> Found:
        """Differences by the ids that every tool has for the resources."""
        names = {identity(kind, fields): name for name, kind, fields in workload.items()}
        return frozenset((host, names.get(resource, resource)) for host, resource in changes)

    def close(self) -> None:
        """End the daemon."""
        if self.served:
            self.served.close()


def identity(kind: str, fields: dict[str, Any]) -> str:
    """What the reconciler calls a resource."""
    if kind == "lineinfile":
        return f"{kind}[{fields['path']}: {fields.get('regexp', fields['line'])}]"
    return f"{kind}[{next(fields[key] for key in ('path', 'dest', 'name') if key in fields)}]"
