"""The fifty resources of one host, as manifests for the reconciler and as an ordinary playbook.

Every kind that Ansible core itself can express; ``sysctl`` and ``authorized_key`` are in ansible.posix and so are
left out. A kind's fields are its module's options, so the playbook is the same data, one task for each resource.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Resources = Mapping[str, list[dict[str, Any]]]

PACKAGES = ("cron", "dbus", "git", "iproute2", "iptables", "nginx-light", "openssh-server", "procps", "python3", "sudo")
"""They are in the image, so that installing them is not what is measured."""
TEMPLATES = 8
COPIES = 8

RESOURCES: Resources = {
    "group": [{"name": f"team{n}", "gid": 4200 + n} for n in range(3)],
    "user": [
        {"name": f"worker{n}", "uid": 4300 + n, "group": f"team{n % 3}", "shell": "/bin/bash", "comment": f"Worker {n}"}
        for n in range(7)
    ],
    "package": [{"name": name} for name in PACKAGES],
    "file": [
        {"path": "/srv/bench", "state": "directory"},
        *({"path": f"/srv/bench/d{n}", "state": "directory", "mode": "0750", "owner": "root"} for n in range(4)),
        {"path": "/srv/bench/current", "state": "link", "src": "/srv/bench/d0"},
        {"path": "/srv/bench/old", "state": "absent"},
        {"path": "/etc/hostname", "state": "file", "mode": "0644", "owner": "root", "group": "root"},
        {"path": "/etc/nginx/sites-enabled/unused", "state": "absent"},
    ],
    "copy": [
        {
            "dest": f"/etc/bench-{n}.conf",
            "src": f"plain-{n}.conf",
            "mode": "0640",
            "owner": "root",
            "group": f"team{n % 3}",
        }
        for n in range(COPIES)
    ],
    "template": [
        {"dest": f"/etc/bench-rendered-{n}.conf", "src": f"app-{n}.conf.j2", "mode": "0644", "owner": "root"}
        for n in range(TEMPLATES)
    ],
    "lineinfile": [
        {"path": "/etc/login.defs", "regexp": "^UMASK", "line": "UMASK 027"},
        {"path": "/etc/environment", "line": "BENCH=1", "create": True},
    ],
    "cron": [{"name": "nightly tidy", "minute": "17", "hour": "3", "job": "/bin/true"}],
    "service": [
        {"name": "cron", "state": "started", "enabled": True},
        {"name": "nginx", "state": "started", "enabled": True},
    ],
}
COUNT = sum(map(len, RESOURCES.values()))


def items() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every resource as (id, kind, fields); the id is what each tool calls it, as ``copy 3``."""
    for kind, resources in RESOURCES.items():
        for number, fields in enumerate(resources):
            yield f"{kind} {number}", kind, fields


TEMPLATE = """\
# {number} of {{{{ inventory_hostname }}}}
listen = {{{{ listen_port }}}}
workers = {{{{ workers }}}}
{{% for peer in peers %}}peer = {{{{ peer }}}}:{{{{ listen_port + {number} }}}}{{{{ "\\n" }}}}{{% endfor %}}# no more
{{% if debug | default(false) %}}log = debug{{{{ "\\n" }}}}{{% endif %}}# the end
"""
"""Tools disagree on the line end after a block's tag, so none is there."""
END = "# no more\n# the end\n"
PEERS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
VARIABLES = {"listen_port": 8080, "workers": 4, "peers": list(PEERS), "debug": False}


def contents() -> dict[str, str]:
    """``files/`` and ``templates/``, the same for both sides."""
    copies = {f"files/plain-{n}.conf": "".join(f"option{i} = {n * i}\n" for i in range(40)) for n in range(COPIES)}
    rendered = {f"templates/app-{n}.conf.j2": TEMPLATE.format(number=n) for n in range(TEMPLATES)}
    return copies | rendered


def rendered(number: int, host: str) -> str:
    """Template *number* as it is for a host, for tools whose agent is given contents and no templates."""
    peers = "".join(f"peer = {peer}:{int(str(VARIABLES['listen_port'])) + number}\n" for peer in PEERS)
    return f"# {number} of {host}\nlisten = {VARIABLES['listen_port']}\nworkers = {VARIABLES['workers']}\n{peers}{END}"


def sized(count: int) -> Resources:
    """*count* resources, the first of each kind before the second of any; past the fifty, more files with content."""
    ranks = [(number, kind, fields) for kind, all_ in RESOURCES.items() for number, fields in enumerate(all_)]
    first = sorted(ranks, key=lambda ranked: ranked[0])[:count]
    chosen = {kind: [fields for _, its, fields in first if its == kind] for kind in RESOURCES}
    more = [{"dest": f"/srv/bench-more-{n}.conf", "content": f"option = {n}\n"} for n in range(count - COUNT)]
    return {kind: found for kind, found in {**chosen, "copy": chosen["copy"] + more}.items() if found}


def desired_state(
    inventory: str, lane: str = "stream", resources: Resources = RESOURCES, mode: str = "enforce"
) -> dict[str, str]:
    """Path below ``desired-state/`` → content. Where *mode* is enforce, the first cycle converges."""
    manifest = [{"name": "Everything", "hosts": "all", "mode": mode, **resources}]
    return {
        "reconciler.yml": yaml.safe_dump({"lane": lane}),
        "inventory/hosts.yml": inventory,
        "inventory/group_vars/all.yml": yaml.safe_dump(VARIABLES),
        "everything.yml": yaml.safe_dump(manifest, sort_keys=False),
        **contents(),
    }


def playbook(inventory: str) -> dict[str, str]:
    """Path → content of a project for ansible-playbook: one task for each resource, the order of the kinds above."""
    tasks = [{"name": name, f"ansible.builtin.{kind}": dict(fields)} for name, kind, fields in items()]
    play = [{"name": "Everything", "hosts": "all", "gather_facts": False, "tasks": tasks}]
    return {
        "inventory/hosts.yml": inventory,
        "inventory/group_vars/all.yml": yaml.safe_dump(VARIABLES),
        "site.yml": yaml.safe_dump(play, sort_keys=False),
        **contents(),
    }
