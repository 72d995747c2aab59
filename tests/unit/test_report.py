"""What people read: shapes, ages, and that nothing a host says reaches the terminal raw."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.cause import DASHBOARD, TicketMemory, as_record
from reconciler.model import Commit, Handler, HostMemory, HostPlan, Mode, Notify, Plan, State, Step, Verdict
from reconciler.report import ago, plan_json, plan_text, speech_lines, status_text
from reconciler.talk import Why
from tests.unit.worlds import NOON, SHA, change

COMMIT = Commit(SHA, "web: more", "Ada", NOON - timedelta(minutes=4), "#118")


def plan(*hosts: HostPlan) -> Plan:
    return Plan(SHA, hosts, "7c01e9")


def off(host: str = "web1", **parts) -> HostPlan:
    return HostPlan(
        host, parts.pop("mode", Mode.ENFORCE), State.DIFFERS, **{"changes": (change(commit=COMMIT),), **parts}
    )


def clean(host: str) -> HostPlan:
    return HostPlan(host, Mode.ENFORCE, State.IN_SYNC)


def test_the_plan_as_json() -> None:
    blind = HostPlan("db1", Mode.OBSERVE, State.BLIND, reason="no answer")
    found = json.loads(json.dumps(plan_json(plan(off(held=("too many",)), clean("web2"), blind))))
    assert found["revision"] == SHA
    assert found["hosts"][0] == {
        "host": "web1",
        "mode": "enforce",
        "state": "differs",
        "held": ["too many"],
        "changes": [
            {
                "resource": "copy[/etc/motd]",
                "attribute": "mode",
                "wanted": "0644",
                "seen": "0600",
                "last_applied": "0644",
                "verdict": "drift",
                "file": "web.yml",
                "line": 4,
                "commit": SHA,
            }
        ],
    }
    assert found["hosts"][1] == {"host": "web2", "mode": "enforce", "state": "in-sync", "changes": []}
    assert found["hosts"][2] == {
        "host": "db1",
        "mode": "observe",
        "state": "blind",
        "reason": "no answer",
        "changes": [],
    }


def test_the_plan_for_people() -> None:
    handlers = (Handler(Notify("reload", "nginx"), ("copy[/etc/motd]",)),)
    lines = plan_text(plan(off(handlers=handlers), off("web2", handlers=handlers), clean("db1")), COMMIT, "main", NOON)
    assert lines == [
        'main at 3f2c1ab  "web: more"  4 min ago',
        "",
        "web1, web2  enforce    1 drift",
        "  ~ copy[/etc/motd]  mode  0600 → 0644  drift",
        "      web.yml:4  3f2c1ab  4 min ago  #118",
        "      then reload nginx",
        "db1   in sync",
        "",
        "3 hosts: 1 in sync, 2 differ. 2 drift. 2 reloads. Plan 7c01e9.",
    ]


def test_the_plan_says_who_goes_first_where_others_wait_for_that() -> None:
    step, arriving = Step("copy[/etc/motd]", "copy", {}), change(verdict=Verdict.PENDING)
    hosts = [off(name, changes=(arriving,), steps=(step,)) for name in ("web1", "web2", "web3")]
    first = replace(plan(*hosts), first=frozenset({"web2"}))
    assert plan_text(first, None, "main", NOON)[-2] == "First on web2, then on 2 more if it is proved there."
    assert plan_json(first)["first"] == ["web2"]
    drifted = replace(first, hosts=tuple(replace(host, changes=(change(),)) for host in hosts))
    for other in (plan(*hosts), drifted):
        assert not [line for line in plan_text(other, None, "main", NOON) if "irst" in line]
    assert "first" not in plan_json(plan(*hosts))


def test_secrets_and_escapes_do_not_reach_the_terminal() -> None:
    secret = change(attribute="content", wanted="hunter2", seen="hunter1", last_applied="hunter0", secret=True)
    nasty = change("copy[\x1b[2J]", seen="\x1b]0;owned\x07", diff=("+\x1b[31m",), attribute="content")
    blind = HostPlan("db1", Mode.OBSERVE, State.BLIND, reason="\x1b[2Jgone")
    found = plan(off(changes=(secret, nasty)), blind)
    text = "\n".join(plan_text(found, COMMIT, "main", NOON))
    assert "hunter" not in text + json.dumps(plan_json(found))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\x1b" not in "\n".join(status_text({"a": HostMemory("a", state="blind", reason="\x1b[2J")}, {}, NOON))


def test_an_observed_difference_is_said_to_stay() -> None:
    observed = off(mode=Mode.OBSERVE, changes=(change(mode=Mode.OBSERVE, verdict=Verdict.PENDING),))
    assert any("reported and not repaired" in line for line in plan_text(plan(observed), None, "main", NOON))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3600, "just now"),
        (0, "just now"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7200, "2 hours ago"),
        (172800, "2 days ago"),
    ],
)
def test_how_long_ago(seconds: int, words: str) -> None:
    assert ago(NOON - timedelta(seconds=seconds), NOON) == words


def test_the_status_names_what_is_wrong_and_counts_the_rest() -> None:
    hosts = {
        "web1": HostMemory("web1", state="in-sync"),
        "db1": HostMemory("db1", state="blind", story="blind", reason="no answer", since=NOON.isoformat()),
    }
    lines = status_text(hosts, {"accepted": SHA, "refused": "the branch is gone", "waiting": 3}, NOON)
    assert lines == [
        "revision 3f2c1ab, fleet last looked at never",
        "nothing is applied: the branch is gone",
        "3 audit commits wait to be pushed",
        "db1   blind    no answer, since just now",
        "2 hosts: 1 blind, 1 in-sync",
    ]


def test_the_status_counts_what_needs_a_person_and_what_waits_to_be_said() -> None:
    records = {name: as_record(ticket(name)) for name in ("a", "b", "c")}
    records |= {
        "left": as_record(ticket("left", dismissed=True)),
        "over": as_record(ticket("over", open=False, closed_at=NOON.isoformat())),
        DASHBOARD: as_record(ticket(DASHBOARD)),
    }
    numbers = {"b": 14, "a": 12, "left": 9, "over": 8, DASHBOARD: 7}
    letters = {"webhook:hooks.example.org": 3, "apprise:\x1b[31mslack": 1}
    meta = {"tickets": records, "numbers": numbers, "reports": 12, "letters": letters}
    assert status_text({}, {"accepted": SHA, "waiting": 1, **meta}, NOON)[1:] == [
        "1 audit commit waits to be pushed",
        "3 causes need a person: #12, #14 and 1 more",
        "12 reports wait for the forge",
        "1 letter waits for apprise: [31mslack",
        "3 letters wait for webhook:hooks.example.org",
        "no host has been looked at yet",
    ]


def test_one_that_waits_is_said_as_one_and_none_not_at_all() -> None:
    one = {"tickets": {"a": as_record(ticket("a"))}, "reports": 1}
    assert speech_lines(one) == ["1 cause needs a person", "1 report waits for the forge"]
    assert speech_lines({**one, "numbers": {"a": 12}}) == [
        "1 cause needs a person: #12",
        "1 report waits for the forge",
    ]
    assert speech_lines({}) == []
    many = {f"{number:02}": number for number in range(1, 13)}
    (line,) = speech_lines({"tickets": {name: as_record(ticket(name)) for name in many}, "numbers": many})
    assert line == f"12 causes need a person: {', '.join(f'#{number}' for number in range(1, 11))} and 2 more"


def ticket(fingerprint: str, **parts) -> TicketMemory:
    return TicketMemory(fingerprint, Why.OBSERVED, "service[ntp]", "ntp is stopped", NOON.isoformat(), **parts)
