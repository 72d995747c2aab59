"""Hosts to try the Ansible edge on: this machine's folders, hosts that lie, and a real sshd on the loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.ansible import Ansible, AnsibleSettings
from reconciler.bundle import playbooks_folder

LOCAL = {"ansible_connection": "local"}

# Tiny kinds and collectors beside the shipped ones. They show what Ansible does, not what a kind does.
EXTRA = {
    "facts/surroundings.py": "import os\ndef collect(asked):\n    return {key: dict(os.environ) for key in asked}\n",
    "facts/broken.py": "def collect(asked):\n    raise OSError('the disk is on fire')\n",
    "facts/large.py": "def collect(asked):\n    return {key: 'x' * int(key) for key in asked}\n",
    "facts/noisy.py": "def collect(asked):\n    print('}{')\n    return {key: 'quiet' for key in asked}\n",
    "facts/odd.py": "def collect(asked):\n    return {key: '\\udcff.txt \u00e9' for key in asked}\n",
    "facts/slow.py": "import time\ndef collect(asked):\n    time.sleep(float(max(asked)))\n    return asked\n",
    "kinds/shell.yml": """
- name: Run
  ansible.builtin.shell: "{{ step.args.run }}"
  loop: "{{ reconciler_steps['shell'] }}"
  loop_control: {loop_var: step, label: "{{ step.id }}"}
  register: done
  ignore_errors: true
- ansible.builtin.include_tasks: ../remember.yml
  vars: {results: "{{ done.results }}"}
""",
    "kinds/hidden.yml": """
- name: Run, and show nothing
  ansible.builtin.shell: "{{ step.args.run }}"
  loop: "{{ reconciler_steps['hidden'] }}"
  loop_control: {loop_var: step, label: "{{ step.id }}"}
  register: done
  ignore_errors: true
  no_log: true
- ansible.builtin.include_tasks: ../remember.yml
  vars: {results: "{{ done.results }}"}
""",
}


@pytest.fixture(scope="session")
def playbooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped playbooks with a few tiny kinds and collectors more."""
    folder = tmp_path_factory.mktemp("pb") / "playbooks"
    shutil.copytree(playbooks_folder(), folder)
    for name, text in EXTRA.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def make_ansible(tmp_path_factory: pytest.TempPathFactory, playbooks: Path) -> Callable[..., Ansible]:
    """Ansible with a run folder of its own; further settings by name."""

    def make(**settings: Any) -> Ansible:
        run_dir = settings.pop("run_dir", None) or tmp_path_factory.mktemp("e") / "run"
        # Each worker of pytest has an e0 of its own, and nobody may take another's processes for ours.
        instance = "-".join(run_dir.parts[-3:-1])
        return Ansible(
            AnsibleSettings(**{"run_dir": run_dir, "instance": instance, "playbooks": playbooks, **settings})
        )

    return make


@dataclass(frozen=True)
class Sshd:
    """A real sshd of this user: its port, a key it accepts, and its host key."""

    port: int
    key: Path
    host_key: str

    def known(self, folder: Path) -> Path:
        """A known_hosts file that holds its key."""
        path = folder / "known_hosts"
        path.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        return path

    @property
    def connection(self) -> dict[str, Any]:
        """How Ansible reaches it."""
        return {"ansible_host": "127.0.0.1", "ansible_port": self.port, "ansible_user": getpass.getuser()}


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Start sshd on the loopback with fresh keys."""
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
    )
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert program, "these tests need openssh-server"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stderr=log)
    wait_for_port(port)
    kind, key, *_ = (folder / "host.pub").read_text().split()
    yield Sshd(port, folder / "user", f"{kind} {key}")
    process.terminate()
    process.wait()


def free_port() -> int:
    """A TCP port of the loopback on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Return once something accepts connections there."""
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")
