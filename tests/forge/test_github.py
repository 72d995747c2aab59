"""What only GitHub has: Apps, an Enterprise root, ETags, limits of length, and people who are gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from reconciler.errors import ForgeAway, ForgeRefused
from reconciler.forge import App, Forge, open_forge
from reconciler.talk import Check, CommitStatus, Standing
from tests.forge.fake import UNSURE, Call, Clock, Fault, No
from tests.forge.fake_github import FakeGitHub

CHECK_RUNS = "GET /repos/{owner}/{repo}/commits/{ref}/check-runs"
HEAD, MERGE, OTHER = "a" * 40, "c" * 40, "d" * 40


@pytest.fixture
def forge(github: FakeGitHub, enter) -> Forge:
    return enter(github)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def app(github: FakeGitHub, key, tmp_path):
    """The forge as an App sees it, and its key's file."""
    pem, raw = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path = tmp_path / "app.pem"
    path.write_bytes(key.private_bytes(pem, raw, serialization.NoEncryption()))
    github.install_app(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    credentials = App(github.app_id, github.installation, path)
    with open_forge(*github.address, credentials, **github.wiring) as forge:
        yield forge
    github.check()


def tokens_asked(github: FakeGitHub) -> int:
    return sum(entry.path.endswith("/access_tokens") for entry in github.journal)


def test_an_app_writes_under_its_own_name(github: FakeGitHub, app: Forge) -> None:
    github.add_pull_request("more", HEAD)
    assert app.whoami() == "fleet-reconciler[bot]"
    assert app.add_comment(1, "hello").author == app.whoami()
    app.open_ticket("t", "b")
    assert [ticket.author for ticket in app.own_tickets()] == ["fleet-reconciler[bot]"]
    assert tokens_asked(github) == 1


def test_an_apps_token_is_replaced_before_it_expires(github: FakeGitHub, app: Forge, clock: Clock) -> None:
    app.pull_requests("main")
    clock.sleep(54 * 60)
    app.pull_requests("main")
    assert tokens_asked(github) == 1
    clock.sleep(60)
    app.pull_requests("main")
    assert tokens_asked(github) == 2
    assert 401 not in {entry.status for entry in github.journal}


def test_a_clock_that_is_ahead_is_forgiven(github: FakeGitHub, app: Forge, monkeypatch, clock: Clock) -> None:
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() - timedelta(seconds=50))  # GitHub's; ours was taken before
    assert app.pull_requests("main") == []


def test_asking_for_tokens_leaves_the_budget_of_writes_alone(github: FakeGitHub, app: Forge, clock: Clock) -> None:
    github.add_pull_request("more", HEAD)
    for _ in range(80):
        app.add_comment(1, "x")
    with pytest.raises(ForgeAway, match="budget"):
        app.add_comment(1, "x")
    clock.sleep(60)
    app.add_comment(1, "x")
    assert github.breaches == 0


def test_a_key_that_is_none_is_refused_in_words(github: FakeGitHub, app: Forge, tmp_path) -> None:
    for content in (
        "secret words that are no key",
        "-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----",
    ):
        (tmp_path / "app.pem").write_text(content)
        with pytest.raises(ForgeRefused, match=r"app\.pem is no RSA private key") as refused:
            app.whoami()
        assert "secret" not in str(refused.value)
    (tmp_path / "app.pem").unlink()
    with pytest.raises(ForgeAway, match="cannot be read: No such file"):
        app.whoami()


def test_an_enterprise_server_has_its_own_root(clock: Clock, enter) -> None:
    fake = FakeGitHub(clock, web="https://git.example.org")
    for number in range(30):
        fake.add_pull_request(f"b{number}", HEAD)
    assert len(enter(fake).pull_requests("main")) == 30
    assert fake.root == "https://git.example.org/api/v3"


def test_what_did_not_change_is_not_sent_again(github: FakeGitHub, forge: Forge) -> None:
    github.add_pull_request("more", HEAD)
    first = forge.pull_requests("main")
    assert forge.pull_requests("main") == first
    github.push(1, MERGE)
    assert forge.pull_requests("main")[0].head == MERGE
    assert [entry.status for entry in github.journal] == [200, 304, 200]


def test_the_forge_limits_who_does_not_limit_itself(github: FakeGitHub, clock: Clock, enter) -> None:
    """Two daemons share one account: the second is told to wait, and when."""
    github.add_pull_request("more", HEAD)
    one, two = enter(github), enter(github)
    for _ in range(80):
        one.add_comment(1, "x")
    with pytest.raises(ForgeAway) as away:
        two.add_comment(1, "y")
    assert github.breaches == 1
    clock.sleep(away.value.wait)
    two.add_comment(1, "y")
    assert len(github.comments) == 81


