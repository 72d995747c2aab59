"""Pull requests and commits on a forge: what people read there, over the real client, with git real."""

from __future__ import annotations

import pytest

from tests.loop.bench import MOTD, git
from tests.loop.forged import Forged

WELCOME = {"all.yml": MOTD.replace("hello", "welcome")}
BROKEN = {"all.yml": MOTD.replace("dest:", "destination:")}
ASKED = "<!-- reconciler:plan main/1 -->"


def test_a_pull_request_is_told_what_it_would_do(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.poll()
    body = forged.comment(number)
    assert body.startswith(f"<!-- reconciler:plan main/{number} -->\n\n**Changes 3 of 3 hosts**: 3 files.")
    assert "-hello\n+welcome" in body
    ((state, words),) = forged.told(forged.fake.pulls[number].head, "plan")
    assert (state, words) == ("success", "changes 3 of 3 hosts")
    assert forged.hosts.text("web1", "/etc/motd") == "hello"


def test_a_second_push_edits_the_same_comment(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.poll()
    before = forged.comments(number)[0].id
    head = forged.push_again(number, {"all.yml": MOTD.replace("hello", "welcome all")})
    forged.poll()
    (said,) = forged.comments(number)
    assert (said.id, said.edits) == (before, 1)
    assert "+welcome all" in said.body
    assert f"head `{head[:7]}`" in said.body
    assert [state for state, _ in forged.told(head, "plan")] == ["success"]


@pytest.mark.parametrize("kind", ["github", "forgejo"])
def test_an_idle_poll_writes_nothing_anywhere(forged_in, kind: str) -> None:
    forged = forged_in("enforce", kind)
    forged.propose(WELCOME)
    forged.cycles(2)
    writes, asked, disk = len(forged.fake.writes), len(forged.fake.journal), forged.on_disk()
    forged.poll()
    assert len(forged.fake.writes) == writes
    assert forged.on_disk() == disk
    assert [entry.path for entry in forged.fake.journal[asked:]] == ["/repos/ops/fleet/pulls"]


def test_nothing_is_said_again_while_nothing_changes(forged: Forged) -> None:
    forged.propose(WELCOME)
    forged.cycle()
    writes = len(forged.fake.writes)
    forged.cycles(3)
    assert len(forged.fake.writes) == writes


def test_the_comment_follows_its_base(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.poll()
    base = forged.bench.push({"inventory/group_vars/web.yml": "connections: 2048\n"})
    forged.cycle()
    (said,) = forged.comments(number)
    assert said.edits == 1
    assert f"base `{base[:7]}`" in said.body
    assert "connections" not in said.body, "what main has already is no effect of the pull request"


def test_the_comment_follows_the_fleet(forged_in) -> None:
    forged = forged_in("observe")
    number = forged.propose(WELCOME)
    forged.poll()
    assert "drift" not in forged.comment(number)
    forged.hosts.edit("web1", "/etc/motd", "by hand")
    forged.cycle()
    assert "drift" in forged.comment(number)
    assert forged.comments(number)[0].edits == 1


def test_a_strangers_comment_with_our_marker_is_never_edited(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    theirs = forged.fake.strangers_comment(number, f"{ASKED}\n\nNothing to see here.")
    forged.poll()
    forged.push_again(number, {"all.yml": MOTD.replace("hello", "hi")})
    forged.poll()
    assert (theirs.body, theirs.edits) == (f"{ASKED}\n\nNothing to see here.", 0)
    assert "+hi" in forged.comment(number)


def test_our_comment_is_found_among_many_after_the_state_was_lost(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    for i in range(70):
        forged.fake.strangers_comment(number, f"I was here, {i}")
    forged.cycle()
    for i in range(70):
        forged.fake.strangers_comment(number, f"{ASKED}\n\nSo was I, {i}")
    forged.lose_state()
    forged.push_again(number, {"all.yml": MOTD.replace("hello", "hi")})
    forged.cycle()
    (said,) = forged.comments(number)
    assert said.edits == 1
    assert "+hi" in said.body


def test_a_comment_that_somebody_deleted_is_made_again_with_the_next_news(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.poll()
    forged.fake.comments.clear()
    forged.push_again(number, {"all.yml": MOTD.replace("hello", "hi")})
    forged.poll()
    assert "+hi" in forged.comment(number)


def test_a_pull_request_that_conflicts_says_so(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.bench.push({"all.yml": MOTD.replace("hello", "good morning")})
    forged.cycle()
    assert "**Cannot be merged**: 1 file would have to be merged by hand first." in forged.comment(number)
    ((state, words),) = forged.told(forged.fake.pulls[number].head, "plan")
    assert state == "failure"
    assert "conflicts with the base in desired-state/all.yml" in words


def test_mistakes_are_told_with_file_and_line(forged: Forged) -> None:
    number = forged.propose(BROKEN)
    forged.poll()
    body, head = forged.comment(number), forged.fake.pulls[number].head
    assert "all.yml:5" in body
    assert "destination" in body
    assert f"{head}/desired-state/all.yml" in body
    ((state, words),) = forged.told(head, "plan")
    assert state == "failure"
    assert "all.yml:5" in words


@pytest.mark.parametrize("fork", ["mallory/fleet", None], ids=["a fork", "a fork that is gone"])
def test_a_forks_pull_request_is_previewed(forged: Forged, fork: str | None) -> None:
    number = forged.propose(WELCOME, author="mallory", fork=fork)
    assert "topic" not in forged.branches()
    forged.poll()
    assert "+welcome" in forged.comment(number)
    assert len(forged.told(forged.fake.pulls[number].head, "plan")) == 1


def test_a_closed_pull_request_is_forgotten(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.poll()
    assert refs(forged, f"refs/reconciler/pull/{number}")
    forged.fake.close(number)
    forged.poll()
    assert not refs(forged, f"refs/reconciler/pull/{number}")
    assert forged.world.state.slot(f"comment/{number}") is None
    assert forged.world.state.slots("status/") == []
    assert forged.comments(number), "what was said stays"


def test_a_pull_request_against_another_branch_is_none_of_ours(forged: Forged) -> None:
    number = forged.propose(WELCOME)
    forged.fake.pulls[number].base = "next"
    forged.poll()
    assert not forged.fake.writes


def test_without_comments_there_is_only_the_status(forged: Forged) -> None:
    forged.configure(comments=False)
    number = forged.propose(WELCOME)
    forged.poll()
    forged.push_again(number, BROKEN)
    forged.poll()
    assert not forged.comments(number)
    assert [state for state, _ in forged.told(forged.fake.pulls[number].head, "plan")] == ["failure"]


def test_a_commit_is_seen_to_be_applied(forged: Forged) -> None:
    sha = forged.bench.push({"inventory/group_vars/web.yml": "connections: 2048\n"})
    meanwhile: list[list[tuple[str, str]]] = []
    forged.hosts.before_converge = lambda: meanwhile.append(forged.told(sha))
    forged.cycle()
    assert meanwhile == [[("pending", "converging 2 of 3 hosts")]]
    assert forged.told(sha)[1:] == [("success", "3 hosts as declared")]
    tip = forged.branches()["audit/main"]
    assert forged.statuses(sha)[-1].url.endswith(f"/commit/{tip}"), "it links to the record"


def test_a_commit_that_changes_nothing_is_not_announced(forged: Forged) -> None:
    sha = forged.bench.push({"all.yml": f"# a remark\n{MOTD}"})
    forged.cycle()
    assert forged.told(sha) == [("success", "3 hosts as declared")]


def test_drift_that_is_put_right_at_once_sets_no_status(forged: Forged) -> None:
    forged.cycle()
    forged.hosts.edit("web1", "/etc/motd", "by hand")
    forged.cycle()
    assert forged.hosts.text("web1", "/etc/motd") == "hello"
    assert forged.told(forged.bench.head()) == [("success", "3 hosts as declared")]


def test_a_commit_that_fails_and_is_mended_says_both(forged: Forged) -> None:
    forged.hosts.broken = {"/etc/motd"}
    sha = forged.bench.push(WELCOME)
    forged.cycles(2)
    forged.hosts.broken = set()
    forged.cycles(2)
    assert forged.told(sha) == [
        ("pending", "converging 3 of 3 hosts"),
        ("failure", "failed on 3 of 3 hosts, first db1: copy[/etc/motd]"),
        ("success", "3 hosts as declared"),
    ]


def test_a_commit_that_goes_bad_later_says_so(forged: Forged) -> None:
    forged.cycle()
    forged.hosts.down = {"web2": "no route to host"}
    forged.cycles(2)
    forged.hosts.down = {}
    forged.cycles(2)
    (good, unseen, again) = forged.told(forged.bench.head())
    assert good == again == ("success", "3 hosts as declared")
    assert unseen[0] == "pending"
    assert unseen[1].startswith("2 of 3 hosts; web2 not seen since ")


def test_a_refused_revision_gets_an_error_of_its_own(forged: Forged) -> None:
    forged.cycle()
    good = forged.bench.head()
    bad = forged.bench.push({"all.yml": "- hosts: [\n"})
    forged.cycles(2)
    assert forged.told(good) == [("success", "3 hosts as declared")]
    ((state, words),) = forged.told(bad)
    assert state == "error"
    assert words == f"refused: {bad[:7]} cannot be applied, nothing was changed"
    assert forged.statuses(bad)[0].url
    mended = forged.bench.push({"all.yml": MOTD})
    forged.cycle()
    assert forged.told(mended) == [("success", "3 hosts as declared")]


def test_the_statuses_of_old_revisions_are_let_go(forged: Forged) -> None:
    forged.cycle()
    forged.bench.push({"all.yml": f"# a remark\n{MOTD}"})
    forged.cycle()
    (slot,) = forged.world.state.slots("status/")
    assert slot.name == f"status/{forged.bench.head()}/reconciler/converge"


def refs(forged: Forged, prefix: str) -> str:
    """What the daemon's own clone keeps below a prefix."""
    return git("for-each-ref", prefix, at=forged.bench.state_dir / "repo.git")


def test_strangers_can_be_left_out(forged: Forged) -> None:
    forged.configure(strangers=False)
    theirs = forged.propose(WELCOME, fork="mallory/fleet")
    ours = forged.propose({"all.yml": MOTD.replace("hello", "hi")}, branch="other")
    forged.cycle()
    assert not forged.comments(theirs)
    assert forged.comment(ours)


def test_what_was_fetched_of_a_pull_request_goes_with_it_also_where_nothing_was_said_there(forged: Forged) -> None:
    forged.configure(comments=False)
    number = forged.propose(WELCOME)
    forged.cycle()
    ref = f"refs/reconciler/pull/{number}"
    assert forged.world.repository.names("refs/reconciler/pull") == [ref]
    forged.fake.close(number)
    forged.cycle()
    assert forged.world.repository.names("refs/reconciler/pull") == []
