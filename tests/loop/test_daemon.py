"""The daemon as a process: its signals, its two clocks, its lock, and a remote that goes and comes back."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler import logs
from reconciler.config import load
from reconciler.cycle import cycle
from reconciler.daemon import Daemon, Pace
from reconciler.world import World
from tests.loop.bench import SMALL, Bench, await_true, check_chain, git
from tests.loop.fakehosts import FakeHosts

SITE = "/srv/site/site.conf"
ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """A daemon that runs."""

    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[str]:
        """What it said, without the times."""
        return [line.partition(" ")[2] for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def daemon(bench: Bench, *command: str) -> Iterator[Running]:
    """The daemon on *bench*: on its fake hosts, or whatever *command* says."""
    words = command or (sys.executable, "-m", "tests.loop.fakedaemon", str(bench.folder))
    log = bench.folder / "daemon.log"
    with log.open("wb") as out:
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait()


def await_stories(bench: Bench, number: int) -> None:
    await_true(lambda: len(bench.stories()) >= number, f"{number} stories in {bench.stories()}")


def polls(bench: Bench) -> int:
    """How often the daemon has asked git."""
    return len((bench.folder / "polls").read_text().splitlines())


def let_poll(bench: Bench, times: int = 3) -> None:
    """Wait until git was asked a few times more."""
    enough = polls(bench) + times
    await_true(lambda: polls(bench) >= enough, f"{times} polls")


def test_a_push_is_seen_at_a_poll_and_an_edit_at_the_sweep(bench: Bench) -> None:
    with daemon(bench) as running:
        await_stories(bench, 2)
        looks = len(bench.hosts.launches("observe"))
        bench.hosts.edit("web1", SITE, "by hand")
        let_poll(bench)
        assert len(bench.hosts.launches("observe")) == looks, "a poll alone looks at no host"
        assert bench.hosts.text("web1", SITE) == "by hand"
        running.process.send_signal(signal.SIGHUP)
        await_stories(bench, 3)
        assert bench.outcomes()[2] == "converged web1"
        assert bench.stories()[2]["Drift"] == "1"
        sha = bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"})
        await_stories(bench, 4)
        assert (bench.stories()[3]["Desired-Revision"], bench.stories()[3]["Pending"]) == (sha, "2")
        assert running.stop() == 0
        assert running.lines()[-1] == "info    stopped"
        assert not any("warning" in line or "error" in line for line in running.lines())
    check_chain(bench.stories())


def test_hand_drift_is_found_by_the_sweep_alone(bench: Bench) -> None:
    bench.configure(sweep_interval=3)
    with daemon(bench) as running:
        await_stories(bench, 2)
        bench.hosts.edit("web1", SITE, "by hand")
        await_stories(bench, 3)
        assert bench.outcomes()[2] == "converged web1"
        assert running.stop() == 0


def test_a_second_daemon_is_refused_by_the_lock(bench: Bench) -> None:
    with daemon(bench) as running:
        await_stories(bench, 2)
        second = bench.run("run")
        assert second.returncode == 2
        assert f"process {running.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        beside = bench.run("status")
        assert beside.returncode == 0
        assert "3 in-sync" in beside.stdout
        assert running.stop() == 0


def test_sigterm_in_the_middle_of_converging_and_the_next_start_tells_it(bench: Bench) -> None:
    hold = bench.folder / "hold"
    hold.touch()
    with daemon(bench) as running:
        await_true(lambda: bench.hosts.launches("converge"), "the launch")
        running.process.send_signal(signal.SIGTERM)
        hold.unlink()
        assert running.process.wait(60) == 0
    assert bench.stories() == []
    bench.now = 10_000_000  # the daemon above went by the real clock
    bench.cycle()
    told = bench.stories()
    assert sorted(host for story in told for host in story.all("Host")) == ["db1", "web1", "web2"]
    assert all("stopped before this was recorded" in story.body for story in told)
    assert set(bench.hosts.launches("reload")) == {"reload nginx: web1", "reload nginx: web2"}
    check_chain(told)


def test_cycles_do_not_overlap_while_one_takes_long(bench: Bench) -> None:
    hold = bench.folder / "hold"
    hold.touch()
    with daemon(bench) as running:
        await_true(lambda: bench.hosts.launches("converge"), "the launch")
        running.process.send_signal(signal.SIGHUP)
        bench.push({"all.yml": SMALL["all.yml"].replace("hello", "changed")})
        with pytest.raises(subprocess.TimeoutExpired):  # two intervals and more, in which nothing may begin
            running.process.wait(2.5)
        assert len(bench.hosts.launches("converge")) == 1
        assert len(bench.hosts.launches("observe")) == 1
        hold.unlink()
        await_stories(bench, 3)
        assert bench.hosts.text("db1", "/etc/motd") == "changed"
        assert running.stop() == 0
    words = [line.partition(":")[0] for line in bench.hosts.launches() if not line.startswith("reload")]
    assert words[:6] == ["observe", "converge", "observe"] * 2
    check_chain(bench.stories())


def test_a_remote_that_goes_and_comes_back_is_noticed_and_told_once(bench: Bench) -> None:
    away = bench.folder / "away.git"
    with daemon(bench) as running:
        await_stories(bench, 2)
        bench.remote.rename(away)
        let_poll(bench, 3)
        away.rename(bench.remote)
        bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"})
        await_stories(bench, 3)
        await_true(lambda: "the trouble is over" in running.log.read_text(), "the good news")
        assert running.stop() == 0
        warnings = [line for line in running.lines() if line.startswith("warning")]
        assert len(warnings) == 1, "trouble is told once, not at every poll"
        assert "cannot be used" in warnings[0]
    times = [float(line) for line in (bench.folder / "polls").read_text().splitlines()]
    assert len(times) >= 5


def test_a_timer_that_died_with_the_wall_clock_stops_nothing(bench: Bench) -> None:
    (bench.folder / "dead-timer").touch()
    with daemon(bench) as running:
        await_stories(bench, 2)
        let_poll(bench)
        bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"})
        await_stories(bench, 3)
        assert running.stop() == 0


def test_steps_of_the_wall_clock_change_no_pace(bench: Bench) -> None:
    with daemon(bench) as running:
        await_stories(bench, 2)
        number = 2
        for offset in (3600, -3600, 400 * 86400, 0):
            (bench.folder / "offset").write_text(str(offset))
            looks = len(bench.hosts.launches("observe"))
            let_poll(bench, 2)
            assert len(bench.hosts.launches("observe")) == looks, "no sweep was due"
            bench.push({"inventory/group_vars/web.yml": f"connections: {5000 + number}\n"})
            number += 1
            await_stories(bench, number)
        assert running.stop() == 0
        assert not any(line.startswith("warning") for line in running.lines())
    check_chain(bench.stories())


class Ticking:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_hundred_idle_cycles_leave_nothing_behind(bench: Bench) -> None:
    """F15 and F20: no commit, no line, no file, no file descriptor, no memory."""
    said = io.StringIO()
    logs.setup("info", said)
    ticking = Ticking()
    config = load(bench.config)
    with bench.world() as world:
        running = Daemon(world, Pace(1, config.sweep_interval.total_seconds()), ticking)
        running.run_due(ticking())
        assert len(bench.stories()) == 2
        for number in range(120):
            ticking.now += 1
            running.asked = number % 2 == 0  # every other one sweeps the fleet, too
            running.run_due(ticking())
            if number == 20:
                said.truncate(0)
                before, memory = traces(bench), resident()
        assert traces(bench) == before
        assert resident() - memory < 4 << 20
    assert said.getvalue().strip("\0") == ""
    assert len(bench.hosts.launches("observe")) == 62, "one launch for each sweep, and the second look of the first"
    assert len(bench.stories()) == 2


def test_what_is_known_is_looked_through_for_garbage_once_a_revision(bench: Bench) -> None:
    ticking = Ticking()
    with bench.world() as world:
        running = Daemon(world, Pace(1, 10), ticking)

        def sweep() -> int:
            """Sweep once; how many objects are out of the collector's sight since."""
            gc.unfreeze()
            ticking.now += 60
            running.run_due(ticking())
            return gc.get_freeze_count()

        try:
            first, second, third = sweep(), sweep(), sweep()
            bench.push({"all.yml": SMALL["all.yml"].replace("hello", "changed")})
            after_a_push = sweep()
        finally:
            gc.unfreeze()
    assert (second, third) == (0, 0)
    assert min(first, after_a_push) > 1000


