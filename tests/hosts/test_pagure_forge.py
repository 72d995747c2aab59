"""The Pagure adapter on a real Pagure: what it reads is what people did there, and what it says is there to be read."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from reconciler.errors import ForgeRefused
from reconciler.forge.pagure import Pagure
from reconciler.forge.pagure_login import Login
from reconciler.talk import Check, CommitStatus, Review, Standing
from reconciler.wire import Site, Wire
from tests.bed.gitserver import Clone, GitSaidNo, run_git
from tests.bed.hosts import wait_until
from tests.bed.pagure import Pagure as Server
from tests.bed.pagure import PagureSaidNo, Project

Opened = Callable[..., Pagure]


BRANCHES = ("change", "moving", "third", "merged")


@pytest.fixture(scope="module")
def project(pagure: Server) -> Project:
    """A project for this module: a push takes seconds there, so tests share what they do not change."""
    return pagure.project("fleet")


@pytest.fixture(scope="module")
def alice(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Alice's clone: one commit on main, and branches with one commit each, pushed at once."""
    clone = project.clone(tmp_path_factory.mktemp("pagure") / "alice")
    clone.write("a", "1\n")
    clone.commit("Begin")
    for branch in BRANCHES:
        clone.git("checkout", "-q", "-B", branch, "main")
        clone.write("a", f"{branch}\n")
        clone.commit(f"Change a on {branch}")
    clone.git("push", "-q", "origin", "main", *BRANCHES)
    return clone


@pytest.fixture(scope="module")
def proposed(project: Project, alice: Clone) -> tuple[int, str]:
    """A pull request of alice's from a branch of the project: its number and its head."""
    return propose(project, alice, "change")


@pytest.fixture
def opened(project: Project) -> Iterator[Opened]:
    """``opened()`` is the adapter as the daemon uses it, with the bot's token; ``password`` lets it log in too."""
    closing = []

    def make(token: str = "", password: str = "") -> Pagure:
        headers = {"Authorization": f"token {token or project.token}"}
        wire = Wire(f"{project.forge.url}/api/0", headers=lambda: headers, monotonic=time.monotonic, now=time.time)
        site = Site(project.forge.url)
        closing.extend([wire, site])
        login = Login(site, lambda: password) if password else None
        return Pagure(wire, project.name, project.forge.url, login)

    yield make
    for line in closing:
        line.close()


class Listener(HTTPServer):
    """Takes what a webhook sends: the newest headers (names in small letters) and body of each topic."""

    got: dict[str, tuple[dict[str, str], bytes]]


@pytest.fixture
def listener(pagure: Server) -> Iterator[Listener]:
    """A server that Pagure can reach."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.got[headers["x-pagure-topic"]] = headers, self.rfile.read(int(headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with Listener((pagure.gateway, 0), Handler) as server:
        server.got = {}
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def propose(project: Project, alice: Clone, branch: str) -> tuple[int, str]:
    """A pull request of alice's from one of her branches: its number and its head."""
    return project.propose("alice", f"Change of {branch}", branch), alice.git("rev-parse", branch)


def test_we_are_who_the_token_says_and_a_wrong_token_is_refused(opened: Opened) -> None:
    assert opened().whoami() == "bot"
    with pytest.raises(ForgeRefused) as refused:
        opened(token="X" * 64).whoami()
    assert refused.value.status == 401
    assert "XXXX" not in str(refused.value)


def test_a_pull_request_is_read_with_its_head_where_git_finds_it(
    project: Project, proposed: tuple[int, str], opened: Opened
) -> None:
    number, head = proposed
    forge = opened()

    found = forge.pull_request(number)

    assert (found.number, found.head, found.base, found.branch, found.fork) == (number, head, "main", "change", False)
    assert (found.author, found.title, found.state) == ("alice", "Change of change", "open")
    assert found.url == f"{project.web}/pull-request/{number}"
    assert project.refs()[found.ref] == head
    assert found in forge.pull_requests("main")
    assert forge.pull_requests("other") == []


