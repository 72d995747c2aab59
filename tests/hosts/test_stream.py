"""Sessions with real hosts: the ordinary ssh client, a real sshd, sudo, and the program that looks at a host."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from reconciler.model import Ask, Blind, HostAsk, Observed
from reconciler.reach import SshWay, control_name
from reconciler.stream import Stream, StreamSettings
from tests.bed.hosts import ADDRESS, Host, wait_until

Fleet = Callable[[int], list[Host]]
NewHost = Callable[[str], Host]
FILE = "/etc/stream-test"


class Door:
    """A stream and what wakes."""

    def __init__(self, way: SshWay, **settings: Any) -> None:
        self.wakes = threading.Semaphore(0)
        self.stream = Stream(StreamSettings(way, **settings), self.wakes.release)

    def look(self, **hosts: HostAsk) -> dict[str, Observed | Blind]:
        return self.stream.observe(hosts, lambda: False)

    def reason(self, ask: HostAsk) -> str:
        answer = self.look(host=ask)["host"]
        assert isinstance(answer, Blind)
        return answer.reason

    def woken(self) -> None:
        assert self.wakes.acquire(timeout=60)


@pytest.fixture
def door(ssh_key: Path, known_hosts: Path) -> Iterator[Callable[..., Door]]:
    """``door(known_hosts=..., config=..., **settings)``: streams that are closed afterwards."""
    made: list[Door] = []

    def make(known: Path = known_hosts, config: Path | None = None, **settings: Any) -> Door:
        made.append(Door(SshWay(ssh_key, known, config, 5), **settings))
        return made[-1]

    yield make
    for one in made:
        one.stream.close()


def ask(host: Host, user: str = "root", **more: Any) -> HostAsk:
    """One file and one package, asked as *user*."""
    where = {"ansible_host": host.address, "ansible_port": host.port, "ansible_user": user}
    asks = (Ask("path", FILE, {"hash": True}), Ask("package", "bash", {"name": "bash"}))
    return HostAsk(where | more, asks)


def test_a_host_is_seen_watched_and_unchanged_is_the_same_object(fleet: Fleet, door: Callable[..., Door]) -> None:
    [host] = fleet(1)
    host.write(FILE, "one\n")
    here = door()
    one = ask(host)
    first = here.look(web1=one)["web1"]
    assert isinstance(first, Observed)
    assert "error" not in first.facts["path"][FILE]
    assert "error" not in first.facts["package"]["bash"]
    assert here.look(web1=one)["web1"] is first
    assert here.stream.watching() == 1
    host.exec(f"echo two >{FILE}")
    here.woken()
    assert here.stream.restless() == {"web1"}
    assert here.look(web1=one)["web1"] != first
    host.exec(f"rm {FILE}")


def test_launches_of_ansible_can_use_the_connection(fleet: Fleet, door: Callable[..., Door]) -> None:
    [host] = fleet(1)
    with TemporaryDirectory(prefix="r") as folder:  # the path of a socket has to be short
        here = door(sockets=Path(folder) / "ssh")
        assert isinstance(here.look(web1=ask(host))["web1"], Observed)
        path = Path(folder) / "ssh" / control_name("web1", ask(host).connection)
        # Nobody listens there: only over our connection can this come to the host.
        words = ["ssh", "-F", "/dev/null", "-o", f"ControlPath={path}", "-o", "BatchMode=yes", "-p", "1", "web1"]
        said = subprocess.run([*words, "hostname"], capture_output=True, text=True, check=False).stdout
        assert said.strip() == host.exec("hostname").strip()


def test_sudo_is_used_where_another_user_is_to_look(fleet: Fleet, door: Callable[..., Door]) -> None:
    [host] = fleet(1)
    host.exec("install -d -m 0700 /etc/stream-secret && echo x >/etc/stream-secret/file")
    asks = (Ask("path", "/etc/stream-secret/file", {"hash": True}),)
    here = door()
    seen = here.look(
        root=replace(ask(host), asks=asks),
        ops=replace(ask(host, "ops"), asks=asks),
        sudo=replace(ask(host, "ops", ansible_become=True), asks=asks),
    )
    facts = {name: answer.facts for name, answer in seen.items() if isinstance(answer, Observed)}
    assert facts["sudo"] == facts["root"]
    assert facts["ops"] != facts["root"]
    # Who is root already needs no sudo, as with Ansible.
    host.exec("mv /usr/bin/sudo /usr/bin/sudo-away")
    try:
        again = here.look(become_root=replace(ask(host, ansible_become=True), asks=asks))["become_root"]
        assert isinstance(again, Observed)
        assert again.facts == facts["root"]
    finally:
        host.exec("mv /usr/bin/sudo-away /usr/bin/sudo && rm -r /etc/stream-secret")


@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash"])
def test_a_login_that_prints_spoils_nothing(
    new_host: NewHost, door: Callable[..., Door], tmp_path: Path, shell: str
) -> None:
    host = new_host("chatty")
    host.write("/root/.bashrc", "echo hello; printf 'no end of line'\n")
    host.write("/etc/ssh/sshrc", "echo welcome; cat >/dev/null </dev/null\n")
    host.exec(f"usermod --shell {shell} root")
    known = tmp_path / "known"
    known.write_text(host.known_host + "\n")
    assert isinstance(door(known).look(chatty=ask(host))["chatty"], Observed)


def test_each_failure_has_its_reason(new_host: NewHost, door: Callable[..., Door], tmp_path: Path) -> None:
    host = new_host("sick")
    known = tmp_path / "known"
    known.write_text(host.known_host + "\n")
    here = door(known, observe_timeout=8.0)
    assert "Permission denied" in here.reason(ask(host, "nobody"))
    assert "Connection refused" in here.reason(ask(replace(host, port=1)))
    assert here.reason(ask(host, ansible_python_interpreter="/no/python")) == (
        "no Python was found: looked for /no/python"
    )
    host.exec("sed -i s/NOPASSWD:// $(grep -lr NOPASSWD /etc/sudoers /etc/sudoers.d)")
    assert here.reason(ask(host, "ops", ansible_become=True)) == "sudo asks for a password"
    host.exec("printf '#!/bin/sh\\nsleep 600\\n' >/usr/local/bin/hang; chmod 755 /usr/local/bin/hang")
    assert here.reason(ask(host, ansible_python_interpreter="/usr/local/bin/hang")) == (
        "the program did not start within 8 s"
    )
    host.exec("echo 'session optional pam_exec.so quiet /usr/local/bin/hang' >>/etc/pam.d/sudo")
    host.exec("echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/zz")
    assert here.reason(ask(host, "ops", ansible_become=True)) == "sudo gave no answer within 8 s"
    known.write_text("")
    assert "Host key verification failed" in here.reason(ask(host, "root", ansible_become=True))
    known.write_text(f"[{host.address}]:{host.port} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43 + "\n")
    assert "Host key verification failed" in door(known).reason(ask(host))


def test_a_host_that_boots_again_comes_back_by_itself(
    new_host: NewHost, door: Callable[..., Door], tmp_path: Path
) -> None:
    host = new_host("boots")
    known = tmp_path / "known"
    known.write_text(host.known_host + "\n")
    here = door(known)
    first = here.look(boots=ask(host))["boots"]
    assert isinstance(first, Observed)
    host.restart()
    here.woken()
    assert here.stream.restless() == {"boots"}
    again = here.look(boots=ask(host))["boots"]
    assert isinstance(again, Observed)


def test_jump_hosts_of_the_operators_file_are_gone_through(
    fleet: Fleet, door: Callable[..., Door], tmp_path: Path, ssh_key: Path, known_hosts: Path
) -> None:
    near, far = fleet(2)
    address = far.exec("hostname -I").split()[0]
    known = tmp_path / "known"
    known.write_text(f"{near.known_host}\n{address} {far.host_key}\n")
    config = tmp_path / "config"
    config.write_text(
        f"Host {address}\n  ProxyCommand ssh -F /dev/null -i {ssh_key} -o BatchMode=yes"
        f" -o UserKnownHostsFile={known} -p {near.port} -W %h:%p root@{near.address}\n"
    )
    here = door(known, config)
    seen = here.look(web2=ask(replace(far, address=address, port=22)))["web2"]
    assert isinstance(seen, Observed)
    assert address != ADDRESS


KILLED = """
import sys, time
from pathlib import Path
from reconciler.model import Ask, HostAsk
from reconciler.reach import SshWay
from reconciler.stream import Stream, StreamSettings
key, known, address, port = sys.argv[1:]
stream = Stream(StreamSettings(SshWay(Path(key), Path(known))), lambda: None)
where = {"ansible_host": address, "ansible_port": int(port), "ansible_user": "root"}
print(stream.observe({"web1": HostAsk(where, (Ask("path", "/etc", {"path": "/etc"}),))}, lambda: False), flush=True)
time.sleep(600)
"""


def test_no_ssh_and_no_program_outlives_a_daemon_that_is_killed(fleet: Fleet, ssh_key: Path, known_hosts: Path) -> None:
    [host] = fleet(1)
    words = [sys.executable, "-c", KILLED, str(ssh_key), str(known_hosts), host.address, str(host.port)]
    daemon = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline().startswith("{'web1': Observed(")
        tasks = Path(f"/proc/{daemon.pid}/task").glob("*/children")
        pids = [int(pid) for task in tasks for pid in task.read_text().split()]
        assert pids != []
    finally:
        daemon.kill()
        daemon.communicate()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), lambda: f"{pids} are left", 20)
    wait_until(lambda: "python3" not in host.exec("ps -eo args | grep '[p]ython3 -ISB' || true"), lambda: "left", 20)
