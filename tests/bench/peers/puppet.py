"""Puppet's noop: ``puppet apply --noop`` of Debian's agent, started on every host at once over warm SSH.

Its agent would be started by a timer and cost the controller nothing; here it costs an SSH client. Titles are the
resources' ids. Templates reach it rendered, as a server would send them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.measure import BenchFailed
from tests.bench.peers.base import CannotInstall, Look, last_line, on_all, packages
from tests.bench.peers.channel import Channel

FOLDER = "/var/lib/bench-puppet"
COMMAND = f"puppet apply --noop --color=false {FOLDER}/site.pp"
EVENT = re.compile(r"^Notice: /Stage\[main\]/Main/\w+\[([^\]]+)\]/.*\(noop\)", re.MULTILINE)
DONE = re.compile(r"^Notice: Applied catalog in", re.MULTILINE)


@dataclass(slots=True)
class Puppet:
    """Puppet on the hosts."""

    fleet: Fleet
    channel: Channel
    name: str = "puppet apply --noop, on each host"
    looks: int = 1

    def install(self) -> str:
        """Install it with the module for cron jobs, give every host its manifest, and apply it once."""
        modules = ("puppet-module-puppetlabs-cron-core", "puppet-module-puppetlabs-stdlib")
        packages(self.fleet.hosts, "puppet-agent", *modules)
        for host in self.fleet.hosts:
            host.write(f"{FOLDER}/site.pp", manifest(host.name))
            for path, content in workload.contents().items():
                if path.startswith("files/"):
                    host.write(f"{FOLDER}/{path}", content)
        for status, output in on_all(self.fleet.hosts, f"puppet apply --detailed-exitcodes {FOLDER}/site.pp 2>&1"):
            if status not in (0, 2):
                raise CannotInstall(f"it cannot apply the resources: {last_line(output)}")
        return self.fleet.hosts[0].exec("puppet --version").strip()

    def look(self, count: int) -> list[Look]:
        """Noop runs on all hosts at once, one after another."""
        return [self.look_once() for _ in range(count)]

    def look_once(self) -> Look:
        """One noop run."""
        cost, answers = self.channel.run(COMMAND)
        for host, (status, said) in answers.items():
            if status != 0 or not DONE.search(said):
                raise BenchFailed(f"puppet on {host} ended with {status}:\n{said[-2000:]}")
        found = {(host, title) for host, (_, said) in answers.items() for title in EVENT.findall(said)}
        return Look(cost, frozenset(found))

    def close(self) -> None:
        """Nothing stays open."""


def manifest(host: str) -> str:
    """The manifest of one host: one resource of Puppet for each of ours."""
    return "\n".join(resource(name, kind, fields, host) for name, kind, fields in workload.items()) + "\n"


def resource(name: str, kind: str, fields: dict[str, Any], host: str) -> str:
    """One resource as source text."""
    type_, options = TRANSLATED[kind](fields)
    if kind == "template":
        options["content"] = workload.rendered(int(name.split()[1]), host)
    body = "".join(f"  {key} => {literal(value)},\n" for key, value in options.items() if value is not None)
    return f"{type_} {{ {literal(name)}:\n{body}}}"


def literal(value: Any) -> str:
    """A value in Puppet's language."""
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def owned(fields: dict[str, Any]) -> dict[str, Any]:
    """Owner, group and mode."""
    return {key: fields.get(key) for key in ("owner", "group", "mode")}


def path(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``file`` by its state."""
    wanted = {"path": fields["path"], "ensure": fields["state"], **owned(fields)}
    return "file", wanted | ({"target": fields["src"]} if "src" in fields else {})


def line(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``lineinfile``."""
    return "file_line", {"path": fields["path"], "line": fields["line"], "match": fields.get("regexp")}


def user(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``user``, whose home is none of the resource's business."""
    chosen = {"gid": fields["group"], **{key: fields[key] for key in ("name", "uid", "shell", "comment")}}
    return "user", {"ensure": "present", "managehome": False, **chosen}


TRANSLATED: dict[str, Any] = {
    "group": lambda f: ("group", {"ensure": "present", **f}),
    "user": user,
    "package": lambda f: ("package", {"ensure": "installed", **f}),
    "file": path,
    "copy": lambda f: ("file", {"path": f["dest"], "source": f"{FOLDER}/files/{f['src']}", **owned(f)}),
    "template": lambda f: ("file", {"path": f["dest"], "ensure": "file", **owned(f)}),
    "lineinfile": line,
    "cron": lambda f: (
        "cron",
        {"command": f["job"], "user": "root", "minute": f["minute"], "hour": f["hour"]},
    ),
    "service": lambda f: ("service", {"ensure": "running", "enable": f["enabled"], "name": f["name"]}),
}
