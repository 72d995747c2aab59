"""What only Forgejo and Gitea have: a root that is set up wrong, commits by number, pull requests without a branch."""

from __future__ import annotations

import pytest

from reconciler.forge import Forge, TokenFile, open_forge
from reconciler.talk import Check, Standing
from tests.forge.fake_forgejo import FakeForgejo

HEAD, MERGE = "a" * 40, "c" * 40


@pytest.fixture
def forge(forgejo: FakeForgejo, enter) -> Forge:
    return enter(forgejo)


def test_a_root_that_is_set_up_wrong_leads_nowhere(forgejo: FakeForgejo, forge: Forge) -> None:
    for number in range(101):
        forgejo.strangers_status(HEAD, f"ci/{number:03}", "success")
    assert len(forge.evidence(HEAD).checks) == 101
    pages = [entry.query.get("page") for entry in forgejo.journal if "statuses" in entry.path]
    assert pages == [None, "2", "3"]


def test_a_pull_request_pushed_without_a_branch_is_foreign(forgejo: FakeForgejo, forge: Forge) -> None:
    """AGit: whoever may read may push to ``refs/for/main``, and the head's repository is then our own."""
    forgejo.add_pull_request("refs/pull/1/head", HEAD, author="mallory")
    assert forge.pull_request(1).fork


def test_a_warning_is_no_success(forgejo: FakeForgejo, forge: Forge) -> None:
    forgejo.strangers_status(HEAD, "reconciler/plan", "warning")
    forgejo.strangers_status(HEAD, "lint", "warning")
    found = forge.status(HEAD, "reconciler/plan")
    assert found is not None
    assert found.standing is Standing.FAILURE
    assert forge.evidence(HEAD).checks == (Check("lint", "warning"),)


def test_gitea_is_spoken_with_alike(forgejo: FakeForgejo, tmp_path) -> None:
    (tmp_path / "token").write_text(forgejo.token)
    with open_forge("gitea", forgejo.web, "ops/fleet", TokenFile(tmp_path / "token"), **forgejo.wiring) as forge:
        assert forge.whoami() == "reconciler-bot"
    forgejo.check()


def test_a_broken_pull_request_does_not_hide_the_others(forgejo: FakeForgejo, forge: Forge) -> None:
    forgejo.add_pull_request("broken", "")
    forgejo.add_pull_request("whole", HEAD)
    assert [pull.branch for pull in forge.pull_requests("main")] == ["whole"]
