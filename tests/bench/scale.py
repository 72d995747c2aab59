"""Compile and compare a fleet from stored facts: ``python -m tests.bench.scale FOLDER HOSTS [make]``.

Inside the figures: the revision compiled from its files, the stored facts and memories read and parsed, the plan
made. ``make`` writes what is stored, in a process of its own, so that its memory is not in the peak.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from reconciler.desired import compile_tree
from reconciler.model import Desired
from reconciler.plan import make_plan
from reconciler.state import State
from tests.bench import synthetic
from tests.bench.measure import BenchFailed, peak_megabytes, run_child, timed

SIZES = (100, 200, 500, 1000)
ROUNDS = 3


def measure(folder: Path, say: Callable[[str], None]) -> dict[int, list[dict[str, float]]]:
    """Store a fleet of each size, then compile and compare each in a fresh process, in turns: size → its runs."""
    for hosts in SIZES:
        run_child("scale", str(folder), str(hosts), "make")
    found: dict[int, list[dict[str, float]]] = {hosts: [] for hosts in SIZES}
    for number in range(ROUNDS):
        say(f"compile and compare {', '.join(map(str, SIZES))} hosts, round {number + 1} of {ROUNDS}")
        for hosts, runs in found.items():
            runs.append(dict(run_child("scale", str(folder), str(hosts))))
    return found


def compiled(hosts: int) -> Desired:
    """The synthetic revision; it has fifty resources for every host and no mistake."""
    desired = compile_tree(synthetic.tree(hosts), allow_local=False)
    if desired.mistakes or any(len(host.resources) != 50 for host in desired.hosts.values()):
        counts = {len(host.resources) for host in desired.hosts.values()}
        raise BenchFailed(f"the synthetic fleet is not what it should be: {counts} {desired.mistakes[:3]}")
    return desired


def make(folder: Path, hosts: int) -> None:
    """Write facts and memories."""
    with State.open(folder / f"scale-{hosts}" / "state.db") as state:
        lines = synthetic.store(compiled(hosts), state)
    (folder / f"scale-{hosts}" / "facts.jsonl").write_text("\n".join(lines))


def compile_and_compare(folder: Path, hosts: int) -> dict[str, float]:
    """The measured thing; raises BenchFailed unless it finds the drift that is stored, and nothing else."""
    tree = synthetic.tree(hosts)
    before = peak_megabytes()
    with timed() as whole, State.open(folder / f"scale-{hosts}" / "state.db", read_only=True) as state:
        with timed() as compiling:
            desired = compile_tree(tree, allow_local=False)
        with (folder / f"scale-{hosts}" / "facts.jsonl").open(encoding="utf-8") as lines:
            seen = {one.host: one for one in map(synthetic.observed, lines)}
        memories = state.hosts()
        with timed() as comparing:
            plan = make_plan("1" * 40, desired, seen, memories, desired.limits)
    found = [f"{change.verdict} {change.resource}" for host in plan.hosts for change in host.changes]
    if found != ["drift copy[/etc/static1.conf]"] * (hosts // synthetic.DRIFT_EVERY):
        raise BenchFailed(f"the comparison found {len(found)} changes: {sorted(set(found))[:5]}")
    return {
        "wall": whole.wall,
        "cpu": whole.cpu,
        "compile": compiling.wall,
        "compare": comparing.wall,
        "rss": peak_megabytes(),
        "before": before,
    }


def main(folder: Path, hosts: int, *, making: bool) -> None:
    """Make, or measure and print."""
    if making:
        make(folder, hosts)
    print(json.dumps({} if making else compile_and_compare(folder, hosts)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), making=sys.argv[3:] == ["make"])
