"""pyinfra's dry run: the same resources as operations, all hosts in parallel, its own plan as JSON."""

from __future__ import annotations

import json
import os
import pprint
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.ground import write_files
from tests.bench.measure import BenchFailed
from tests.bench.peers.base import CannotInstall, Look, environment, last_line
from tests.bench.tree import run_tree

HEAD = """\
from pyinfra import host
from pyinfra.operations import apt, crontab, files, server, systemd

"""


@dataclass(slots=True)
class Pyinfra:
    """``pyinfra --dry --json`` in a folder of its own."""

    folder: Path
    fleet: Fleet
    name: str = "pyinfra, dry run"
    looks: int = 1
    program: str = ""

    def install(self) -> str:
        """Fetch it, and apply everything once: it keeps cron jobs under names of its own."""
        self.program = str(environment("pyinfra", "pyinfra") / "pyinfra")
        write_files(self.folder, {"inventory.py": inventory(self.fleet), "deploy.py": deploy(), **workload.contents()})
        done = run_tree(self.command("--yes"), self.folder / "apply.txt", self.environment(), self.folder)
        if done.code != 0:
            raise CannotInstall(f"it cannot apply the resources: {last_line(done.output)}")
        version = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True)
        return version.stdout.split()[-1].lstrip("v")

    def command(self, *options: str) -> list[str]:
        """The command line."""
        return [self.program, *options, "inventory.py", "deploy.py"]

    def environment(self) -> dict[str, str]:
        """The variables it runs with."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}

    def look(self, count: int) -> list[Look]:
        """Dry runs, one after another."""
        return [self.look_once() for _ in range(count)]

    def look_once(self) -> Look:
        """One dry run."""
        done = run_tree(self.command("--dry", "--json"), self.folder / "plan.txt", self.environment(), self.folder)
        try:
            said, _ = json.JSONDecoder().raw_decode(done.output, done.output.index('{"plan"'))
        except ValueError as problem:
            raise BenchFailed(f"pyinfra gave no plan:\n{done.output[-2000:]}") from problem
        operations: list[dict[str, Any]] = said["plan"]
        if done.code != 0 or len(operations) != workload.COUNT:
            raise BenchFailed(f"pyinfra planned {len(operations)} operations, ended with {done.code}")
        found = {(host, each["names"][0]) for each in operations for host in each["hosts_with_change"]}
        return Look(done.cost, frozenset(found))

    def close(self) -> None:
        """Nothing stays open."""


def inventory(fleet: Fleet) -> str:
    """The hosts, with the key and the known hosts that everybody else is given."""
    hosts = [
        (
            host.name,
            {
                "ssh_hostname": host.address,
                "ssh_port": host.port,
                "ssh_user": "root",
                "ssh_key": str(fleet.key),
                "ssh_known_hosts_file": str(fleet.known_hosts),
                "ssh_strict_host_key_checking": "yes",
            },
        )
        for host in fleet.hosts
    ]
    return f"web = {pprint.pformat(hosts)}\n"


def deploy() -> str:
    """The deploy file: one operation for each resource."""
    calls = (operation(name, kind, fields) for name, kind, fields in workload.items())
    return HEAD + "\n".join(calls) + "\n"


def operation(name: str, kind: str, fields: dict[str, Any]) -> str:
    """One operation as source text."""
    function, options = TRANSLATED[kind](fields)
    values = {"name": name, **{key: value for key, value in options.items() if value is not None}}
    if kind == "template":
        given = ", ".join(f"{key}={value!r}" for key, value in (values | workload.VARIABLES).items())
        return f"{function}({given}, inventory_hostname=host.name)"
    return f"{function}({', '.join(f'{key}={value!r}' for key, value in values.items())})"


def permissions(fields: dict[str, Any]) -> dict[str, Any]:
    """Owner, group and mode in its words."""
    return {
        "user": fields.get("owner"),
        "group": fields.get("group"),
        "mode": fields.get("mode", "").lstrip("0") or None,
    }


def path(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``file`` by its state."""
    match fields["state"]:
        case "directory":
            return "files.directory", {"path": fields["path"], **permissions(fields)}
        case "link":
            return "files.link", {"path": fields["path"], "target": fields["src"]}
        case "absent":
            return "files.file", {"path": fields["path"], "present": False}
    return "files.file", {"path": fields["path"], **permissions(fields)}


def line(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``lineinfile``: what is looked for and what is to be there."""
    if "regexp" in fields:
        return "files.line", {
            "path": fields["path"],
            "line": fields["regexp"] + ".*",
            "replace": fields["line"],
        }
    return "files.line", {"path": fields["path"], "line": fields["line"]}


def user(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``user``, whose home is none of the resource's business."""
    chosen = {key: fields.get(key) for key in ("uid", "group", "shell", "comment")}
    return "server.user", {"user": fields["name"], **chosen}


TRANSLATED: dict[str, Any] = {
    "group": lambda f: ("server.group", {"group": f["name"], "gid": f["gid"]}),
    "user": user,
    "package": lambda f: ("apt.packages", {"packages": [f["name"]]}),
    "file": path,
    "copy": lambda f: ("files.put", {"src": f"files/{f['src']}", "dest": f["dest"], **permissions(f)}),
    "template": lambda f: ("files.template", {"src": f"templates/{f['src']}", "dest": f["dest"], **permissions(f)}),
    "lineinfile": line,
    "cron": lambda f: (
        "crontab.crontab",
        {"command": f["job"], "cron_name": f["name"], "minute": f["minute"], "hour": f["hour"]},
    ),
    "service": lambda f: (
        "systemd.service",
        {"service": f["name"], "running": f["state"] == "started", "enabled": f["enabled"]},
    ),
}
