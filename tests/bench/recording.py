"""Recording a thousand hosts that converge at once: ``python -m tests.bench.recording CONFIG CASE``.

Timed are ``write_down`` (memories, intents and events in one transaction) and ``publish`` (signed commits on the
audit branch, one push to a local bare repository). Everything is real but the hosts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import cast

from reconciler.accept import accept
from reconciler.ansible import Ansible
from reconciler.converge import converge
from reconciler.cycle import plan_for
from reconciler.lookout import observe
from reconciler.model import Desired, Observed
from reconciler.publish import publish, write_down
from reconciler.world import World
from tests.bench import synthetic
from tests.bench.fakefleet import FakeFleet
from tests.bench.ground import make_remote, opened, run, write_config
from tests.bench.measure import BenchFailed, run_child, timed

CASES = ("shared", "distinct", "first")
"""One file differs in the same way on every host; in its own way on each; everything is missing on each."""
HOSTS = 1000


def measure(case: str) -> dict[str, float]:
    """Set a case up and measure it in a fresh process."""
    with tempfile.TemporaryDirectory(prefix="recording-") as name:
        folder = Path(name)
        remote = make_remote(folder, {path: text.decode() for path, text in synthetic.tree(HOSTS).items()})
        answer = run_child("recording", str(write_config(folder, remote)), case)
        stored = run("git", "-C", str(remote), "log", "--format=raw", "audit/main").splitlines()
        commits, signed = (sum(line.startswith(word) for line in stored) for word in ("commit ", "gpgsig "))
        records = run("git", "-C", str(remote), "ls-tree", "--name-only", "audit/main", "hosts/").splitlines()
        if (commits, signed, len(records)) != (answer["commits"], answer["commits"], HOSTS):
            raise BenchFailed(f"{case}: {commits} commits, {signed} signed, {len(records)} records arrived: {answer}")
        return dict(answer)


def before(case: str, desired: Desired) -> dict[str, Observed]:
    """What the hosts answer before they are converged."""
    if case == "first":
        return {name: Observed(name, absent(synthetic.facts_of(host))) for name, host in desired.hosts.items()}
    path = {"shared": "/etc/static1.conf", "distinct": "/etc/app1.conf"}[case]
    return {n: Observed(n, synthetic.facts_of(host, drifted=path)) for n, host in desired.hosts.items()}


def absent(facts: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """The facts of a host on which no file is there yet."""
    return facts | {"path": {path: {"state": "absent"} for path in facts["path"]}}


def record(world: World, case: str) -> dict[str, float]:
    """One converging cycle, as ``reconciler.cycle`` tells it, with its record timed."""
    accepted = accept(world)
    if accepted.desired is None:
        raise BenchFailed(accepted.stop or accepted.trouble)
    clean = {n: Observed(n, synthetic.facts_of(host)) for n, host in accepted.desired.hosts.items()}
    # Everybody is asked by the lane of the fake fleet.
    world.stream = None
    world.ansible = cast("Ansible", FakeFleet(clean, before(case, accepted.desired)))
    known = world.known()
    seen = observe(world, accepted.desired)
    world.recent.begin(accepted.desired, sweep=True)
    today = world.clock().date()
    plan = plan_for(world, accepted, seen, known, today)
    attempts, after = converge(world, accepted, plan, known, today)
    if after is None:
        raise BenchFailed("converging was cut short")
    with timed() as writing:
        write_down(world, accepted, plan, attempts, after, known, seen, sweep=True)
    commits = len(world.state.outbox())
    with timed() as publishing:
        trouble = publish(world)
    if trouble or world.state.outbox():
        raise BenchFailed(f"not published: {trouble}")
    changes = sum(len(host.changes) for host in plan.hosts)
    return {"write": writing.wall, "publish": publishing.wall, "commits": commits, "changes": changes}


def main(config: Path, case: str) -> None:
    """Measure one case and print it."""
    with opened(config) as world:
        print(json.dumps(record(world, case)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
