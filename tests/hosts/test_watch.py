"""One daemon, two real hosts, and hands that interfere: whatever is seen here, only the watch can have caused it.

The sweep is an hour away and git is asked every ten minutes, so nothing but a host that says *look now* makes the
daemon look. The tests share the daemon and go from the quiet to the violent; each leaves the hosts as declared.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.bed import gitserver
from tests.bed import hosts as bed
from tests.bed.hosts import Host, wait_until
from tests.hosts import world as worlds
from tests.hosts.world import Story, World, outcomes, play, until

FILES = 20
QUIET = 4.0
"""Seconds without a line in the log, after which a daemon is at rest: it looks again within a fraction of one."""
FAR_END = "python3[^ ]* -ISB"
"""The command line of what a session runs on a host."""
DEB = """
mkdir -p /root/{name}/DEBIAN && cd /root
printf 'Package: {name}\\nVersion: 1\\nArchitecture: all\\n' >{name}/DEBIAN/control
printf 'Maintainer: x <x@x>\\nDescription: x\\n' >>{name}/DEBIAN/control
dpkg-deb -Znone -b {name} {name}.deb
"""


def path(number: int) -> str:
    return f"/srv/watch/{number}"


def content(number: int) -> str:
    return f"as declared, {number}\n"


def plays(first: str = content(0)) -> list[dict[str, Any]]:
    """Twenty files, a unit, a user, a package that has to go and one that is only watched."""
    texts = [first, *map(content, range(1, FILES))]
    return [
        play(
            "web",
            file=[{"path": "/srv/watch", "state": "directory", "mode": "0755"}],
            copy=[{"dest": path(number), "content": text, "mode": "0644"} for number, text in enumerate(texts)],
            service=[{"name": "cron", "state": "started"}],
            user=[{"name": "watched", "shell": "/bin/bash"}],
            package=[{"name": "tiny-unwanted", "state": "absent"}, {"name": "tiny-kept", "reconcile": "observe"}],
        )
    ]


@dataclass
class Watching:
    """A world and its daemon, which says all that it does."""

    world: World
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        with (self.world.folder / "daemon.log").open("ab") as log:
            words = self.world.command("run", "--log-level", "debug")
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def lines(self) -> list[str]:
        return self.world.log.splitlines()

    def count(self, words: str) -> int:
        """How many lines of the log say this."""
        return sum(words in line for line in self.lines)

    @property
    def sweeps(self) -> int:
        return self.count("looking at 2 hosts")

    def told(self, *hosts: str) -> list[Story]:
        """The next stories; waits until there is one, and each of these hosts has one."""
        seen: list[Story] = []

        def come() -> bool:
            seen.extend(self.world.stories())
            return bool(seen) and {host for story in seen for host in story.all("Host")} >= set(hosts)

        until(come, lambda: f"{[story.told for story in seen]} for {hosts}\n{self.world.log}")
        return seen

    def rest(self) -> None:
        """Wait until nothing happens any more, and nothing is under way."""
        before, since = len(self.lines), time.monotonic()

        def quiet() -> bool:
            nonlocal before, since
            if len(self.lines) != before:
                before, since = len(self.lines), time.monotonic()
            return time.monotonic() - since >= QUIET and "cycle done" in self.lines[-1]

        until(quiet, lambda: f"it does not come to rest\n{self.world.log}")

    def look_now(self) -> None:
        """Ask for a sweep, as an operator does."""
        self.process.send_signal(signal.SIGHUP)


def far_ends(host: Host) -> list[int]:
    """The processes of open sessions on a host, without their shells."""
    return [int(line) for line in host.attempt(f"pgrep -f '^[^ ]*{FAR_END}'")[1].split()]


def own_children(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes below the daemon."""
    return [
        int(pid) for task in Path(f"/proc/{process.pid}/task").glob("*/children") for pid in task.read_text().split()
    ]


@pytest.fixture(scope="module")
def two_hosts(host_image: str, ssh_key: Path) -> Iterator[list[Host]]:
    """Two hosts of this module's own: they are rebooted."""
    booted = bed.boot(host_image, ["web1", "web2"])
    for host in booted:
        host.trust(ssh_key.with_suffix(".pub").read_text(), "root")
        for name in ("tiny-unwanted", "tiny-kept"):
            host.exec(DEB.format(name=name))
        host.exec("dpkg -i /root/tiny-kept.deb; mkdir -m 0755 /srv/watch")
        for number in range(FILES):
            host.write(path(number), content(number))
    yield booted
    for host in booted:
        host.remove()


