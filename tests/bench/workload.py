"""The fifty resources of one host, as manifests for the reconciler and as an ordinary playbook.

Every kind that Ansible core itself can express; ``sysctl`` and ``authorized_key`` are in ansible.posix and so are
left out. A kind's fields are its module's options, so the playbook is the same data, one task for each resource.
"""

from __future__ import annotations

from collections.abc import Mapping
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

TEMPLATE = """\
# {number} of {{{{ inventory_hostname }}}}
listen = {{{{ listen_port }}}}
workers = {{{{ workers }}}}
{{% for peer in peers %}}
peer = {{{{ peer }}}}:{{{{ listen_port + {number} }}}}
{{% endfor %}}
{{% if debug | default(false) %}}
log = debug
{{% endif %}}
"""
VARIABLES = {"listen_port": 8080, "workers": 4, "peers": ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "debug": False}


def contents() -> dict[str, str]:
    """``files/`` and ``templates/``, the same for both sides."""
    copies = {f"files/plain-{n}.conf": "".join(f"option{i} = {n * i}\n" for i in range(40)) for n in range(COPIES)}
    rendered = {f"templates/app-{n}.conf.j2": TEMPLATE.format(number=n) for n in range(TEMPLATES)}
    return copies | rendered


def desired_state(inventory: str) -> dict[str, str]:
    """Path below ``desired-state/`` → content. Mode is enforce, so that the first cycle converges."""
    manifest = [{"name": "Everything", "hosts": "all", "mode": "enforce", **RESOURCES}]
    return {
        "inventory/hosts.yml": inventory,
        "inventory/group_vars/all.yml": yaml.safe_dump(VARIABLES),
        "everything.yml": yaml.safe_dump(manifest, sort_keys=False),
        **contents(),
    }


def playbook(inventory: str, *, gather_facts: bool) -> dict[str, str]:
    """Path → content of a project for ansible-playbook: one task for each resource, the order of the kinds above."""
    tasks = [
        {"name": f"{kind} {number}", f"ansible.builtin.{kind}": dict(fields)}
        for kind, resources in RESOURCES.items()
        for number, fields in enumerate(resources)
    ]
    play = [{"name": "Everything", "hosts": "all", "gather_facts": gather_facts, "tasks": tasks}]
    return {
        "inventory/hosts.yml": inventory,
        "inventory/group_vars/all.yml": yaml.safe_dump(VARIABLES),
        "site.yml": yaml.safe_dump(play, sort_keys=False),
        **contents(),
    }
