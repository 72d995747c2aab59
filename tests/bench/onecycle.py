"""One real cycle in a fresh process, measured from inside: ``python -m tests.bench.onecycle CONFIG``.

Importing the program and opening its state are not in the figures; ``reconciler once`` is measured beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reconciler.cycle import cycle
from reconciler.model import State
from tests.bench.ground import opened
from tests.bench.measure import timed


def main(config: Path) -> None:
    """Run the cycle and print what it cost and what it came to."""
    with opened(config) as world:
        with timed() as cost:
            report = cycle(world, sweep=True)
        hosts = report.plan.hosts if report.plan else ()
        after = report.after.hosts if report.after else hosts
        answer = {
            "wall": cost.wall,
            "cpu": cost.cpu,
            "launches": world.ansible.launches,
            "hosts": len(hosts),
            "changes": sum(len(host.changes) for host in hosts),
            "left": [f"{h.host} {h.reason} {h.changes[:3]}" for h in after if h.state is not State.IN_SYNC],
            "trouble": report.trouble,
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