def traces(bench: Bench) -> Any:
    """Every file of the daemon's with its size, how many files are open, and how many commits there are."""
    files = {str(path): path.stat().st_size for path in bench.state_dir.rglob("*") if path.is_file()}
    return files, len(list(Path("/proc/self/fd").iterdir())), git("rev-list", "--all", "--count", at=bench.remote)


def resident() -> int:
    """Bytes of memory in use, after everything that can be is given back."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_backoff_grows_to_a_minute_and_no_further() -> None:
    pace = Pace(5, 600)
    waits = []
    for _ in range(20):
        pace.failed(100.0)
        waits.append(pace.not_before - 100.0)
    assert waits == sorted(waits)
    assert waits[0] <= 5
    assert 50 <= waits[-1] <= 60
    pace.succeeded()
    assert (pace.failures, pace.not_before) == (0, 0.0)


@pytest.mark.parametrize("last", [1, 2], ids=["first look", "second look"])
def test_a_cycle_whose_last_look_is_complete_is_written_down_though_a_stop_came(bench: Bench, last: int) -> None:
    if last == 1:
        bench.push({"reconciler.yml": "mode: observe\n"})
    hosts = bench.hosts
    with bench.world(hosts) as world:
        stop_after_look(world, hosts, last)
        report = cycle(world, sweep=True)
    assert report.trouble == ""
    assert len(bench.stories()) == 2
    with bench.world() as world:
        assert world.state.intents() == {}
    bench.cycle()
    assert len(bench.stories()) == 2


@pytest.mark.parametrize("last", [1, 2], ids=["first look", "second look"])
def test_a_look_that_was_cut_short_is_not_taken_for_blindness(bench: Bench, last: int) -> None:
    hosts = bench.hosts
    with bench.world(hosts) as world:
        stop_after_look(world, hosts, last, missing="db1")
        assert "stopped" in cycle(world, sweep=True).trouble
    hosts.down = {}
    assert bench.stories() == []
    bench.cycle()
    assert sorted(host for story in bench.stories() for host in story.all("Host")) == ["db1", "web1", "web2"]
    assert {story["Outcome"] for story in bench.stories()} == {"converged"}


def stop_after_look(world: World, hosts: FakeHosts, last: int, missing: str = "") -> None:
    """Let SIGTERM come during look number *last*, before *missing* has answered."""
    look, looks, stopped = hosts.observe, [], []
    world.stop = lambda: bool(stopped)

    def observe(asks, stop):
        looks.append(asks)
        if len(looks) == last:
            stopped.append(True)
            hosts.down = {missing: "stopped before it was done"} if missing else {}
        return look(asks, stop)

    hosts.observe = observe


LOCAL = {
    **SMALL,
    "inventory/group_vars/all.yml": "ansible_connection: local\nroot: ROOT/{{ inventory_hostname }}\n",
    "web.yml": SMALL["web.yml"]
    .replace("/srv/site", '"{{ root }}"')
    .replace('"{{ root }}"/site.conf', '"{{ root }}/site.conf"')
    .replace("      notify: reload nginx\n", ""),
    "all.yml": SMALL["all.yml"].replace("/etc/motd", '"{{ root }}/motd"'),
}
"""The small world in folders of this machine."""


def test_the_real_command_on_real_ansible_stops_and_is_killed_and_goes_on(tmp_path: Path) -> None:
    files = {name: text.replace("ROOT", str(tmp_path / "hosts")) for name, text in LOCAL.items()}
    for host in ("web1", "web2", "db1"):
        (tmp_path / "hosts" / host).mkdir(parents=True)
    bench = Bench(tmp_path).build(files, sweep_interval=2)
    command = (sys.executable, "-m", "reconciler.cli", "-c", str(bench.config), "run")
    motd = tmp_path / "hosts/db1/motd"
    with daemon(bench, *command) as running:
        await_stories(bench, 1)
        assert motd.read_text() == "hello"
        motd.write_text("by hand")
        await_true(lambda: motd.read_text() == "hello", "the repair")
        running.process.kill()  # in the middle of the second look, or of the telling
        running.process.wait()
    with daemon(bench, *command) as running:
        await_true(lambda: "converged db1" in bench.outcomes()[1:], "the story of the repair")
        assert running.stop() == 0
        assert running.lines()[-1] == "info    stopped"
    repairs = [story for story in bench.stories() if story["Drift"] == "1"]
    assert [story.all("Host") for story in repairs] == [["db1"]]
    check_chain(bench.stories())
    assert bench.run("plan").returncode == 0
