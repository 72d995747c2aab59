"""Five hundred changes and a hundred decoys on five real hosts, over all kinds: every one found, none invented.

The fleet is converged once by the real command. Then rounds of changes are dealt by a seed, made by hand, proved by
the hosts' own tools, looked at through every lane, and taken back by hand, after which the lanes see nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from reconciler.config import load
from reconciler.desired import compile_tree
from reconciler.kinds import KINDS
from reconciler.model import Desired, HostAsk
from reconciler.opening import open_world
from tests.bed import gitserver, planting
from tests.bed import hosts as bed
from tests.bed.hosts import Host
from tests.bed.planting import Change, Found
from tests.hosts import world as worlds
from tests.hosts.world import World

SEED = 4
ROUNDS = 5
CHANGES, DECOYS = 100, 20
"""In each round, on all hosts together."""

LANES = ("ansible", "stream")

Look = Callable[[], set[Found]]
"""A look at all hosts through one lane: everything that differs."""

Seen = list[tuple[list[Change], dict[str, set[Found]], dict[str, set[Found]]]]
"""Round by round: what was planted, what each lane then found, and what each found after it was taken back."""


@contextmanager
def opened(here: World, desired: Desired) -> Iterator[dict[str, Look]]:
    """Every lane to the hosts of a world, open for many looks, as the program itself opens them."""
    asks = {
        name: HostAsk(host.connection, tuple(resource.ask for resource in host.resources))
        for name, host in desired.hosts.items()
    }

    def look(lane: Any) -> set[Found]:
        return planting.differing(desired, lane.observe(asks, lambda: False))

    quiet: dict[str, Any] = {"say": lambda _text: None, "progress": lambda _text: None}
    with open_world(load(here.config), clock=lambda: datetime.now(UTC), monotonic=monotonic, **quiet) as world:
        yield {"ansible": lambda: look(world.ansible), "stream": lambda: look(world.stream)}


@pytest.fixture(scope="module")
def five_hosts(host_image: str, ssh_key: Path) -> Iterator[list[Host]]:
    """Five hosts that nobody else works on."""
    booted = bed.boot(host_image, [f"web{number}" for number in range(1, 6)])
    for host in booted:
        host.trust(ssh_key.with_suffix(".pub").read_text(), "root")
    yield booted
    for host in booted:
        host.remove()


@pytest.fixture(scope="module")
def here(five_hosts: list[Host], git_host: Host, ssh_key: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world whose repository holds what is planted in, and whose hosts are converged to it by the real command."""
    folder = tmp_path_factory.mktemp("planted")
    server = gitserver.serve(git_host, ssh_key, folder / "git_known_hosts", "planted")
    world = worlds.make(folder, server, five_hosts, ssh_key)
    tree = planting.state(bed.inventory_yaml(five_hosts))
    planting.prepare(five_hosts)
    world.desk.save("what is planted in", {f"desired-state/{name}": text for name, text in tree.items()})
    assert {story.one("Outcome") for story in world.once()} == {"converged"}
    planting.shelve(five_hosts)
    return world


@pytest.fixture(scope="module")
def seen(here: World) -> Seen:
    """Plant every round once, and look at it through all lanes."""
    tree = planting.state(bed.inventory_yaml(here.hosts))
    desired = compile_tree({name: text.encode() for name, text in tree.items()}, allow_local=False)
    rounds: Seen = []
    with opened(here, desired) as looks:
        assert [looks[lane]() for lane in LANES] == [set() for _ in LANES]
        for changes in planting.rounds(SEED, [host.name for host in here.hosts], ROUNDS, CHANGES, DECOYS):
            planting.apply(here.hosts, changes)
            found = {lane: looks[lane]() for lane in LANES}
            planting.undo(here.hosts, changes)
            after = {lane: looks[lane]() for lane in LANES}
            rounds.append((changes, found, after))
    return rounds


# All of the time is in `seen`: one converging of everything, then eleven looks through each lane.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("lane", LANES)
def test_every_planted_change_is_found_and_none_is_invented(lane: str, seen: Seen) -> None:
    for changes, found, _ in seen:
        score = planting.score(found[lane], changes)
        missed = [each for each in changes if {(each.host, *effect) for effect in each.differs} & score.missed]
        assert [(each.id, each.do) for each in missed] == []
        assert sorted(score.invented) == []
        assert (score.recall, score.precision) == (1.0, 1.0)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("lane", LANES)
def test_nothing_is_left_to_find_once_it_is_taken_back(lane: str, seen: Seen) -> None:
    assert [sorted(after[lane]) for _, _, after in seen] == [[]] * ROUNDS


def test_five_hundred_changes_of_all_kinds_were_planted_and_a_hundred_decoys(seen: Seen) -> None:
    planted = [change for changes, _, _ in seen for change in changes]
    assert len({change.id for change in planted}) == len(planted)
    assert {change.kind for change in planted if change.differs} == KINDS.keys()
    assert {change.how for change in planted} == {"change", "delete", "add", "running", "decoy"}
    assert sum(bool(change.differs) for change in planted) == CHANGES * ROUNDS >= 500
    assert sum(not change.differs for change in planted) == DECOYS * ROUNDS >= 100
