"""The inventory of one revision: its hosts, groups and variables, as Ansible would see them.

It owns what lies below ``inventory/``: which files count, in which order they merge, and who sees which value of a
variable. `desired` asks it for hosts and variables, `cycle` for connections. Nothing in an inventory runs: scripts
and plugins are mistakes. It never imports Ansible; a contract test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.inventory import patterns
from reconciler.inventory.comparing import NOTHING, Difference, compare, compare_layers
from reconciler.inventory.patterns import PatternMistake
from reconciler.inventory.roster import Group, Host, Layer
from reconciler.inventory.sources import Noted, Sources, read_layer, read_sources
from reconciler.inventory.tree import MOST_GUESSES, ROOT, by_owner, owner_of, sort_files
from reconciler.inventory.variables import CONNECTION, Variable
from reconciler.model import Mistake, Place, Tree

__all__ = [
    "MOST_GUESSES",
    "Comparison",
    "Difference",
    "Inventory",
    "PatternMistake",
    "Reading",
    "Variable",
    "load",
    "read",
]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hosts in Ansible's order, and each group (``all`` and ``ungrouped`` too) with all its hosts."""

    hosts: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    _entries: Mapping[str, Host] = field(repr=False)
    _sections: Mapping[str, Group] = field(repr=False)
    _group_files: Mapping[str, tuple[Layer, ...]] = field(repr=False)
    _host_files: Mapping[str, tuple[Layer, ...]] = field(repr=False)
    _groups_of: Mapping[str, tuple[str, ...]] = field(repr=False)
    _order: Mapping[str, int] = field(repr=False)
    _merged: dict[tuple[str, ...], dict[str, Variable]] = field(default_factory=dict, repr=False, compare=False)

    def groups_of(self, host: str) -> tuple[str, ...]:
        """The groups *host* is in, sorted, without ``all``: what Ansible calls group_names."""
        return self._groups_of[host]

    def variables(self, host: str) -> Mapping[str, Variable]:
        """What *host* sees: values merged by Ansible's precedence, the nearer replacing the farther whole."""
        merged = dict(self.group_variables(self._groups_of[host]))
        for layer in self.layers_of(host):
            merged.update(layer)
        return merged

    def layers_of(self, host: str) -> tuple[Layer, ...]:
        """What is set for *host* alone, the later layers winning."""
        return (*self._entries[host].layers, *self._host_files.get(host, ()))

    def group_variables(self, groups: tuple[str, ...]) -> Mapping[str, Variable]:
        """What a host of *groups* (as ``groups_of`` has them) sees of its groups.

        All comes before its descendants, and every group of an inventory file before any file below group_vars.
        """
        if groups not in self._merged:
            order = ["all", *sorted(groups, key=self._rank)]
            merged: dict[str, Variable] = {}
            for name in order:
                merged.update(self._sections[name].variables)
            for name in order:
                for layer in self._group_files.get(name, ()):
                    merged.update(layer)
            self._merged[groups] = merged
        return self._merged[groups]

    def _rank(self, name: str) -> tuple[int, int, str]:
        group = self._sections[name]
        return group.depth, group.priority, name

    def depth_of(self, group: str) -> int:
        """How far below ``all`` a group is: the deeper, the more specific."""
        return self._sections[group].depth

    def connection(self, host: str) -> Mapping[str, Any]:
        """The ``ansible_*`` variables of *host*, all of them from the list of allowed ones."""
        layers = (*reversed(self.layers_of(host)), self.group_variables(self._groups_of[host]))
        found = {name: next((layer[name] for layer in layers if name in layer), None) for name in CONNECTION}
        return {name: variable.value for name, variable in found.items() if variable is not None}

    def select(self, pattern: str) -> tuple[str, ...]:
        """The hosts that an Ansible host pattern means, in inventory order; raises PatternMistake."""
        found = patterns.select(pattern, patterns.Names(self._entries.keys(), self.groups))
        return tuple(sorted(found, key=self._order.__getitem__))

    def place_of_host(self, host: str) -> Place:
        """Where *host* is first written."""
        return self._entries[host].place

    def place_of_membership(self, host: str, group: str) -> Place | None:
        """Where *host* is put into *group*, or into the nearest group below it; None if it is in neither."""
        level, seen = [group] if group in self._sections else [], {group}
        while level:
            for name in level:
                if host in self._sections[name].hosts:
                    return self._sections[name].hosts[host]
            below = dict.fromkeys(child for name in level for child in self._sections[name].children)
            level = [name for name in below if name not in seen]
            seen.update(level)
        return None

    def where_defined(self, variable: str) -> tuple[tuple[str, Place], ...]:
        """Every group and host that *variable* is set for, and where; groups first."""
        groups = [
            (name, layer[variable].place)
            for name, group in self._sections.items()
            for layer in (group.variables, *self._group_files.get(name, ()))
            if variable in layer
        ]
        hosts = [
            (name, layer[variable].place)
            for name in self.hosts
            for layer in (*self._entries[name].layers, *self._host_files.get(name, ()))
            if variable in layer
        ]
        return (*groups, *hosts)

    def hosts_reading(self, file: str) -> tuple[str, ...]:
        """The hosts that a mistake in *file* can touch: one for its host_vars, a group's for group_vars, else all."""
        host = owner_of(file, "host_vars", self._entries)
        group = owner_of(file, "group_vars", self.groups)
        return (host,) if host is not None else self.groups[group] if group is not None else self.hosts


