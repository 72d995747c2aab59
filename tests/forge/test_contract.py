"""The same story on each forge: whoever passes here can be spoken through. Every request and answer is judged."""

from __future__ import annotations

from contextlib import suppress

import pytest

from reconciler.errors import ForgeAway, ForgeError, ForgeRefused
from reconciler.forge import Forge
from reconciler.talk import Check, Comment, CommitStatus, PullRequest, Standing
from tests.forge.fake import DOWN, SILENT, TOO_MANY, UNSURE, Call, Clock, FakeForge, Fault
from tests.forge.fake_forgejo import FakeForgejo
from tests.forge.fake_github import FakeGitHub

HEAD, LATER, MERGE = "a" * 40, "b" * 40, "c" * 40
FACES = (FakeGitHub, FakeForgejo)


@pytest.fixture(params=FACES, ids=lambda face: face.kind)
def fake(request, clock: Clock) -> FakeForge:
    return request.param(clock)


@pytest.fixture
def forge(fake: FakeForge, enter) -> Forge:
    return enter(fake)


def test_who_we_are_is_asked_once(fake: FakeForge, forge: Forge) -> None:
    assert [forge.whoami(), forge.whoami()] == ["reconciler-bot"] * 2
    assert [entry.path for entry in fake.journal] == ["/user"]


def test_pull_requests_say_what_they_are(fake: FakeForge, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD, title="@all </b>", author="ann")
    fake.add_pull_request("main", LATER, author="mallory", fork="mallory/fleet")
    fake.add_pull_request("gone", MERGE, fork=None)
    fake.add_pull_request("elsewhere", HEAD, base="staging")
    fake.close(fake.add_pull_request("closed", HEAD).number)
    gone, fork, own = forge.pull_requests("main")
    page = forge.pull_request(own.number).url
    assert own == PullRequest(1, "@all </b>", "ann", HEAD, "refs/pull/1/head", "main", "more", fork=False, url=page)
    assert page.startswith(f"{fake.web}/ops/fleet/pull")
    assert forge.pull_url(1) == page
    assert (fork.fork, fork.branch, fork.head, fork.author) == (True, "main", LATER, "mallory")
    assert (gone.fork, gone.head, gone.ref) == (True, MERGE, "refs/pull/3/head")


def test_a_pull_request_is_open_then_merged_or_closed(fake: FakeForge, forge: Forge) -> None:
    first, second = fake.add_pull_request("one", HEAD), fake.add_pull_request("two", HEAD)
    assert forge.pull_request(1).state == "open"
    fake.push(1, LATER)
    fake.merge(1, MERGE)
    forge.close_pull_request(2)
    assert (first.state, second.state) == ("closed", "closed")
    assert [forge.pull_request(number).state for number in (1, 2)] == ["merged", "closed"]
    assert forge.pull_request(1).head == LATER
    assert forge.pull_requests("main") == []


def test_every_pull_request_is_listed(fake: FakeForge, forge: Forge) -> None:
    for number in range(115):
        fake.add_pull_request(f"b{number}", HEAD)
    assert [pull.number for pull in forge.pull_requests("main")] == list(range(115, 0, -1))


def test_a_comment_sticks_among_more_than_a_hundred(fake: FakeForge, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD)
    for number in range(130):
        fake.strangers_comment(1, f"remark {number}")
    ours = forge.add_comment(1, "<!-- reconciler:plan 1 -->\nNothing changes.")
    fake.strangers_comment(1, "<!-- reconciler:plan 1 -->\nmine, not yours")
    found = forge.comments(1)
    assert len(found) == 132
    assert [comment.body for comment in found[:130]] == [f"remark {number}" for number in range(130)]
    assert [comment for comment in found if comment.author == forge.whoami()] == [ours]
    forge.edit_comment(1, ours.id, "<!-- reconciler:plan 1 -->\nChanges 1 of 4 hosts.")
    assert forge.comments(1)[130] == Comment(
        ours.id, "reconciler-bot", "<!-- reconciler:plan 1 -->\nChanges 1 of 4 hosts."
    )


