"""Salt's test mode over SSH, without a master or minions: ``salt-ssh '*' state.apply test=True``, states by our ids."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.ground import write_files
from tests.bench.measure import BenchFailed
from tests.bench.peers.base import CannotInstall, Look, environment, last_line, ssh_options
from tests.bench.tree import run_tree

HOSTNAME = "NAME-OF-THE-HOST"
"""Stands in the states where salt-ssh puts the host's own name."""


@dataclass(slots=True)
class Salt:
    """``salt-ssh`` with its configuration in a folder of its own."""

    folder: Path
    fleet: Fleet
    name: str = "salt-ssh, test=True"
    looks: int = 1
    program: str = ""

    def install(self) -> str:
        """Fetch it, and apply everything once."""
        self.program = str(environment("salt", "salt") / "salt-ssh")
        write_files(self.folder, self.project())
        done = run_tree(self.command(), self.folder / "apply.txt", self.environment(), self.folder)
        try:
            failed = [f"{name}: {state['comment']}" for _, name, state in states(done.output) if not state["result"]]
        except BenchFailed as problem:
            raise CannotInstall(f"it cannot apply the resources: {last_line(str(problem))}") from problem
        if failed:
            raise CannotInstall(f"it cannot apply {failed[0]}")
        version = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True)
        return version.stdout.split()[1]

    def project(self) -> dict[str, str]:
        """Its configuration, roster, states and files."""
        folders = {
            "root_dir": str(self.folder / "root"),
            "file_roots": {"base": [str(self.folder / "states")]},
            "ssh_options": [f"{name}={value}" for name, value in ssh_options(self.fleet).items()],
        }
        roster = {
            host.name: {"host": host.address, "port": host.port, "user": "root", "priv": str(self.fleet.key)}
            for host in self.fleet.hosts
        }
        found = {name: state(name, kind, fields) for name, kind, fields in workload.items()}
        return {
            "etc/master": yaml.safe_dump(folders),
            "etc/roster": yaml.safe_dump(roster),
            # Jinja sees the states before YAML does; JSON is YAML, and repeats lists instead of anchoring them.
            "states/bench.sls": json.dumps(found, indent=1).replace(HOSTNAME, "{{ grains['id'] }}"),
            **{f"states/{path}": content for path, content in workload.contents().items()},
        }

    def command(self, *options: str) -> list[str]:
        """The command line; JSON once for all hosts."""
        fixed = [
            "-c",
            str(self.folder / "etc"),
            "--max-procs=20",
            "--out=json",
            "--static",
            "*",
            "state.apply",
            "bench",
        ]
        return [self.program, *fixed, *options]

    def environment(self) -> dict[str, str]:
        """The variables it runs with."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}

    def look(self, count: int) -> list[Look]:
        """Runs in test mode, one after another."""
        return [self.look_once() for _ in range(count)]

    def look_once(self) -> Look:
        """One run in test mode; a state whose result is None would change something."""
        done = run_tree(self.command("test=True"), self.folder / "test.txt", self.environment(), self.folder)
        found = states(done.output)
        failed = [(host, name, state["comment"]) for host, name, state in found if state["result"] is False]
        if len(found) != workload.COUNT * len(self.fleet.hosts):
            raise BenchFailed(f"salt-ssh tried {len(found)} states; {failed[:1]}")
        # A state that cannot be tried, as a file in a folder that is gone, is no less a difference.
        return Look(done.cost, frozenset((host, name) for host, name, state in found if state["result"] is not True))

    def close(self) -> None:
        """Nothing stays open."""


def states(output: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(host, id, outcome) of every state of a run; raises BenchFailed where the output is something else."""
    try:
        answers, _ = json.JSONDecoder().raw_decode(output, output.index("{"))
        return [(host, one["__id__"], one) for host, answer in answers.items() for one in answer.values()]
    except (ValueError, AttributeError, KeyError, TypeError) as problem:
        raise BenchFailed(f"salt-ssh did not try everything: {output[-2000:]}") from problem


def state(name: str, kind: str, fields: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """One state."""
    function, options = TRANSLATED[kind](fields)
    return {function: [{key: value} for key, value in options.items() if value is not None]}


def owned(fields: dict[str, Any]) -> dict[str, Any]:
    """Owner, group and mode in its words."""
    return {"user": fields.get("owner"), "group": fields.get("group"), "mode": fields.get("mode")}


def path(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``file`` by its state."""
    match fields["state"]:
        case "directory":
            return "file.directory", {"name": fields["path"], **owned(fields)}
        case "link":
            return "file.symlink", {"name": fields["path"], "target": fields["src"]}
        case "absent":
            return "file.absent", {"name": fields["path"]}
    return "file.managed", {"name": fields["path"], "replace": False, **owned(fields)}


def line(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``lineinfile``."""
    if "regexp" in fields:
        wanted = {"pattern": fields["regexp"] + ".*", "repl": fields["line"], "append_if_not_found": True}
        return "file.replace", {"name": fields["path"], **wanted}
    return "file.append", {"name": fields["path"], "text": fields["line"]}


def content(source: str, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A file with content; templates get what the inventory's variables give elsewhere."""
    options = {"name": fields["dest"], "source": f"salt://{source}", **owned(fields)}
    if not source.endswith(".j2"):
        return "file.managed", options
    context = {**workload.VARIABLES, "inventory_hostname": HOSTNAME}
    return "file.managed", {**options, "template": "jinja", "context": context}


def user(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``user``, whose home is none of the resource's business."""
    named = {"name": fields["name"], "uid": fields["uid"], "gid": fields["group"], "usergroup": False}
    return "user.present", {**named, "shell": fields["shell"], "fullname": fields["comment"], "createhome": False}


TRANSLATED: dict[str, Any] = {
    "group": lambda f: ("group.present", f),
    "user": user,
    "package": lambda f: ("pkg.installed", f),
    "file": path,
    "copy": lambda f: content(f"files/{f['src']}", f),
    "template": lambda f: content(f"templates/{f['src']}", f),
    "lineinfile": line,
    "cron": lambda f: (
        "cron.present",
        {"name": f["job"], "identifier": f["name"], "minute": f["minute"], "hour": f["hour"]},
    ),
    "service": lambda f: ("service.running", {"name": f["name"], "enable": f["enabled"]}),
}