def test_a_second_push_moves_the_head_and_is_told_to_the_webhook(
    project: Project, alice: Clone, opened: Opened, listener: Listener
) -> None:
    number, _ = propose(project, alice, "moving")
    key = project.hook(f"http://{project.forge.gateway}:{listener.server_port}/hook")
    alice.git("checkout", "-q", "moving")
    alice.write("a", "3\n")
    second = alice.commit("More")
    alice.push(branch="moving")

    project.shows(number, second)
    assert opened().pull_request(number).head == second

    wait_until(lambda: "git.receive" in listener.got, project.forge.log)
    headers, body = listener.got["git.receive"]
    assert headers["x-pagure-signature-256"] == hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-pagure-project"] == project.name
    told = json.loads(body)
    assert told["topic"] == headers["x-pagure-topic"]
    assert (told["msg"]["branch"], told["msg"]["end_commit"]) == ("moving", second)


def test_the_head_of_a_strangers_fork_is_fetched_from_our_own_remote(
    project: Project, alice: Clone, opened: Opened, tmp_path: Path
) -> None:
    project.fork("mallory")
    stranger = project.clone(tmp_path / "mallory", "mallory", fork=True)
    stranger.git("checkout", "-q", "-B", "evil", "origin/main")
    stranger.write("evil", "x\n")
    head = stranger.commit("Evil")
    stranger.push(branch="evil")
    number = project.propose("mallory", "Nice change", "evil", fork=True)

    found = opened().pull_request(number)

    assert (found.number, found.head, found.fork, found.author) == (number, head, True, "mallory")
    run_git(project.environment, "init", "-q", str(tmp_path / "ours"))
    run_git(project.environment, "-C", str(tmp_path / "ours"), "fetch", "-q", project.anonymous_url, found.ref)
    assert run_git(project.environment, "-C", str(tmp_path / "ours"), "rev-parse", "FETCH_HEAD") == head

    stranger.git("remote", "set-url", "origin", project.git_url("mallory"))
    with pytest.raises(GitSaidNo):
        stranger.push(branch="main")


def test_the_comment_of_a_stranger_is_told_as_the_strangers(
    project: Project, proposed: tuple[int, str], opened: Opened
) -> None:
    path = f"{project.name}/pull-request/{proposed[0]}/comment"
    project.forge.call("mallory", "POST", path, comment="<!-- marker -->")
    assert ("mallory", "<!-- marker -->") in [(c.author, c.body) for c in opened().comments(proposed[0])]


def test_lists_are_read_to_their_end(project: Project, alice: Clone, opened: Opened, monkeypatch) -> None:
    monkeypatch.setattr("reconciler.forge.pagure.PER_PAGE", 1)
    forge = opened()
    before = [ticket.number for ticket in forge.own_tickets()]
    tickets = [forge.open_ticket(f"Drift {n}", "text").number for n in range(3)]
    number, _ = propose(project, alice, "third")

    assert [ticket.number for ticket in forge.own_tickets()] == tickets[::-1] + before
    there = project.forge.call("alice", "GET", f"{project.name}/pull-requests", per_page=100)["requests"]
    assert [pull.number for pull in forge.pull_requests("main")] == [pull["id"] for pull in there]
    assert number in [pull["id"] for pull in there]
    assert len(there) > 1


def test_a_comment_is_made_found_and_edited_in_place(
    project: Project, proposed: tuple[int, str], opened: Opened
) -> None:
    number, _ = proposed
    forge = opened(password=project.forge.password("bot"))
    body = '<!-- reconciler:plan 1 -->\n**2 hosts** would change: `ä` & <b> "+" 100%\n'

    made = forge.add_comment(number, body)
    assert (made.author, made.body) == ("bot", body)
    project.forge.call("alice", "POST", f"{project.name}/pull-request/{number}/comment", comment="Thanks")

    forge.edit_comment(number, made.id, f"{body}Edited: ünï & =+%\n")
    forge.edit_comment(number, made.id, f"{body}Edited again.\n")

    told = [(comment.id, comment.author, comment.body) for comment in forge.comments(number)]
    assert (made.id, "bot", f"{body}Edited again.\n") in told
    assert told[-1][1:] == ("alice", "Thanks")
    assert [author for number, author, _ in told if number == made.id] == ["bot"]