def test_a_strangers_comment_cannot_be_edited(fake: FakeForge, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD)
    theirs = fake.strangers_comment(1, "hello")
    with pytest.raises(ForgeRefused) as refused:
        forge.edit_comment(1, str(theirs.id), "ours now")
    assert refused.value.status == 403
    assert theirs.body == "hello"


def test_the_newest_status_of_a_context_counts(fake: FakeForge, forge: Forge) -> None:
    assert forge.status(HEAD, "reconciler/plan") is None
    page = "https://git.example.org/record"
    for standing in (Standing.PENDING, Standing.FAILURE, Standing.ERROR, Standing.SUCCESS):
        said = CommitStatus(HEAD, "reconciler/plan", standing, f"it is {standing}", page)
        forge.set_status(said)
        fake.strangers_status(HEAD, "ci", "failure")
        fake.strangers_status(LATER, "reconciler/plan", "failure")
        assert forge.status(HEAD, "reconciler/plan") == said
    assert forge.status(HEAD, "reconciler/converge") is None


def test_a_status_is_found_among_many(fake: FakeForge, forge: Forge) -> None:
    forge.set_status(CommitStatus(HEAD, "reconciler/plan", Standing.PENDING, "waiting"))
    for number in range(120):
        fake.strangers_status(HEAD, f"ci/{number}", "success")
    found = forge.status(HEAD, "reconciler/plan")
    assert found == CommitStatus(HEAD, "reconciler/plan", Standing.PENDING, "waiting")


def test_a_description_that_is_too_long_is_cut_between_characters(fake: FakeForge, forge: Forge) -> None:
    forge.set_status(CommitStatus(HEAD, "reconciler/plan", Standing.FAILURE, "𝕊" * 139 + "é" * 10))
    assert fake.statuses[0].description == "𝕊" * 139 + "…"
    forge.set_status(CommitStatus(HEAD, "reconciler/plan", Standing.FAILURE, "ü" * 140))
    assert fake.statuses[1].description == "ü" * 140


def test_tickets_are_opened_edited_closed_and_found_again(fake: FakeForge, forge: Forge) -> None:
    first = forge.open_ticket("nginx is stopped", "<!-- reconciler:cause 0123 -->\nsince 19:31")
    assert (first.number, first.author, first.open) == (1, "reconciler-bot", True)
    assert first.url == f"{fake.web}/ops/fleet/issues/1"
    fake.add_pull_request("ours", HEAD, author="reconciler-bot")
    fake.strangers_issue("nginx is stopped", "<!-- reconciler:cause 0123 -->\nnot ours")
    second = forge.open_ticket("db1 is blind", "since 20:00")
    forge.edit_ticket(1, "nginx is running again", "since 21:00", open=False)
    said = forge.comment_ticket(1, "It is clean.")
    assert forge.ticket_comments(1) == [said] == [Comment(said.id, "reconciler-bot", "It is clean.")]
    edited = forge.ticket(1)
    assert (edited.title, edited.body, edited.open) == ("nginx is running again", "since 21:00", False)
    assert forge.own_tickets() == [second, edited]
    assert [(said.number, said.author, said.body) for said in fake.comments] == [(1, "reconciler-bot", "It is clean.")]
    forge.edit_ticket(1, "nginx is stopped", "since 22:00", open=True)
    assert forge.ticket(1).open


def test_every_ticket_of_ours_is_listed(fake: FakeForge, forge: Forge) -> None:
    for number in range(230):
        fake.strangers_issue(f"t{number}", "", author="reconciler-bot" if number % 2 else "ann")
    assert [ticket.title for ticket in forge.own_tickets()] == [f"t{number}" for number in range(229, 0, -2)]


def test_a_list_of_everybodys_tickets_is_not_believed(fake: FakeForge, forge: Forge, monkeypatch) -> None:
    name = "GET /repos/{owner}/{repo}/issues"
    listed = fake._handlers[name]
    everybodys = {"state": "all"}
    monkeypatch.setitem(fake._handlers, name, lambda call: listed(Call(call.params, everybodys, None, call.login)))
    fake.strangers_issue("theirs", "<!-- reconciler:cause 0123 -->")
    ours = forge.open_ticket("ours", "")
    assert forge.own_tickets() == [ours]


