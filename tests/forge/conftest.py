"""The two fake forges, and a way in to each through the real client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.forge import Forge, TokenFile, open_forge
from tests.forge.fake import Clock, FakeForge
from tests.forge.fake_forgejo import FakeForgejo
from tests.forge.fake_github import FakeGitHub


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def enter(tmp_path: Path) -> Iterator[Callable[[FakeForge], Forge]]:
    """Open a forge with the fake's token; at the end nothing that passed may have been a misfit."""
    fakes: list[FakeForge] = []
    with ExitStack() as stack:

        def entered(fake: FakeForge) -> Forge:
            fakes.append(fake)
            token = tmp_path / f"token-{len(fakes)}"
            token.write_text(f"{fake.token}\n")
            return stack.enter_context(open_forge(*fake.address, TokenFile(token), **fake.wiring))

        yield entered
        for fake in fakes:
            fake.check()


@pytest.fixture
def github(clock: Clock) -> FakeGitHub:
    return FakeGitHub(clock)


@pytest.fixture
def forgejo(clock: Clock) -> FakeForgejo:
    return FakeForgejo(clock)