def test_what_we_say_is_no_vote(project: Project, proposed: tuple[int, str], opened: Opened) -> None:
    number, _ = proposed
    forge = opened(password=project.forge.password("bot"))
    body = "<!-- reconciler:plan web-1/1 -->\nSeen on 2026-11-23, [`a`](https://x.example/f-1)\n```diff\n-1\n+1\n```\n"
    made = forge.add_comment(number, body)
    forge.edit_comment(number, made.id, f"{body}+1 more\n")

    [there] = [comment for comment in forge.comments(number) if comment.id == made.id]
    assert there.body == f"{body}+1 more\n".replace("f-1", "f%2D1")
    comments = project.forge.call("alice", "GET", f"{project.name}/pull-request/{number}")["comments"]
    [kept] = [comment["comment"] for comment in comments if str(comment["id"]) == made.id]
    assert not {vote for vote in ("+1", "-1") if vote in kept}


def test_a_comment_of_another_cannot_be_edited_by_the_stranger(
    project: Project, proposed: tuple[int, str], opened: Opened
) -> None:
    number, _ = proposed
    made = opened().add_comment(number, "Ours")
    stranger = opened(token=project.forge.tokens["mallory"], password=project.forge.password("mallory"))
    with pytest.raises(ForgeRefused) as refused:
        stranger.edit_comment(number, made.id, "Theirs")
    assert refused.value.status == 403
    assert "Ours" in [comment.body for comment in opened().comments(number)]


def test_without_a_password_editing_is_refused_with_the_way_out(
    project: Project, proposed: tuple[int, str], opened: Opened
) -> None:
    number, _ = proposed
    made = opened().add_comment(number, "Ours")
    with pytest.raises(ForgeRefused, match="password of its own account"):
        opened().edit_comment(number, made.id, "New")
    with pytest.raises(ForgeRefused, match="does not let bot log in") as refused:
        opened(password="wrong-password").edit_comment(number, made.id, "New")
    assert "wrong-password" not in str(refused.value)


def test_a_status_is_one_flag_that_changes(project: Project, proposed: tuple[int, str], opened: Opened) -> None:
    number, head = proposed
    forge = opened()
    assert forge.status(head, "reconciler/plan") is None

    pending = CommitStatus(head, "reconciler/plan", Standing.PENDING, "1 of 2 hosts", f"{project.web}/commits/main")
    for status in (pending, *(CommitStatus(head, "reconciler/plan", s, f"It is {s}") for s in Standing)):
        forge.set_status(status)
        there = forge.status(head, "reconciler/plan")
        assert there is not None
        assert (there.standing, there.description) == (status.standing, status.description)
        assert there.url == (status.url or forge.commit_url(head))
    forge.set_status(CommitStatus(head, "reconciler/converge", Standing.SUCCESS, "Done"))

    flags = project.forge.call("alice", "GET", f"{project.name}/c/{head}/flag")["flags"]
    assert sorted(flag["username"] for flag in flags) == ["reconciler/converge", "reconciler/plan"]
    assert forge.pull_request(number).head == head


def test_a_flag_of_another_is_not_taken_for_ours(project: Project, proposed: tuple[int, str], opened: Opened) -> None:
    _, head = proposed
    flag = {"username": "reconciler/forged", "comment": "Fine", "url": "https://example.org/x", "status": "success"}
    project.forge.call("alice", "POST", f"{project.name}/c/{head}/flag", **flag)
    assert opened().status(head, "reconciler/forged") is None


def test_a_ticket_is_opened_edited_closed_and_opened_again(project: Project, alice: Clone, opened: Opened) -> None:
    forge = opened()
    project.forge.call("alice", "POST", f"{project.name}/new_issue", title="Mine", issue_content="Not yours")
    made = forge.open_ticket("sshd differs", "<!-- reconciler:ticket f00 -->\nOn web1.\n")
    assert (made.author, made.open, made.url) == ("bot", True, f"{project.web}/issue/{made.number}")
    assert forge.own_tickets()[0] == made
    assert {ticket.author for ticket in forge.own_tickets()} == {"bot"}

    forge.edit_ticket(made.number, "sshd differs on 2 hosts", "On web1 and web2.", open=True)
    there = forge.ticket(made.number)
    assert (there.title, there.body, there.open) == ("sshd differs on 2 hosts", "On web1 and web2.", True)

    for wanted in (False, False, True):
        forge.edit_ticket(made.number, there.title, there.body, open=wanted)
        assert forge.ticket(made.number).open is wanted
        assert forge.own_tickets()[0].open is wanted

    forge.comment_ticket(made.number, "It is back.")
    comments = project.forge.call("alice", "GET", f"{project.name}/issue/{made.number}")["comments"]
    assert "It is back." in [comment["comment"] for comment in comments]


