"""The far end of the stream lane on a real host: units by systemd's signals, packages, users, and silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.bed import hosts
from tests.bed.hosts import Host
from tests.unit.farend import FarEnd

UNIT = "/etc/systemd/system/demo.service"
LINK = "/etc/systemd/system/multi-user.target.wants/demo.service"
DEMO = "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n"
ASKED: dict[str, dict[str, Any]] = {
    "service": {"nginx": {}, "demo": {}, "sshd.service": {}, "nonesuch": {}},
    "package": {"hello": {}, "nginx-light": {}, "nonesuch": {}},
    "user": {"ops": {"password": True}, "newcomer": {"password": False}},
    "group": {"ops": {}, "newcomer": {}},
    "path": {"/etc/motd": {"hash": True}},
}


class Watched:
    """A host and the far end on it, with the newest digest."""

    def __init__(self, host: Host) -> None:
        self.host = host
        container = host.container.get_wrapped_container().id
        self.far = FarEnd("docker", "exec", "-i", str(container), python="python3")
        self.far.say(asked=ASKED)
        self.facts = self.far.look()
        self.settle()

    def settle(self) -> None:
        """Look until it is silent: installing, booting and the test's own change go on for a while."""
        while self.far.says_now(0.5):
            self.facts = self.far.look()

    def do(self, command: str) -> dict[str, Any]:
        """Change something, be told, and see it: what was kept is as if everything had been read anew."""
        before = self.facts["digest"]
        self.host.exec(command)
        assert self.far.says_now(), f"it is silent about: {command}"
        self.facts = self.far.look()
        self.settle()
        assert self.facts["digest"] != before
        assert self.far.look(self.facts["digest"], fresh=True) == {"digest": self.facts["digest"]}
        observed: dict[str, Any] = self.facts["observed"]
        return observed

    def unit(self, command: str, name: str = "demo") -> tuple[str, str, str]:
        """The same; what a unit then is."""
        fact = self.do(command)["service"][name]
        return fact["load"], fact["active"], fact["file"]


@pytest.fixture(scope="module")
def host(host_image: str) -> Iterator[Host]:
    """One host of our own, to break as we like."""
    [booted] = hosts.boot(host_image, ["watched"])
    yield booted
    booted.remove()


@pytest.fixture
def watched(host: Host) -> Iterator[Watched]:
    """The host, watched by a far end that ends as it should."""
    at = Watched(host)
    yield at
    assert at.far.end() == (0, "")


def test_whatever_changes_is_told_and_seen(watched: Watched) -> None:
    assert watched.far.hello["watches"] == ["inotify", "systemd"]
    assert watched.facts["observed"]["service"]["sshd.service"]["active"] == "active"

    assert watched.unit("systemctl stop nginx", "nginx")[1] == "inactive"
    assert watched.unit("systemctl start nginx", "nginx")[1] == "active"
    assert watched.unit("systemctl kill -s KILL nginx", "nginx")[1] == "failed"
    assert watched.unit(f"printf '{DEMO}' >{UNIT}") == ("loaded", "inactive", "disabled")
    assert watched.unit("systemctl start demo") == ("loaded", "active", "disabled")
    # systemd remembers of a unit in use whether it is enabled, until it lets go of it.
    watched.host.exec(f"ln -s {UNIT} {LINK}")
    watched.far.look()
    watched.settle()
    assert watched.unit("systemctl stop demo") == ("loaded", "inactive", "enabled")
    assert watched.unit(f"rm {LINK}") == ("loaded", "inactive", "disabled")
    assert watched.unit("systemctl enable demo") == ("loaded", "inactive", "enabled")
    assert watched.unit("systemctl disable --now demo") == ("loaded", "inactive", "disabled")
    assert watched.unit(f"echo Type=nonsense > {UNIT}; echo ExecStart=no >>{UNIT}")[0] == "bad-setting"
    assert watched.unit(f"rm {UNIT}; systemctl mask demo")[0] == "masked"

    assert watched.do("useradd -m newcomer")["user"]["newcomer"]["state"] == "present"
    assert watched.do("usermod -p x ops")["user"]["ops"]["password"]
    assert watched.do("echo changed >/etc/motd")["path"]["/etc/motd"]["size"] == 8
    install = "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq hello"
    assert watched.do(install)["package"]["hello"]["status"] == "installed"


def test_looking_at_units_that_are_not_in_use_is_not_heard_as_a_change(watched: Watched) -> None:
    for fresh in (False, True, True):
        watched.far.look(fresh=fresh)
        assert not watched.far.says_now(0.7)


def test_without_the_bus_units_are_read_at_every_look_and_with_it_again_they_are_told(watched: Watched) -> None:
    watched.host.exec("systemctl restart nginx; systemctl stop dbus.socket dbus.service")
    watched.settle()
    watched.host.exec("systemctl stop nginx")
    assert watched.far.look()["observed"]["service"]["nginx"]["active"] == "inactive"
    watched.host.exec("systemctl start dbus.socket")
    # The bus is tried again ten seconds after the last time at the earliest.
    watched.far.says_now(11)
    watched.far.look()
    watched.settle()
    watched.host.exec("systemctl start nginx")
    assert watched.far.says_now()
    assert watched.far.look()["observed"]["service"]["nginx"]["active"] == "active"
