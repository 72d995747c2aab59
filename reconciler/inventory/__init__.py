"""The inventory of one revision: its hosts, groups and variables, as Ansible would see them.

It owns what lies below ``inventory/``: which files count, in which order they merge, and who sees which value of a
variable. `desired` asks it for hosts and variables, `cycle` for connections. Nothing in an inventory runs: scripts
and plugins are mistakes. It never imports Ansible; a contract test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler import yamlfile
from reconciler.inventory import files as inventoryfiles
from reconciler.inventory import ini as inifile
from reconciler.inventory import patterns
from reconciler.inventory.patterns import PatternMistake
from reconciler.inventory.roster import Group, Host, Layer, Roster
from reconciler.inventory.tree import ROOT, Files, by_owner, owner_of, sort_files
from reconciler.inventory.variables import CONNECTION, Variable
from reconciler.model import Mistake, Place, Tree

__all__ = ["Inventory", "PatternMistake", "Variable", "load"]


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
        merged = dict(self._group_variables(self._groups_of[host]))
        for layer in (*self._entries[host].layers, *self._host_files.get(host, ())):
            merged.update(layer)
        return merged

    def _group_variables(self, groups: tuple[str, ...]) -> dict[str, Variable]:
        """All before its descendants, and every group of an inventory file before any file below group_vars."""
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
        seen = self.variables(host)
        return {name: seen[name].value for name in CONNECTION if name in seen}

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


def load(tree: Tree, *, allow_local: bool) -> tuple[Inventory | None, list[Mistake]]:
    """The inventory below ``inventory/`` of *tree* and every mistake in it; None where there is no host at all."""
    roster = Roster(allow_local=allow_local, place=Place(ROOT, 1))
    files = sort_files(tree, roster)
    for file in files.sources:
        _read_source(file, tree[file], roster)
    roster.finish()
    inventory = _freeze(tree, files, roster)
    return inventory, sorted(set(roster.mistakes))


def _read_source(file: str, text: bytes, roster: Roster) -> None:
    if text.startswith(b"#!"):
        roster.note(Place(file, 1), "an inventory script would run on the controller; only static files are read")
    elif file.endswith(".ini"):
        inifile.read_groups(file, text, roster)
    else:
        _read_yaml_or_ini(file, text, roster)


def _read_yaml_or_ini(file: str, text: bytes, roster: Roster) -> None:
    """A file without an ending may be either; as in Ansible it is INI if it makes no mapping in YAML."""
    document, mistakes = yamlfile.load(file, text)
    bare = "." not in file.rpartition("/")[2]
    if bare and (document is None or not isinstance(document.value, dict)) and not text.startswith(b"---"):
        inifile.read_groups(file, text, roster)
        return
    roster.mistakes.extend(mistakes)
    if document is not None:
        inventoryfiles.read_groups(document, roster)


def _freeze(tree: Tree, files: Files, roster: Roster) -> Inventory | None:
    groups_of_files = by_owner("group_vars", files.group_vars, roster.groups, roster)
    hosts_of_files = by_owner("host_vars", files.host_vars, roster.hosts, roster)
    group_files = {name: _layers(tree, paths, roster) for name, paths in groups_of_files.items()}
    host_files = {name: _layers(tree, paths, roster) for name, paths in hosts_of_files.items()}
    if not roster.hosts:
        roster.note(
            Place(ROOT, 1), "the inventory has no hosts; an empty inventory never means that there is nothing to do"
        )
        return None
    groups = roster.members()
    if groups is None:
        return None
    order = {name: at for at, name in enumerate(groups["all"])}
    memberships = _invert(groups)
    return Inventory(groups["all"], groups, roster.hosts, roster.groups, group_files, host_files, memberships, order)


def _layers(tree: Tree, paths: tuple[str, ...], roster: Roster) -> tuple[Layer, ...]:
    return tuple(inventoryfiles.read_variables(path, tree[path], roster) for path in paths)


def _invert(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {host: [] for host in groups["all"]}
    for group in sorted(groups.keys() - {"all"}):
        for host in groups[group]:
            found[host].append(group)
    return {host: tuple(names) for host, names in found.items()}
