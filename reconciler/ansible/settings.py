"""How Ansible is run: the settings, and the environment they become. What never varies is in ``playbooks/ansible.cfg``.

Called by the Ansible edge; starts nothing.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.ansible import leftovers
from reconciler.ansible.bundle import playbooks_folder

SOCKET_NAME = 108 - len("/0123456789.0123456789abcdef") - 1
"""Longest folder for control sockets: Linux takes 108 bytes, ssh adds a name and a suffix of its own."""


EVENT_CAP = 6 * 1024 * 1024
"""Characters of one result; ansible-runner drops anything above 700,000 unless told otherwise."""


@dataclass(frozen=True, slots=True)
class AnsibleSettings:
    """How Ansible is run. Times in seconds.

    ``observe_timeout`` and ``converge_timeout`` are what one host may take; a launch for more hosts
    than ``forks`` may take as many times that as the hosts come in waves. ``instance`` names the
    state directory this daemon owns, without a colon.
    """

    run_dir: Path
    instance: str
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    ssh_config: Path | None = None
    forks: int = 20
    connect_timeout: int = 10
    observe_timeout: int = 60
    task_timeout: int = 600
    converge_timeout: int = 1800
    stop_grace: int = 45
    playbooks: Path = field(default_factory=playbooks_folder)

    @property
    def sockets(self) -> Path:
        """The private folder of ssh's control sockets."""
        return self.run_dir / "ssh"


def environment(settings: AnsibleSettings, task_seconds: int, private: Path, mark: str) -> dict[str, str]:
    """All that Ansible sees of the world. Nothing is inherited, so no token of the daemon's reaches it."""
    home = str(private)
    return {
        leftovers.MARK: mark,
        "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LC_ALL": "C.UTF-8",
        "PYTHONSAFEPATH": "1",
        "MAX_EVENT_RES": str(EVENT_CAP),
        "ANSIBLE_CONFIG": str(settings.playbooks / "ansible.cfg"),
        "ANSIBLE_HOME": home,
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        # ansible-runner switches the check off unless the environment says otherwise, whatever ansible.cfg says.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_FORKS": str(settings.forks),
        "ANSIBLE_TIMEOUT": str(settings.connect_timeout),
        "ANSIBLE_TASK_TIMEOUT": str(task_seconds),
        "ANSIBLE_SSH_ARGS": ssh_arguments(settings),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(settings.sockets),
    }


def ssh_arguments(settings: AnsibleSettings) -> str:
    """Only the operator's own choices, only known host keys, nothing interactive."""
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "GlobalKnownHostsFile": "/dev/null",
        "UserKnownHostsFile": ssh_path(settings.known_hosts),
        "IdentitiesOnly": "yes",
        "ConnectTimeout": str(settings.connect_timeout),
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
        "ForwardAgent": "no",
        "ControlMaster": "auto" if multiplexes(settings) else "no",
        "ControlPersist": "60s" if multiplexes(settings) else "no",
    }
    if settings.ssh_key is not None:
        options["IdentityFile"] = ssh_path(settings.ssh_key)
    words = ["-F", str(settings.ssh_config or "/dev/null")]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return shlex.join(words)


def ssh_path(path: Path | None) -> str:
    """A path as ssh's options want it: quoted, a percent sign doubled."""
    return '"{}"'.format(str(path).replace("%", "%%")) if path is not None else "/dev/null"


def multiplexes(settings: AnsibleSettings) -> bool:
    """Whether the path of a control socket is short enough to exist."""
    return len(os.fsencode(settings.sockets)) <= SOCKET_NAME
