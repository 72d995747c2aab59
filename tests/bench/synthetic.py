"""A made-up fleet of any size: fifty resources on each host, with the facts and the memories that belong to them.

A dozen manifests and ten templates over eight groups; what depends on the host is rendered for it, the rest is
the same everywhere. Facts are those of a host that is as desired, in the form the fact module answers; on one host
in twenty somebody has changed one file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from reconciler.model import Desired, HostDesired, HostMemory, Observed, Resource, Tree
from reconciler.state import State

GROUPS = ("web", "db", "cache", "queue")
SITES = ("north", "south")
DRIFT_EVERY = 20
REVISION = "0" * 40

TEMPLATE = """\
# application {number} on {{{{ inventory_hostname }}}}
[server]
listen = {{{{ address }}}}:{{{{ base_port + {number} }}}}
site = {{{{ site | upper }}}}
{{% for name, limit in limits.items() %}}
{{{{ name }}}} = {{{{ limit * {factor} }}}}
{{% endfor %}}
{{% if 'db' in group_names %}}
shared_buffers = {{{{ memory_mb // 4 }}}}MB
{{% else %}}
cache = {{{{ memory_mb // 8 }}}}MB
{{% endif %}}
{{% for server in servers %}}
peer = {{{{ server }}}}
{{% endfor %}}
"""
PLAIN = {f"setting_{n}": f"value {n}" for n in range(80)}
"""Variables that no template of these looks at, as a grown inventory has them."""
LIMITS = {"connections": 100, "files": 4096, "threads": 8, "requests": 250, "queue": 32}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBoc5uDq6PhYL0Fw2mdyUqRvPLb7aZg1ezpVLJ4cAlic alice@laptop"


def tree(hosts: int) -> Tree:
    """The files of a revision for that many hosts."""
    files = {
        "inventory/hosts.yml": yaml.safe_dump(inventory(hosts), sort_keys=False),
        "inventory/group_vars/all.yml": yaml.safe_dump(
            {
                "limits": LIMITS,
                "servers": [f"10.9.0.{n}" for n in range(1, 7)],
                "memory_mb": 4096,
                "domain": "example.org",
                **PLAIN,
            }
        ),
        **{f"inventory/group_vars/{site}.yml": yaml.safe_dump({"site": site}) for site in SITES},
        **{f"templates/app{n}.j2": TEMPLATE.format(number=n, factor=n + 1) for n in range(10)},
        **{f"files/static{n}.conf": "".join(f"key{i} = {n + i}\n" for i in range(60)) for n in range(8)},
        **{f"{name}.yml": yaml.safe_dump([manifest], sort_keys=False) for name, manifest in manifests().items()},
    }
    return {name: text.encode() for name, text in files.items()}


def inventory(hosts: int) -> dict[str, Any]:
    """Each host in one group by its work and one by its site, with an address of its own."""
    names = [f"host{number:04}" for number in range(hosts)]
    groups: dict[str, Any] = {
        group: {"hosts": {name: {"address": address(n), "base_port": 8000 + n % 50} for n, name in part(names, k)}}
        for k, group in enumerate(GROUPS)
    }
    half = len(names) // len(SITES)
    groups |= {site: {"hosts": dict.fromkeys(names[k * half : (k + 1) * half])} for k, site in enumerate(SITES)}
    return {"all": {"children": groups}}


def part(names: list[str], which: int) -> Iterator[tuple[int, str]]:
    """The hosts of one group, with their numbers."""
    return ((n, name) for n, name in enumerate(names) if n % len(GROUPS) == which)


def address(number: int) -> str:
    """An address for a host."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def manifests() -> dict[str, dict[str, Any]]:
    """Eight manifests for all, and one for each group: fifty resources on every host."""
    everywhere: dict[str, dict[str, Any]] = {
        "accounts": {
            "group": [{"name": f"team{n}", "gid": 4200 + n} for n in range(3)],
            "user": [{"name": f"worker{n}", "uid": 4300 + n, "group": f"team{n % 3}"} for n in range(5)],
            "authorized_key": [{"user": "worker0", "key": KEY}],
        },
        "packages": {"package": [{"name": f"tool{n}"} for n in range(9)]},
        "folders": {
            "file": [
                *({"path": f"/srv/app{n}", "state": "directory", "owner": "root", "mode": "0755"} for n in range(4)),
                {"path": "/srv/current", "state": "link", "src": "/srv/app0"},
                {"path": "/srv/{{ inventory_hostname }}", "state": "directory", "mode": "0700"},
            ]
        },
        "static": {
            "copy": [{"dest": f"/etc/static{n}.conf", "src": f"static{n}.conf", "mode": "0644"} for n in range(6)]
        },
        "hostname": {"copy": [{"dest": "/etc/mailname", "content": "mail.example.org\n"}]},
        "applications": {
            "template": [
                {"dest": f"/etc/app{n}.conf", "src": f"app{n}.j2", "mode": "0644", "notify": "reload app"}
                for n in range(8)
            ]
        },
        "kernel": {
            "sysctl": [{"name": "net.core.somaxconn", "value": 1024}, {"name": "vm.swappiness", "value": 10}],
            "lineinfile": [{"path": "/etc/hosts", "line": "{{ address }} {{ inventory_hostname }}.{{ domain }}"}],
        },
        "jobs": {"cron": [{"name": "tidy", "minute": "5", "job": "/usr/local/bin/tidy {{ site }}"}]},
    }
    own = {
        group: {
            "package": [{"name": f"{group}-server"}],
            "template": [{"dest": f"/etc/{group}{n}.conf", "src": f"app{n}.j2", "mode": "0640"} for n in (8, 9)],
            "copy": [{"dest": f"/etc/{group}-static.conf", "src": "static7.conf"}],
            "user": [{"name": group, "system": True, "shell": "/usr/sbin/nologin"}],
            "file": [{"path": f"/var/{group}-data", "state": "directory", "owner": "root"}],
            "service": [{"name": f"{group}", "state": "started", "enabled": True}],
        }
        for group in GROUPS
    }
    named = {name: {"name": name, "hosts": "all", "mode": "enforce", **kinds} for name, kinds in everywhere.items()}
    return named | {name: {"name": name, "hosts": name, "mode": "enforce", **kinds} for name, kinds in own.items()}


def fact_of(resource: Resource) -> dict[str, Any]:
    """What the collector answers where the host is as wanted."""
    wanted = dict(resource.wanted)
    match resource.ask.collector:
        case "path":
            return path_fact(wanted)
        case "package":
            return {"version": "1.2-3", "status": "installed"}
        case "service":
            return {"load": "loaded", "active": "active", "sub": "running", "file": "enabled"}
        case "group":
            return {"state": "present", "gid": wanted["gid"]}
        case "user":
            plain = {"home": f"/home/{resource.name}", "shell": "/bin/sh", "comment": "", "group": "users", "uid": 999}
            return {**plain, "groups": [], "password": None, **wanted}
        case "sysctl":
            return {"value": wanted["value"], "persisted": wanted["persisted"]}
        case "lineinfile":
            return {"file": "file", "line": wanted["line"], "present": True}
        case "cron":
            return {"jobs": {resource.fields.name: f"{wanted['schedule']} {wanted['job']}"}}
        case _:
            return {"state": "file", "keys": {resource.fields.blob: wanted.get("key_options", "")}}


def path_fact(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The fact of a path; a content is told by its hash."""
    told = {"owner": "root", "group": "root", "uid": 0, "gid": 0, "size": 1234, "mode": "0644"} | dict(wanted)
    extra = {"sha256": str(wanted["content"]).removeprefix("sha256:")} if "content" in wanted else {}
    target = {"target": wanted["src"]} if "src" in wanted else {}
    return {name: value for name, value in told.items() if name not in {"content", "src"}} | extra | target


def facts_of(host: HostDesired, *, drifted: str = "") -> dict[str, dict[str, Any]]:
    """Collector → key → fact for one host; the file at *drifted* has other content."""
    facts: dict[str, dict[str, Any]] = {}
    for resource in host.resources:
        fact = fact_of(resource)
        if resource.name == drifted:
            fact |= {"sha256": "f" * 64, "content": base64.b64encode(b"by hand\n").decode()}
        facts.setdefault(resource.ask.collector, {})[resource.ask.key] = fact
    return facts


def memory_of(host: HostDesired) -> HostMemory:
    """What is remembered of a host that was converged to this revision."""
    applied = {resource.identity: resource.wanted for resource in host.resources}
    at = "2026-01-01T00:00:00+00:00"
    return HostMemory(host.host, applied, REVISION, "in-sync", "", None, at, at)


def store(desired: Desired, state: State) -> list[str]:
    """Put the memories into *state*; return the facts, one line of JSON for each host."""
    state.finish(memory_of(host) for host in desired.hosts.values())
    return [
        json.dumps([name, facts_of(host, drifted="" if number % DRIFT_EVERY else "/etc/static1.conf")])
        for number, (name, host) in enumerate(desired.hosts.items())
    ]


def observed(line: str) -> Observed:
    """One host's stored facts, read back."""
    name, facts = json.loads(line)
    return Observed(name, facts)
