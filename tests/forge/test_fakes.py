"""The fakes are strict: what the real forge would not understand, or would never say, fails the test that did it."""

from __future__ import annotations

from contextlib import suppress

import pytest

from reconciler.errors import ForgeAway
from reconciler.forge import TokenFile, open_forge
from reconciler.wire import Wire
from tests.forge.description import Misfit
from tests.forge.fake import SILENT, UNSURE, Clock, FakeForge
from tests.forge.fake_forgejo import FakeForgejo
from tests.forge.fake_github import FakeGitHub

HEAD = "a" * 40
R = "/repos/ops/fleet"


@pytest.fixture(params=[FakeGitHub, FakeForgejo], ids=lambda face: face.kind)
def fake(request, clock: Clock) -> FakeForge:
    return request.param(clock)


@pytest.fixture
def wire(fake: FakeForge):
    scheme = "Bearer" if fake.kind == "github" else "token"
    headers = {"Authorization": f"{scheme} {fake.token}"}
    clocks = {"monotonic": fake.clock.monotonic, "now": lambda: fake.clock.now().timestamp()}
    with Wire(fake.root, headers=lambda: headers, transport=fake.transport, **clocks) as wire:
        yield wire


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/repos/ops/fleet/nothing", None),
        ("GET", f"{R}/issues/one/comments", None),
        ("GET", f"{R}/pulls?colour=red", None),
        ("GET", f"{R}/pulls?state=ajar", None),
        ("POST", f"{R}/issues", {"body": "no title"}),
        ("POST", f"{R}/issues", {"title": ["a"]}),
        ("POST", f"{R}/issues", {"title": "a", "colour": "red"}),
        ("POST", f"{R}/issues/1/comments", {}),
        ("PUT", f"{R}/issues/1", {"title": "a"}),
    ],
)
def test_a_request_that_does_not_fit_is_loud(fake: FakeForge, wire: Wire, method: str, path: str, body) -> None:
    fake.strangers_issue("t", "b")
    with pytest.raises(Misfit):
        wire.get(path) if method == "GET" else wire.send(method, path, body)
    with pytest.raises(Misfit):
        fake.check()


def test_an_answer_that_does_not_fit_is_loud(fake: FakeForge, wire: Wire, monkeypatch) -> None:
    fake.strangers_issue("t", "b")
    fake.issues[1].title = 7  # type: ignore[assignment]
    with pytest.raises(Misfit, match="title"):
        wire.get(f"{R}/issues/1")
    monkeypatch.setitem(fake._handlers, "GET /user", lambda _call: (202, {}))
    with pytest.raises(Misfit, match="never answers 202"):
        wire.get("/user")


def test_another_address_is_loud(fake: FakeForge, tmp_path) -> None:
    (tmp_path / "token").write_text(fake.token)
    kind, _, repository = fake.address
    wiring = fake.wiring
    with (
        open_forge(kind, "https://elsewhere.example", repository, TokenFile(tmp_path / "token"), **wiring) as forge,
        pytest.raises(Misfit, match=r"elsewhere\.example"),
    ):
        forge.whoami()


def test_the_journal_tells_what_was_done(fake: FakeForge, enter, clock: Clock) -> None:
    forge = enter(fake)
    fake.strangers_issue("t", "b")
    fake.outage(10, SILENT, after=5)
    fake.fail_next(UNSURE)
    for body in ("one", "two", "three"):
        with suppress(ForgeAway):
            forge.comment_ticket(1, body)
        clock.sleep(6)
    clock.sleep(6)
    forge.comment_ticket(1, "four")
    told = [(entry.at, entry.body["body"], entry.status, entry.applied) for entry in fake.writes]
    assert told == [(0, "one", 502, True), (6, "two", 0, True), (12, "three", 0, True), (24, "four", 201, True)]
    assert [said.body for said in fake.comments] == ["one", "two", "three", "four"]
