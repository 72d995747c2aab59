"""A push that the forge tells of at another moment than git: nothing is said of a commit that was not read."""

from __future__ import annotations

import pytest

from tests.loop.bench import MOTD
from tests.loop.conftest import MakeForged
from tests.loop.forged import Forged


@pytest.fixture
def forged(forged_in: MakeForged) -> Forged:
    """A daemon that runs all the time; what is tested does not differ by forge."""
    return forged_in("enforce")


@pytest.mark.parametrize("first", ["forge", "git"])
def test_a_head_is_previewed_once_forge_and_git_agree_on_it(forged: Forged, first: str) -> None:
    number = forged.propose({"all.yml": MOTD.replace("hello", "welcome")})
    old = forged.fake.pulls[number].head
    head = forged.commit_aside({"all.yml": "- a mistake\n"}, "topic")
    if first == "forge":
        forged.fake.push(number, head)
    else:
        forged.push_head(number, head, None)
    forged.poll()
    assert forged.told(old, "plan") == forged.told(head, "plan") == []
    assert forged.comments(number) == []

    forged.fake.push(number, head)
    forged.push_head(number, head, "topic")
    forged.poll()
    assert forged.told(old, "plan") == []
    [(standing, words)] = forged.told(head, "plan")
    assert standing == "failure"
    assert "mistake" in words
    assert head[:7] in forged.comment(number)
