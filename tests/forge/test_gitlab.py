"""The GitLab adapter on the fake GitLab, which refuses every call that GitLab's documentation does not have."""

from __future__ import annotations

from contextlib import suppress

import pytest

from reconciler.errors import ForgeAway, ForgeError, ForgeRefused
from reconciler.forge import Forge
from reconciler.talk import Check, Comment, CommitStatus, PullRequest, Review, Standing
from tests.forge.fake import DOWN, SILENT, TOO_MANY, UNSURE, Clock, Fault
from tests.forge.fake_gitlab import FakeGitLab

HEAD, LATER, MERGE = "a" * 40, "b" * 40, "c" * 40


@pytest.fixture
def fake(clock: Clock) -> FakeGitLab:
    return FakeGitLab(clock)


@pytest.fixture
def forge(fake: FakeGitLab, enter) -> Forge:
    return enter(fake)


def test_who_we_are_is_asked_once_and_the_project_is_one_segment(fake: FakeGitLab, forge: Forge) -> None:
    assert [forge.whoami(), forge.whoami()] == ["reconciler-bot"] * 2
    forge.pull_requests("main")
    assert [entry.path for entry in fake.journal] == ["/user", "/projects/ops%2Feu%2Ffleet/merge_requests"]


def test_merge_requests_say_what_they_are(fake: FakeGitLab, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD, title="@all </b>", author="ann")
    fake.add_pull_request("main", LATER, author="mallory", fork="mallory/fleet")
    fake.add_pull_request("gone", MERGE, fork=None)
    fake.add_pull_request("elsewhere", HEAD, base="staging")
    fake.add_pull_request("too new", "")
    fake.close(fake.add_pull_request("closed", HEAD).number)

    gone, fork, own = forge.pull_requests("main")

    page = "https://gitlab.example.org/ops/eu/fleet/-/merge_requests/1"
    ref = "refs/merge-requests/1/head"
    assert own == PullRequest(1, "@all </b>", "ann", HEAD, ref, "main", "more", fork=False, url=page)
    assert own == forge.pull_request(1)
    assert (fork.fork, fork.branch, fork.head, fork.author) == (True, "main", LATER, "mallory")
    assert (gone.fork, gone.head, gone.ref) == (True, MERGE, "refs/merge-requests/3/head")
    with pytest.raises(ForgeAway):
        forge.pull_request(5)


def test_a_merge_request_is_open_then_merged_or_closed(fake: FakeGitLab, forge: Forge) -> None:
    fake.add_pull_request("one", HEAD)
    fake.add_pull_request("two", HEAD)
    fake.push(1, LATER)
    assert (forge.pull_request(1).state, forge.pull_request(1).head) == ("open", LATER)
    fake.merge(1, MERGE)
    forge.close_pull_request(2)
    assert [forge.pull_request(number).state for number in (1, 2)] == ["merged", "closed"]
    assert forge.pull_requests("main") == []


def test_lists_are_read_to_their_end(fake: FakeGitLab, forge: Forge) -> None:
    for number in range(230):
        fake.add_pull_request(f"b{number}", HEAD)
    for number in range(230):
        fake.strangers_comment(1, f"remark {number}")
        fake.strangers_issue(f"t{number}", "", author="reconciler-bot" if number % 2 else "ann")
        fake.strangers_status(HEAD, f"ci/{number:03}", "success")
    assert [pull.number for pull in forge.pull_requests("main")] == list(range(230, 0, -1))
    assert [comment.body for comment in forge.comments(1)] == [f"remark {number}" for number in range(230)]
    assert [ticket.title for ticket in forge.own_tickets()] == [f"t{number}" for number in range(229, 0, -2)]
    assert len(forge.evidence(HEAD).checks) == 230


