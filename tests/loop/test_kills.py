"""SIGKILL at every step of a cycle (F1): nothing is lost, nothing is told twice, and what was owed is done.

The killed cycle meets a new commit for both web servers, with a reload, and a file of web1 that was edited by hand.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.loop import kills
from tests.loop.bench import Bench, check_chain

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.loop.kills"])
LASTING = ("begin", "converge", "finish", "append", "push", "delivered")


def run_apart(bench: Bench, at: tuple[str, int, str] | None, journal: Path | None = None) -> int | None:
    """A cycle in a process of its own; how that ended."""
    process = CONTEXT.Process(target=kills.run, args=(bench.folder, bench.now, at, journal))
    process.start()
    process.join(120)
    code = process.exitcode
    process.close()
    bench.now += 60
    return code


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Converged, then a push and an edit by hand that no cycle has met yet."""
    folder = tmp_path_factory.mktemp("scene") / "bench"
    folder.mkdir()
    bench = Bench(folder).build()
    bench.cycle()
    bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"}, "web: more")
    bench.hosts.edit("web1", "/etc/motd", "by hand")
    return bench


def points(scene: Bench, folder: Path) -> list[tuple[str, int, str]]:
    """Every place to die at, in order, as a cycle left alone passes by them."""
    bench = scene.copy(folder / "whole")
    journal = folder / "points"
    assert run_apart(bench, None, journal) == 0
    check_told(bench, interrupted=False)
    names = [line.split() for line in journal.read_text().splitlines()]
    shutil.rmtree(bench.folder)
    # After one call is before the next, but for calls that leave something behind.
    kept = [line for line in names if line[2] == "before" or line[0].partition(".")[2] in LASTING]
    return [(name, int(number), when) for name, number, when in kept]


def check_told(bench: Bench, *, interrupted: bool) -> None:
    """Each host's repair is told exactly once, with what it was, and nothing is left undone."""
    stories = bench.stories()
    check_chain(stories)
    converged = Counter(host for story in stories[2:] if story["Outcome"] == "converged" for host in story.all("Host"))
    assert converged == {"web1": 1, "web2": 1}
    assert Counter(story["Outcome"] for story in stories[2:]).keys() == {"converged"}
    assert sum(int(story["Drift"]) for story in stories[2:]) == 1
    assert sum(int(story["Pending"]) for story in stories[2:]) == 2
    assert any("Work on it was stopped before this was recorded" in s.body for s in stories) == interrupted
    assert bench.hosts.text("web1", "/etc/motd") == "hello"
    assert bench.hosts.text("web2", "/srv/site/site.conf") == "# web2\nconnections 4096;\n"
    assert bench.record("web1")["differs"] == []
    with bench.world() as world:
        assert world.state.outbox() == []
        assert world.state.intents() == {}


def test_killed_at_every_step(scene: Bench, tmp_path: Path) -> None:
    places = points(scene, tmp_path)
    assert {name.partition(".")[2] or name for name, _, _ in places} >= {"host", *kills.STEPS} - {"delete"}
    began = places.index(("state.begin", 1, "after"))
    told = next(
        n for n, (name, _, when) in enumerate(places) if n > began and (name, when) == ("state.finish", "after")
    )
    for number, at in enumerate(places):
        bench = scene.copy(tmp_path / str(number))
        assert run_apart(bench, at) == -signal.SIGKILL, at
        bench.cycle()
        bench.cycle()
        try:
            check_told(bench, interrupted=began <= number < told)
            reloads = Counter(bench.hosts.launches("reload"))
            assert all(reloads[f"reload nginx: {host}"] >= 2 for host in ("web1", "web2")), reloads
        except AssertionError as error:
            raise AssertionError(f"killed {at[2]} call {at[1]} of {at[0]}: {error}") from error
        shutil.rmtree(bench.folder)
