"""Tokens: read anew, never shown, never sent where they do not belong; and which forge gets which root."""

from __future__ import annotations

import httpx2
import pytest

from reconciler.errors import ConfigError, ForgeAway, ForgeRefused
from reconciler.forge import KINDS, App, TokenFile, open_forge
from tests.forge.fake_github import FakeGitHub


@pytest.fixture
def token(tmp_path, github: FakeGitHub):
    path = tmp_path / "token"
    path.write_text(github.token)
    return path


def test_a_new_token_needs_no_restart(github: FakeGitHub, token) -> None:
    with open_forge(*github.address, TokenFile(token), **github.wiring) as forge:
        forge.pull_requests("main")
        github.logins = {"a-new-one": "reconciler-bot"}
        with pytest.raises(ForgeRefused) as refused:
            forge.pull_requests("main")
        assert refused.value.status == 401
        assert github.token not in str(refused.value)
        token.write_text("a-new-one\n")
        assert forge.pull_requests("main") == []


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two words", b"se\x00cret", "sécret".encode(), b"\xff\xfe", b"secret\nlines"]
)
def test_a_file_without_a_token_is_said_without_its_content(github: FakeGitHub, token, content: bytes) -> None:
    token.write_bytes(content)
    with open_forge(*github.address, TokenFile(token), **github.wiring) as forge, pytest.raises(ForgeAway) as away:
        forge.whoami()
    assert str(token) in str(away.value)
    assert "cret" not in str(away.value).replace(str(token), "")
    assert away.value.wait > 0
    assert github.journal == []


def test_a_file_that_is_gone_may_come_back(github: FakeGitHub, token) -> None:
    token.unlink()
    with open_forge(*github.address, TokenFile(token), **github.wiring) as forge:
        with pytest.raises(ForgeAway, match="cannot be read: No such file"):
            forge.whoami()
        token.write_text(github.token)
        assert forge.whoami() == "reconciler-bot"


@pytest.mark.parametrize(
    ("kind", "url", "root", "header"),
    [
        ("github", "https://github.com", "https://api.github.com/", "Bearer t0ken"),
        ("github", "https://fleet.ghe.com/", "https://api.fleet.ghe.com/", "Bearer t0ken"),
        ("github", "https://git.example.org", "https://git.example.org/api/v3/", "Bearer t0ken"),
        ("gitlab", "https://gitlab.com", "https://gitlab.com/api/v4/", "t0ken"),
        ("forgejo", "https://git.example.org/x/", "https://git.example.org/x/api/v1/", "token t0ken"),
        ("gitea", "https://git.example.org", "https://git.example.org/api/v1/", "token t0ken"),
        ("pagure", "https://pagure.io", "https://pagure.io/api/0/", "token t0ken"),
    ],
)
def test_each_kind_has_its_root_and_its_word_for_a_token(tmp_path, github, kind, url, root, header) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(404, json={})

    (tmp_path / "token").write_text("t0ken")
    wiring = {**github.wiring, "transport": httpx2.MockTransport(answer)}
    with open_forge(kind, url, "ops/fleet", TokenFile(tmp_path / "token"), **wiring) as forge:
        with pytest.raises(ForgeRefused):
            forge.whoami()
        assert forge.commit_url("a" * 40).startswith(url.rstrip("/") + "/ops/fleet")
    assert str(asked[0].url).startswith(root)
    assert header in {asked[0].headers.get("authorization"), asked[0].headers.get("private-token")}


@pytest.mark.parametrize("kind", sorted({*KINDS, "svn"} - {"github"}))
def test_what_cannot_be_is_said_before_anything_is_asked(github: FakeGitHub, token, kind: str) -> None:
    app = App(1, 2, token)
    with (
        pytest.raises(ConfigError, match="an App is GitHub's" if kind in KINDS else "no forge of kind svn"),
        open_forge(kind, "https://git.example.org", "o/r", app, **github.wiring),
    ):
        pass
    assert github.journal == []