def test_a_note_is_made_found_and_edited_and_what_happened_is_none(fake: FakeGitLab, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD)
    fake.system_note(1, "added 1 commit")
    ours = forge.add_comment(1, "<!-- reconciler:plan 1 -->\nNothing changes.")
    fake.strangers_comment(1, "<!-- reconciler:plan 1 -->\nmine, not yours")

    forge.edit_comment(1, ours.id, "<!-- reconciler:plan 1 -->\nChanges 1 of 4 hosts.")

    theirs, changed = forge.comments(1)[::-1]
    assert (theirs.author, theirs.body) == ("mallory", "<!-- reconciler:plan 1 -->\nmine, not yours")
    assert changed == Comment(ours.id, "reconciler-bot", "<!-- reconciler:plan 1 -->\nChanges 1 of 4 hosts.")
    assert len(fake.comments) == 3
    with pytest.raises(ForgeRefused):
        forge.edit_comment(1, theirs.id, "ours now")


@pytest.mark.parametrize("line", ["/merge", " /close", "\t/assign @all", "text\n/approve"])
def test_no_line_of_ours_is_a_command(fake: FakeGitLab, forge: Forge, line: str) -> None:
    """GitLab runs a line such as ``/merge`` in a text of ours with our own rights; hosts' words are in our texts."""
    fake.add_pull_request("more", HEAD)
    ours = forge.add_comment(1, line)
    forge.edit_comment(1, ours.id, line)
    forge.comment_ticket(forge.open_ticket("t", line).number, line)
    forge.edit_ticket(2, "t", line, open=True)
    forge.open_pull_request("b", "main", "t", line)
    bodies = [entry.body.get("body") or entry.body["description"] for entry in fake.writes]
    assert len(bodies) == 6
    assert not any(part.lstrip(" \t").startswith("/") for body in bodies for part in body.splitlines())
    assert all(body.replace("\u200b", "") == line for body in bodies)


def test_a_path_within_a_line_stays_as_it_is(fake: FakeGitLab, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD)
    text = "- /etc/hosts\n+a /b\n//x\n/ 7\n"
    assert forge.add_comment(1, text).body == text


def test_a_status_goes_through_its_states(fake: FakeGitLab, forge: Forge) -> None:
    assert forge.status(HEAD, "reconciler/plan") is None
    for standing in (Standing.PENDING, Standing.SUCCESS, Standing.PENDING, Standing.FAILURE, Standing.FAILURE):
        said = CommitStatus(HEAD, "reconciler/plan", standing, f"it is {standing}", "https://example.org/record")
        forge.set_status(said)
        fake.strangers_status(HEAD, "ci", "failed")
        assert forge.status(HEAD, "reconciler/plan") == said
    assert forge.status(HEAD, "reconciler/converge") is None
    assert forge.status(LATER, "reconciler/plan") is None


def test_a_step_from_pending_to_pending_is_no_error_though_the_words_stay(fake: FakeGitLab, forge: Forge) -> None:
    first = CommitStatus(HEAD, "reconciler/plan", Standing.PENDING, "1 of 4")
    forge.set_status(first)
    forge.set_status(CommitStatus(HEAD, "reconciler/plan", Standing.PENDING, "2 of 4"))
    assert forge.status(HEAD, "reconciler/plan") == first
    assert [entry.status for entry in fake.journal if entry.method == "POST"] == [201, 400]


def test_another_refusal_of_a_status_stays_one(fake: FakeGitLab, forge: Forge) -> None:
    fake.fail_next(Fault(400, only=("POST",)))
    with pytest.raises(ForgeRefused):
        forge.set_status(CommitStatus(HEAD, "reconciler/plan", Standing.PENDING, "1 of 4"))


def test_a_locked_pipeline_is_tried_again_later(fake: FakeGitLab, forge: Forge) -> None:
    fake.locked = True
    with pytest.raises(ForgeAway) as away:
        forge.set_status(CommitStatus(HEAD, "reconciler/plan", Standing.SUCCESS, "fine"))
    assert away.value.wait > 0