class Comparison:
    """What each host sees otherwise than in an inventory before; what its groups share is compared once."""

    def __init__(self, old: Inventory, new: Inventory) -> None:
        self._old, self._new = old, new
        self._shared: dict[tuple[tuple[str, ...], tuple[str, ...]], Difference] = {}

    def of(self, host: str) -> Difference:
        """The difference for a host that both inventories have; a name too many is possible, none too few."""
        if self._old is self._new:
            return NOTHING
        groups = self._old.groups_of(host), self._new.groups_of(host)
        if groups not in self._shared:
            found = compare(self._old.group_variables(groups[0]), self._new.group_variables(groups[1]))
            self._shared[groups] = found if groups[0] == groups[1] else found | Difference(frozenset({"group_names"}))
        return self._shared[groups] | compare_layers(self._old.layers_of(host), self._new.layers_of(host))


@dataclass(frozen=True, slots=True)
class Reading:
    """An inventory (None where there is no host at all), every mistake in it, and the parts it was made of."""

    inventory: Inventory | None
    mistakes: tuple[Mistake, ...]
    _sources: Sources = field(repr=False)
    _layers: Mapping[str, tuple[Layer, tuple[Mistake, ...]]] = field(repr=False)


def load(tree: Tree, *, allow_local: bool) -> tuple[Inventory | None, list[Mistake]]:
    """The inventory below ``inventory/`` of *tree* and every mistake in it; None where there is no host at all."""
    reading = read(tree, allow_local=allow_local)
    return reading.inventory, list(reading.mistakes)


def read(
    tree: Tree, *, allow_local: bool, before: Reading | None = None, changed: Collection[str] = frozenset()
) -> Reading:
    """Read the inventory of *tree*; what *before* read of files that are not among those *changed* is kept."""
    if before is not None and not any(name.startswith(f"{ROOT}/") for name in changed):
        return before
    notes = Noted()
    files = sort_files(tree, notes)
    sources = before._sources if before is not None else None
    if sources is None or sources.files != files.sources or not set(files.sources).isdisjoint(changed):
        sources = read_sources(tree, files.sources, allow_local=allow_local)
    owned = by_owner("group_vars", files.group_vars, sources.groups, notes)
    hosted = by_owner("host_vars", files.host_vars, sources.hosts, notes)
    kept = {} if before is None else before._layers
    layers = {
        path: kept[path] if path in kept and path not in changed else read_layer(path, tree[path], allow_local)
        for paths in (*owned.values(), *hosted.values())
        for path in paths
    }
    mistakes = {*notes.mistakes, *sources.mistakes, *(wrong for _, found in layers.values() for wrong in found)}
    inventory = None
    if sources.members is not None:
        inventory = Inventory(
            hosts=sources.members["all"],
            groups=sources.members,
            _entries=sources.hosts,
            _sections=sources.groups,
            _group_files={name: tuple(layers[path][0] for path in paths) for name, paths in owned.items()},
            _host_files={name: tuple(layers[path][0] for path in paths) for name, paths in hosted.items()},
            _groups_of=sources.memberships,
            _order=sources.order,
        )
    return Reading(inventory, tuple(sorted(mistakes)), sources, layers)
