"""How Ansible is run: the settings, and the environment they become. What never varies is in ``playbooks/ansible.cfg``.

Called by the Ansible edge; starts nothing.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.ansible import leftovers
from reconciler.bundle import playbooks_folder
from reconciler.reach import SshWay, has_room

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


def environment(
    settings: AnsibleSettings, task_seconds: int, private: Path, temporary: Path, mark: str
) -> dict[str, str]:
    """All that Ansible sees of the world. Nothing is inherited, so no token of the daemon's reaches it."""
    home = str(private)
    return {
        leftovers.MARK: mark,
        "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "TMPDIR": str(temporary),
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
    """How every host is reached, with one connection for all the tasks of a host."""
    way = SshWay(settings.ssh_key, settings.known_hosts, settings.ssh_config, settings.connect_timeout)
    shared = multiplexes(settings)
    master = {"ControlMaster": "auto" if shared else "no", "ControlPersist": "60s" if shared else "no"}
    return shlex.join(way.words(**master))


def multiplexes(settings: AnsibleSettings) -> bool:
    """Whether the path of a control socket is short enough to exist."""
    return has_room(settings.sockets / "0123456789abcdef")