def test_people_who_are_gone_are_ghosts(github: FakeGitHub, forge: Forge, monkeypatch) -> None:
    monkeypatch.setattr(github, "_person", lambda _login: None)
    github.strangers_issue("t", "b")
    assert forge.ticket(1).author == "ghost"


def test_a_text_that_is_too_long_is_refused(github: FakeGitHub, forge: Forge) -> None:
    github.add_pull_request("more", HEAD)
    with pytest.raises(ForgeRefused, match="too long"):
        forge.add_comment(1, "x" * 65_537)
    assert forge.add_comment(1, "x" * forge.body_limit).body


def test_a_context_is_the_same_in_any_case(github: FakeGitHub, forge: Forge) -> None:
    github.strangers_status(HEAD, "Reconciler/Plan", "error")
    assert forge.status(HEAD, "reconciler/plan") == CommitStatus(HEAD, "reconciler/plan", Standing.ERROR, "")


def test_of_many_pull_requests_the_one_that_made_the_commit_counts(github: FakeGitHub, forge: Forge) -> None:
    for branch, head in (("early", HEAD), ("more", HEAD), ("into-release", MERGE)):
        github.add_pull_request(branch, head)
    github.merge(1, OTHER)
    github.merge(2, MERGE)
    github.merge(3, OTHER)
    assert forge.evidence(MERGE).change == "#2"
    assert forge.evidence(HEAD).change == "#2"


def test_a_pull_request_of_another_repository_is_no_evidence(github: FakeGitHub, forge: Forge, monkeypatch) -> None:
    github.add_pull_request("more", HEAD)
    github.merge(1, MERGE)
    real = github._place
    monkeypatch.setattr(github, "_place", lambda _name, number: real("upstream/fleet", number))
    assert forge.evidence(MERGE).change == ""


def test_a_check_that_still_runs_says_its_phase(github: FakeGitHub, forge: Forge) -> None:
    github.report_check(HEAD, "build", "in_progress")
    github.report_check(HEAD, "deploy", "skipped")
    assert forge.evidence(HEAD).checks == (Check("build", "in_progress"), Check("deploy", "skipped"))


def forbidden(_call: Call) -> tuple[int, Any]:
    raise No(403, "Resource not accessible by personal access token")


def test_a_token_that_may_not_read_check_runs_still_tells_the_rest(
    github: FakeGitHub, forge: Forge, monkeypatch
) -> None:
    """GitHub offers that right to Apps alone; the reviews matter more than the runs."""
    github.add_pull_request("more", HEAD)
    github.review(1, "ann", "APPROVED")
    github.merge(1, MERGE)
    github.strangers_status(MERGE, "ci/lint", "success")
    github.report_check(MERGE, "build", "success")
    monkeypatch.setattr(github, "_handlers", {**github._handlers, CHECK_RUNS: forbidden})
    evidence = forge.evidence(MERGE)
    assert [(review.author, review.verdict) for review in evidence.reviews] == [("ann", "approved")]
    assert set(evidence.checks) == {Check("check-runs", "not-readable"), Check("ci/lint", "success")}


def test_texts_at_their_longest_can_be_read(github: FakeGitHub, forge: Forge) -> None:
    """Whoever fills a pull request with the longest of comments must not make it unreadable."""
    github.add_pull_request("more", HEAD)
    for _ in range(45):
        github.strangers_comment(1, "\N{GRINNING FACE}" * 65_536)
    assert len(forge.comments(1)) == 45


def test_a_status_that_may_have_been_set_is_found(github: FakeGitHub, forge: Forge) -> None:
    said = CommitStatus(HEAD, "reconciler/plan", Standing.SUCCESS, "changes nothing")
    github.fail_next(UNSURE)
    with pytest.raises(ForgeAway):
        forge.set_status(said)
    assert forge.status(HEAD, "reconciler/plan") == said


def test_the_allowance_that_is_used_up_is_waited_for(github: FakeGitHub, forge: Forge, clock: Clock) -> None:
    reset = str(int(clock.now().timestamp()) + 600)
    github.fail_next(Fault(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}))
    with pytest.raises(ForgeAway) as away:
        forge.pull_requests("main")
    assert away.value.wait == 600
    with pytest.raises(ForgeAway):
        forge.pull_requests("main")
    assert len(github.journal) == 1
