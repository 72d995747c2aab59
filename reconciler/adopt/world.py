"""One tree as ``adopt`` needs to see it: compiled, with its inventory and with the declarations behind its resources.

Called by the other parts of the room. A world is never changed; an edit that proves out makes another one. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.adopt.spots import Unable
from reconciler.desired import compile_tree, read_manifests
from reconciler.inventory import Inventory, PatternMistake, Variable
from reconciler.inventory import load as load_inventory
from reconciler.manifests import Declaration
from reconciler.model import Desired, Resource, Tree


@dataclass(frozen=True, slots=True)
class Item:
    """A resource as one host has it, the declaration it comes from, and every host that the declaration reaches."""

    resource: Resource
    declaration: Declaration
    reach: frozenset[str]


@dataclass(slots=True)
class World:
    """A tree and what it means."""

    tree: Tree
    allow_local: bool
    desired: Desired
    inventory: Inventory
    declared: Mapping[tuple[str, str, int, int], tuple[str, Declaration]]
    _seen: dict[str, Mapping[str, Variable]] = field(default_factory=dict)
    _reach: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Tree, *, allow_local: bool, desired: Desired | None = None) -> World:
        """The world of a tree, compiled now unless it has been; raises Unable where it has no inventory."""
        inventory, _ = load_inventory(tree, allow_local=allow_local)
        if inventory is None:
            raise Unable("the inventory cannot be read")
        manifests, _ = read_manifests(tree)
        declared = {
            (manifest.hosts, each.place.file, each.place.line, each.place.column): (manifest.hosts, each)
            for manifest in manifests
            for each in manifest.declarations
        }
        compiled = desired or compile_tree(tree, allow_local=allow_local)
        return cls(tree, allow_local, compiled, inventory, declared)

    def variables(self, host: str) -> Mapping[str, Variable]:
        """What *host* sees."""
        if host not in self._seen:
            self._seen[host] = self.inventory.variables(host)
        return self._seen[host]

    def reach(self, pattern: str) -> frozenset[str]:
        """The hosts of a pattern, those included that cannot be compiled."""
        if pattern not in self._reach:
            try:
                self._reach[pattern] = frozenset(self.inventory.select(pattern))
            except PatternMistake:
                self._reach[pattern] = frozenset()
        return self._reach[pattern]

    def item(self, host: str, identity: str) -> Item:
        """The resource of one host; raises Unable where there is none."""
        if host in self.desired.held:
            raise Unable("the manifests of this host have mistakes; mend those first")
        if host not in self.desired.hosts:
            raise Unable("the host is not in the inventory")
        found = next((r for r in self.desired.hosts[host].resources if r.identity == identity), None)
        if found is None:
            raise Unable("it is not declared")
        place = found.place
        _, declaration = self.declared[found.hosts, place.file, place.line, place.column]
        return Item(found, declaration, self.reach(found.hosts))

    def unseen(self, folder: str, name: str) -> frozenset[str]:
        """Hosts that have mistakes and may use a file below ``files/`` or ``templates/``: nobody can prove for them."""
        if not self.desired.held:
            return frozenset()
        users = {
            hosts
            for hosts, each in self.declared.values()
            if each.kind.content_from == folder and (folder == "templates" or uses(each, name))
        }
        return frozenset(host for hosts in users for host in self.reach(hosts) if host in self.desired.held)


def uses(declaration: Declaration, name: str) -> bool:
    """Whether a declaration may take its content from a file of that name."""
    src = str(declaration.raw.get("src", ""))
    return src == name or "{{" in src or "{%" in src
