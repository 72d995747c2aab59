"""``ansible-playbook --check --diff``, tuned: plain, with Mitogen's strategy, and through ansible-runner.

The connections are made as the reconciler makes them: same key, same known hosts, ControlPersist. Tuned means
pipelining, twenty forks, no facts gathered, the interpreter named and a short poll; every run begins without an open
connection, as a sweep every ten minutes does. What is found is read task by task from the default output.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.ground import write_files
from tests.bench.measure import BenchFailed
from tests.bench.peers.base import Found, Look, environment, fetch, ssh_options
from tests.bench.tree import run_tree

RECAP = re.compile(r"^(\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
OUTCOME = re.compile(
    r"^TASK \[(?P<task>[^\]]+)\]|^(?P<status>changed|failed|fatal): \[(?P<host>[^\]]+)\]", re.MULTILINE
)

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
MITOGEN = """\
strategy_plugins = {plugins}
strategy = mitogen_linear
"""


@dataclass(slots=True)
class Playbook:
    """Check mode, its project written once; each run begins without an open connection."""

    folder: Path
    fleet: Fleet
    name: str = "ansible-playbook --check --diff, tuned"
    looks: int = 1
    settings: str = TUNED

    def install(self) -> str:
        """Write the project. It need not be applied: the reconciler has converged by the same modules."""
        write_files(self.folder, workload.playbook(self.fleet.inventory))
        return f"ansible-core {version('ansible-core')}"

    def command(self) -> list[str]:
        """The command line."""
        return [str(Path(sys.executable).parent / "ansible-playbook"), *self.arguments()]

    def arguments(self) -> list[str]:
        """Its arguments."""
        return ["--check", "--diff", "-i", str(self.folder / "inventory"), str(self.folder / "site.yml")]

    def look(self, count: int) -> list[Look]:
        """Checks, one after another."""
        return [self.look_once() for _ in range(count)]

    def look_once(self) -> Look:
        """One check of all hosts; raises BenchFailed where a host was not asked everything."""
        with tempfile.TemporaryDirectory(prefix="cp-") as sockets:
            (self.folder / "ansible.cfg").write_text(self.settings.format(ssh=self.ssh_arguments(), sockets=sockets))
            done = run_tree(self.command(), self.folder / "output.txt", self.environment(), self.folder)
        return Look(done.cost, self.found(done.output))

    def ssh_arguments(self) -> str:
        """ssh's options as a line of its configuration: the same as everybody's, and one connection for all tasks."""
        options = {**ssh_options(self.fleet), "ControlMaster": "auto", "ControlPersist": "60s"}
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return shlex.join(["-F", "/dev/null", *words]).replace("%", "%%")

    def environment(self) -> dict[str, str]:
        """The variables it runs with."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }

    def found(self, output: str) -> Found:
        """Which tasks would change something, or cannot be tried, on which hosts."""
        # A task that fails ends the play of its host in check mode too: what comes after it was not looked at.
        recap = {match[1]: tuple(map(int, match.groups()[1:])) for match in RECAP.finditer(output)}
        if set(recap) != {host.name for host in self.fleet.hosts} or any(seen[2] for seen in recap.values()):
            raise BenchFailed(f"{self.name} did not reach everything:\n{output[-3000:]}")
        if any(seen[0] != workload.COUNT and not seen[3] for seen in recap.values()):
            raise BenchFailed(f"{self.name} did not check everything:\n{output[-3000:]}")
        task, found = "", set()
        for match in OUTCOME.finditer(output):
            task = match["task"] or task
            if match["host"]:
                found.add((match["host"], task))
        return frozenset(found)

    def close(self) -> None:
        """Nothing stays open."""


@dataclass(slots=True)
class Mitogen(Playbook):
    """The same with Mitogen, in an environment of its own with the same ansible-core."""

    name: str = "ansible-playbook --check with Mitogen"
    bin: Path = Path()

    def install(self) -> str:
        """Fetch it, and write the project."""
        self.bin = environment("mitogen", "mitogen", f"ansible-core=={version('ansible-core')}")
        plugins = next(self.bin.parent.glob("lib/python*/site-packages/ansible_mitogen/plugins/strategy"))
        self.settings = TUNED.replace("[defaults]\n", "[defaults]\n" + MITOGEN.format(plugins=plugins))
        core = Playbook.install(self)
        shown = [str(self.bin / "python"), "-c", "import mitogen; print('.'.join(map(str, mitogen.__version__)))"]
        return f"mitogen {fetch(shown)}, {core}"

    def command(self) -> list[str]:
        """The command line."""
        return [str(self.bin / "ansible-playbook"), *self.arguments()]

    def environment(self) -> dict[str, str]:
        """The variables it runs with."""
        return {**Playbook.environment(self), "PATH": f"{self.bin}:{os.environ['PATH']}"}


@dataclass(slots=True)
class Runner(Playbook):
    """The same through ansible-runner, as a daemon would start it; its artifacts are written as it does by default."""

    name: str = "ansible-playbook --check by ansible-runner"

    def install(self) -> str:
        """Write the project."""
        return f"ansible-runner {version('ansible-runner')}, {Playbook.install(self)}"

    def command(self) -> list[str]:
        """The command line."""
        program = str(Path(sys.executable).parent / "ansible-runner")
        places = ["--project-dir", str(self.folder), "--inventory", str(self.folder / "inventory")]
        options = ["--rotate-artifacts", "1", "--cmdline", "--check --diff"]
        return [program, "run", str(self.folder / "runner"), *places, *options, "-p", "site.yml"]

    def look_once(self) -> Look:
        """One check; the private folder has to be there."""
        (self.folder / "runner").mkdir(exist_ok=True)
        return Playbook.look_once(self)
