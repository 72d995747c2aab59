"""A thousand hosts at once: what the recording takes is printed, how many commits and pushes it takes is held."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from reconciler.cycle import cycle
from reconciler.model import Event
from tests.loop.bench import Bench, check_chain

HOSTS = 1000
GROUPS = 60


def inventory() -> str:
    groups = (
        f"g{group}:\n  vars: {{group: {group}}}\n  hosts:\n"
        + "".join(f"    h{host:04}:\n" for host in range(group, HOSTS, GROUPS))
        for group in range(GROUPS)
    )
    return "".join(groups)


def test_a_thousand_hosts_converge_in_fifty_commits_and_one_push(tmp_path: Path) -> None:
    # Each of sixty groups has a file of its own, so there are sixty stories, ten more than a cycle tells.
    own = "".join(f"- hosts: g{n}\n  copy:\n    - {{content: x, dest: /etc/of-{n}}}\n" for n in range(GROUPS))
    files = {"inventory/hosts.yml": inventory(), "own.yml": own, "reconciler.yml": "mode: enforce\n"}
    bench = Bench(tmp_path).build(files)
    pushes: list[str] = []
    spent: dict[str, float] = {}
    with bench.world() as world:
        push, append = world.repository.push, world.audit.append

        def counted(ref: str, branch: str, expected: str | None) -> bool:
            pushes.append(branch)
            return push(ref, branch, expected)

        def timed(events: Sequence[Event]) -> str | None:
            began = time.monotonic()
            tip = append(events)
            spent.setdefault("making the commits", time.monotonic() - began)
            return tip

        world.repository.push, world.audit.append = counted, timed
        began = time.monotonic()
        assert cycle(world, sweep=True).trouble == ""
        spent["the whole cycle"] = time.monotonic() - began
        assert pushes.count("audit/main") == 1
        assert cycle(world, sweep=True).trouble == ""
        assert pushes.count("audit/main") == 1
    print({name: f"{seconds:.1f} s" for name, seconds in spent.items()})
    stories = bench.stories()
    check_chain(stories)
    assert len(stories) == 50
    assert sorted(host for story in stories for host in story.all("Host")) == [f"h{host:04}" for host in range(HOSTS)]
    assert stories[-1].subject.startswith("11 more stories of ")
    assert bench.record("h0999")["differs"] == []
