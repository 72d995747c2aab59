"""``ansible-playbook --check --diff`` of the same state: tuned as far as its settings go, and as it comes.

The connections are made as the reconciler makes them: same key, same known hosts, ControlPersist. Tuned means
pipelining, twenty forks, no facts gathered, the interpreter named and a short poll; every run begins without
an open connection, as a sweep every ten minutes does.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.ground import write_files
from tests.bench.measure import BenchFailed, Cost, run_timed

RECAP = re.compile(r"^(\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)

TUNED = """\
[defaults]
forks = 20
gathering = explicit
interpreter_python = /usr/bin/python3
internal_poll_interval = 0.01
inject_facts_as_vars = False
retry_files_enabled = False
host_key_checking = True
[connection]
pipelining = True
[ssh_connection]
pipelining = True
ssh_args = {ssh}
control_path_dir = {sockets}
"""
UNTUNED = """\
[defaults]
host_key_checking = True
[ssh_connection]
ssh_args = {ssh}
control_path_dir = {sockets}
"""


@dataclass(frozen=True, slots=True)
class CheckMode:
    """A playbook project in a folder of its own; ``changed`` counts what a run would change, on all hosts."""

    folder: Path
    fleet: Fleet
    tuned: bool

    def write(self) -> CheckMode:
        """Write the project."""
        write_files(self.folder, workload.playbook(self.fleet.inventory, gather_facts=not self.tuned))
        return self

    def run(self) -> tuple[Cost, int]:
        """One check of all hosts, no connection open before it; raises BenchFailed where a host was not reached."""
        with tempfile.TemporaryDirectory(prefix="cp-") as sockets:
            return self.run_with(Path(sockets))

    def run_with(self, sockets: Path) -> tuple[Cost, int]:
        """One check with control sockets in a folder."""
        text = (TUNED if self.tuned else UNTUNED).format(ssh=self.ssh_arguments().replace("%", "%%"), sockets=sockets)
        (self.folder / "ansible.cfg").write_text(text)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        inventory, site = self.folder / "inventory", self.folder / "site.yml"
        command = [program, "--check", "--diff", "-i", str(inventory), str(site)]
        done = run_timed(command, self.folder / "output.txt", environment)
        return done.cost, self.changed(done.output)

    def ssh_arguments(self) -> str:
        """ssh's options: who the hosts are and who we are, and one connection for all tasks of a host."""
        options = {
            "UserKnownHostsFile": str(self.fleet.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(self.fleet.key),
            "BatchMode": "yes",
            "ControlMaster": "auto",
            "ControlPersist": "60s",
        }
        words = ["-F", "/dev/null"]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        return shlex.join(words)

    def changed(self, output: str) -> int:
        """The number of tasks that would change something; every host must have been asked every task."""
        recap = {m[1]: tuple(map(int, m.groups()[1:])) for m in RECAP.finditer(output)}
        asked = workload.COUNT + (0 if self.tuned else 1)
        whole = [
            host for host, (ok, _, unreachable, failed) in recap.items() if (ok, unreachable, failed) == (asked, 0, 0)
        ]
        if sorted(whole) != sorted(host.name for host in self.fleet.hosts):
            raise BenchFailed(f"check mode did not check everything:\n{output[-3000:]}")
        return sum(changed for _, changed, _, _ in recap.values())
