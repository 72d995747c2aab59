"""Small values for the tests of the pure half: a desired state, what hosts answer, changes and stories."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from reconciler.desired import compile_tree
from reconciler.model import Change, Desired, HostMemory, Mode, Observed, Outcome, Place, Verdict
from reconciler.record import Told

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SHA = "3f2c1ab" + "0" * 33


def compiled(files: Mapping[str, str]) -> Desired:
    """The desired state of files as text."""
    return compile_tree({name: text.encode() for name, text in files.items()}, allow_local=False)


def fleet(manifest: str, hosts: str = "web1 web2 db1", policy: str = "mode: enforce\n", **files: str) -> Desired:
    """A desired state of one manifest on hosts that are all in the group ``web``."""
    inventory = "web:\n  hosts:\n" + "".join(f"    {host}:\n" for host in hosts.split())
    return compiled({"inventory/hosts.yml": inventory, "all.yml": manifest, "reconciler.yml": policy, **files})


def absent(desired: Desired) -> dict[str, Observed]:
    """Hosts on which nothing is there yet."""
    return {name: empty(name, host.resources) for name, host in desired.hosts.items()}


def empty(name: str, resources: Any) -> Observed:
    facts: dict[str, dict[str, Any]] = {}
    for resource in resources:
        facts.setdefault(resource.ask.collector, {})[resource.ask.key] = {"state": "absent"}
    return Observed(name, facts)


def there(desired: Desired, **fact: Any) -> dict[str, Observed]:
    """Hosts on which an ordinary file is at every path."""
    said = {"state": "file", "mode": "0644", "size": 0, "uid": 0, "gid": 0, "owner": "root", "group": "root", **fact}
    return {
        name: Observed(name, {"path": {resource.ask.key: said for resource in host.resources}})
        for name, host in desired.hosts.items()
    }


def change(resource: str = "copy[/etc/motd]", attribute: str = "mode", **values: Any) -> Change:
    """One drifted attribute, with other values where they are given."""
    ordinary: dict[str, Any] = {"wanted": "0644", "seen": "0600", "last_applied": "0644", "verdict": Verdict.DRIFT}
    ordinary |= {"mode": Mode.ENFORCE, "place": Place("web.yml", 4, 7)}
    return Change(resource, attribute, **{**ordinary, **values})


def told(host: str = "web1", outcome: Outcome = Outcome.CONVERGED, **parts: Any) -> Told:
    """One host's part of a story."""
    ordinary: dict[str, Any] = {
        "mode": Mode.ENFORCE,
        "converged": (change(),),
        "left": (),
        "reasons": (),
        "handlers": (),
    }
    ordinary["memory"] = HostMemory(host, state="in-sync")
    return Told(host, outcome, **{**ordinary, **parts})