@pytest.fixture(scope="module")
def started(two_hosts: list[Host], git_host: Host, ssh_key: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The daemon of all tests here, its hosts converged."""
    folder = tmp_path_factory.mktemp("watch")
    server = gitserver.serve(git_host, ssh_key, folder / "git_known_hosts", "watch")
    world = worlds.make(folder, server, two_hosts, ssh_key)
    world.config = world.configure(interval="10m", sweep_interval="1h")
    world.declare("the beginning", *plays())
    daemon = Watching(world)
    daemon.start()
    try:
        assert outcomes(daemon.told("web1", "web2")) == {"web1": "converged", "web2": "converged"}
        daemon.rest()
        yield daemon
    finally:
        daemon.kill()


@pytest.fixture
def daemon(started: Watching) -> Iterator[Watching]:
    """The daemon at rest before and after, with nothing untold; no sweep but those that a test asked for."""
    started.world.stories()
    yield started
    started.rest()
    assert "Traceback" not in started.world.log
    assert not any(" error " in line or "unexpected" in line for line in started.lines), started.world.log


@pytest.fixture
def unswept(daemon: Watching) -> Iterator[Watching]:
    """The same where no sweep may happen at all."""
    before = daemon.sweeps
    yield daemon
    assert daemon.sweeps == before, f"a sweep may have caused it\n{daemon.world.log}"


def test_our_own_converging_wakes_nobody_for_ever(unswept: Watching) -> None:
    """It came to rest after the first convergence, and stays so: no cycle, no look, nobody's story."""
    before = unswept.lines
    assert unswept.count("converging") in (1, 2), "both at once, or one after the other"
    time.sleep(QUIET)
    assert unswept.lines == before
    assert unswept.world.stories() == []


@pytest.mark.parametrize(
    ("hand", "resource", "right"),
    [
        (f"echo by hand >{path(3)}", f"copy[{path(3)}]", f"grep -q 'as declared, 3' {path(3)}"),
        (f"rm {path(4)}", f"copy[{path(4)}]", f"grep -q 'as declared, 4' {path(4)}"),
        (f"chmod 0600 {path(5)}", f"copy[{path(5)}]", f"test $(stat -c %a {path(5)}) = 644"),
        ("systemctl stop cron", "service[cron]", "systemctl is-active cron"),
        ("userdel watched", "user[watched]", "getent passwd watched | grep /bin/bash"),
        ("dpkg -i /root/tiny-unwanted.deb", "package[tiny-unwanted]", "! dpkg-query -s tiny-unwanted"),
    ],
    ids=["edit", "delete", "mode", "unit", "user", "package"],
)
def test_what_a_hand_does_is_put_right_and_told_as_drift(
    unswept: Watching, hand: str, resource: str, right: str
) -> None:
    web1 = unswept.world.hosts[0]
    web1.exec(hand)
    [story] = unswept.told("web1")
    assert (story.told, story.counts.keys()) == (("converged", ["web1"]), {"Drift"})
    assert resource in story.body
    web1.exec(right)
    unswept.rest()
    assert unswept.world.stories() == []
    assert unswept.world.record("web1")["state"] == "in-sync" or not unswept.world.record("web1")["differs"]


def test_a_package_that_is_only_watched_is_told_when_it_goes_and_when_it_is_back(unswept: Watching) -> None:
    web2 = unswept.world.hosts[1]
    web2.exec("dpkg -r tiny-kept")
    [gone] = unswept.told("web2")
    assert gone.told == ("detected", ["web2"])
    assert "package[tiny-kept]" in gone.body
    web2.exec("dpkg -i /root/tiny-kept.deb")
    [back] = unswept.told("web2")
    assert back.told == ("recovered", ["web2"])


BURST = f"""
for n in $(seq 200); do echo "by hand $n" >{path(0)[:-1]}$((n % {FILES})); sleep 0.01; done
"""


def test_a_burst_is_few_looks_and_few_stories(daemon: Watching) -> None:
    world, web1 = daemon.world, daemon.world.hosts[0]
    looks, converged = daemon.count("looking at"), daemon.count("converging")
    web1.exec(BURST)
    stories = daemon.told("web1")
    daemon.rest()
    stories += world.stories()
    assert {story.told for story in stories if story.told[1] != ["web1"]} == set()
    assert {outcome for story in stories for outcome in story.all("Outcome")} <= {"converged", "failed", "recovered"}
    assert len(stories) <= 8
    assert daemon.count("converging") - converged <= 8
    assert daemon.count("looking at") - looks <= 25
    assert [web1.read(path(number)) for number in range(FILES)] == [content(number) for number in range(FILES)]
    assert world.record("web1")["differs"] == []


# Sessions that are lost.


def cut_far_end(host: Host) -> None:
    """Kill what the session runs there; the change comes when nobody is there to see it."""
    host.exec(f"kill -9 {' '.join(map(str, far_ends(host)))}; echo by hand >{path(1)}")


def cut_sshd(host: Host) -> None:
    """Restart the server and end what it has open: all its sessions are children of other processes than it."""
    host.exec(f"systemctl restart ssh; pkill -9 -f '^sshd: root'; echo by hand >{path(1)}")


def cut_power(host: Host) -> None:
    host.stop()
    host.container.get_wrapped_container().start()
    host.exec(f"echo by hand >{path(1)}")
    host.boot()


@pytest.mark.parametrize("cut", [cut_far_end, cut_sshd, cut_power], ids=["far end", "sshd", "reboot"])
def test_a_lost_session_comes_back_and_finds_what_was_done_meanwhile(
    unswept: Watching, cut: Callable[[Host], None]
) -> None:
    world, web1 = unswept.world, unswept.world.hosts[0]
    before = far_ends(web1)
    assert len(before) == 1
    cut(web1)
    [story] = unswept.told("web1")
    assert (story.told, story.counts) == (("converged", ["web1"]), {"Drift": 1}), "nobody looked, so nobody was blind"
    assert web1.read(path(1)) == content(1)
    assert far_ends(web1) not in ([], before)
    unswept.rest()
    assert world.stories() == []


def test_a_host_that_a_sweep_did_not_find_is_told_blind_and_recovered_by_its_own_return(daemon: Watching) -> None:
    web2 = daemon.world.hosts[1]
    web2.stop()
    daemon.look_now()
    [blind] = daemon.told("web2")
    assert blind.told == ("blind", ["web2"])
    sweeps = daemon.sweeps
    web2.start()
    [back] = daemon.told("web2")
    assert back.told == ("recovered", ["web2"])
    assert daemon.sweeps == sweeps


# The other lane.


def test_a_host_on_ansibles_lane_has_no_session_and_is_swept_and_converged(daemon: Watching) -> None:
    world, (web1, web2) = daemon.world, daemon.world.hosts
    policy = "mode: enforce\nhosts:\n  web2: {lane: ansible}\n"
    world.declare("web2 is looked at by Ansible", *plays(), **{"reconciler.yml": policy})
    daemon.look_now()
    daemon.told()
    wait_until(lambda: far_ends(web2) == [], lambda: "web2 still has a session")
    assert len(far_ends(web1)) == 1
    daemon.rest()
    web2.exec(f"echo by hand >{path(1)}")
    daemon.rest()
    assert web2.read(path(1)) == "by hand\n", "nobody watches it"
    daemon.look_now()
    [story] = daemon.told("web2")
    assert (story.told, story.counts) == (("converged", ["web2"]), {"Drift": 1})
    assert web2.read(path(1)) == content(1)
    assert far_ends(web2) == []

    world.declare("web2 is watched again", *plays())
    daemon.look_now()
    daemon.told()
    wait_until(lambda: len(far_ends(web2)) == 1, lambda: f"web2 has no session\n{world.log}")
    daemon.rest()
    sweeps = daemon.sweeps
    web2.exec(f"echo by hand >{path(1)}")
    [story] = daemon.told("web2")
    assert story.told == ("converged", ["web2"])
    assert daemon.sweeps == sweeps


# The end.

MARK = "/run/before-the-watch"  # a file system of its own
TOUCHED = (
    f"find / /tmp /home /root -xdev -newer {MARK} -not -path '/proc/*' -not -path '/var/log/*'"
    " -not -path '/var/lib/systemd/*' -not -path /run -printf '%p\\n'"
)
"""What was written since; logs are the host's own."""


def test_nothing_is_left_behind(daemon: Watching) -> None:
    world, hosts = daemon.world, daemon.world.hosts
    assert [len(far_ends(host)) for host in hosts] == [1, 1]
    assert world.stop(daemon.process) == 0
    for host in hosts:
        wait_until(lambda host=host: far_ends(host) == [], lambda host=host: f"{host.name} still runs {far_ends(host)}")
        host.exec(f"touch {MARK} && sleep 1.1")

    # A daemon that only looks, and is killed.
    daemon.start()
    try:
        until(lambda: [len(far_ends(host)) for host in hosts] == [1, 1], lambda: world.log)
        daemon.rest()
        children = own_children(daemon.process)
        assert len(children) >= len(hosts)
    finally:
        daemon.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), lambda: f"{children} are left")
    for host in hosts:
        wait_until(lambda host=host: far_ends(host) == [], lambda host=host: f"{host.name} still runs {far_ends(host)}")
        assert host.exec(TOUCHED).split() == []
    assert world.launches_left() == []
    assert world.stories() == []
