"""The forge and the ears when they are away, slow to answer or unwilling; and what is kept when we are killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from types import SimpleNamespace

import pytest

from reconciler.config import read_secret
from reconciler.ears import open_ears
from reconciler.state import Slot, State
from tests.forge.fake import SILENT, UNSURE, WRITES, Fault
from tests.forge.test_ears import Receiver, receiving
from tests.loop.bench import MOTD, check_chain
from tests.loop.conftest import MakeForged
from tests.loop.forged import Forged

WELCOME = {"all.yml": MOTD.replace("hello", "welcome")}
BAD = {"all.yml": "- hosts: [\n"}
LONG = 400.0
"""Seconds after which also the longest rest is over."""


# Evidence.


def test_who_approved_is_written_into_the_record(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.fake.review(number, "bob", "APPROVED")
    forged.fake.report_check(forged.fake.pulls[number].head, "validate", "success")
    forged.merge(number)
    forged.cycle()
    story = forged.bench.stories()[-1]
    assert story["Outcome"] == "converged"
    assert (story["Change"], story["Change-Author"]) == (f"#{number}", "alice")
    assert story["Approved-By"].startswith("bob (review ")
    assert "validate=success" in story["Checks"]


def test_evidence_is_read_once_for_each_revision(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.merge(number)
    forged.cycle()
    forged.fake.review(number, "bob", "APPROVED")
    forged.hosts.edit("web1", "/etc/motd", "by hand")
    forged.cycle()
    assert [story["Approved-By"] for story in forged.bench.stories()[-2:]] == ["nobody", "nobody"]
    assert len([entry for entry in forged.fake.journal if entry.path.endswith("/reviews")]) == 1


def test_what_was_pushed_without_a_pull_request_is_told_as_that(forged: Forged) -> None:
    forged.bench.push(WELCOME)
    forged.cycle()
    assert forged.bench.stories()[-1]["Change"] == "none; pushed without a pull request"


def test_evidence_that_cannot_be_read_holds_nothing_up(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.fake.review(number, "bob", "APPROVED")
    forged.merge(number)
    forged.fake.outage(30)
    forged.cycle()
    assert forged.hosts.text("web1", "/etc/motd") == "welcome"
    story = forged.bench.stories()[-1]
    assert story["Evidence"].startswith("not read")
    assert not story.all("Approved-By")
    forged.hosts.edit("web1", "/etc/motd", "by hand")
    forged.cycle()
    assert forged.bench.stories()[-1]["Approved-By"].startswith("bob ")


def test_evidence_that_was_missing_follows_once(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.fake.review(number, "bob", "APPROVED")
    sha = forged.merge(number)
    forged.fake.outage(30)
    forged.cycle(after=LONG)
    forged.cycles(3)
    told = [story for story in forged.bench.stories() if story["Desired-Revision"] == sha]
    assert [story["Outcome"] for story in told] == ["converged", "attested"]
    assert told[0]["Evidence"].startswith("not read")
    assert (told[1]["Change"], told[1]["Approved-By"][:12]) == (f"#{number}", "bob (review ")
    check_chain(forged.bench.stories())


# The forge is away.


def test_hosts_are_converged_and_recorded_while_the_forge_is_away(forged_in: MakeForged) -> None:
    forged = forged_in()
    forged.fake.outage(3000)
    shas = [forged.bench.push({"all.yml": MOTD.replace("hello", "one")})]
    forged.cycle(after=LONG)
    shas.append(forged.bench.push({"all.yml": MOTD.replace("hello", "two")}))
    forged.cycle(after=LONG)
    forged.cycle(after=LONG)
    assert forged.hosts.text("db1", "/etc/motd") == "two"
    assert [story["Desired-Revision"] for story in forged.bench.stories()[-2:]] == shas
    check_chain(forged.bench.stories())
    assert not forged.fake.writes
    forged.sleep(seconds=3000)
    forged.cycles(3)
    trouble = [text for text in forged.bench.said if "spoken with" in text]
    assert len(trouble) == 2
    assert trouble[0].startswith("the forge cannot be spoken with, what is to be said is kept: ")
    assert trouble[1] == "the forge can be spoken with again"
    assert [forged.told(sha) for sha in shas] == [[("success", "3 hosts as declared")]] * 2


def test_what_became_stale_while_the_forge_was_away_is_never_said(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.fake.outage(1000)
    forged.cycle(after=LONG)
    forged.push_again(number, {"all.yml": MOTD.replace("hello", "welcome all")})
    forged.hosts.down = {"web2": "no route to host"}
    forged.cycle(after=LONG)
    forged.hosts.down = {}
    forged.cycle(after=LONG)
    forged.cycle(after=LONG)
    assert forged.told(forged.bench.head()) == [("success", "3 hosts as declared")]
    assert forged.comments(number)[0].edits == 0
    assert "+welcome all" in forged.comment(number)


def test_a_forge_that_is_away_is_left_alone_for_a_while(forged_in: MakeForged) -> None:
    forged = forged_in()
    forged.fake.outage(30)
    forged.cycle(after=1)
    asked = len(forged.fake.journal)
    forged.cycle(after=1)
    assert len(forged.fake.journal) == asked


@pytest.mark.parametrize("fault", [Fault(401), Fault(403), Fault(403, only=WRITES)], ids=["401", "403", "read only"])
def test_a_token_that_is_not_taken_keeps_everything_waiting(forged: Forged, fault: Fault) -> None:
    number = forged.propose(WELCOME)
    forged.fake.outage(500, fault)
    forged.cycle(after=LONG)
    forged.cycle(after=LONG)
    assert not forged.fake.writes
    assert len([text for text in forged.bench.said if "cannot be spoken with" in text]) == (2 if forged.restarts else 1)
    forged.cycle()
    assert len(forged.comments(number)) == 1
    assert len(forged.told(forged.bench.head())) == 1


@pytest.mark.parametrize("status", [404, 422])
def test_what_the_forge_refuses_for_good_does_not_block_the_rest(forged: Forged, status: int) -> None:
    first, second = (forged.propose(WELCOME, branch=name) for name in ("one", "two"))
    forged.fake.fail_next(Fault(status, only=("POST",)), times=2)
    forged.poll()
    refused = [text for text in forged.bench.said if text.startswith("the forge will not take ")]
    assert len(refused) == 2
    assert len(forged.comments(first)) + len(forged.comments(second)) + len(forged.fake.statuses) == 2
    writes = len(forged.fake.writes)
    forged.poll()
    assert len(forged.fake.writes) == writes
    assert len([text for text in forged.bench.said if text.startswith("the forge will not take ")]) == 2


# Answers that get lost, and a daemon that is killed.


@pytest.mark.parametrize("fault", [UNSURE, SILENT], ids=["bad gateway", "no answer"])
@pytest.mark.parametrize("kind", ["github", "forgejo"])
def test_nothing_is_there_twice_where_every_answer_is_lost(forged_in: MakeForged, kind: str, fault: Fault) -> None:
    """Each cycle's first write is done and its answer lost, all through a story that says everything we ever say."""
    forged = forged_in("observe", kind)

    def lossy(cycles: int) -> None:
        for _ in range(cycles):
            forged.fake.fail_next(fault)
            forged.cycle(after=LONG)

    number = forged.propose(WELCOME)
    forged.hosts.edit("web1", "/etc/motd", "by hand")
    lossy(8)
    forged.hosts.edit("web2", "/etc/motd", "by hand")
    lossy(6)
    forged.fake._next.clear()
    forged.cycle(after=LONG)
    assert len(forged.comments(number)) == len(forged.comments(forged.adoption.number)) == 1
    assert "web1 and web2" in forged.ticket.title
    assert forged.notes(forged.ticket.number) == ["Now also on `web2`."]
    check_statuses(forged)


