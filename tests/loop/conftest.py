"""A bench for each test of the loop, with a forge beside it where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.loop.bench import Bench
from tests.loop.forged import Forged, settle

MakeForged = Callable[..., Forged]


@pytest.fixture(autouse=True)
def _every_daemon_ends() -> Iterator[None]:
    """A test that leaves its daemon running fails itself, before the garbage collector fails some other test for it."""
    yield
    left = {forged.bench.folder.name for forged in Forged.running}
    for forged in tuple(Forged.running):
        forged.stop()
    assert not left, f"daemons that nobody stopped: {', '.join(sorted(left))}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A remote with the small world pushed, and a configuration; nothing has run yet."""
    return Bench(tmp_path).build()


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bench]:
    """Benches whose hosts are as declared, by the mode in force; made once, and to be copied."""

    @cache
    def made(mode: str) -> Bench:
        return settle(tmp_path_factory.mktemp(mode), mode)

    return made


@pytest.fixture
def forged_in(settled: Callable[[str], Bench], tmp_path: Path) -> Iterator[MakeForged]:
    """Makes a forge beside a settled bench, by the mode in force; its daemon ends with the test."""
    made: list[Forged] = []

    def make(mode: str = "enforce", kind: str = "github", **options: object) -> Forged:
        bench = settled(mode).copy(tmp_path / f"forged{len(made)}")
        made.append(Forged.on(bench, kind, **options))
        return made[-1]

    yield make
    for forged in made:
        forged.stop()


@pytest.fixture(params=[("github", False), ("forgejo", True)], ids=["github-running", "forgejo-restarted"])
def forged(request: pytest.FixtureRequest, forged_in: MakeForged) -> Forged:
    """Hosts that are converged, on two forges: one daemon runs all the time, the other starts for each cycle."""
    kind, restarts = request.param
    return forged_in("enforce", kind, restarts=restarts)


@pytest.fixture(params=[("github", False), ("forgejo", True)], ids=["github-running", "forgejo-restarted"])
def observing(request: pytest.FixtureRequest, forged_in: MakeForged) -> Forged:
    """The same where hosts are only observed."""
    kind, restarts = request.param
    return forged_in("observe", kind, restarts=restarts)