def test_the_head_of_a_fork_is_on_no_branch_and_gets_its_status_by_ref(fake: FakeGitLab, forge: Forge) -> None:
    fake.add_pull_request("other", LATER)
    fake.add_pull_request("main", HEAD, fork="mallory/fleet")
    forge.set_status(CommitStatus(HEAD, "reconciler/plan", Standing.SUCCESS, "fine"))
    sent = [entry.body for entry in fake.journal if entry.method == "POST"]
    assert [body.get("ref") for body in sent] == [None, "refs/merge-requests/2/head"]
    assert forge.status(HEAD, "reconciler/plan") == CommitStatus(HEAD, "reconciler/plan", Standing.SUCCESS, "fine")


def test_an_error_is_told_as_a_failure_and_long_words_are_cut(fake: FakeGitLab, forge: Forge) -> None:
    forge.set_status(CommitStatus(HEAD, "reconciler/plan", Standing.ERROR, "x" * 500, f"https://e.org/{'y' * 300}"))
    [status] = fake.statuses
    assert (status.state, len(status.description), status.url) == ("failed", 140, "")


def test_tickets_are_opened_edited_closed_and_found_again(fake: FakeGitLab, forge: Forge) -> None:
    first = forge.open_ticket("nginx is stopped", "<!-- reconciler:cause 0123 -->\nsince 19:31")
    assert (first.number, first.author, first.open) == (1, "reconciler-bot", True)
    assert first.url == f"{fake.web}/ops/eu/fleet/-/issues/1"
    fake.strangers_issue("nginx is stopped", "<!-- reconciler:cause 0123 -->\nnot ours")
    second = forge.open_ticket("db1 is blind", "")
    for wanted in (False, False, True, True, False):
        forge.edit_ticket(1, "nginx is running again", "since 21:00", open=wanted)
        assert forge.ticket(1).open is wanted
    edited = forge.ticket(1)
    assert (edited.title, edited.body) == ("nginx is running again", "since 21:00")
    assert forge.own_tickets() == [second, edited]
    said = forge.comment_ticket(1, "It is clean.")
    assert forge.ticket_comments(1) == [said] == [Comment(said.id, "reconciler-bot", "It is clean.")]


def test_a_branch_is_proposed_once(fake: FakeGitLab, forge: Forge) -> None:
    fake.add_pull_request("reconciler/adopt/01", HEAD, fork="mallory/fleet")
    fake.add_pull_request("reconciler/adopt/01", HEAD, base="staging")
    opened = forge.open_pull_request("reconciler/adopt/01", "main", "Adopt 15.19", "evidence")
    assert (opened.number, opened.fork, opened.author) == (3, False, "reconciler-bot")
    assert forge.open_pull_request("reconciler/adopt/01", "main", "again", "") == opened
    forge.close_pull_request(3)
    assert forge.open_pull_request("reconciler/adopt/01", "main", "again", "").number == 4


@pytest.mark.parametrize("fault", [UNSURE, SILENT], ids=["502", "silence"])
def test_a_merge_request_that_came_through_after_all_is_found(fake: FakeGitLab, forge: Forge, fault: Fault) -> None:
    fake.fail_next(fault)
    with pytest.raises(ForgeAway) as away:
        forge.open_pull_request("adopt", "main", "Adopt", "")
    assert away.value.unsure
    assert forge.open_pull_request("adopt", "main", "Adopt", "").number == 1
    assert len(fake.pulls) == 1


def test_evidence_says_who_approved_and_what_was_checked(fake: FakeGitLab, forge: Forge) -> None:
    fake.add_pull_request("more", HEAD, author="ann")
    fake.approve(1, "bob")
    fake.approve(1, "cid")
    fake.report_check(HEAD, "build", "failed")
    fake.report_check(HEAD, "build", "success")
    fake.report_check(HEAD, "reconciler/plan", "success")
    assert forge.evidence(HEAD).change == ""
    fake.merge(1, MERGE)
    fake.report_check(MERGE, "deploy", "running")
    found = forge.evidence(MERGE)
    assert (found.change, found.author) == ("!1", "ann")
    assert found.reviews == (Review("bob", "approved"), Review("cid", "approved"))
    assert found.checks == (Check("build", "success"), Check("deploy", "running"))


