"""Our own rows: the real daemon's cycle by either lane, with its world open as the daemon keeps it; and a command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reconciler.model import State
from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.ground import make_remote, write_config
from tests.bench.measure import BenchFailed, Cost
from tests.bench.peers.base import Found, Look
from tests.bench.served import Served
from tests.bench.tree import run_tree

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
        state = workload.desired_state(self.fleet.inventory, self.lane, self.resources, self.mode)
        self.served = Served("sweeper", str(lay_out(self.folder, self.fleet, state)))
        self.converge()
        return f"reconciler {version('reconciler')}"

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
        return [Look(Cost(answer["wall"], answer["cpu"]), named(answer["changes"])) for answer in answers]

    def sweeps(self, count: int) -> list[dict[str, Any]]:
        """The sweeper's own answers."""
        assert self.served is not None, "it is installed first"
        return list(self.served.ask(count))

    def asks(self) -> dict[str, Any]:
        """What a sweep asks of each host."""
        assert self.served is not None, "it is installed first"
        return dict(self.served.ask("asks"))

    def close(self) -> None:
        """End the daemon."""
        if self.served:
            self.served.close()


@dataclass(slots=True)
class PlanCommand:
    """``reconciler plan``, the whole command: Python started, git asked, every host connected to and looked at."""

    folder: Path
    fleet: Fleet
    name: str = "`reconciler plan`, the command"
    looks: int = 1
    config: Path = Path()

    def install(self) -> str:
        """Write the desired state and a configuration; the hosts are as declared already."""
        self.config = lay_out(self.folder, self.fleet, workload.desired_state(self.fleet.inventory, mode="observe"))
        return f"reconciler {version('reconciler')}"

    def look(self, count: int) -> list[Look]:
        """Runs, one after another."""
        return [self.look_once() for _ in range(count)]

    def look_once(self) -> Look:
        """One run; raises BenchFailed where a host was not looked at."""
        command = [sys.executable, "-m", "reconciler.cli", "-c", str(self.config), "plan", "-o", "json"]
        done = run_tree(command, self.folder / "plan.json")
        if done.code not in (0, 1):
            raise BenchFailed(f"`reconciler plan` ended with {done.code}:\n{done.output[-2000:]}")
        hosts = json.loads(done.output)["hosts"]
        states = {host["host"]: host["state"] for host in hosts}
        if set(states) != {host.name for host in self.fleet.hosts} or State.BLIND in states.values():
            raise BenchFailed(f"`reconciler plan` did not look at every host: {states}")
        changes = [(host["host"], change["resource"]) for host in hosts for change in host["changes"]]
        return Look(done.cost, named(changes))

    def close(self) -> None:
        """Nothing stays open."""


def lay_out(folder: Path, fleet: Fleet, state: Mapping[str, str]) -> Path:
    """A remote with a desired state, and a daemon's configuration for it."""
    folder.mkdir()
    ssh = {"key": str(fleet.key), "known_hosts": str(fleet.known_hosts)}
    return write_config(folder, make_remote(folder, state), ssh=ssh)


def named(changes: Iterable[Sequence[str]]) -> Found:
    """Differences by the ids that every tool has for the resources."""
    names = {identity(kind, fields): name for name, kind, fields in workload.items()}
    return frozenset((host, names.get(resource, resource)) for host, resource in changes)


def identity(kind: str, fields: dict[str, Any]) -> str:
    """What the reconciler calls a resource."""
    if kind == "lineinfile":
        return f"{kind}[{fields['path']}: {fields.get('regexp', fields['line'])}]"
    return f"{kind}[{next(fields[key] for key in ('path', 'dest', 'name') if key in fields)}]"
