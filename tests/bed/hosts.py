"""Booted hosts: containers with systemd as PID 1, reached over SSH on a loopback port that stays theirs.

Fixtures boot them; tests act on them by `exec`, which goes through Docker and so works when SSH does
not. Every container carries a label with the process that made it: `sweep` removes what a test
process left behind that was killed.
"""

from __future__ import annotations

import itertools
import os
import shlex
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.errors import APIError

# The reaper container would have to be pulled; `sweep` does its work. It is read when testcontainers is imported.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

from testcontainers.core.container import DockerContainer

from tests.bed import engine

ADDRESS = "127.0.0.1"
"""Published ports are bound here, so that no test host can be reached from another machine."""

LABEL = "reconciler.test-bed"

PORTS = range(20000, 30000)
"""Below the ports that Linux gives to outgoing connections, so a stopped host finds its port free again."""

BOOT_SECONDS = 60

SETTLED = ("running", "degraded")
"""What `systemctl is-system-running` says once the boot is over."""


class HostFailed(AssertionError):
    """A host did not boot, or a command on it failed."""


@dataclass
class Host:
    """One booted host. It keeps its name, address, port and host key over `restart` and over `stop` and `start`."""

    name: str
    address: str
    port: int
    container: DockerContainer = field(repr=False)
    host_key: str = ""

    def exec(self, command: str, *, user: str = "root") -> str:
        """Run a shell command on the host, past SSH; returns its output, raises HostFailed on any other end than 0."""
        status, output = self.attempt(command, user=user)
        if status != 0:
            raise HostFailed(f"{self.name}: `{command}` ended with {status}:\n{output}")
        return output

    def attempt(self, command: str, *, user: str = "root") -> tuple[int, str]:
        """Run a shell command on the host, past SSH; returns its exit status and its output, both streams together."""
        return engine.run_inside(str(self.container.get_wrapped_container().id), command, user=user)

    def write(self, path: str, content: str, *, mode: str = "0644") -> None:
        """Put a file on the host; its folder is made where it is missing."""
        quoted = shlex.quote(path)
        self.exec(f"install -D -m {mode} /dev/null {quoted} && printf %s {shlex.quote(content)} >{quoted}")

    def read(self, path: str) -> str:
        """The content of a file on the host."""
        return self.exec(f"cat {shlex.quote(path)}")

    def trust(self, public_key: str, *users: str) -> None:
        """Let the holder of *public_key* log in as these users."""
        for user in users:
            self.exec(f"install -m 0600 -o {user} -g {user} /dev/null ~{user}/.ssh/authorized_keys")
            self.exec(f"printf '%s\\n' {shlex.quote(public_key.strip())} >~{user}/.ssh/authorized_keys")

    def pause(self) -> None:
        """Freeze every process: connections are taken and never answered."""
        self.container.get_wrapped_container().pause()

    def unpause(self) -> None:
        """Go on where `pause` froze it."""
        self.container.get_wrapped_container().unpause()

    def stop(self) -> None:
        """Cut the power: connections are refused. Files stay, but for /run and /tmp."""
        self.container.get_wrapped_container().kill()
        self.container.get_wrapped_container().wait()

    def start(self) -> None:
        """Boot after `stop`."""
        self.container.get_wrapped_container().start()
        self.boot()

    def restart(self) -> None:
        """Cut the power and boot."""
        self.stop()
        self.start()

    def boot(self) -> None:
        """Wait until systemd and sshd are up; raises HostFailed with the failed units where they do not come up."""
        wait_until(lambda: self.attempt("systemctl is-system-running")[1].strip() in SETTLED, self.complaint)
        wait_until(self.greets, self.complaint)
        # Docker mounts it read-only. net.* is the container's own; the rest would be this machine's and stays shut.
        self.exec(
            "mkdir -p /run/proc && mount -t proc proc /run/proc"
            " && mount --bind /run/proc/sys/net /proc/sys/net && umount /run/proc"
        )
        self.host_key = self.exec("cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub").strip()

    def greets(self) -> bool:
        """Whether an SSH server sends its greeting on our port."""
        try:
            with socket.create_connection((self.address, self.port), timeout=5) as connection:
                connection.settimeout(5)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def complaint(self) -> str:
        """Why it is not up, as systemd tells it."""
        return f"{self.name} did not boot: " + self.attempt("systemctl is-system-running; systemctl --failed")[1]

    def remove(self) -> None:
        """Take the container away, whatever state it is in."""
        self.container.stop()

    @property
    def known_host(self) -> str:
        """Its line for a known_hosts file."""
        return f"[{self.address}]:{self.port} {self.host_key}"


