"""The real daemon's world, sweeping when it is asked to, with everything counted: behind ``Served``.

Given ``{"config": path, "socket": path or ""}`` as its first line. With a socket every session goes to ``farfleet``
behind it rather than through ssh; all else is the daemon's own. Each further line is one cycle
(``{"poll": true}``: git is asked too), ``{"idle": seconds}`` or ``{"profile": path}``.
"""

from __future__ import annotations

import cProfile
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reconciler.cycle import cycle
from reconciler.daemon import keep_for_long
from reconciler.model import Plan, State
from reconciler.stream import Link, Start, StreamSettings, start_ssh
from reconciler.world import World
from tests.bench.ground import opened
from tests.bench.measure import peak_megabytes, resident_megabytes
from tests.bench.tree import descendants, process_cpu


class NoProcess:
    """What stands for an ssh client that is not there."""

    def __init__(self) -> None:
        self.code: int | None = None

    def ended(self) -> int | None:
        """See ``reconciler.stream.Process``."""
        return self.code

    def signal(self, number: signal.Signals) -> None:
        """See ``reconciler.stream.Process``."""
        self.code = -number

    def reap(self) -> None:
        """See ``reconciler.stream.Process``."""


class Door:
    """Opens sessions to a simulated fleet; each says first whose far end it wants."""

    def __init__(self, path: str) -> None:
        self.path = path

    def start(self, host: str, _variables: Mapping[str, Any], _settings: StreamSettings) -> Link:
        """A session with one host."""
        channel = socket.socket(socket.AF_UNIX)
        channel.connect(self.path)
        return Link(channel, -1, NoProcess(), f"{host}\n".encode())


class Started:
    """Counts how many sessions were ever opened."""

    def __init__(self, start: Start) -> None:
        self.number = 0
        self.start = start

    def __call__(self, host: str, variables: Mapping[str, Any], settings: StreamSettings) -> Link:
        """Open one more."""
        self.number += 1
        return self.start(host, variables, settings)


def used() -> dict[str, float]:
    """Wall clock and CPU so far: of this process, and of the children that have ended (git)."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall": time.perf_counter(),
        "cpu": time.process_time(),
        "git": children.ru_utime + children.ru_stime,
    }


def standing() -> dict[str, float]:
    """What the process holds now: MB, the most it ever held, open files."""
    files = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return {"memory": resident_megabytes(), "peak": peak_megabytes(), "files": files}


@contextmanager
def counted() -> Iterator[dict[str, float]]:
    """The cost of a block, known once it ends. Looking for the clients takes time, so that is done outside of it."""
    cost: dict[str, float] = {}
    clients, before = clients_cpu(), used()
    yield cost
    after = used()
    cost |= {name: after[name] - before[name] for name in before} | {"clients": clients_cpu() - clients}


def clients_cpu() -> float:
    """Seconds of CPU that the living ssh clients have used."""
    return sum(map(process_cpu, descendants(os.getpid())))


def one_cycle(world: World, started: Started, *, poll: bool) -> dict[str, Any]:
    """One sweep with its cost, and what it found."""
    with counted() as cost:
        report = cycle(world, sweep=True, poll=poll)
        if poll:  # as the daemon does with a new revision
            keep_for_long()
    watching = world.stream.watching() if world.stream else 0
    opened_so_far = {"started": started.number, "watching": watching}
    return {**cost, **standing(), **opened_so_far, **found(report.plan), "trouble": report.trouble}


def found(plan: Plan | None) -> dict[str, Any]:
    """How many hosts were looked at, how many are in sync, and everything else."""
    hosts = plan.hosts if plan else ()
    return {
        "hosts": len(hosts),
        "in_sync": sum(host.state is State.IN_SYNC for host in hosts),
        "differing": [host.host for host in hosts if host.state is State.DIFFERS],
        "changes": sorted({change.resource for host in hosts for change in host.changes}),
        "blind": [f"{host.host}: {host.reason}" for host in hosts if host.state is State.BLIND][:5],
    }


def idle(seconds: float) -> dict[str, Any]:
    """Do nothing for a while, and say what that cost."""
    with counted() as cost:
        time.sleep(seconds)
    return cost | standing()


def answer(world: World, started: Started, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for by one line."""
    if "idle" in wanted:
        return idle(wanted["idle"])
    if "profile" not in wanted:
        return one_cycle(world, started, poll=wanted["poll"])
    with cProfile.Profile() as profile:
        told = one_cycle(world, started, poll=wanted["poll"])
    profile.dump_stats(wanted["profile"])
    return told


def main(wanted: Mapping[str, str]) -> None:
    """Open the world and answer each line."""
    with opened(Path(wanted["config"])) as world:
        assert world.stream is not None, "the configuration has sessions"
        started = Started(Door(wanted["socket"]).start if wanted["socket"] else start_ssh)
        world.stream.start = started
        for line in sys.stdin:
            print(json.dumps(answer(world, started, json.loads(line))), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