def test_a_branch_is_proposed_once(fake: FakeForge, forge: Forge) -> None:
    fake.add_pull_request("reconciler/adopt/01", HEAD, fork="mallory/fleet")
    fake.add_pull_request("reconciler/adopt/01", HEAD, base="staging")
    opened = forge.open_pull_request("reconciler/adopt/01", "main", "Adopt 15.19", "evidence")
    assert (opened.number, opened.fork, opened.author, opened.branch) == (
        3,
        False,
        "reconciler-bot",
        "reconciler/adopt/01",
    )
    assert forge.open_pull_request("reconciler/adopt/01", "main", "again", "") == opened
    forge.close_pull_request(3)
    assert forge.open_pull_request("reconciler/adopt/01", "main", "again", "").number == 4
    assert len(fake.pulls) == 4


@pytest.mark.parametrize("fault", [UNSURE, SILENT], ids=["502", "silence"])
def test_a_pull_request_that_came_through_after_all_is_found(fake: FakeForge, forge: Forge, fault: Fault) -> None:
    fake.fail_next(fault)
    with pytest.raises(ForgeAway) as away:
        forge.open_pull_request("adopt", "main", "Adopt", "")
    assert away.value.unsure
    assert forge.open_pull_request("adopt", "main", "Adopt", "").number == 1
    assert len(fake.pulls) == 1


def test_somebody_who_was_faster_is_followed(fake: FakeForge, forge: Forge, monkeypatch) -> None:
    """The look before finds nothing, the forge refuses, the look after finds theirs."""
    fake.add_pull_request("adopt", HEAD)
    looks = iter([None])
    real = type(forge)._proposed
    monkeypatch.setattr(type(forge), "_proposed", lambda self, *a: next(looks, "look") and real(self, *a))
    assert forge.open_pull_request("adopt", "main", "Adopt", "").number == 1
    assert [entry.status for entry in fake.journal if entry.method == "POST"] in ([409], [422])


def test_a_refusal_that_is_no_duplicate_stays_one(fake: FakeForge, forge: Forge) -> None:
    fake.fail_next(Fault(422, only=("POST",)))
    with pytest.raises(ForgeRefused):
        forge.open_pull_request("adopt", "main", "Adopt", "")


def test_evidence_says_who_approved_and_what_was_checked(fake: FakeForge, forge: Forge) -> None:
    rejected = "CHANGES_REQUESTED" if fake.kind == "github" else "REQUEST_CHANGES"
    remark = "COMMENTED" if fake.kind == "github" else "COMMENT"
    fake.add_pull_request("more", HEAD, author="ann")
    for author, state in (
        ("bob", rejected), ("bob", "APPROVED"), ("bob", remark), ("cid", "APPROVED"), ("cid", rejected),
        ("dee", remark), ("eve", "PENDING"),
    ):  # fmt: skip
        fake.review(1, author, state)
    fake.review(1, "fay", "APPROVED", dismissed=True)
    fake.report_check(HEAD, "build", "failure")
    fake.report_check(HEAD, "build", "success")
    fake.strangers_status(HEAD, "lint", "pending")
    fake.strangers_status(HEAD, "reconciler/plan", "success")
    fake.merge(1, MERGE)
    fake.strangers_status(MERGE, "lint", "success")
    fake.strangers_status(MERGE, "build", "pending")
    fake.strangers_status(MERGE, "deploy", "pending")
    found = forge.evidence(MERGE)
    assert (found.change, found.author) == ("#1", "ann")
    verdicts = [(review.author, review.verdict) for review in found.reviews]
    assert verdicts == [("bob", "approved"), ("cid", "rejected"), ("dee", "commented"), ("fay", "dismissed")]
    assert [review.id for review in found.reviews] == [str(fake.pulls[1].reviews[i].id) for i in (1, 4, 5, 7)]
    assert found.checks == (Check("build", "success"), Check("deploy", "pending"), Check("lint", "success"))


def test_evidence_of_a_commit_that_nobody_proposed_is_its_checks(fake: FakeForge, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD)  # open, so it brought nothing in
    fake.strangers_status(HEAD, "lint", "success")
    found = forge.evidence(HEAD)
    assert (found.change, found.author, found.reviews, found.checks) == ("", "", (), (Check("lint", "success"),))


