"""Fixtures of the test bed: an SSH key, a fleet of booted hosts, and a git server over SSH.

Every pytest process has a bed of its own, made on first use and taken away at the end.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bed import engine, gitserver, hosts, image
from tests.bed import pagure as forge
from tests.bed.gitserver import GitServer
from tests.bed.hosts import Host
from tests.bed.pagure import Pagure

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a test on real hosts."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.hosts)


@pytest.fixture(scope="session")
def host_image() -> Iterator[str]:
    """The image of a test host, built where it is missing. Hosts that a killed run left behind go first."""
    if not engine.answers():
        pytest.fail("No Docker engine answers. `make test` installs and starts one as root on Debian or Ubuntu.")
    hosts.sweep()
    yield image.ensure()
    hosts.sweep(ours=True)


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this bed's keys."""
    return tmp_path_factory.mktemp("bed")


@pytest.fixture(scope="session")
def ssh_key(bed: Path) -> Path:
    """A private key made for this run; the hosts' root and ops take it, and so does the git server."""
    key = bed / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test bed", "-f", str(key)], check=True)
    return key


@pytest.fixture(scope="session")
def known_hosts(bed: Path) -> Path:
    """The host keys of the fleet, read through Docker from each host itself, never from its first answer."""
    return bed / "known_hosts"


@pytest.fixture(scope="session")
def fleet(host_image: str, ssh_key: Path, known_hosts: Path) -> Iterator[Callable[[int], list[Host]]]:
    """``fleet(n)``: the booted hosts web1 to web<n>. They are shared by the session: leave them clean and running."""
    booted: list[Host] = []

    def grow(count: int) -> list[Host]:
        names = [f"web{number}" for number in range(len(booted) + 1, count + 1)]
        booted.extend(hosts.boot(host_image, names))
        for host in booted[-len(names) :] if names else []:
            host.trust(ssh_key.with_suffix(".pub").read_text(), "root", "ops")
        known_hosts.write_text("".join(f"{host.known_host}\n" for host in booted), encoding="utf-8")
        return booted[:count]

    yield grow
    for host in booted:
        host.remove()


@pytest.fixture
def new_host(host_image: str, ssh_key: Path, tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """``new_host(name)``: a host of this one test's own, to break as it likes. `known_host` is its known_hosts line."""
    made: list[Host] = []

    def make(name: str) -> Host:
        made.extend(hosts.boot(host_image, [name]))
        made[-1].trust(ssh_key.with_suffix(".pub").read_text(), "root", "ops")
        return made[-1]

    yield make
    for host in made:
        host.remove()


@pytest.fixture(scope="session")
def git_host(host_image: str) -> Iterator[Host]:
    """The machine that the git repositories of this session live on."""
    [host] = hosts.boot(host_image, ["git"])
    yield host
    host.remove()


@pytest.fixture
def git_server(git_host: Host, ssh_key: Path, tmp_path: Path, request: pytest.FixtureRequest) -> GitServer:
    """A fresh, empty repository over SSH, one for each test."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return gitserver.serve(git_host, ssh_key, tmp_path / "git_known_hosts", name)


@pytest.fixture(scope="session")
def pagure(host_image: str) -> Iterator[Pagure]:
    """A real forge, one for the session; every test makes a project of its own there."""
    booted = forge.boot(image.ensure(image.PAGURE))
    yield booted
    booted.remove()