def boot(image: str, names: Iterable[str]) -> list[Host]:
    """Start a container for each name, all at once, and wait until every one is up."""
    hosts = [launch(image, name) for name in names]
    for host in hosts:
        host.boot()
    return hosts


def launch(image: str, name: str) -> Host:
    """Start one container on a free loopback port, without waiting for it."""
    port = next(free_ports())
    container = (
        DockerContainer(image)
        .with_kwargs(
            hostname=name,
            labels={LABEL: owner(os.getpid())},
            # systemd mounts and makes cgroups; iptables and tc are for the tests of a failing network.
            cap_add=["SYS_ADMIN", "NET_ADMIN"],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            cgroupns="private",
        )
        .with_tmpfs_mount("/run")
        .with_tmpfs_mount("/tmp", "exec,mode=1777")
        .with_tmpfs_mount("/sys/fs/cgroup")
    )
    # testcontainers has no words for the address that a port is bound to; docker-py takes this pair.
    container.ports["22/tcp"] = (ADDRESS, port)  # type: ignore[assignment]
    return Host(name, ADDRESS, port, container.start())


def free_ports() -> Iterator[int]:
    """Ports nobody listens on, a different stretch of them for every test process."""
    start = os.getpid() * 101 % len(PORTS)
    for offset in itertools.count(start):
        port = PORTS[offset % len(PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex((ADDRESS, port)) != 0:
                yield port


def wait_until(happens: Callable[[], bool], complaint: Callable[[], str], seconds: float = BOOT_SECONDS) -> None:
    """Ask until it happens; raises HostFailed with *complaint* where it does not in time."""
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            raise HostFailed(complaint())
        time.sleep(0.1)


def owner(pid: int) -> str:
    """A process by its number and its start, because numbers come again."""
    return f"{pid}:{started(pid)}"


def started(pid: int) -> str:
    """The start time of a process in clock ticks since boot, or nothing where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def sweep(*, ours: bool = False) -> None:
    """Remove the containers of test processes that are no more, and with *ours* this one's."""
    spared = "" if ours else owner(os.getpid())
    client = docker.from_env()
    try:
        found = client.containers.list(all=True, filters={"label": LABEL})
        left = [box for box in found if box.labels[LABEL] != spared and not owned_by_another(box.labels[LABEL])]
        for container in left:
            # Another test process may be removing the same one at this moment, which is as good.
            with suppress(APIError):
                container.remove(force=True, v=True)
    finally:
        client.close()


def owned_by_another(label: str) -> bool:
    """Whether the process that a label names still runs and is not this one."""
    pid = int(label.partition(":")[0])
    return pid != os.getpid() and label == owner(pid)


def inventory_yaml(hosts: Iterable[Host], *, group: str = "web", user: str = "root") -> str:
    """A static Ansible inventory of these hosts in one group. Keys are no part of it: the daemon has them."""
    named: dict[str, Any] = {
        host.name: {"ansible_host": host.address, "ansible_port": host.port, "ansible_user": user} for host in hosts
    }
    return yaml.safe_dump({"all": {"children": {group: {"hosts": named}}}}, sort_keys=False)
