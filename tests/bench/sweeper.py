"""The daemon's world, kept open, sweeping when it is asked to: ``python -m tests.bench.sweeper`` behind ``Served``.

Given the path of a configuration as its first line. A sweep is the real daemon's whole cycle, from the question to the
decision and what is made of it; its CPU is that of this process, of git and of every ssh client.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from reconciler.accept import accept
from reconciler.cycle import cycle
from reconciler.model import State
from reconciler.world import World
from tests.bench.ground import opened
from tests.bench.tree import adopt_orphans, timed_tree


def sweep(world: World, *, poll: bool) -> dict[str, Any]:
    """One cycle that looks at every host: its cost, what it found before it did anything, and what is left after.

    The daemon asks git at a pace of its own (*poll*), and always before it changes a host.
    """
    with timed_tree() as cost:
        report = cycle(world, sweep=True, poll=poll)
    hosts = report.plan.hosts if report.plan else ()
    after = report.after.hosts if report.after else hosts
    return {
        "wall": cost.wall,
        "cpu": cost.cpu,
        "hosts": len(hosts),
        "changes": sorted({(host.host, change.resource) for host in hosts for change in host.changes}),
        "left": [f"{h.host} {h.reason} {h.changes[:3]}" for h in after if h.state is not State.IN_SYNC],
        "trouble": report.trouble,
    }


def asks(world: World) -> dict[str, dict[str, dict[str, Any]]]:
    """Host → collector → key → parameters: what a sweep asks of it."""
    questions: dict[str, dict[str, dict[str, Any]]] = {}
    desired = accept(world).desired
    for name, host in (desired.hosts if desired else {}).items():
        for resource in host.resources:
            ask = resource.ask
            questions.setdefault(name, {}).setdefault(ask.collector, {})[ask.key] = dict(ask.params)
    return questions


def answer(world: World, wanted: str | int) -> Any:
    """What is asked for by one line."""
    if isinstance(wanted, int):
        return [sweep(world, poll=False) for _ in range(wanted)]
    return asks(world) if wanted == "asks" else sweep(world, poll=True)


def main(config: Path) -> None:
    """Answer each line: ``asks``, ``converge`` (a cycle that asks git too), or how many times to sweep."""
    adopt_orphans()
    with opened(config) as world:
        for line in sys.stdin:
            wanted = json.loads(line)
            print(json.dumps(answer(world, wanted)), flush=True)


if __name__ == "__main__":
    main(Path(json.loads(sys.stdin.readline())))
