"""A hundred idle cycles of the real daemon: ``python -m tests.bench.idle CONFIG polls|sweeps``.

Polls look at git only; sweeps look at a fleet that answers from memory too. Nothing may come of either: no commit,
no log line above debug, no file, no open descriptor, no memory.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import cast

from reconciler import logs
from reconciler.accept import accept
from reconciler.ansible import Ansible
from reconciler.daemon import Daemon, Pace
from reconciler.model import Observed
from reconciler.world import World
from tests.bench import synthetic
from tests.bench.fakefleet import FakeFleet
from tests.bench.ground import make_remote, opened, run, write_config
from tests.bench.measure import BenchFailed, resident_megabytes, run_child, timed

CYCLES = 100
SETTLING = 20
"""Cycles before the measured ones: the first converge and record, and the allocator finds its size."""
HOSTS = 50
FOREVER = 10.0**9


def measure(kind: str) -> dict[str, float]:
    """Set a daemon up and let it idle in a fresh process."""
    with tempfile.TemporaryDirectory(prefix="idle-") as name:
        folder = Path(name)
        remote = make_remote(folder, {path: text.decode() for path, text in synthetic.tree(HOSTS).items()})
        answer = run_child("idle", str(write_config(folder, remote)), kind)
        commits = int(run("git", "-C", str(remote), "rev-list", "--count", "audit/main"))
        return dict(answer) | {"new_commits": commits - answer["commits"]}


def state_bytes(folder: Path) -> int:
    """The bytes of every file below the state directory."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def audit_commits(world: World) -> int:
    """How many commits the audit branch of the remote has."""
    return int(run("git", "-C", world.config.repository.url, "rev-list", "--count", "audit/main"))


def idle(world: World, *, sweep: bool) -> dict[str, float]:
    """Settle, then run the cycles and say what they left behind."""
    desired = accept(world).desired
    hosts = desired.hosts if desired else {}
    facts = {name: Observed(name, synthetic.facts_of(host)) for name, host in hosts.items()}
    fleet = FakeFleet(facts)
    # Everybody is asked by the lane of the fake fleet.
    world.stream = None
    world.ansible = cast("Ansible", fleet)
    start = datetime.now(UTC)
    steps = count()
    world.clock = lambda: start + next(steps) * timedelta(minutes=10)
    daemon = Daemon(world, Pace(1.0, 0.0 if sweep else FOREVER))
    for _ in range(SETTLING):
        daemon.run_cycle(daemon.monotonic(), poll=not sweep, sweep=sweep)
    if daemon.trouble or len(hosts) != HOSTS:
        raise BenchFailed(daemon.trouble or f"{len(hosts)} hosts are idle, not {HOSTS}")
    begin, commits, launches = standing(world), audit_commits(world), fleet.launches
    with timed() as cost:
        for _ in range(CYCLES):
            daemon.run_cycle(daemon.monotonic(), poll=not sweep, sweep=sweep)
    if fleet.launches - launches != (CYCLES if sweep else 0) or daemon.trouble:
        raise BenchFailed(f"{fleet.launches - launches} sweeps in {CYCLES} cycles; {daemon.trouble}")
    grown = {name: after - begin[name] for name, after in standing(world).items()}
    return grown | {"cpu": cost.cpu / CYCLES, "wall": cost.wall / CYCLES, "commits": commits, "rss": begin["memory"]}


def standing(world: World) -> dict[str, float]:
    """What could grow: bytes of the state directory, MB of memory, open descriptors."""
    return {
        "bytes": state_bytes(world.config.state_dir),
        "memory": resident_megabytes(),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
    }


def main(config: Path, kind: str) -> None:
    """Idle and print; the log goes to standard error, where whoever started us counts its lines."""
    with opened(config) as world:
        logs.setup("info")
        print(json.dumps(idle(world, sweep=kind == "sweeps")))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
