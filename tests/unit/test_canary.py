"""Canaries: who has what a commit brings first, who waits for them, and what proves nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.canary import NO_ANSWER, canaries_of, doubt, waits_for, waves
from reconciler.model import Blind, Desired, HostMemory, HostPlan, Limits, Mode, Observed, Plan, State, Step, Verdict
from reconciler.plan import make_plan
from tests.unit.worlds import SHA, absent, change, empty, fleet, there

MANIFEST = "- hosts: web\n  copy:\n    - {content: x, dest: /a}\n"
PENDING = change(last_applied="0600", verdict=Verdict.PENDING)
DRIFT = change()


def plan_of(
    desired: Desired, seen: Mapping[str, Observed | Blind], doubts: Mapping[str, str], limits: Limits | None = None
) -> Plan:
    """The plan with these canaries, and what was seen of them before."""
    return make_plan(SHA, desired, seen, {}, limits or Limits(canaries=tuple(doubts)), canaries=doubts)


def launches(plan: Plan) -> list[list[str]]:
    """The hosts that are converged, launch by launch."""
    return [[host.host for host in wave] for wave in waves(plan)]


def steps(plan: Plan) -> dict[str, bool]:
    """Host → whether anything is to be done there."""
    return {host.host: bool(host.steps) for host in plan.hosts}


def host(name: str = "web1", **parts: object) -> HostPlan:
    """One host in enforce mode on which something differs and is to be put right."""
    due = (Step("copy[/etc/motd]", "copy", {}),)
    return HostPlan(name, **{"mode": Mode.ENFORCE, "state": State.DIFFERS, "steps": due, **parts})


def test_a_change_goes_to_the_canary_first_and_to_the_others_after_it() -> None:
    desired = fleet(MANIFEST, "web1 web2 web3")
    plan = plan_of(desired, absent(desired), {"web2": NO_ANSWER})
    assert steps(plan) == {"web1": True, "web2": True, "web3": True}
    assert plan.first == {"web2"}
    assert launches(plan) == [["web2"], ["web1", "web3"]]


def test_without_canaries_and_with_proved_ones_everything_goes_at_once() -> None:
    desired = fleet(MANIFEST, "web1 web2")
    for doubts in ({}, {"web9": ""}):
        plan = plan_of(desired, absent(desired), doubts)
        assert launches(plan) == [["web1", "web2"]]
    assert launches(Plan(SHA, ())) == []


def test_a_canary_that_cannot_be_seen_keeps_the_others_waiting() -> None:
    desired = fleet(MANIFEST, "web1 web2")
    plan = plan_of(desired, {**absent(desired), "web1": Blind("web1", "Connection refused")}, {"web1": ""})
    assert steps(plan) == {"web1": False, "web2": False}
    assert plan.hosts[1].held == ("it waits for the canary web1, which cannot be seen: Connection refused",)
    assert plan.hosts[1].changes, "what differs is still seen"


def test_a_canary_that_was_not_asked_now_counts_as_it_was_seen_last() -> None:
    desired = fleet(MANIFEST, "web1 web2")
    seen = {"web2": empty("web2", desired.hosts["web2"].resources)}
    assert steps(plan_of(desired, seen, {"web1": ""})) == {"web2": True}
    (waiting,) = plan_of(desired, seen, {"web1": NO_ANSWER}).hosts
    assert waiting.held == ("it waits for the canary web1, which has not answered yet",)


def test_a_canary_whose_manifests_have_mistakes_keeps_the_others_waiting() -> None:
    desired = fleet(MANIFEST + "- hosts: web1\n  copy:\n    - {content: '{{ nobody }}', dest: /b}\n", "web1 web2")
    assert set(desired.held) == {"web1"}
    plan = plan_of(desired, absent(desired), {"web1": ""})
    assert "which cannot be seen: its manifests have mistakes" in plan.hosts[1].held[0]


def test_limits_take_the_canaries_first_so_that_nobody_waits_for_ever() -> None:
    desired = fleet(MANIFEST, "web1 web2 web3")
    plan = plan_of(desired, absent(desired), {"web3": ""}, Limits(hosts=1, canaries=("web3",)))
    assert steps(plan) == {"web1": False, "web2": False, "web3": True}
    held = fleet("- hosts: web\n  file:\n    - {path: /a, state: absent}\n", "web1 web2")
    full = {name: Observed(name, {"path": {"/a": {"state": "file", "mode": "0644", "size": 0}}}) for name in held.hosts}
    plan = plan_of(held, full, {"web1": ""}, Limits(0, 0, canaries=("web1",)))
    assert steps(plan) == {"web1": False, "web2": False}
    assert "something would be removed on 2 of 2 hosts" in plan.hosts[0].held[0]


def test_drift_is_put_right_whatever_the_canary_does() -> None:
    canary, drifted, both = host("web1", changes=(PENDING,)), host("web2", changes=(DRIFT,)), host("web3")
    both = replace(both, changes=(DRIFT, PENDING))
    plan = Plan(SHA, (canary, drifted, both), first=frozenset({"web1"}))
    assert launches(plan) == [["web1", "web2"], ["web3"]]
    assert launches(replace(plan, first=frozenset())) == [["web1", "web2", "web3"]], "one launch, as ever"


@pytest.mark.parametrize(
    ("found", "owed", "why"),
    [
        (host(changes=(PENDING,)), (), "is not as declared: copy[/etc/motd]"),
        (host(changes=(DRIFT,)), (), "is not as declared: copy[/etc/motd]"),
        (host(changes=(change(verdict=Verdict.CONFLICT),)), (), "is not as declared: copy[/etc/motd]"),
        (
            host(changes=tuple(change(f"copy[/{n}]") for n in "abcde")),
            (),
            "is not as declared: copy[/a], copy[/b], copy[/c] and 2 more",
        ),
        (
            host(changes=(PENDING,), held=("too much",), steps=()),
            (),
            "is not as declared: copy[/etc/motd]; there, too much",
        ),
        (host(state=State.BLIND, reason="timed out"), (), "cannot be seen: timed out"),
        (host(state=State.IN_SYNC), ("reload nginx",), "is yet to reload nginx"),
        (host(state=State.IN_SYNC), (), ""),
        (host(changes=(change(verdict=Verdict.AHEAD),)), (), ""),
        (host(changes=(change(mode=Mode.OBSERVE),)), (), ""),
        (host(changes=(change(mode=Mode.SUSPENDED),)), (), ""),
        (host(mode=Mode.SUSPENDED, state=State.BLIND), ("reload nginx",), ""),
    ],
)
def test_what_proves_nothing(found: HostPlan, owed: tuple[str, ...], why: str) -> None:
    assert doubt(found, owed) == why


def test_a_canary_that_owes_a_restart_is_to_do_it_first() -> None:
    desired = fleet(MANIFEST, "web1 web2")
    well = there(desired, sha256=hashlib.sha256(b"x").hexdigest())["web1"]
    seen = {**absent(desired), "web1": well}
    plan = make_plan(
        SHA, desired, seen, {"web1": HostMemory("web1", owed=("restart nginx",))}, Limits(), canaries={"web1": ""}
    )
    assert plan.first == {"web1"}
    assert launches(plan) == [["web1"], ["web2"]]
    assert launches(make_plan(SHA, desired, seen, {}, Limits(), canaries={"web1": ""})) == [["web2"]]


def test_the_canaries_of_the_revision_before_count_as_long_as_there_are_any() -> None:
    desired = fleet(MANIFEST, "web1 web2", "mode: enforce\nlimits: {canary: web2}\n")
    assert canaries_of(("web0", "web1"), desired) == ("web1",)
    assert canaries_of(("web0",), desired) == canaries_of((), desired) == ("web2",)


def test_the_first_in_doubt_is_named() -> None:
    assert waits_for({"web2": "is slow", "web1": "", "web3": "is blind"}).endswith("the canary web2, which is slow")
    assert waits_for({"web1": ""}) == waits_for({}) == ""


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["pending", "drift", "clean", "blind"])), max_size=12))
def test_what_a_commit_brings_never_comes_before_the_proof(drawn: list[tuple[bool, str]]) -> None:
    """Whatever hosts and canaries there are: nothing pending is in the first launch but on canaries."""
    changes = {"pending": (PENDING,), "drift": (DRIFT,)}
    canaries = {f"h{n:02}": "" for n, (canary, _) in enumerate(drawn) if canary}
    hosts = [host(f"h{n:02}", changes=changes.get(kind, ())) for n, (_, kind) in enumerate(drawn)]
    doubtful = {name for name in canaries if hosts[int(name[1:])].changes}
    first, *later = waves(Plan(SHA, tuple(hosts), first=frozenset(doubtful))) or [[]]
    assert sorted(each.host for wave in [first, *later] for each in wave) == sorted(each.host for each in hosts)
    if doubtful:
        assert all(each.host in canaries or PENDING not in each.changes for each in first)
    assert all(PENDING in each.changes for wave in later for each in wave)
