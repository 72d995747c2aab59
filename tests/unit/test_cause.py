"""Causes: what needs a person, and the life of the tickets that say so."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cause import (
    DASHBOARD,
    Decision,
    Fate,
    Move,
    TicketMemory,
    as_memory,
    as_record,
    causes,
    decide,
    dismiss,
    fates,
    fingerprint,
    flapping,
    healed,
    note_drift,
    title,
)
from reconciler.memory import remember
from reconciler.model import (
    Attempt,
    Change,
    HostMemory,
    HostPlan,
    Mistake,
    Mode,
    Place,
    Plan,
    State,
    Step,
    StepResult,
    Verdict,
)
from reconciler.talk import Cause, Variant, Why
from tests.unit.worlds import NOON, SHA, change

HOUR = timedelta(hours=1)
STAMP = NOON.isoformat(timespec="seconds")
EARLIER = (NOON - 3 * HOUR).isoformat(timespec="seconds")


def observed(resource: str = "package[nginx]", attribute: str = "version", **values) -> Change:
    return change(resource, attribute, mode=Mode.OBSERVE, **values)


def host(name: str, *changes: Change, **parts) -> HostPlan:
    state = State.DIFFERS if any(c.verdict is not Verdict.AHEAD for c in changes) else State.IN_SYNC
    return HostPlan(name, parts.pop("mode", Mode.OBSERVE), parts.pop("state", state), changes, **parts)


def unseen(name: str, reason: str = "Connection refused", **parts) -> HostPlan:
    return HostPlan(name, Mode.ENFORCE, State.BLIND, reason=reason, **parts)


def plan(*hosts: HostPlan) -> Plan:
    return Plan(SHA, hosts)


def remembered(look: Plan, since: str = EARLIER, attempts=None, **parts) -> dict[str, HostMemory]:
    """The memories that a real look leaves, the same differences having been there *since*."""
    memories = {}
    for one in look.hosts:
        attempt = (attempts or {}).get(one.host)
        memory = remember(HostMemory(one.host), None, one, one, attempt, SHA, (since, since))
        records = tuple(
            {"resource": c.resource, "attribute": c.attribute, "since": since}
            for c in one.changes
            if c.verdict is not Verdict.AHEAD
        )
        memories[one.host] = replace(memory, changes=records, **parts)
    return memories


def found(look: Plan, memories=None, **parts) -> tuple[Cause, ...]:
    known = remembered(look) if memories is None else memories
    return causes(look, known, looked_at=NOON, blind_after=HOUR, **parts)


def test_drift_in_observe_mode_is_one_cause_for_all_its_hosts() -> None:
    look = plan(host("db1", observed(seen="2")), host("db2", observed(seen="2")), host("db3", observed(seen="3")))
    (cause,) = found(look)
    assert (cause.why, cause.resource, cause.since) == (Why.OBSERVED, "package[nginx]", EARLIER)
    assert [variant.hosts for variant in cause.variants] == [("db1", "db2"), ("db3",)]
    assert cause.fingerprint == fingerprint(Why.OBSERVED, "package[nginx]")
    assert len(cause.fingerprint) == 12
    assert title(cause) == "package[nginx] drifted (version) on db1, db2 and db3"


def test_what_is_seen_for_the_first_time_is_only_suspected() -> None:
    look = plan(host("db1", observed()))
    assert found(look, remembered(look, since=STAMP)) == ()
    assert found(look, {}) == ()
    just_before = (NOON - timedelta(seconds=1)).isoformat(timespec="seconds")
    assert len(found(look, remembered(look, since=just_before))) == 1


@pytest.mark.parametrize(
    ("difference", "why"),
    [
        (observed(), Why.OBSERVED),
        (observed(verdict=Verdict.CONFLICT), Why.CONFLICT),
        (observed(verdict=Verdict.PENDING), None),
        (observed(verdict=Verdict.AHEAD), None),
        (change(), None),
        (change(verdict=Verdict.CONFLICT), None),
        (change(mode=Mode.SUSPENDED), None),
    ],
)
def test_who_needs_a_person(difference: Change, why: Why | None) -> None:
    assert [cause.why for cause in found(plan(host("db1", difference)))] == ([why] if why else [])


def test_secrets_are_alike_as_far_as_they_are_shown() -> None:
    look = plan(*(host(name, observed(seen=name, wanted="s", secret=True)) for name in ("db1", "db2")))
    (cause,) = found(look)
    assert [variant.hosts for variant in cause.variants] == [("db1", "db2")]


def enforced(name: str, *resources: str) -> HostPlan:
    return host(name, *(change(resource) for resource in resources), mode=Mode.ENFORCE)


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        (
            Attempt("web1", {"copy[/a]": StepResult("failed", "No space left"), "copy[/b]": StepResult("changed")}),
            {"copy[/a]": ("No space left",), "copy[/b]": ("it still differs after the second look",)},
        ),
        # What did not run because something failed before it is no cause of its own.
        (Attempt("web1", {"copy[/a]": StepResult("failed", "No space left")}), {"copy[/a]": ("No space left",)}),
        (Attempt("web1", {}, {}, "timed out after 600 s"), {"": ("timed out after 600 s",)}),
        (
            Attempt("web1", {"copy[/a]": StepResult("failed", "x")}, {}, "unreachable"),
            {"copy[/a]": ("x",), "": ("unreachable",)},
        ),
        (Attempt("web1"), dict.fromkeys(("copy[/a]", "copy[/b]"), ("it was not carried out",))),
    ],
)
def test_what_could_not_be_put_right(attempt: Attempt, told: dict[str, tuple[str, ...]]) -> None:
    look = plan(enforced("web1", "copy[/a]", "copy[/b]"))
    memories = remembered(look, attempts={"web1": attempt})
    assert memories["web1"].story.startswith("failed:")
    got = found(look, memories, attempts={"web1": attempt})
    assert {cause.why for cause in got} == {Why.FAILED}
    assert {cause.resource: cause.variants[0].reasons for cause in got} == told


def test_a_failed_restart_is_a_cause_though_nothing_differs() -> None:
    attempt = Attempt("web1", {"copy[/a]": StepResult("changed")}, {"restart nginx": StepResult("failed", "exit 1")})
    look = plan(host("web1", mode=Mode.ENFORCE))
    (cause,) = found(look, remembered(look, attempts={"web1": attempt}), attempts={"web1": attempt})
    assert (cause.resource, cause.variants) == ("restart nginx", (Variant(("web1",), (), ("exit 1",)),))
    assert title(cause) == "restart nginx fails on web1"


def test_what_waits_its_turn_is_no_failure() -> None:
    look = plan(replace(enforced("web1", "copy[/a]"), held=("only 5 hosts are converged in one cycle",)))
    assert found(look) == ()


def test_hosts_that_are_not_seen_for_too_long_are_one_cause() -> None:
    look = plan(unseen("web1"), unseen("web2"), unseen("web3", "timed out"), unseen("web4", held=("a mistake",)))
    (cause,) = found(look)
    assert (cause.why, cause.resource) == (Why.BLIND, "")
    assert [variant.hosts for variant in cause.variants] == [("web1", "web2"), ("web3",)]
    assert title(cause) == "web1, web2 and web3 are not seen"
    an_hour_ago = (NOON - HOUR).isoformat(timespec="seconds")
    assert found(look, remembered(look, since=an_hour_ago)) == ()


def test_a_resource_that_was_put_right_three_times_in_a_day_flaps() -> None:
    flaps = {}
    for minutes in (0, 10):
        flaps = note_drift(flaps, [("web1", "copy[/a]")], NOON + timedelta(minutes=minutes))
        assert flapping(flaps) == {}
    flaps = note_drift(flaps, [("web1", "copy[/a]"), ("web2", "copy[/a]")], NOON + HOUR)
    assert flapping(flaps) == {"web1": {"copy[/a]"}}
    (cause,) = found(plan(host("web1"), host("web2")), flaps=flaps)
    assert (cause.why, cause.resource, cause.hosts) == (Why.FLAPPING, "copy[/a]", ("web1",))
    assert note_drift(flaps, [], NOON + 25 * HOUR) == {}
    assert json.loads(json.dumps(flaps)) == {"web1": {"copy[/a]": list(flaps["web1"]["copy[/a]"])}} | {
        "web2": {"copy[/a]": list(flaps["web2"]["copy[/a]"])}
    }


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 30 * 60)), max_size=60))
def test_flaps_are_of_the_last_day_and_bounded(steps: list[tuple[str, str, int]]) -> None:
    flaps, at = {}, NOON
    for name, resource, minutes in sorted(steps, key=lambda step: step[2]):
        at = NOON + timedelta(minutes=minutes)
        flaps = note_drift(flaps, [(name, resource)], at)
    times = [time for resources in flaps.values() for kept in resources.values() for time in kept]
    assert all(timedelta(0) <= at - datetime.fromisoformat(time) < timedelta(hours=24) for time in times)
    assert all(len(kept) <= 12 for resources in flaps.values() for kept in resources.values())


def test_only_a_drift_that_was_put_right_counts() -> None:
    steps = tuple(Step(name, "copy", {}) for name in ("copy[/a]", "copy[/b]", "copy[/c]"))
    changes = (change("copy[/a]"), change("copy[/b]"), change("copy[/c]", verdict=Verdict.PENDING))
    before = replace(host("web1", *changes), steps=steps)
    final = host("web1", change("copy[/b]"))
    attempt = Attempt("web1", {step.id: StepResult("changed") for step in steps})
    assert healed(before, final, attempt) == {("web1", "copy[/a]")}
    assert healed(before, unseen("web1"), attempt) == set()
    assert healed(before, before, None) == set()


# The life of tickets.


def cause_on(*hosts: str, why: Why = Why.OBSERVED, resource: str = "package[nginx]", seen: str = "2") -> Cause:
    difference = observed(resource, seen=seen)
    changes = () if why in (Why.BLIND, Why.FLAPPING) else (difference,)
    return Cause(why, resource, fingerprint(why, resource), (Variant(hosts, changes),), EARLIER)


def live(
    current: list[Cause], tickets: dict[str, TicketMemory], over: dict[str, Fate] | None = None, cap: int = 10, now=NOON
) -> tuple[tuple[Decision, ...], dict[str, TicketMemory]]:
    """One round: decide, and remember what was decided, as the shell does. *over*: hosts and their fates."""
    known = {
        name: {h: (over or {}).get(h, Fate.THERE) for h in ticket.hosts}
        for name, ticket in tickets.items()
        if ticket.open
    }
    steps = decide(current, tickets, known, cap=cap, now=now)
    after = dict(tickets)
    for step in steps:
        after.pop(step.fingerprint, None)
        if step.memory:
            after[step.fingerprint] = step.memory
    return steps, after


def opened(cause: Cause, number: int = 7, **parts) -> dict[str, TicketMemory]:
    (step,), after = live([cause], {})
    assert step.move is Move.OPEN
    return {cause.fingerprint: replace(after[cause.fingerprint], number=number, **parts)}


def moves(steps: tuple[Decision, ...]) -> list[Move]:
    return [step.move for step in steps]


@pytest.mark.parametrize(
    ("now", "over", "move", "hosts"),
    [
        # cause now, fates of the remembered hosts, what is done, hosts remembered then
        (cause_on("a", "b"), {}, Move.KEEP, ("a", "b")),
        (cause_on("a", "b", "c"), {}, Move.UPDATE, ("a", "b", "c")),
        (cause_on("a"), {"b": Fate.CLEAN}, Move.UPDATE, ("a",)),
        (cause_on("a"), {"b": Fate.UNSEEN}, Move.KEEP, ("a", "b")),
        (cause_on("a", "b", seen="3"), {}, Move.UPDATE, ("a", "b")),
        (None, {"a": Fate.CLEAN, "b": Fate.CLEAN}, Move.CLOSE, ("a", "b")),
        (None, {"a": Fate.CLEAN, "b": Fate.GONE}, Move.CLOSE, ("a", "b")),
        (None, {"a": Fate.DROPPED, "b": Fate.MOVED}, Move.CLOSE, ("a", "b")),
        (None, {"a": Fate.CLEAN, "b": Fate.UNSEEN}, Move.KEEP, ("a", "b")),
        (None, {"a": Fate.CLEAN, "b": Fate.THERE}, Move.KEEP, ("a", "b")),
    ],
)
def test_an_open_ticket(now: Cause | None, over: dict[str, Fate], move: Move, hosts: tuple[str, ...]) -> None:
    tickets = opened(cause_on("a", "b"))
    (step,), after = live([now] if now else [], tickets, over)
    assert step.move is move
    memory = after[step.fingerprint]
    assert (memory.hosts, memory.number, memory.open) == (hosts, 7, move is not Move.CLOSE)
    assert (memory.closed_at == STAMP) is (move is Move.CLOSE)


def test_what_is_new_in_a_ticket_is_named_and_what_left_it_is_no_news() -> None:
    tickets = opened(cause_on("a", "b"))
    (more,), _ = live([cause_on("a", "b", "c")], tickets)
    assert (more.joined, more.changed) == (("c",), False)
    (other,), _ = live([cause_on("a", "b", seen="3")], tickets)
    assert (other.joined, other.changed) == ((), True)
    (less,), _ = live([cause_on("a")], tickets, {"b": Fate.CLEAN})
    assert (less.joined, less.changed, less.fates) == ((), False, {"b": Fate.CLEAN})


def two_values(*variants: tuple[str, str]) -> Cause:
    """A cause whose hosts show different values."""
    told = tuple(Variant((name,), (observed(seen=seen),)) for name, seen in variants)
    return replace(cause_on("a"), variants=told)


def test_a_host_that_is_blind_for_a_while_brings_no_news_when_it_is_back() -> None:
    tickets = opened(two_values(("a", "2"), ("b", "3")))
    steps, tickets = live([two_values(("a", "2"))], tickets, {"b": Fate.UNSEEN})
    assert moves(steps) == [Move.KEEP]
    (back,), _ = live([two_values(("a", "2"), ("b", "3"))], tickets)
    assert (back.move, back.joined, back.changed) == (Move.KEEP, (), False)


def test_what_changes_all_the_time_is_news_a_few_times_only() -> None:
    tickets = opened(cause_on("a", seen="0"))
    news = 0
    for seen in range(1, 40):
        (step,), tickets = live([cause_on("a", seen=str(seen))], tickets)
        news += step.changed
    assert news == 7
    (other,), _ = live([cause_on("a", "b", seen="1")], tickets)
    assert other.joined == ("b",)


@pytest.mark.parametrize(("days", "move", "number"), [(0, Move.REOPEN, 7), (30, Move.REOPEN, 7), (31, Move.OPEN, None)])
def test_what_comes_back_within_30_days_is_the_same_ticket(days: int, move: Move, number: int | None) -> None:
    cause = cause_on("a")
    _, tickets = live([], opened(cause), {"a": Fate.CLEAN})
    (step,), after = live([cause], tickets, now=NOON + timedelta(days=days))
    assert (step.move, after[cause.fingerprint].number) == (move, number)
    assert after[cause.fingerprint].open
    assert not step.quiet


def test_a_closed_ticket_is_forgotten_after_30_days() -> None:
    _, tickets = live([], opened(cause_on("a")), {"a": Fate.CLEAN})
    assert live([], tickets)[0] == ()
    steps, after = live([], tickets, now=NOON + timedelta(days=31))
    assert (moves(steps), after) == ([Move.FORGET], {})


@pytest.mark.parametrize(("deleted", "back"), [(False, Move.REOPEN), (True, Move.OPEN)])
def test_what_a_person_closed_stays_closed_until_there_is_news(deleted: bool, back: Move) -> None:
    cause = cause_on("a", "b")
    tickets = {name: dismiss(ticket, deleted=deleted) for name, ticket in opened(cause).items()}
    for same in (cause, cause_on("a")):
        steps, tickets = live([same], tickets, {"b": Fate.CLEAN})
        assert moves(steps) == [Move.LEAVE]
    for news in (cause_on("a", "c"), cause_on("a", seen="3")):
        steps, after = live([news], tickets)
        assert moves(steps) == [back]
        assert not after[cause.fingerprint].dismissed
        assert moves(live([news], after)[0]) == [Move.KEEP]


def test_what_a_person_closed_is_settled_in_silence_when_it_is_clean() -> None:
    tickets = {name: dismiss(ticket) for name, ticket in opened(cause_on("a")).items()}
    (step,), after = live([], tickets, {"a": Fate.CLEAN})
    assert (step.move, step.quiet) == (Move.CLOSE, True)
    assert not after[step.fingerprint].open


def many(number: int) -> list[Cause]:
    return [cause_on("a", resource=f"copy[/{n:02}]") for n in range(number)]


def test_beyond_the_cap_causes_are_listed_in_one_dashboard() -> None:
    steps, tickets = live(many(5), {}, cap=3)
    assert moves(steps) == [Move.OPEN] * 3 + [Move.LIST] * 2 + [Move.OPEN]
    board = steps[-1]
    assert (board.fingerprint, board.memory.title) == (DASHBOARD, "2 more causes need a person")
    assert [memory.title for memory in board.listed] == [f"copy[/0{n}] drifted (version) on a" for n in (3, 4)]
    again, same = live(many(5), tickets, cap=3)
    assert (moves(again), same) == ([Move.KEEP] * 3 + [Move.LIST] * 2 + [Move.KEEP], tickets)
    assert all(step.quiet for step in again if step.move is Move.LIST)


def test_a_place_that_gets_free_is_taken_without_telling_it_again() -> None:
    first, *_ = current = many(3)
    _, tickets = live(current, {}, cap=2)
    known = {name: dict.fromkeys(t.hosts, Fate.CLEAN) for name, t in tickets.items() if name == first.fingerprint}
    steps = decide(current[1:], tickets, known, cap=2, now=NOON)
    assert {step.fingerprint: (step.move, step.quiet) for step in steps} == {
        first.fingerprint: (Move.CLOSE, False),
        current[1].fingerprint: (Move.KEEP, False),
        current[2].fingerprint: (Move.OPEN, True),
        DASHBOARD: (Move.CLOSE, True),
    }


def test_a_line_of_the_dashboard_that_is_not_seen_now_takes_no_place_and_stays_listed() -> None:
    first, second = many(2)
    _, tickets = live([first, second], {}, cap=1)
    new = cause_on("b", why=Why.FAILED, resource="service[new]")
    steps, _ = live([new], tickets, {}, cap=2)
    assert {step.fingerprint: step.move for step in steps} == {
        new.fingerprint: Move.OPEN,
        first.fingerprint: Move.KEEP,
        second.fingerprint: Move.LIST,
        DASHBOARD: Move.KEEP,
    }


def test_a_smaller_cap_closes_nothing_that_is_still_there() -> None:
    _, tickets = live(many(3), {}, cap=3)
    steps, after = live(many(4), tickets, cap=1)
    assert moves(steps) == [Move.KEEP] * 3 + [Move.LIST, Move.OPEN]
    assert sum(t.open and not t.overflow for name, t in after.items() if name != DASHBOARD) == 3


def test_the_gravest_get_a_ticket_first() -> None:
    grave = cause_on("a", why=Why.FAILED, resource="service[nginx]")
    wide = cause_on("a", "b", resource="copy[/wide]")
    steps, _ = live([*many(2), wide, grave], {}, cap=2)
    assert [step.cause.resource for step in steps if step.move is Move.OPEN and step.cause] == [
        "service[nginx]",
        "copy[/wide]",
    ]


@pytest.mark.parametrize("number", [None, 9])
def test_the_dashboard_is_left_alone_once_closed_by_a_person(number: int | None) -> None:
    _, tickets = live(many(3), {}, cap=1)
    tickets[DASHBOARD] = dismiss(replace(tickets[DASHBOARD], number=number))
    assert live(many(3), tickets, cap=1)[0][-1].move is Move.LEAVE
    assert live(many(4), tickets, cap=1)[0][-1].move is (Move.REOPEN if number else Move.OPEN)


def test_the_memory_of_a_ticket_survives_json() -> None:
    (memory,) = opened(cause_on("a", "b"), closed_at=STAMP, dismissed=True).values()
    assert as_memory(json.loads(json.dumps(as_record(memory)))) == memory


NAMES = st.sets(st.sampled_from("abcd"), min_size=1).map(sorted)


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(["copy[/x]", "copy[/y]", "copy[/z]"]), NAMES, max_size=3),
            st.dictionaries(st.sampled_from("abcd"), st.sampled_from(list(Fate))),
            st.integers(0, 3),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_whatever_happens_no_story_has_two_tickets_and_none_is_lost(rounds) -> None:
    tickets: dict[str, TicketMemory] = {}
    for number, (shown, over, cap, closes) in enumerate(rounds):
        now = NOON + timedelta(days=number)
        current = [cause_on(*hosts, resource=name) for name, hosts in shown.items()]
        before = tickets
        steps, tickets = live(current, tickets, over, cap, now)
        names = [step.fingerprint for step in steps]
        assert len(names) == len(set(names))
        assert {c.fingerprint for c in current} <= {name for name, t in tickets.items() if t.open}
        new = [s for s in steps if s.move in (Move.OPEN, Move.REOPEN) and s.fingerprint != DASHBOARD]
        placed = [t for name, t in tickets.items() if t.open and not t.overflow and not t.dismissed]
        assert not new or sum(t.fingerprint != DASHBOARD for t in placed) <= cap
        for step in steps:
            if step.move is Move.CLOSE and step.fingerprint != DASHBOARD:
                assert all(over[host].over for host in before[step.fingerprint].hosts)
        quiet, same = live(current, tickets, dict.fromkeys("abcd", Fate.THERE), cap, now)
        assert same == tickets, "the same world leaves everything as it is"
        assert {step.move for step in quiet} <= {Move.KEEP, Move.LIST, Move.LEAVE}
        for name, ticket in tickets.items():
            if ticket.open and ticket.number is None and not ticket.overflow:
                tickets[name] = replace(ticket, number=number)
        if closes and tickets:
            name = min(tickets)
            tickets[name] = dismiss(tickets[name])


# How the hosts of a ticket stand.


def ticket(why: Why, resource: str, *hosts: str) -> TicketMemory:
    return TicketMemory(fingerprint(why, resource), why, resource, "title", EARLIER, hosts)


@pytest.mark.parametrize(
    ("why", "resource", "look", "fate"),
    [
        (Why.OBSERVED, "copy[/a]", host("h"), Fate.CLEAN),
        (Why.OBSERVED, "copy[/a]", host("h", observed("copy[/b]")), Fate.CLEAN),
        (Why.OBSERVED, "copy[/a]", host("h", observed("copy[/a]", verdict=Verdict.AHEAD)), Fate.CLEAN),
        (Why.OBSERVED, "copy[/a]", host("h", observed("copy[/a]")), Fate.THERE),
        (Why.OBSERVED, "copy[/a]", host("h", observed("copy[/a]", verdict=Verdict.PENDING)), Fate.THERE),
        (Why.OBSERVED, "copy[/a]", host("h", change("copy[/a]", mode=Mode.SUSPENDED)), Fate.THERE),
        (Why.OBSERVED, "copy[/a]", host("h", change("copy[/a]"), held=("waits",)), Fate.THERE),
        (Why.OBSERVED, "copy[/a]", host("h", orphans=("copy[/a]",)), Fate.DROPPED),
        (Why.OBSERVED, "copy[/a]", unseen("h"), Fate.UNSEEN),
        (Why.OBSERVED, "copy[/a]", unseen("h", held=("a mistake",)), Fate.UNSEEN),
        (Why.OBSERVED, "copy[/a]", host("other"), Fate.GONE),
        (Why.FAILED, "copy[/a]", host("h"), Fate.CLEAN),
        (Why.FAILED, "", host("h", change("copy[/a]")), Fate.THERE),
        (Why.FAILED, "", host("h", observed("copy[/a]")), Fate.CLEAN),
        (Why.FAILED, "restart nginx", host("h"), Fate.THERE),
        (Why.FAILED, "restart cache", host("h"), Fate.CLEAN),
        (Why.BLIND, "", unseen("h"), Fate.UNSEEN),
        (Why.BLIND, "", host("h", observed("copy[/a]")), Fate.CLEAN),
        (Why.FLAPPING, "copy[/flaps]", host("h"), Fate.THERE),
        (Why.FLAPPING, "copy[/a]", host("h"), Fate.CLEAN),
        (Why.FLAPPING, "copy[/flaps]", unseen("h"), Fate.UNSEEN),
    ],
)
def test_how_a_host_of_a_ticket_stands(why: Why, resource: str, look: HostPlan, fate: Fate) -> None:
    one = ticket(why, resource, "h")
    memories = {"h": HostMemory("h", owed=("restart nginx",))}
    got = fates(plan(look), (), [one], memories, {"h": {"copy[/flaps]": (STAMP,)}})
    assert got == {one.fingerprint: {"h": fate}}


def test_a_story_that_goes_on_as_another_moves_to_its_ticket() -> None:
    look = plan(host("h", change("copy[/a]")), host("i", change("copy[/a]")))
    new = Cause(Why.FAILED, "copy[/a]", fingerprint(Why.FAILED, "copy[/a]"), (Variant(("h",)),), EARLIER)
    one = ticket(Why.OBSERVED, "copy[/a]", "h", "i")
    assert fates(look, [new], [one], {}, {})[one.fingerprint] == {"h": Fate.MOVED, "i": Fate.THERE}


def test_a_closed_ticket_has_no_fates() -> None:
    assert fates(plan(host("h")), (), [replace(ticket(Why.BLIND, "", "h"), open=False)], {}, {}) == {}


def test_a_whole_story_from_the_second_look_to_the_end() -> None:
    """Suspected, opened, seen blind in between, clean, back again: one ticket all the time."""
    drift, clean, gone = plan(host("h", observed())), plan(host("h")), plan(unseen("h"))
    tickets: dict[str, TicketMemory] = {}
    told = []
    for number, look in enumerate([drift, drift, gone, drift, clean, drift, drift]):
        at = NOON + number * HOUR / 6
        first = at if number in (0, 5) else NOON
        memories = remembered(look, since=first.isoformat(timespec="seconds"))
        current = causes(look, memories, looked_at=at, blind_after=5 * HOUR)
        known = fates(look, current, tickets.values(), memories, {})
        steps = decide(current, tickets, known, cap=10, now=at)
        told.append([str(step.move) for step in steps])
        for step in steps:
            tickets[step.fingerprint] = replace(step.memory, number=3)
    assert told == [[], ["open"], ["keep"], ["keep"], ["close"], [], ["reopen"]]


def test_mistakes_of_a_host_are_not_blindness() -> None:
    mistake = Mistake(Place("web.yml", 3), "unknown field")
    assert found(plan(unseen("h", "its manifests have mistakes", held=(str(mistake),)))) == ()


def test_times_are_compared_in_whole_seconds() -> None:
    look = plan(host("db1", observed()))
    late = datetime(2026, 11, 22, 12, 0, 0, 900_000, tzinfo=UTC)
    assert causes(look, remembered(look, since=STAMP), looked_at=late, blind_after=HOUR) == ()