def check_statuses(forged: Forged) -> None:
    """No status says what the one before it said."""
    for status in forged.fake.statuses:
        told = forged.told(status.sha, status.context.partition("/")[2])
        assert all(one != after for one, after in pairwise(told)), told


class Killed(BaseException):
    """We are gone, between what the forge did and our note of it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, kind: str) -> list[str]:
    """Be killed the first time a slot of this kind is to be noted as said; the names of the slots that this met."""
    noted, met = State.holds, []

    def holds(self: State, slot: Slot, ref: object) -> None:
        if slot.name.startswith(f"{kind}/") and not met:
            met.append(slot.name)
            raise Killed
        noted(self, slot, ref)

    monkeypatch.setattr(State, "holds", holds)
    return met


@pytest.mark.parametrize("kind", ["status", "comment", "ticket", "pull", "branch", "note"])
@pytest.mark.parametrize("forge", ["github", "forgejo"])
def test_a_kill_after_the_forge_did_it_makes_nothing_twice(
    forged_in: MakeForged, monkeypatch: pytest.MonkeyPatch, forge: str, kind: str
) -> None:
    forged = forged_in("observe", forge)
    met = kill_at(monkeypatch, kind)

    def surviving(cycles: int) -> None:
        for _ in range(cycles):
            try:
                forged.cycle()
            except Killed:
                forged.stop()
                forged.show_branches()

    number = forged.propose(WELCOME)
    forged.hosts.edit("web1", "/etc/motd", "by hand")
    surviving(5)
    forged.hosts.edit("web2", "/etc/motd", "by hand")
    surviving(4)
    assert met, "a story in which nothing of this kind is said proves nothing"
    assert len(forged.comments(number)) == len(forged.comments(forged.adoption.number)) == 1
    assert "web1 and web2" in forged.ticket.title
    assert forged.notes(forged.ticket.number) == ["Now also on `web2`."]
    check_statuses(forged)
    assert not forged.world.state.waiting()


# Other ears.


@pytest.fixture
def receivers() -> Iterator[tuple[Receiver, Receiver]]:
    """Two programs that listen on this machine."""
    with receiving() as first, receiving() as second:
        yield first, second


def listen(forged: Forged, stack: ExitStack, *receivers: Receiver) -> None:
    """Let receivers hear what the daemon has to tell."""
    secret = forged.bench.folder / "secret"
    secret.write_text("a secret")
    secret.chmod(0o600)
    wanted = [SimpleNamespace(webhook=each.url, secret=secret, apprise=None) for each in receivers]
    forged.ears = open_ears(wanted, read_secret, lambda: forged.fake.clock.now().timestamp())
    for ear in forged.ears:
        stack.callback(ear.close)


def heard(receiver: Receiver) -> list[str]:
    """The events that were heard, in order, each with the beginning of its title."""
    return [f"{body['event']}: {body['title']}" for body in map(json.loads, (got[2] for got in receiver.got))]


STORY = [
    "opened: copy[/etc/motd] drifted (content) on web1",
    "changed: copy[/etc/motd] drifted (content) on web1 and web2",
    "closed: copy[/etc/motd] drifted (content) on web1 and web2",
]


def drift_and_back(forged: Forged) -> None:
    """One host drifts, another one too, and both are put back by hand."""
    for host in ("web1", "web2"):
        forged.hosts.edit(host, "/etc/motd", "by hand")
        forged.cycles(2)
    for host in ("web1", "web2"):
        forged.hosts.edit(host, "/etc/motd", "hello")
    forged.cycle()


def test_ears_hear_each_transition_once_and_in_order(observing: Forged, receivers: tuple[Receiver, Receiver]) -> None:
    with ExitStack() as stack:
        listen(observing, stack, receivers[0])
        drift_and_back(observing)
        bad = observing.bench.push(BAD)
        observing.cycles(2)
        observing.bench.push({"all.yml": MOTD})
        observing.cycles(2)
        assert heard(receivers[0]) == [
            *STORY,
            f"refused: nothing is applied: {bad[:7]} cannot be applied, nothing was changed",
            "followed: the branch is followed again",
        ]
        ids = [got[1]["X-Reconciler-Delivery"] for got in receivers[0].got]
        assert len(set(ids)) == len(ids)
        assert all(got[1]["X-Reconciler-Signature-256"].startswith("sha256=") for got in receivers[0].got)
        observing.stop()


def test_an_ear_that_is_away_stops_nobody_and_hears_it_later(
    forged_in: MakeForged, receivers: tuple[Receiver, Receiver]
) -> None:
    forged, (deaf, good) = forged_in("observe"), receivers
    with ExitStack() as stack:
        listen(forged, stack, deaf, good)
        deaf.status = 503
        drift_and_back(forged)
        assert heard(good) == STORY
        assert forged.ticket.state == "closed"
        deaf.status = 204
        deaf.got.clear()
        forged.sleep(seconds=LONG)
        forged.cycle()
        assert heard(deaf) == heard(good) == STORY
        trouble = [text.partition(",")[0] for text in forged.bench.said if "spoken with" in text]
        assert trouble == [
            "webhook:127.0.0.1 cannot be spoken with",
            "webhook:127.0.0.1 can be spoken with again",
        ]
        forged.stop()


def test_an_ear_that_will_not_take_a_letter_is_told_the_next(
    forged_in: MakeForged, receivers: tuple[Receiver, Receiver]
) -> None:
    forged = forged_in("observe")
    with ExitStack() as stack:
        listen(forged, stack, receivers[0])
        receivers[0].status = 400
        forged.hosts.edit("web1", "/etc/motd", "by hand")
        forged.cycles(2)
        receivers[0].status = 204
        forged.hosts.edit("web1", "/etc/motd", "hello")
        forged.cycle()
        assert [line.partition(":")[0] for line in heard(receivers[0])] == ["opened", "closed"]
        assert len([text for text in forged.bench.said if "will not take" in text]) == 1
        forged.stop()


def test_ears_hear_without_any_forge(bench_alone: Forged, receivers: tuple[Receiver, Receiver]) -> None:
    with ExitStack() as stack:
        listen(bench_alone, stack, receivers[0])
        drift_and_back(bench_alone)
        assert heard(receivers[0]) == STORY
        assert not bench_alone.fake.journal
        bench_alone.stop()


@pytest.fixture
def bench_alone(forged_in: MakeForged) -> Forged:
    """A daemon whose configuration knows of no forge."""
    forged = forged_in("observe")
    forged.bench.configure()
    forged.alone = True
    return forged
