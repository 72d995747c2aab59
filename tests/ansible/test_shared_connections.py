"""Connections that stay open between calls: git's own, and the one that another lane holds to a host."""

from __future__ import annotations

import getpass
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.ansible import Ansible, leftovers
from reconciler.errors import Unreachable
from reconciler.model import HostAsk, Observed
from reconciler.reach import SshWay, control_name
from reconciler.repo import Remote, Repository, Signer
from tests.ansible.conftest import Sshd
from tests.ansible.test_ansible_edge import PASSWD, never, wait_until

SIGNER = Signer("Reconciler", "reconciler@example.org")


@pytest.fixture
def url(sshd: Sshd, tmp_path: Path) -> str:
    """A repository behind SSH that has one commit."""
    served = tmp_path / "served.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", served], check=True)
    tree = subprocess.run(["git", "-C", served, "write-tree"], check=True, capture_output=True, text=True).stdout
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    commit = subprocess.run(
        ["git", "-C", served, *who, "commit-tree", "-m", "first", tree.strip()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    subprocess.run(["git", "-C", served, "update-ref", "refs/heads/main", commit.strip()], check=True)
    return f"ssh://{getpass.getuser()}@127.0.0.1:{sshd.port}{served}"


def repository(folder: Path, remote: Remote) -> Repository:
    """A clone in *folder*."""
    clone = Repository(folder / "repo.git", remote, SIGNER)
    clone.heal()
    return clone


def masters(ansible: Ansible) -> list[int]:
    """The connections that are kept open."""
    return list(leftovers.connection_masters(ansible.settings.sockets))


def test_git_keeps_one_connection_and_nothing_waits_for_it(
    make_ansible: Callable[..., Ansible], sshd: Sshd, url: str, tmp_path: Path
) -> None:
    ansible = make_ansible()
    remote = Remote(url, sshd.key, sshd.known(tmp_path), sockets=ansible.settings.sockets)
    clone = repository(tmp_path / "a", remote)
    tip = clone.tip("main")
    [master] = masters(ansible)
    assert clone.fetch("main", "refs/heads/seen") == tip
    assert clone.push("refs/heads/seen", "audit/x", None)
    assert masters(ansible) == [master]
    assert not clone.heal(), "the clone can be held alone while the connection is open"
    ansible.end_leftovers()
    assert masters(ansible) == []
    assert clone.tip("main") == tip
    ansible.end_leftovers()


def test_another_key_does_not_use_the_connection_that_is_open(
    make_ansible: Callable[..., Ansible], sshd: Sshd, url: str, tmp_path: Path
) -> None:
    ansible = make_ansible()
    sockets, known = ansible.settings.sockets, sshd.known(tmp_path)
    repository(tmp_path / "a", Remote(url, sshd.key, known, sockets=sockets)).tip("main")
    assert len(masters(ansible)) == 1
    stranger = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    with pytest.raises(Unreachable, match="credentials"):
        repository(tmp_path / "b", Remote(url, stranger, known, sockets=sockets)).tip("main")
    ansible.end_leftovers()


@pytest.mark.parametrize("folder", ["", "50 % of it", "x" * 90])
def test_with_or_without_a_place_for_it_git_works(
    make_ansible: Callable[..., Ansible], sshd: Sshd, url: str, tmp_path_factory: pytest.TempPathFactory, folder: str
) -> None:
    tmp_path = tmp_path_factory.mktemp("p")  # short, as the path of a socket has to be
    ansible = make_ansible(run_dir=tmp_path / (folder or "run"))
    sockets = ansible.settings.sockets if folder else None
    clone = repository(tmp_path / "c", Remote(url, sshd.key, sshd.known(tmp_path), sockets=sockets))
    assert clone.tip("main")
    assert len(masters(ansible)) == (1 if "%" in folder else 0)
    ansible.end_leftovers()


def test_ansible_uses_the_connection_that_another_lane_holds(
    make_ansible: Callable[..., Ansible], sshd: Sshd, tmp_path: Path
) -> None:
    ansible = make_ansible(ssh_key=sshd.key, known_hosts=sshd.known(tmp_path))
    connection = sshd.connection | {"ansible_python_interpreter": sys.executable}
    socket = ansible.settings.sockets / control_name("a", connection)
    socket.parent.mkdir(parents=True)
    way = SshWay(sshd.key, sshd.known(tmp_path)).words(
        ControlMaster="auto", ControlPath=f'"{socket}"', ControlPersist="no"
    )
    address = ["-p", str(sshd.port), f"{getpass.getuser()}@127.0.0.1"]
    with subprocess.Popen(["ssh", *way, *address, "cat"], stdin=subprocess.PIPE) as holder:
        wait_until(socket.exists)
        # The file that would let Ansible in by itself is gone: what it does, it does over the open connection.
        ansible.settings.known_hosts.write_text("")  # type: ignore[union-attr]  # it was given above
        seen = ansible.observe({"a": HostAsk(connection, (PASSWD,))}, never)
        assert isinstance(seen["a"], Observed), seen
        assert holder.poll() is None
        assert masters(ansible) == []
        other = ansible.observe({"b": HostAsk(connection, (PASSWD,))}, never)
        assert not isinstance(other["b"], Observed), "another host's connection is not used"
        holder.communicate()
    sshd.known(tmp_path)
