"""A forge that lies: every address in its answers leads to somebody else, and nothing of ours goes there.

The fake refuses any request that is not below its own root, so a request that went astray would end the test.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from loguru import logger

from reconciler.cycle import cycle
from reconciler.errors import ForgeError
from tests.forge.fake import Clock, Fault
from tests.forge.fake_github import FakeGitHub
from tests.loop.bench import MOTD, Bench, git
from tests.loop.forged import Forged
from tests.unit.forge_reader import breaches

EVIL = "https://evil.example/steal"
AWAY = {"location": EVIL}


class LyingGitHub(FakeGitHub):
    """Addresses in bodies lead to *EVIL*, links of pages too while *strays*, and a refusal repeats the token."""

    strays = False

    def _response(self, request: httpx2.Request, status: int, answer: Any, extra: dict[str, str]) -> httpx2.Response:
        if status >= 400:
            answer = {"message": f"{request.headers['authorization']} is not welcome, says @ops", "url": EVIL}
        return super()._response(request, status, lie(answer), extra)

    def link(self, path: str) -> str:
        return EVIL if self.strays else super().link(path)


def lie(answer: Any) -> Any:
    """The same with every address replaced."""
    if isinstance(answer, dict):
        return {key: EVIL if key.endswith("url") and value else lie(value) for key, value in answer.items()}
    return [lie(item) for item in answer] if isinstance(answer, list) else answer


@pytest.fixture
def forged(tmp_path: Path) -> Iterator[Forged]:
    forged = Forged(Bench(tmp_path).build(), LyingGitHub(Clock(), web="https://forge.example"))
    forged.configure()
    forged.cycle()
    yield forged
    forged.stop()


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged in the meantime, ours and that of libraries."""
    out = io.StringIO()
    handler, root = logging.StreamHandler(out), logging.getLogger()
    sink, level = logger.add(out, level="TRACE", diagnose=False), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield out
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        logger.remove(sink)


def told(forged: Forged) -> list[str]:
    """Everything that people can read on the forge and that we wrote."""
    fake = forged.fake
    bodies = [said.body for said in fake.comments if said.author == fake.login]
    issues = [text for issue in forged.tickets for text in (issue.title, issue.body)]
    return [*bodies, *issues, *(text for one in fake.statuses for text in (one.description, one.url))]


def keeps_the_token(forged: Forged, log: str) -> None:
    """Fail where the token is anywhere but in its file."""
    token, folder = forged.fake.token, forged.bench.folder
    assert token not in log + "".join([*forged.bench.said, *told(forged)])
    assert token not in git("log", "--all", "-p", "--format=%B%an%ae", at=forged.bench.remote)
    files = [path for path in folder.rglob("*") if path.is_file() and path != folder / "token"]
    assert not [path for path in files if token.encode() in path.read_bytes()]


def test_addresses_in_answers_mean_nothing(forged: Forged) -> None:
    with logged() as out:
        number = forged.propose({"all.yml": MOTD.replace("hello", "welcome")}, fork="mallory/fleet", author="mallory")
        forged.hosts.edit("web1", "/etc/motd", "by hand")
        forged.bench.push({"reconciler.yml": "mode: observe\n"})
        forged.cycle()
        forged.cycle()
    assert "+welcome" in forged.comment(number)
    assert forged.ticket.state == "open"
    assert not [text for text in told(forged) if "evil" in text]
    assert breaches(forged.comment(number)) == []
    assert breaches(forged.ticket.body) == ["number in '#2'"]  # the pull request that adopts what is live
    keeps_the_token(forged, out.getvalue())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_nobody_is_sent_elsewhere(forged: Forged, status: int, method: str) -> None:
    number = forged.propose({"all.yml": MOTD.replace("hello", "welcome")})
    forged.cycle(sweep=False)
    forged.push_again(number, {"all.yml": MOTD.replace("hello", "welcome all")})
    moved = forged.bench.push({"reconciler.yml": "mode: enforce\nlimits: {hosts: 2}\n"})
    forged.fake.outage(60, Fault(status, AWAY, only=(method,)))
    with logged() as out:
        report = forged.cycle(sweep=False)
    assert report.trouble == ""
    for _ in range(12):  # until it is tried again
        forged.cycle(sweep=False)
    assert "+welcome all" in forged.comment(number)
    assert forged.told(moved)[-1] == ("success", "3 hosts as declared")
    keeps_the_token(forged, out.getvalue())


def test_a_next_page_elsewhere_is_not_asked_for(forged: Forged) -> None:
    head = forged.bench.head()
    for _ in range(101):
        forged.fake.add_pull_request("topic", head, fork="mallory/fleet")
    forged.fake.strays = True
    with logged() as out:
        forged.bench.push({"all.yml": MOTD.replace("hello", "welcome")})
        report = forged.cycle(sweep=False)
    assert report.trouble == ""
    assert forged.hosts.text("db1", "/etc/motd") == "welcome"
    assert any("leads away from" in line for line in forged.bench.said)
    keeps_the_token(forged, out.getvalue())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 502])
def test_a_refusal_that_repeats_the_token(forged: Forged, status: int) -> None:
    number = forged.propose({"all.yml": MOTD.replace("hello", "welcome")})
    forged.fake.outage(30, Fault(status))
    with logged() as out:
        cycle(forged.world, sweep=False)
        try:
            forged.world.desk.forge.whoami()
            forged.world.desk.forge.comments(number)
        except ForgeError as error:
            logger.opt(exception=error).error("told with everything: {}", error)
    assert "told with everything" in out.getvalue()
    keeps_the_token(forged, out.getvalue())
