"""Packages on a host whose database is rpm's: what is read there, and whether reading it is taken for a change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.bed import hosts
from tests.bed.hosts import Host
from tests.unit.farend import FarEnd

SPEC = r"Name: %s\nVersion: %s\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%%description\nx\n%%files\n"
DATABASE = "/var/lib/rpm/rpmdb.sqlite"
PACKAGES = ("first", "second")
MISSING = {"version": None, "status": "not-installed"}


def installed(version: str) -> dict[str, str]:
    return {"version": version, "status": "installed"}


@pytest.fixture(scope="module")
def host(host_image: str) -> Iterator[Host]:
    """A host with Debian's rpm and two packages of ours, one of them in two versions; dpkg is out of the way."""
    [booted] = hosts.boot(host_image, ["rpm"])
    booted.exec("apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq rpm")
    booted.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")
    for name, version in (("first", "1"), ("first", "2"), ("second", "1")):
        booted.exec(f"printf '{SPEC}' {name} {version} >/root/it.spec && rpmbuild --quiet -bb /root/it.spec")
    booted.exec("rpm --initdb; mv /usr/bin/dpkg-query /usr/bin/dpkg-query.away")
    yield booted
    booted.remove()


@pytest.fixture
def far(host: Host) -> Iterator[FarEnd]:
    """A far end there that has been asked for three packages, two of which can be had."""
    container = str(host.container.get_wrapped_container().id)
    end = FarEnd("docker", "exec", "-i", container, python="python3")
    end.say(asked={"package": {name: {} for name in (*PACKAGES, "nonesuch")}})
    yield end
    assert end.end() == (0, "")


def packages(far: FarEnd) -> dict[str, Any]:
    return far.look(fresh=True)["observed"]["package"]


def rpm(host: Host, what: str) -> None:
    host.exec(f"cd /root/rpmbuild/RPMS/noarch && rpm --quiet --nodeps {what} 2>/dev/null")


def settle(far: FarEnd) -> None:
    """Look until it is silent."""
    while far.says_now(0.5):
        far.look()


def test_none_one_and_all_are_installed(host: Host, far: FarEnd) -> None:
    assert packages(far) == {"first": MISSING, "second": MISSING, "nonesuch": MISSING}
    rpm(host, "-i first-1-1.noarch.rpm")
    assert packages(far) == {"first": installed("1-1"), "second": MISSING, "nonesuch": MISSING}
    rpm(host, "-U first-2-1.noarch.rpm second-1-1.noarch.rpm")
    assert packages(far) == {"first": installed("2-1"), "second": installed("1-1"), "nonesuch": MISSING}
    rpm(host, "-e first second")
    assert packages(far) == {"first": MISSING, "second": MISSING, "nonesuch": MISSING}


def test_whatever_changes_is_told_and_reading_it_is_not(host: Host, far: FarEnd) -> None:
    far.look()
    settle(far)
    for what, first in (("-i first-1-1.noarch.rpm", "1-1"), ("-U first-2-1.noarch.rpm", "2-1"), ("-e first", None)):
        rpm(host, what)
        assert far.says_now(), what
        assert far.look()["observed"]["package"]["first"]["version"] == first
        settle(far)
        for _ in range(3):
            host.exec("rpm -q first second || true")  # it moves a time of the -wal
            far.look(fresh=True)
            assert not far.says_now(0.7), "somebody read it"


def test_a_database_that_cannot_be_read_is_an_error_and_not_an_empty_host(host: Host, far: FarEnd) -> None:
    """rpm says then that nothing is installed, and with one package its exit status is the very same."""
    far.say(asked={"package": {"first": {}}})
    assert packages(far) == {"first": MISSING}
    host.exec(f"cp {DATABASE} /root/kept && head -c 5000 /dev/urandom >{DATABASE}")
    assert "rpm failed: error:" in packages(far)["first"]["error"]
    host.exec(f"cp /root/kept {DATABASE}")
    assert packages(far) == {"first": MISSING}
