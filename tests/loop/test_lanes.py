"""Both lanes in one daemon: who is slow keeps nobody waiting, and nothing is lost, doubled or invented by that.

Hosts on the stream lane are asked over real sessions with local processes; ``db1`` is looked at by the stand-in for
Ansible, which takes as long as a test wants.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler import logs
from reconciler.cycle import Report, cycle
from reconciler.daemon import Daemon, Pace
from reconciler.errors import LaunchError
from reconciler.model import Blind, HostAsk, Observed
from reconciler.world import World
from tests.loop.bench import MOTD, SMALL, Bench, await_true, check_chain
from tests.loop.fakehosts import FakeHosts, FarHosts
from tests.loop.forged import Forged
from tests.loop.test_daemon import Ticking
from tests.loop.watched import watched

GENEROUS = 20.0
"""Seconds that a host gets for its answer; what waits for it in vain ends the test."""
MOTD_PATH, SITE_PATH = "/etc/motd", "/srv/site/site.conf"
POLICY = "mode: {mode}\nhosts:\n  db1: {{lane: ansible}}\n"
MIXED = {**SMALL, "reconciler.yml": POLICY.format(mode="enforce")}


class SlowLaunches(FakeHosts):
    """Launches that look take until ``gate`` is open, except for hosts in ``quick``; ``failure`` is how they end."""

    def __init__(self, store: Path) -> None:
        super().__init__(store)
        self.gate = threading.Event()
        self.quick: set[str] = set()
        self.failure = ""
        self.stopped = False

    def observe(self, asks: Mapping[str, HostAsk], stop: Callable[[], bool]) -> dict[str, Observed | Blind]:
        while not (asks.keys() <= self.quick or self.gate.wait(0.01)):
            if stop():
                self.stopped = True
                return {host: Blind(host, "stopped before it was done") for host in asks}
        if self.failure:
            raise LaunchError(self.failure)
        return super().observe(asks, stop)


@dataclass
class Lanes:
    """A world that stays open, with both lanes; ``asked_git`` counts how often the branch was asked for."""

    bench: Bench
    world: World
    hosts: SlowLaunches
    far: FarHosts
    asked_git: int = 0
    wakes: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        tip = self.world.repository.tip

        def counted(branch: str) -> str:
            self.asked_git += branch == "main"
            return tip(branch)

        self.world.repository.tip = counted
        self.world.wake = self.wakes.release

    def sweep(self) -> Report:
        """What the daemon does when the sweep is due."""
        return cycle(self.world, sweep=True, wait=False)

    def poll(self) -> Report:
        """What the daemon does when git is to be asked."""
        return cycle(self.world, sweep=False, wait=False)

    def heed(self) -> Report:
        """What the daemon does when hosts have news."""
        return cycle(self.world, sweep=False, poll=False, wait=False)

    def await_call(self, *hosts: str) -> None:
        """Wait until these hosts have news."""
        await_true(lambda: self.world.called >= set(hosts), f"news from {hosts}, not only {set(self.world.called)}")

    def edit(self, host: str, path: str = MOTD_PATH) -> None:
        """Somebody edits a file, and the host says so."""
        self.far.edit(host, path, "by hand")
        self.await_call(host)

    def settle(self) -> None:
        """Every host is looked at and as declared."""
        self.hosts.gate.set()
        self.sweep()
        self.await_call("db1")
        self.heed()
        self.hosts.gate.clear()
        assert self.world.called == frozenset()

    def follow(self, files: Mapping[str, str]) -> None:
        """A revision that all hosts follow."""
        self.bench.push(files)
        self.hosts.gate.set()
        self.poll()
        self.await_call("db1")
        self.heed()
        self.hosts.gate.clear()

    @property
    def told(self) -> list[str]:
        """``converged web1``, for each host of each story."""
        return [f"{story['Outcome']} {host}" for story in self.bench.stories() for host in sorted(story.all("Host"))]


@contextmanager
def both_lanes(bench: Bench, world: World) -> Iterator[Lanes]:
    """Give a world both lanes."""
    hosts = SlowLaunches(bench.folder / "hosts.json")
    far = FarHosts(bench.folder / "far", hosts)
    lanes = Lanes(bench, world, hosts, far)
    world.ansible = hosts
    stream = world.stream = far.stream(lambda: world.wake(), observe_timeout=GENEROUS)
    try:
        yield lanes
    finally:
        hosts.gate.set()
        stream.close()


@pytest.fixture
def lanes(tmp_path: Path) -> Iterator[Lanes]:
    """Two hosts on sessions and one that Ansible looks at; nothing has run yet."""
    bench = Bench(tmp_path).build(MIXED)
    with bench.world() as world, both_lanes(bench, world) as lanes:
        yield lanes


# A launch beside.


def test_hosts_that_have_answered_are_converged_while_ansible_still_looks_at_others(lanes: Lanes) -> None:
    lanes.sweep()
    assert lanes.told == ["converged web1", "converged web2"]
    assert lanes.world.called == frozenset()
    assert lanes.hosts.text("db1", MOTD_PATH) is None
    lanes.hosts.gate.set()
    lanes.await_call("db1")
    lanes.heed()
    assert sorted(lanes.told) == ["converged db1", "converged web1", "converged web2"]
    assert lanes.hosts.text("db1", MOTD_PATH) == "hello"
    assert lanes.hosts.launches("observe") == ["observe: db1"] * 2, "the launch beside, and the proof"
    lanes.heed()
    assert len(lanes.hosts.launches("observe")) == 2
    check_chain(lanes.bench.stories())


def test_a_sweep_that_comes_while_ansible_still_looks_begins_no_second_launch(lanes: Lanes) -> None:
    lanes.settle()
    lanes.hosts.edit("db1", MOTD_PATH, "by hand")
    launches = len(lanes.hosts.launches("observe"))
    for _ in range(3):
        lanes.sweep()
    lanes.hosts.gate.set()
    lanes.await_call("db1")
    lanes.heed()
    assert len(lanes.hosts.launches("observe")) == launches + 2
    assert lanes.told[-1] == "converged db1"


def test_what_ansible_found_is_kept_by_a_cycle_that_is_about_other_hosts(lanes: Lanes) -> None:
    lanes.settle()
    lanes.hosts.edit("db1", MOTD_PATH, "by hand")
    lanes.sweep()
    lanes.edit("web1")

    def finish_the_launch(_text: str) -> None:
        """It ends after it was decided whom this cycle is about."""
        lanes.hosts.gate.set()
        lanes.await_call("db1")

    lanes.world.progress = finish_the_launch
    lanes.heed()
    lanes.world.progress = lambda _text: None
    assert lanes.told[-1] == "converged web1"
    lanes.heed()
    assert lanes.told[-1] == "converged db1"


def test_an_answer_to_an_older_question_is_none_to_a_new_one(lanes: Lanes) -> None:
    lanes.settle()
    lanes.sweep()
    new = MOTD.replace("hello", "new") + MOTD.replace("/etc/motd", "/etc/issue").replace("every host", "one more file")
    lanes.bench.push({"all.yml": new})
    lanes.hosts.gate.set()
    lanes.await_call("db1")
    lanes.poll()
    lanes.await_call("db1")
    lanes.heed()
    assert {story["Outcome"] for story in lanes.bench.stories()} == {"converged"}, (
        "nobody is blind for want of an answer"
    )
    assert [lanes.hosts.text("db1", path) for path in (MOTD_PATH, "/etc/issue")] == ["new", "hello"]
    check_chain(lanes.bench.stories())


def test_the_proof_of_one_host_does_not_wait_for_a_launch_that_is_about_others(lanes: Lanes) -> None:
    lanes.settle()
    lanes.hosts.edit("db1", MOTD_PATH, "by hand")
    lanes.sweep()
    lanes.bench.push(
        {
            "inventory/hosts.yml": SMALL["inventory/hosts.yml"] + "    db2:\n",
            "reconciler.yml": MIXED["reconciler.yml"] + "  db2: {lane: ansible}\n",
        }
    )
    lanes.hosts.gate.set()
    lanes.await_call("db1")
    lanes.hosts.gate.clear()
    lanes.hosts.quick = {"db1"}
    lanes.far.edit("web1", MOTD_PATH, "by hand")
    lanes.poll()
    assert {"converged db1", "converged web1"} <= set(lanes.told)
    lanes.hosts.gate.set()
    lanes.await_call("db2")
    lanes.heed()
    assert lanes.told[-1] == "converged db2"
    assert not [told for told in lanes.told if not told.startswith("converged")]


def test_a_launch_that_cannot_start_is_told_and_tried_again_and_costs_the_others_nothing(lanes: Lanes) -> None:
    ticking = Ticking()
    daemon = Daemon(lanes.world, Pace(60, 3600), ticking)
    lanes.hosts.failure = "Ansible ran no host: no space left on device"
    lanes.hosts.gate.set()
    daemon.run_due(ticking())
    assert set(lanes.told) >= {"converged web1", "converged web2"}
    lanes.await_call("db1")
    daemon.run_due(ticking())
    assert daemon.trouble == lanes.hosts.failure
    assert not [told for told in lanes.told if "db1" in told]
    lanes.hosts.failure = ""
    ticking.now += 90
    daemon.run_due(ticking())
    lanes.await_call("db1")
    daemon.run_due(ticking())
    assert lanes.told[-1] == "converged db1"
    assert daemon.trouble == ""


def test_a_host_with_news_does_not_end_a_trouble_with_git(lanes: Lanes) -> None:
    lanes.settle()
    said, ticking = io.StringIO(), Ticking()
    logs.setup("info", said)
    daemon = Daemon(lanes.world, Pace(60, 3600), ticking)
    daemon.run_due(ticking())
    away = lanes.bench.remote.rename(lanes.bench.folder / "away.git")
    ticking.now += 90
    daemon.run_due(ticking())
    assert daemon.trouble
    lanes.far.edit("web1", MOTD_PATH, "hello")
    lanes.await_call("web1")
    daemon.run_due(ticking())
    assert lanes.world.called == frozenset(), "it was looked at, and nothing differed"
    assert daemon.trouble
    away.rename(lanes.bench.remote)
    ticking.now += 90
    daemon.run_due(ticking())
    assert [line.split(maxsplit=2)[1] for line in said.getvalue().splitlines()] == ["warning", "info"]


def test_a_stop_ends_the_launch_beside(lanes: Lanes) -> None:
    stopping = threading.Event()
    lanes.world.stop = stopping.is_set
    lanes.sweep()
    assert lanes.world.beside.running == {"db1"}
    stopping.set()
    lanes.world.beside.close()
    assert lanes.hosts.stopped
    assert "blind db1" not in lanes.told


# Hosts that are late.


def test_a_host_that_does_not_answer_keeps_no_other_waiting(lanes: Lanes) -> None:
    lanes.settle()
    for host in ("web1", "web2"):
        lanes.hosts.edit(host, MOTD_PATH, "by hand")
    lanes.far.hold("web1")
    lanes.sweep()
    assert lanes.told[-1] == "converged web2"
    assert lanes.world.called == frozenset()
    lanes.far.release("web1")
    lanes.await_call("web1")
    lanes.heed()
    assert lanes.told[-1] == "converged web1"


def test_a_host_that_calls_and_falls_silent_keeps_no_other_waiting(lanes: Lanes) -> None:
    lanes.settle()
    lanes.edit("web1")
    lanes.far.hold("web1")
    report = lanes.heed()
    assert report.plan is None or report.plan.hosts == ()
    lanes.far.release("web1")
    lanes.await_call("web1")
    lanes.heed()
    assert lanes.told[-1] == "converged web1"


def test_a_revision_that_arrives_while_a_host_is_late_is_applied_to_it_once(lanes: Lanes) -> None:
    lanes.settle()
    lanes.far.hold("web1")
    lanes.sweep()
    told, stories = len(lanes.told), len(lanes.bench.stories())
    sha = lanes.bench.push({"all.yml": MOTD.replace("hello", "new")})
    lanes.poll()
    assert lanes.told[told:] == ["converged web2"]
    assert lanes.hosts.text("web1", MOTD_PATH) == "hello"
    lanes.far.release("web1")
    lanes.await_call("web1")
    lanes.heed()
    lanes.hosts.gate.set()
    for _ in range(2):  # the launch that ends now was about the revision before
        lanes.await_call("db1")
        lanes.heed()
    new = lanes.bench.stories()[stories:]
    assert sorted(lanes.told[told:]) == ["converged db1", "converged web1", "converged web2"]
    assert {(story["Desired-Revision"], story["Pending"]) for story in new} == {(sha, "1")}
    assert [lanes.hosts.text(host, MOTD_PATH) for host in ("web1", "web2", "db1")] == ["new"] * 3
    check_chain(lanes.bench.stories())


LIMITS = {"hosts": "limits: {hosts: 1}\n", "removals": "limits: {removals_hosts: 1, removals_percent: 0}\n"}
NO_MOTD = "- hosts: all\n  file:\n    - {path: /etc/motd, state: absent}\n"


def limit(lanes: Lanes, kind: str) -> None:
    """Have a limit in force: it is that of the revision before."""
    lanes.settle()
    lanes.follow({"reconciler.yml": MIXED["reconciler.yml"] + LIMITS[kind]})
    lanes.follow({})


def test_no_more_hosts_are_converged_by_a_sweep_that_comes_in_parts(lanes: Lanes) -> None:
    limit(lanes, "hosts")
    for host in ("web1", "web2"):
        lanes.hosts.edit(host, MOTD_PATH, "by hand")
    lanes.far.hold("web1")
    lanes.sweep()
    assert lanes.hosts.text("web2", MOTD_PATH) == "hello"
    lanes.far.release("web1")
    lanes.await_call("web1")
    lanes.heed()
    assert lanes.hosts.text("web1", MOTD_PATH) == "by hand", "one host was converged already"
    lanes.sweep()
    assert lanes.hosts.text("web1", MOTD_PATH) == "hello"


def test_nothing_is_removed_on_more_hosts_by_a_sweep_that_comes_in_parts(lanes: Lanes) -> None:
    limit(lanes, "removals")
    lanes.far.hold("web1")
    lanes.bench.push({"all.yml": NO_MOTD})
    lanes.poll()
    assert lanes.hosts.text("web2", MOTD_PATH) is None
    lanes.far.release("web1")
    lanes.await_call("web1")
    lanes.heed()
    lanes.hosts.gate.set()
    lanes.await_call("db1")
    lanes.heed()
    assert [lanes.hosts.text(host, MOTD_PATH) for host in ("web1", "db1")] == ["hello"] * 2
    assert sorted(lanes.told[-2:]) == ["held db1", "held web1"]


def test_the_last_session_ends_when_its_host_changes_lanes(lanes: Lanes) -> None:
    lanes.settle()
    assert lanes.world.stream is not None
    assert lanes.world.stream.count() == 2
    lanes.hosts.gate.set()
    lanes.bench.push({"reconciler.yml": "mode: enforce\nlane: ansible\n"})
    lanes.poll()
    await_true(lambda: lanes.world.stream.count() == 0, "the end of all sessions")
    lanes.hosts.edit("web1", MOTD_PATH, "by hand")
    lanes.sweep()
    assert lanes.told[-1] == "converged web1"


# Git.


def test_git_is_asked_by_polls_and_before_something_is_changed(lanes: Lanes) -> None:
    lanes.settle()
    asked = lanes.asked_git
    lanes.far.call("web1")
    lanes.await_call("web1")
    assert lanes.heed().plan is not None
    assert lanes.asked_git == asked, "nothing is to be changed"
    lanes.edit("web1")
    lanes.heed()
    assert lanes.asked_git == asked + 1
    assert lanes.told[-1] == "converged web1"
    lanes.poll()
    assert lanes.asked_git == asked + 2


def test_a_drift_is_not_put_right_to_a_revision_that_is_no_longer_in_force(lanes: Lanes) -> None:
    lanes.settle()
    stories = len(lanes.bench.stories())
    sha = lanes.bench.push({"all.yml": MOTD.replace("hello", "new")})
    lanes.edit("web1")
    lanes.heed()
    new = lanes.bench.stories()[stories:]
    assert {host for story in new for host in story.all("Host")} == {"web1", "web2"}, "the revision is for all"
    assert {story["Desired-Revision"] for story in new} == {sha}
    assert [lanes.hosts.text(host, MOTD_PATH) for host in ("web1", "web2")] == ["new"] * 2


def test_a_daemon_asks_git_at_its_own_pace_however_often_hosts_call(lanes: Lanes) -> None:
    ticking = Ticking()
    daemon = Daemon(lanes.world, Pace(60, 3600), ticking)
    lanes.hosts.gate.set()
    daemon.run_due(ticking())
    lanes.await_call("db1")
    daemon.run_due(ticking())
    asked, looks = lanes.asked_git, lanes.far.looks("web1")
    for _ in range(5):
        ticking.now += 1
        lanes.far.call("web1")
        lanes.await_call("web1")
        daemon.run_due(ticking())
    assert lanes.far.looks("web1") == looks + 5
    assert lanes.asked_git == asked
    ticking.now += 120
    daemon.run_due(ticking())
    assert lanes.asked_git == asked + 1


def test_while_the_remote_is_away_hosts_with_news_are_looked_at_and_told_of_later(lanes: Lanes) -> None:
    lanes.settle()
    lanes.follow({"reconciler.yml": POLICY.format(mode="observe")})
    told = len(lanes.told)
    away = lanes.bench.folder / "away.git"
    lanes.bench.remote.rename(away)
    lanes.edit("web1")
    assert "cannot be used" in lanes.poll().trouble
    with watched() as watch:
        for _ in range(3):
            lanes.far.call("web1")
            lanes.await_call("web1")
            lanes.heed()
    assert not [git.words for git in watch.started if {"ls-remote", "fetch", "push"} & set(git.words)]
    away.rename(lanes.bench.remote)
    lanes.heed()
    assert len(lanes.told) == told, "hosts with news do not ask whether the remote is back"
    assert lanes.poll().trouble == ""
    assert lanes.told[told:] == ["detected web1"]


def test_what_could_not_be_put_right_while_the_remote_was_away_is_put_right_when_it_is_back(lanes: Lanes) -> None:
    lanes.settle()
    away = lanes.bench.folder / "away.git"
    lanes.bench.remote.rename(away)
    lanes.edit("web1")
    lanes.heed()
    lanes.poll()
    assert lanes.hosts.text("web1", MOTD_PATH) == "by hand", "without the remote no lease can be held"
    away.rename(lanes.bench.remote)
    lanes.poll()
    lanes.heed()
    assert lanes.hosts.text("web1", MOTD_PATH) == "hello"
    assert lanes.told[-1] == "converged web1"
    check_chain(lanes.bench.stories())


def test_a_host_whose_cycle_broke_is_looked_at_again_by_the_next(lanes: Lanes) -> None:
    lanes.settle()
    ticking = Ticking()
    daemon = Daemon(lanes.world, Pace(60, 3600, ticking(), ticking()), ticking, asked=False)
    lanes.edit("web1")

    def break_down() -> None:
        raise LaunchError("no space left on device")

    lanes.hosts.before_converge = break_down
    daemon.run_due(ticking())
    assert daemon.trouble == "no space left on device"
    assert lanes.hosts.text("web1", MOTD_PATH) == "by hand"
    lanes.hosts.before_converge = lambda: None
    ticking.now += 90
    daemon.run_due(ticking())
    assert lanes.hosts.text("web1", MOTD_PATH) == "hello"
    assert lanes.told[-1] == "converged web1"
    check_chain(lanes.bench.stories())


# Tickets.


@pytest.fixture
def desk(forged_in: Callable[..., Forged]) -> Iterator[tuple[Forged, Lanes]]:
    """A forge beside hosts that are only observed, all over sessions."""
    forged = forged_in("observe")
    with both_lanes(forged.bench, forged.world) as lanes:
        forged.hosts = lanes.hosts
        lanes.hosts.gate.set()
        yield forged, lanes
        forged.stop()


def test_a_part_of_a_sweep_neither_opens_nor_closes_a_ticket(desk: tuple[Forged, Lanes]) -> None:
    forged, lanes = desk
    for host in ("web1", "web2"):
        lanes.far.hosts.edit(host, SITE_PATH, "by hand")
    forged.cycle()
    assert forged.tickets == [], "seen once"
    lanes.far.edit("db1", MOTD_PATH, "by hand")
    lanes.await_call("db1")
    lanes.heed()
    assert forged.tickets == [], "web1 has not been looked at again"
    forged.cycle()
    open_now = {ticket.title for ticket in forged.tickets if ticket.state == "open"}
    assert any("web1 and web2" in title for title in open_now)

    # What is to be there is another thing now, and web1 has not said yet whether it is.
    lanes.far.hold("web1")
    lanes.bench.push({"templates/site.j2": "# other\n"})
    for host in ("web2", "db1"):
        lanes.hosts.save(lanes.hosts.load() | {host: as_declared(lanes, host)})
    lanes.poll()
    assert {ticket.title for ticket in forged.tickets if ticket.state == "open"} == open_now
    lanes.far.release("web1")
    lanes.await_call("web1")
    lanes.heed()
    forged.cycle()
    assert [ticket.title for ticket in forged.tickets if ticket.state == "open" and "web1" in ticket.title]
    assert not [ticket.title for ticket in forged.tickets if ticket.state == "open" and "web2" in ticket.title]


def as_declared(lanes: Lanes, host: str) -> Any:
    """What a host holds once a person has put it right."""
    files = dict(lanes.hosts.load()[host])
    if SITE_PATH in files:
        files[SITE_PATH] = {**files[SITE_PATH], "text": "# other\n"}
    files[MOTD_PATH] = {**files[MOTD_PATH], "text": "hello"}
    return files
