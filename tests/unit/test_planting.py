"""The generator of planted changes, without hosts: what is dealt, what the catalogue promises, and how it is judged."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest

from reconciler.desired import compile_tree
from reconciler.kinds import KINDS
from reconciler.model import Blind, Desired, Observed
from tests.bed import planting
from tests.bed.planting import Change
from tests.bed.planting.deal import CATALOGUE

HOSTS = ("web1", "web2", "web3", "web4", "web5")
INVENTORY = "all:\n  hosts:\n    web1: {}\n"

ROUNDS = planting.rounds(4, HOSTS, 5, 100, decoys=20)


def compiled() -> Desired:
    tree = {name: text.encode() for name, text in planting.state(INVENTORY).items()}
    return compile_tree(tree, allow_local=False)


def made_up(number: int, *differs: tuple[str, str]) -> Change:
    touches = frozenset(resource for resource, _ in differs)
    return Change(f"{number}", "web1", "copy", "change", "", "", "", "", frozenset(differs), touches)


# What is dealt.


def test_the_same_seed_deals_the_same_and_another_one_something_else() -> None:
    assert planting.rounds(4, HOSTS, 5, 100, decoys=20) == ROUNDS
    assert planting.plant(4, HOSTS, 100, 20) == ROUNDS[0]
    assert planting.plant(5, HOSTS, 100, 20) != ROUNDS[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_two_changes_of_a_round_touch_one_resource_and_none_comes_twice(seed: int) -> None:
    dealt = planting.rounds(seed, HOSTS, 5, 100, decoys=20)
    for changes in dealt:
        touched = Counter((change.host, resource) for change in changes for resource in change.touches)
        assert set(touched.values()) == {1}
        assert [sum(bool(change.differs) is real for change in changes) for real in (True, False)] == [100, 20]
    assert len({change.id for changes in dealt for change in changes}) == 600


def test_kinds_and_hosts_take_turns() -> None:
    planted = [change for changes in ROUNDS for change in changes if change.differs]
    kinds, hosts = Counter(change.kind for change in planted), Counter(change.host for change in planted)
    assert kinds.keys() == KINDS.keys()
    assert min(kinds.values()) >= 40, "500 over 11 kinds are 45 for each"
    assert min(hosts.values()) >= 90


def test_a_round_may_be_small_and_may_not_be_larger_than_the_catalogue() -> None:
    assert len(planting.plant(1, ["web1"], 1)) == 1
    assert planting.plant(1, HOSTS, 0) == []
    with pytest.raises(planting.NotEnough, match="no more than"):
        planting.plant(1, ["web1"], 200)


# What the catalogue promises.


def test_the_state_compiles_and_has_every_kind() -> None:
    desired = compiled()
    assert desired.mistakes == ()
    assert planting.RESOURCES.keys() == KINDS.keys()
    assert len(desired.hosts["web1"].resources) == planting.COUNT
    assert 60 <= planting.COUNT <= 100


def test_what_is_to_differ_is_declared_and_a_decoy_touches_nothing_else() -> None:
    wanted = {resource.identity: resource.wanted.keys() for resource in compiled().hosts["web1"].resources}
    for changes in ROUNDS:
        for change in changes:
            assert (change.how == "decoy") is (not change.differs)
            for resource, attribute in change.differs:
                assert attribute in wanted[resource], change.id
            assert {name for name in change.touches if not name.startswith("undeclared[")} <= wanted.keys()


def test_the_ways_of_a_resource_have_names_of_their_own_and_commands_that_bash_can_read() -> None:
    for declared in CATALOGUE:
        names = [way.name for way in declared.ways]
        assert len(set(names)) == len(names), declared.identity
    commands = [text for each in CATALOGUE for way in each.ways for text in (way.do, way.undo, way.probe)]
    commands += [each.prepare for each in CATALOGUE if each.prepare]
    assert all(commands)
    for start in range(0, len(commands), 200):
        script = "\n".join(f"{{ {command}\n}}" for command in commands[start : start + 200])
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


# How it is judged.


def test_what_is_missed_and_what_is_invented_is_told_apart() -> None:
    changes = [made_up(1, ("copy[/a]", "mode"), ("copy[/a]", "owner")), made_up(2, ("copy[/b]", "state")), made_up(3)]
    found = {("web1", "copy[/a]", "mode"), ("web1", "copy[/b]", "state"), ("web2", "copy[/b]", "state")}
    score = planting.score(found, changes)
    assert score.missed == {("web1", "copy[/a]", "owner")}
    assert score.invented == {("web2", "copy[/b]", "state")}
    assert (score.recall, score.precision) == (2 / 3, 2 / 3)


def test_who_knows_no_attributes_is_judged_by_resources() -> None:
    changes = [made_up(1, ("copy[/a]", "mode"), ("copy[/a]", "owner")), made_up(2, ("copy[/b]", "state"))]
    score = planting.score_resources({("web1", "copy[/a]")}, changes)
    assert (score.recall, score.precision, score.invented) == (0.5, 1.0, frozenset())


def test_silence_about_nothing_is_perfect() -> None:
    score = planting.score(set(), [])
    assert (score.recall, score.precision) == (1.0, 1.0)
    assert planting.score(set(), [made_up(1, ("copy[/a]", "mode"))]).recall == 0.0


def test_a_blind_host_and_one_that_answers_nothing_are_no_result() -> None:
    for answer in (Blind("web1", "timed out"), Observed("web1", {})):
        with pytest.raises(AssertionError, match="web1 is blind"):
            planting.differing(compiled(), {"web1": answer})