def test_a_branch_of_ours_is_proposed_once_and_closed(project: Project, alice: Clone, opened: Opened) -> None:
    ours = project.clone(alice.path.parent / "bot", "bot")
    ours.git("checkout", "-q", "-B", "reconciler/adopt/f00", "origin/main")
    ours.write("a", "adopted\n")
    head = ours.commit("Adopt")
    ours.push(branch="reconciler/adopt/f00")
    forge = opened()

    made = forge.open_pull_request("reconciler/adopt/f00", "main", "Adopt it", "Because.")
    again = forge.open_pull_request("reconciler/adopt/f00", "main", "Adopt it again", "Because.")

    assert again.number == made.number
    assert (made.author, made.head, made.fork) == ("bot", head, False)
    forge.close_pull_request(made.number)
    assert forge.pull_request(made.number).state == "closed"
    assert made.number not in [pull.number for pull in forge.pull_requests("main")]


def test_evidence_tells_the_merge_the_votes_and_the_flags(project: Project, alice: Clone, opened: Opened) -> None:
    number, head = propose(project, alice, "merged")
    path = f"{project.name}/pull-request/{number}/comment"
    project.forge.call("mallory", "POST", path, comment=":thumbsdown: no")
    project.forge.call("alice", "POST", path, comment="Looks fine, +1")
    flag = {"comment": "Fine", "url": "https://example.org/x", "uid": "one"}
    for status in ("pending", "success"):
        project.forge.call("alice", "POST", f"{project.name}/c/{head}/flag", username="lint", status=status, **flag)
    # Main moves on, so that the merge makes a commit of its own.
    alice.git("checkout", "-q", "main")
    alice.write("b", "2\n")
    alice.commit("Elsewhere")
    alice.push()
    forge = opened()
    forge.set_status(CommitStatus(head, "reconciler/plan", Standing.SUCCESS, "Ours is no evidence"))

    project.merge("alice", number)
    merged = project.refs()["refs/heads/main"]
    assert merged != head

    for sha in (merged, head):
        found = forge.evidence(sha)
        assert (found.change, found.author) == (f"#{number}", "alice")
        told = {(review.author, review.verdict) for review in found.reviews}
        assert told == {("alice", "approved"), ("mallory", "rejected"), ("alice", "merged")}
        assert found.checks == (Check("lint", "success"),)
    assert forge.pull_request(number).state == "merged"
    assert Review("alice", "merged") in found.reviews


def test_a_commit_that_no_pull_request_brought_has_no_evidence(project: Project, alice: Clone, opened: Opened) -> None:
    found = opened().evidence(alice.git("rev-list", "--max-parents=0", "main"))
    assert (found.change, found.author, found.reviews, found.checks) == ("", "", (), ())


def test_addresses_lead_to_pages_that_are_there(project: Project, proposed: tuple[int, str], opened: Opened) -> None:
    _, head = proposed
    forge = opened()
    with Site(project.forge.url) as site:
        for url in (forge.commit_url(head), forge.lines(head).url("a", 1), project.web):
            page = site.read(url)
            assert not page.moved
            assert project.name in page.text


def test_what_is_not_there_is_refused(opened: Opened) -> None:
    with pytest.raises(ForgeRefused) as refused:
        opened().ticket(999)
    assert refused.value.status == 404


def test_the_bots_token_may_not_merge(project: Project, proposed: tuple[int, str], pagure: Server) -> None:
    number, _ = proposed
    pagure.tokens["the daemon"] = project.token
    with pytest.raises(PagureSaidNo, match="401"):
        project.merge("the daemon", number)
