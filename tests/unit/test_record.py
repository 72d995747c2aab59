"""Stories: who shares one, how many there are, what they are called, and that nobody can write into them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Attempt, HostMemory, HostPlan, Mode, Outcome, State, Step, StepResult, Verdict
from reconciler.record import MOST_COMMITS, Occasion, Told, event_id, events_of, tell
from reconciler.wording import message, subject, value_text
from tests.unit.worlds import NOON, SHA, change, told

OCCASION = Occasion("main", NOON, SHA)


def trailers(event, name: str) -> list[str]:
    return [value for key, value in event.trailers if key == name]


def test_hosts_with_the_same_story_share_a_commit() -> None:
    (event,) = events_of([told("web2"), told("web1")], OCCASION, {})
    assert sorted(trailers(event, "Host")) == ["web1", "web2"]
    assert trailers(event, "Drift") == ["2"]
    assert trailers(event, "Outcome") == ["converged"]
    assert sorted(event.files) == ["hosts/web1.yml", "hosts/web2.yml"]
    assert event.message.splitlines()[0].startswith("web")


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": Outcome.FAILED},
        {"converged": (change(seen="0640"),)},
        {"converged": (change(verdict=Verdict.CONFLICT),)},
        {"converged": (), "left": (change(),)},
        {"reasons": ("no space left",)},
        {"handlers": ("reload nginx",)},
        {"interrupted": True},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_hosts_with_another_story_do_not(other) -> None:
    assert len(events_of([told("web1"), told("web2", **other)], OCCASION, {})) == 2


def test_contents_are_alike_where_the_lines_that_differ_are() -> None:
    lines = ("-connections 1;", "+connections 2;")
    stories = [
        told(host, converged=(change(attribute="content", wanted=f"sha256:{host}", seen=f"sha256:{n}", diff=lines),))
        for n, host in enumerate(("web1", "web2"))
    ]
    assert len(events_of(stories, OCCASION, {})) == 1
    apart = told("web3", converged=(change(attribute="content", wanted="sha256:c", seen="sha256:d", diff=("-x",)),))
    assert len(events_of([*stories, apart], OCCASION, {})) == 2


@pytest.mark.parametrize(("number", "commits"), [(1, 1), (50, 50), (51, 50), (400, 50)])
def test_at_most_fifty_commits_and_the_rest_in_a_summary(number: int, commits: int) -> None:
    stories = [told(f"h{n:03}", converged=(change(seen=f"0{n:03}"),)) for n in range(number)]
    stories[-1] = told(f"h{number - 1:03}", outcome=Outcome.BLIND, reasons=("gone",), converged=())
    events = events_of(stories, OCCASION, {"revision.yml": b"x"})
    assert len(events) == commits <= MOST_COMMITS
    assert sorted(host for event in events for host in trailers(event, "Host")) == sorted(one.host for one in stories)
    assert sorted(path for event in events for path in event.files if path.startswith("hosts/")) == sorted(
        f"hosts/{one.host}.yml" for one in stories
    )
    assert ["revision.yml" in event.files for event in events] == [True] + [False] * (commits - 1)
    assert len({event.id for event in events}) == commits
    if number > MOST_COMMITS:
        rest = number - 49
        assert events[-1].message.startswith(f"{rest} more stories of {rest} hosts\n")
        assert trailers(events[-1], "Outcome") == ["blind"], "the gravest of them"


def test_nothing_to_tell_is_nothing() -> None:
    assert events_of([], OCCASION, {"revision.yml": b"x"}) == []


def test_the_same_story_of_the_same_cycle_has_the_same_key_and_no_other_has_it() -> None:
    def key(stories: list[Told], occasion: Occasion) -> str:
        return events_of(stories, occasion, {})[0].id

    later = Occasion("main", NOON + timedelta(milliseconds=1), SHA)
    shard = Occasion("other", NOON, SHA)
    keys = [key([told()], OCCASION), key([told("web2")], OCCASION), key([told()], later), key([told()], shard)]
    assert len(set(keys)) == 4
    assert key([told()], OCCASION) == keys[0]
    assert key([told()], later) > keys[0], "keys sort by time"


@given(st.datetimes(min_value=NOON.replace(tzinfo=None)), st.text())
def test_a_key_has_the_form_of_a_ulid(at, text: str) -> None:
    key = event_id(at.replace(tzinfo=NOON.tzinfo), text)
    assert len(key) == 26
    assert key.isalnum()
    assert key.upper() == key


@given(st.text(), st.text(), st.text())
def test_no_string_of_a_host_begins_a_line_or_hides_one(name: str, seen: str, reason: str) -> None:
    one = told(
        outcome=Outcome.FAILED,
        converged=(),
        left=(change(f"copy[{name}]", seen=seen),),
        reasons=(reason,),
    )
    text = message([one], OCCASION)
    lines = text.split("\n")
    assert text.splitlines() == lines
    assert all(line.isprintable() for line in lines)
    assert len(subject([one], OCCASION)) <= 160
    calm = told(outcome=Outcome.FAILED, converged=(), left=(change("copy[x]", seen="y"),), reasons=("z",))
    assert len(lines) == len(message([calm], OCCASION).split("\n"))


def test_hostile_words_stay_in_their_line() -> None:
    nasty = "x\nOutcome: converged\r\n\x1b[2J\u202egnp"
    text = message([told(outcome=Outcome.BLIND, converged=(), reasons=(nasty,))], OCCASION)
    assert "\nOutcome" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.startswith("web1: not seen: x\n\n- x Outcome: converged")


def test_secrets_are_not_shown() -> None:
    one = told(
        converged=(change(attribute="content", wanted="hunter2", seen="hunter1", last_applied="h", secret=True),)
    )
    (event,) = events_of([one], OCCASION, {})
    assert "hunter" not in event.message + repr(event.files)
    assert "(secret) → (secret)" in event.message


def test_values_as_people_read_them() -> None:
    shown = [value_text(value) for value in (None, True, False, "", 7, ("a", "b"), "sha256:" + "a" * 64, "x" * 500)]
    assert shown == ["absent", "yes", "no", "(empty)", "7", "a,b", "sha256:aaaaaaa", "x" * 80]


def memory(**parts) -> HostMemory:
    return HostMemory("web1", **parts)


def plan(state: State, **parts) -> HostPlan:
    return HostPlan("web1", Mode.ENFORCE, state, **parts)


CLEAN, OFF = plan(State.IN_SYNC), plan(State.DIFFERS, changes=(change(),))
DUE = plan(State.DIFFERS, changes=(change(),), steps=(Step("copy[/etc/motd]", "copy", {}),))
DONE = Attempt("web1", {"copy[/etc/motd]": StepResult("changed")})
FAILED = Attempt("web1", {"copy[/etc/motd]": StepResult("failed", "no space")})


def outcome(before, final, attempt, old, new, resumed=None) -> Outcome | None:
    one = tell(before, final, attempt, old, new, resumed)
    return one.outcome if one else None


def test_transitions_are_told_and_samples_are_not() -> None:
    clean, off = memory(state="in-sync"), memory(state="differs", story="differs:1")
    blind, failed = memory(state="blind", story="blind"), memory(state="differs", story="failed:1")
    gone = plan(State.BLIND, reason="no answer")
    assert outcome(CLEAN, CLEAN, None, clean, clean) is None
    assert outcome(OFF, OFF, None, clean, off) is Outcome.DETECTED
    assert outcome(OFF, OFF, None, off, off) is None
    assert outcome(DUE, CLEAN, DONE, off, clean) is Outcome.CONVERGED
    assert outcome(DUE, OFF, FAILED, clean, failed) is Outcome.FAILED
    assert outcome(DUE, OFF, FAILED, failed, failed) is None
    assert outcome(gone, gone, None, clean, blind) is Outcome.BLIND
    assert outcome(gone, gone, None, blind, blind) is None
    assert outcome(CLEAN, CLEAN, None, blind, clean) is Outcome.RECOVERED
    held = plan(State.DIFFERS, changes=(change(),), held=("too many",))
    assert outcome(held, held, None, clean, memory(story="held:1")) is Outcome.HELD


def test_a_restart_that_fails_again_is_told_once_and_one_that_works_at_last_is_told() -> None:
    owing = memory(state="in-sync", story="failed:1", owed=("restart nginx", "reload cache"))
    again = Attempt("web1", handlers={"restart nginx": StepResult("failed", "no")})
    half = Attempt("web1", handlers={**again.handlers, "reload cache": StepResult("changed")})
    assert outcome(CLEAN, CLEAN, again, memory(state="in-sync"), owing) is Outcome.FAILED
    assert outcome(CLEAN, CLEAN, again, owing, owing) is None
    assert outcome(CLEAN, CLEAN, half, owing, owing) is Outcome.FAILED
    assert outcome(CLEAN, CLEAN, half, owing, memory(state="in-sync")) is Outcome.CONVERGED


def test_an_interruption_is_told_once_with_what_it_had_set_out_to_do() -> None:
    clean = memory(state="in-sync")
    finished = tell(CLEAN, CLEAN, None, clean, clean, (change(),))
    assert finished is not None
    assert (finished.outcome, finished.converged, finished.interrupted) == (Outcome.CONVERGED, (change(),), True)
    again = tell(DUE, CLEAN, DONE, clean, clean, (change(), change("copy[/b]")))
    assert again is not None
    assert sorted(c.resource for c in again.converged) == ["copy[/b]", "copy[/etc/motd]"]


def test_a_record_says_how_the_host_stands() -> None:
    (event,) = events_of(
        [told(memory=memory(state="in-sync", revision=SHA, since="2026-11-22T12:00:00+00:00"))], OCCASION, {}
    )
    record = yaml.safe_load(event.files["hosts/web1.yml"])
    assert (record["host"], record["state"], record["revision"], record["differs"]) == ("web1", "in-sync", SHA, [])