@pytest.mark.parametrize("fault", [DOWN, TOO_MANY, Fault(timeout=True)], ids=["503", "429", "silence"])
def test_an_outage_is_away_and_ends(fake: FakeGitLab, forge: Forge, clock: Clock, fault: Fault) -> None:
    fake.add_pull_request("more", HEAD)
    fake.outage(1800, fault)
    with pytest.raises(ForgeAway):
        forge.add_comment(1, "hello")
    clock.sleep(1800)
    forge.add_comment(1, "hello")
    assert [said.body for said in fake.comments] == ["hello"]


def test_what_is_not_there_or_not_allowed_is_refused(fake: FakeGitLab, forge: Forge) -> None:
    for ask in (forge.pull_request, forge.ticket, forge.comments):
        with pytest.raises(ForgeRefused) as refused:
            ask(99)
        assert refused.value.status == 404
    fake.logins.clear()
    with pytest.raises(ForgeRefused) as refused:
        forge.whoami()
    assert refused.value.status == 401
    assert fake.token not in str(refused.value)


def test_addresses_are_made_of_what_is_configured(fake: FakeGitLab, forge: Forge) -> None:
    web = "https://gitlab.example.org/ops/eu/fleet/-"
    assert forge.commit_url(HEAD) == f"{web}/commit/{HEAD}"
    assert forge.lines(HEAD).url("desired state/#1?.yml", 7) == (
        f"{web}/blob/{HEAD}/desired%20state/%231%3F.yml?plain=1#L7"
    )
    assert forge.compare_url("main", "a&b") == (
        f"{web}/merge_requests/new?merge_request%5Bsource_branch%5D=a%26b&merge_request%5Btarget_branch%5D=main"
    )
    assert fake.journal == []


WRONG = [
    None, [], {}, "no", 7, {"iid": "1"}, {"iid": True}, {"iid": -1}, {"username": 7}, {"username": None},
    [None], [{}], [[]], {"message": "ok"},
]  # fmt: skip


@pytest.mark.parametrize("answer", WRONG, ids=repr)
def test_an_answer_that_makes_no_sense_is_an_error_in_words(
    fake: FakeGitLab, forge: Forge, answer, monkeypatch
) -> None:
    monkeypatch.setattr(fake, "_carry_out", lambda *_: (200, answer, {}))
    asks = (
        forge.whoami, lambda: forge.pull_requests("main"), lambda: forge.pull_request(1),
        lambda: forge.open_pull_request("b", "main", "t", ""), lambda: forge.comments(1),
        lambda: forge.add_comment(1, "x"), lambda: forge.status(HEAD, "reconciler/plan"), forge.own_tickets,
        lambda: forge.ticket(1), lambda: forge.open_ticket("t", "b"), lambda: forge.evidence(HEAD),
    )  # fmt: skip
    for ask in asks:
        with suppress(ForgeError):
            assert not ask() or answer == []


@pytest.mark.parametrize("sha", ["HEAD", "a" * 39, "a" * 40 + "\n", "--upload-pack=x", "A" * 40])
def test_a_head_that_is_no_commit_is_refused_and_does_not_hide_others(fake: FakeGitLab, forge: Forge, sha: str) -> None:
    fake.add_pull_request("more", sha)
    fake.add_pull_request("whole", HEAD)
    assert [pull.branch for pull in forge.pull_requests("main")] == ["whole"]
    with pytest.raises(ForgeError, match="merge request 1 cannot be understood: sha"):
        forge.pull_request(1)
