"""The no-op sweep of real hosts, ours beside check mode's, and how often Ansible is launched.

Interleaved, so that a slow minute of the machine hits both. Before the timing, both must find one planted
difference, which is then converged; in every timed run, both must find nothing to do.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench import workload
from tests.bench.checkmode import CheckMode
from tests.bench.fleet import Fleet
from tests.bench.ground import make_remote, write_config
from tests.bench.measure import BenchFailed, Cost, run_child, run_timed

PLANTED = "/etc/bench-3.conf"
HOSTS = 5
ROUNDS = 3

Say = Callable[[str], None]


@dataclass(slots=True)
class Sweeps:
    """Every run's cost. ``cold``: a cycle with no SSH connection open; ``warm``: within a minute of another one."""

    cold: list[Cost] = field(default_factory=list)
    warm: list[Cost] = field(default_factory=list)
    once: list[Cost] = field(default_factory=list)
    tuned: list[Cost] = field(default_factory=list)
    untuned: list[Cost] = field(default_factory=list)
    sweep_launches: int = 0
    converge_launches: int = 0
    first: Cost = field(default_factory=Cost)

    def ratio(self, what: str, ours: str = "cold", theirs: str = "tuned") -> float:
        """How many times more check mode takes, by medians."""
        mine, other = (median(float(getattr(cost, what)) for cost in getattr(self, name)) for name in (ours, theirs))
        return other / mine


@dataclass(frozen=True, slots=True)
class Ground:
    """A fleet with a daemon's folder and two playbook projects."""

    folder: Path
    fleet: Fleet
    config: Path
    tuned: CheckMode
    untuned: CheckMode

    def cycle(self) -> dict[str, object]:
        """One real cycle in a fresh process."""
        return dict(run_child("onecycle", str(self.config)))

    def clean_cycle(self) -> tuple[Cost, int]:
        """One real cycle that must find nothing; its cost and its launches."""
        answer = self.cycle()
        if answer["changes"] or answer["left"] or answer["trouble"] or answer["hosts"] != len(self.fleet.hosts):
            raise BenchFailed(f"the sweep was no no-op: {answer}")
        return Cost(float(str(answer["wall"])), float(str(answer["cpu"]))), int(str(answer["launches"]))

    def once(self) -> Cost:
        """The whole command, from its start to its end."""
        command = [sys.executable, "-m", "reconciler.cli", "-c", str(self.config), "once"]
        done = run_timed(command, self.folder / "once.txt")
        if done.code != 0:
            raise BenchFailed(f"`reconciler once` ended with {done.code}:\n{done.output}")
        return done.cost

    def planned(self) -> int:
        """How many differences `reconciler plan` finds."""
        command = [sys.executable, "-m", "reconciler.cli", "-c", str(self.config), "plan", "-o", "json"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise BenchFailed(f"`reconciler plan` ended with {done.returncode}:\n{done.stderr}")
        return sum(len(host["changes"]) for host in json.loads(done.stdout)["hosts"])

    def hang_up(self) -> None:
        """Close every SSH connection that is still open, as a minute of quiet would."""
        for socket in (self.folder / "state/run/ssh").glob("*"):
            subprocess.run(
                ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "any"], capture_output=True, check=False
            )


def lay_out(folder: Path, fleet: Fleet) -> Ground:
    """Write both sides of the comparison."""
    remote = make_remote(folder, workload.desired_state(fleet.inventory))
    ssh = {"key": str(fleet.key), "known_hosts": str(fleet.known_hosts)}
    config = write_config(folder, remote, ssh=ssh)
    sides = [CheckMode(folder / name, fleet, name == "tuned").write() for name in ("tuned", "untuned")]
    return Ground(folder, fleet, config, *sides)


def measure(folder: Path, fleet: Fleet, say: Say) -> Sweeps:
    """Converge, prove that both see the same, then time both in turns."""
    ground, found = lay_out(folder, fleet), Sweeps()
    say(f"first convergence of {len(fleet.hosts)} hosts with {workload.COUNT} resources each")
    converge(ground, found, first=True)
    say("do both sides see a difference that is planted?")
    prove(ground, found)
    for number in range(ROUNDS):
        say(f"no-op sweeps and check mode, round {number + 1} of {ROUNDS}")
        one_round(ground, found, untuned=number == 0)
        say(f"our sweep {found.cold[-1]}, check mode {found.tuned[-1]}")
    return found


def converge(ground: Ground, found: Sweeps, *, first: bool = False) -> None:
    """One cycle that must put everything right."""
    answer = ground.cycle()
    if answer["left"] or answer["trouble"] or not answer["changes"]:
        raise BenchFailed(f"the fleet did not converge: {answer}")
    found.converge_launches = max(found.converge_launches, int(str(answer["launches"])))
    if first:
        found.first = Cost(float(str(answer["wall"])), float(str(answer["cpu"])))


def prove(ground: Ground, found: Sweeps) -> None:
    """Both must see a planted difference, and that one only; the rounds see that they see none where there is none."""
    host = ground.fleet.hosts[2]
    host.exec(f"echo by hand >>{shlex.quote(PLANTED)}")
    _, theirs = ground.tuned.run()
    if (theirs, ground.planned()) != (1, 1):
        raise BenchFailed(f"of one planted difference check mode sees {theirs}, the plan {ground.planned()}")
    converge(ground, found)


def one_round(ground: Ground, found: Sweeps, *, untuned: bool) -> None:
    """Each side once, ours in its three forms; check mode must find nothing each time."""
    ground.hang_up()
    for costs in (found.cold, found.warm):
        cost, launches = ground.clean_cycle()
        costs.append(cost)
        found.sweep_launches = max(found.sweep_launches, launches)
    found.once.append(ground.once())
    for side, costs in ((ground.tuned, found.tuned), (ground.untuned, found.untuned)):
        if side is ground.tuned or untuned:
            cost, changed = side.run()
            costs.append(cost)
            if changed:
                raise BenchFailed(f"check mode was no no-op: it would change {changed}")
