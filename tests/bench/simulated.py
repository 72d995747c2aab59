"""The real daemon's whole cycle on a fleet that is not there: a handful, a hundred, a thousand and ten thousand hosts.

Only the far ends are simulated (``farfleet``): fifty resources on each host, answered from memory in a process apart.
Repository, state file, sessions and cycle are the daemon's own (``fleetdaemon``). Every sweep is verified: it finds
all hosts in sync, or exactly what was planted.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import farfleet, synthetic
from tests.bench.ground import make_remote, push, write_config, write_files
from tests.bench.measure import BenchFailed
from tests.bench.served import Served
from tests.bench.table import Row

SIZES = (6, 100, 1000, 10_000)
SWEEPS = 7
TOUCHED = 3
"""Hosts that the commit is about."""
SWEEP_SECONDS, SWEEP_MEGABYTES = 15.0, 600.0
GROWTH = 11.0
"""Ten times the hosts may cost this many times as much."""
FEW, FEW_SECONDS = 10, 0.003
"""Up to so many hosts, what a sweep costs is what it costs without any."""
FILES_EACH, FILES_MORE = 3, 100

Answer = Mapping[str, Any]


@dataclass(slots=True)
class Fleet:
    """What was measured at one size.

    The first sweep, those that find nothing, one with drift, one after a commit, and the first of a daemon that was
    started again.
    """

    hosts: int
    first: Answer = field(default_factory=dict)
    quiet: list[Answer] = field(default_factory=list)
    drift: Answer = field(default_factory=dict)
    commit: Answer = field(default_factory=dict)
    again: Answer = field(default_factory=dict)

    def cost(self, what: str) -> float:
        """The median of the sweeps that find nothing."""
        return median(float(each[what]) for each in self.quiet)

    @property
    def peak(self) -> float:
        """The most megabytes that the daemon ever held, by whatever way it came to know the fleet."""
        return max(float(each["peak"]) for each in (self.commit, self.again))


def revision(hosts: int) -> dict[str, str]:
    """The synthetic revision, in which nothing is put right: far ends that answer from memory cannot be."""
    return {
        name: text.decode().replace("mode: enforce", "mode: observe") for name, text in synthetic.tree(hosts).items()
    }


def touched(hosts: int) -> list[str]:
    """The hosts that the commit is about: none of those that drift."""
    return [f"host{hosts - 1 - number:04}" for number in range(TOUCHED)]


def printing(hosts: int) -> list[str]:
    """The templates that print the variable which the commit changes, on one touched host or another."""
    groups = {synthetic.GROUPS[(hosts - 1 - number) % len(synthetic.GROUPS)] for number in range(TOUCHED)}
    names = [f"app{number}" for number in range(8)] + [f"{group}{number}" for group in groups for number in (8, 9)]
    return [f"template[/etc/{name}.conf]" for name in names]


@dataclass(slots=True)
class Pair:
    """A daemon with its far ends, each in a process of its own, and what was measured with them."""

    folder: Path
    wanted: Mapping[str, str]
    fleet: Fleet
    daemon: Served
    far: Served

    def sweep(self, differing: Sequence[str] = (), changes: Sequence[str] = (), *, poll: bool = False) -> Answer:
        """One cycle that must find exactly this."""
        return expect(self.daemon.ask({"poll": poll}), self.fleet.hosts, differing, changes)


def measure(folder: Path, say: Callable[[str], None], sizes: Sequence[int] = SIZES) -> list[Fleet]:
    """Each size in processes of its own, and the sweeps that are compared in turns."""
    with ExitStack() as open_things:
        pairs = [open_things.enter_context(opened(folder / str(hosts), hosts, say)) for hosts in sizes]
        say(f"no-op sweeps, {SWEEPS} rounds")
        for _ in range(SWEEPS):
            for pair in pairs:
                before = pair.far.ask({})["cpu"]
                pair.fleet.quiet.append({**pair.sweep(), "far": pair.far.ask({})["cpu"] - before})
        for pair in pairs:
            say(f"drift and a commit, {pair.fleet.hosts} hosts")
            change(pair)
        return [pair.fleet for pair in pairs]


@contextmanager
def opened(folder: Path, hosts: int, say: Callable[[str], None]) -> Iterator[Pair]:
    """A daemon and its fleet, after the first sweeps."""
    folder.mkdir()
    say(f"first sweep of {hosts} simulated hosts")
    config = write_config(folder, make_remote(folder, revision(hosts)), stream={"sessions": hosts})
    with tempfile.TemporaryDirectory(prefix="far-") as short:  # a socket's path may have 107 bytes
        path = str(Path(short) / "door")
        with closing(Served("farfleet", {"socket": path, "hosts": hosts})) as far:
            far.ask({})  # it answers once its door is open
            wanted = {"config": str(config), "socket": path}
            with closing(Served("fleetdaemon", wanted)) as daemon:
                pair = Pair(folder, wanted, Fleet(hosts), daemon, far)
                pair.fleet.first = pair.sweep(poll=True)
                pair.sweep()  # what was remembered by the first is compared once more
                yield pair


def change(pair: Pair) -> None:
    """One sweep with drift, one without, one after a commit, and one of the daemon started again."""
    fleet, some = pair.fleet, farfleet.drifting(pair.fleet.hosts)
    pair.far.ask({"drift": some})
    fleet.drift = pair.sweep([f"host{number:04}" for number in range(some)], [f"copy[{farfleet.DRIFTED}]"])
    pair.far.ask({"drift": 0})
    pair.sweep()
    commit(pair.folder, fleet.hosts)
    fleet.commit = pair.sweep(touched(fleet.hosts), printing(fleet.hosts), poll=True)
    pair.daemon.close()
    with closing(Served("fleetdaemon", pair.wanted)) as pair.daemon:
        fleet.again = pair.sweep(touched(fleet.hosts), printing(fleet.hosts), poll=True)


def commit(folder: Path, hosts: int) -> None:
    """Push a commit that gives three hosts a variable of their own, which ten templates of each print."""
    clone = folder / "clone"
    files = {f"inventory/host_vars/{host}.yml": "memory_mb: 8192\n" for host in touched(hosts)}
    write_files(clone / "desired-state", files)
    push(clone, folder / "remote.git", "more memory for three hosts")


def expect(told: Answer, hosts: int, differing: Sequence[str] = (), changes: Sequence[str] = ()) -> Answer:
    """The answer, where it found exactly that; else BenchFailed."""
    right = (told["hosts"], told["in_sync"]) == (hosts, hosts - len(differing)) and not told["trouble"]
    if not right or sorted(told["differing"]) != sorted(differing) or told["changes"] != sorted(changes):
        shown = {name: value if not isinstance(value, list) else value[:5] for name, value in told.items()}
        raise BenchFailed(f"the sweep of {hosts} simulated hosts did not find what is there: {shown}")
    return told


def simulated_rows(found: Sequence[Fleet]) -> list[Row]:
    """What each size costs, and how that grows."""
    rows = [row for fleet in found for row in fleet_rows(fleet, largest=fleet is found[-1])]
    return rows + (growth_rows(found[-2], found[-1]) if len(found) > 1 else [])


def fleet_rows(fleet: Fleet, *, largest: bool) -> list[Row]:
    """One size; the targets are those of the largest, and of the smallest."""
    wall, cpu, files = (fleet.cost(what) for what in ("wall", "cpu", "files"))
    name = f"{fleet.hosts:,} hosts"
    few = ("< 3 ms", cpu < FEW_SECONDS) if fleet.hosts <= FEW else ()
    return [
        Row(f"{name}: no-op sweep, wall", milliseconds(wall), *(target(wall, SWEEP_SECONDS, "s") if largest else ())),
        Row(f"{name}: no-op sweep, own CPU", f"{milliseconds(cpu)}, far end {milliseconds(fleet.cost('far'))}", *few),
        Row(
            f"{name}: most memory",
            f"{fleet.peak:.0f} MB",
            *(target(fleet.peak, SWEEP_MEGABYTES, "MB") if largest else ()),
        ),
        Row(f"{name}: open files", f"{files:.0f}", *target(files, FILES_EACH * fleet.hosts + FILES_MORE)),
        Row(f"{name}: first sweep, everything read", costs(fleet.first)),
        Row(f"{name}: the same of a daemon started again", costs(fleet.again)),
        Row(f"{name}: sweep with drift on {farfleet.drifting(fleet.hosts)}, recorded", costs(fleet.drift)),
        Row(f"{name}: sweep after a commit for {TOUCHED} of them", costs(fleet.commit)),
    ]


def milliseconds(seconds: float) -> str:
    """``1.2 ms``"""
    return f"{seconds * 1000:.1f} ms"


def target(seen: float, most: float, unit: str = "") -> tuple[str, bool]:
    """A limit and whether it is kept."""
    return f"≤ {most:.0f} {unit}".rstrip(), seen <= most


def costs(told: Answer) -> str:
    """Wall time, own CPU and git's."""
    return f"{told['wall']:.2f} s ({told['cpu']:.2f} s CPU, git {told['git']:.2f} s)"


def growth_rows(small: Fleet, large: Fleet) -> list[Row]:
    """Ten times the hosts."""
    ratios = {
        "no-op sweep, wall": large.cost("wall") / small.cost("wall"),
        "no-op sweep, own CPU": large.cost("cpu") / small.cost("cpu"),
        "first sweep, own CPU": large.first["cpu"] / small.first["cpu"],
    }
    name = f"{large.hosts:,} hosts ÷ {small.hosts:,}"
    return [Row(f"{name}: {what}", f"{times:.1f} times", *target(times, GROWTH)) for what, times in ratios.items()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="simulated-") as name:
        rows = simulated_rows(measure(Path(name), print, [*map(int, sys.argv[1:])] or SIZES))
        print(*(row.text() for row in rows), sep="\n")
