"""What is known of whole hosts once their resources are built: mode, lane, connection, group. Called by ``desired``."""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping
from typing import Any

from reconciler.desired.assembly import Assembly
from reconciler.desired.past import Past
from reconciler.inventory import Inventory
from reconciler.model import HostDesired, Lane, Mode
from reconciler.policy import Policy, host_lane, host_mode


class Settings:
    """Modes and lanes of hosts; those of the same groups that the policy does not name have the same."""

    def __init__(self, policy: Policy, inventory: Inventory) -> None:
        self._policy, self._inventory = policy, inventory
        self._known: dict[Hashable, tuple[Mode, Lane]] = {}

    def of(self, host: str) -> tuple[Mode, Lane]:
        """The mode and the lane of one host."""
        key: Hashable = host if host in self._policy.hosts else self._inventory.groups_of(host)
        if key not in self._known:
            about = self._policy, self._inventory, host
            self._known[key] = host_mode(*about), host_lane(*about)
        return self._known[key]


def finished_hosts(
    past: Past, inventory: Inventory, policy: Policy, assembly: Assembly, held: Container[str]
) -> dict[str, HostDesired]:
    """The hosts that are free of mistakes; the same objects as before where nothing about them changed."""
    settings = Settings(policy, inventory)
    hosts = {}
    for host in inventory.hosts:
        if host not in held:
            mode, lane = settings.of(host)
            old = past.hosts.get(host)
            resources: Any = assembly.made[host].resources
            connection = old.connection if old and not assembly.changes.of(host) else inventory.connection(host)
            new = HostDesired(host, mode, connection, resources, lane)
            hosts[host] = old if old is not None and old == new else new
    return hosts


def nearest_groups(inventory: Inventory) -> Mapping[str, str]:
    """Host → its deepest group, of equals the first by name; "" for a host in none."""
    known: dict[tuple[str, ...], str] = {}
    for groups in map(inventory.groups_of, inventory.hosts):
        if groups not in known:
            proper = [group for group in groups if group not in ("all", "ungrouped")]
            known[groups] = min(proper, key=lambda group: (-inventory.depth_of(group), group), default="")
    return {host: known[inventory.groups_of(host)] for host in inventory.hosts}