def test_evidence_is_complete(fake: FakeForge, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD)
    for number in range(60):
        fake.review(1, f"r{number}", "APPROVED")
        fake.report_check(HEAD, f"c{number:02}", "success")
        fake.strangers_status(HEAD, f"s{number:02}", "success")
    fake.merge(1, MERGE)
    found = forge.evidence(MERGE)
    assert (len(found.reviews), len(found.checks)) == (60, 120)


@pytest.mark.parametrize(
    "fault",
    [DOWN, TOO_MANY, Fault(403, {"retry-after": "30"}), Fault(timeout=True)],
    ids=["503", "429", "403", "silence"],
)
def test_an_outage_is_away_and_ends(fake: FakeForge, forge: Forge, clock: Clock, fault: Fault) -> None:
    fake.add_pull_request("more", HEAD)
    fake.outage(1800, fault)
    with pytest.raises(ForgeAway) as away:
        forge.add_comment(1, "hello")
    assert away.value.wait >= (30 if fault.headers else 0)
    assert fake.comments == []
    clock.sleep(1800)
    forge.add_comment(1, "hello")
    assert [said.body for said in fake.comments] == ["hello"]


def test_a_write_whose_answer_was_lost_is_unsure(fake: FakeForge, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD)
    for fault in (UNSURE, SILENT):
        fake.fail_next(fault)
        with pytest.raises(ForgeAway) as away:
            forge.add_comment(1, "hello")
        assert away.value.unsure
    assert len(fake.comments) == 2
    assert [entry.applied for entry in fake.journal] == [True, True]


def test_what_is_not_there_is_refused(forge: Forge) -> None:
    for ask in (forge.pull_request, forge.ticket, forge.comments):
        with pytest.raises(ForgeRefused) as refused:
            ask(99)
        assert refused.value.status == 404


def test_addresses_are_made_of_what_is_configured(fake: FakeForge, forge: Forge) -> None:
    web = f"{fake.web}/ops/fleet"
    assert forge.commit_url(HEAD) == f"{web}/commit/{HEAD}"
    line = forge.lines(HEAD).url("desired state/#1?.yml", 7)
    assert line.startswith(web)
    assert f"{HEAD}/desired%20state/%231%3F.yml?" in line
    assert line.endswith("#L7")
    assert f"{web}/compare/main...reconciler/adopt/a%23b" in forge.compare_url("main", "reconciler/adopt/a#b")
    assert fake.journal == []


WRONG = [
    None, [], {}, "no", 7, {"number": "1"}, {"number": True}, {"number": -1}, {"login": 7}, {"login": None},
    [None], [{}], [[]], {"statuses": {}}, {"message": "ok"},
]  # fmt: skip


@pytest.mark.parametrize("answer", WRONG, ids=repr)
def test_an_answer_that_makes_no_sense_is_an_error_in_words(fake: FakeForge, forge: Forge, answer, monkeypatch) -> None:
    """Nothing that a forge may answer ends in anything but a ForgeError, or in nothing at all for an empty list."""
    monkeypatch.setattr(fake, "_carry_out", lambda *_: (200, answer, {}))
    asks = (
        forge.whoami, lambda: forge.pull_requests("main"), lambda: forge.pull_request(1),
        lambda: forge.open_pull_request("b", "main", "t", ""), lambda: forge.comments(1),
        lambda: forge.add_comment(1, "x"), lambda: forge.status(HEAD, "reconciler/plan"), forge.own_tickets,
        lambda: forge.ticket(1), lambda: forge.open_ticket("t", "b"), lambda: forge.evidence(HEAD),
    )  # fmt: skip
    for ask in asks:
        with suppress(ForgeError):
            result = ask()
            assert answer in ([], {"statuses": {}}) or not result


@pytest.mark.parametrize("sha", ["", "HEAD", "a" * 39, "a" * 40 + "\n", "--upload-pack=x", "A" * 40])
def test_a_head_that_is_no_commit_is_refused(fake: FakeForge, forge: Forge, sha: str) -> None:
    fake.add_pull_request("more", sha)
    with pytest.raises(ForgeError, match=r"pull request 1 cannot be understood: head\.sha"):
        forge.pull_request(1)
