"""Reads the files of an inventory one by one: those that name hosts and groups, all together, and those of variables.

`inventory` puts the parts together, and keeps those whose files did not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler import yamlfile
from reconciler.inventory import files as inventoryfiles
from reconciler.inventory import ini as inifile
from reconciler.inventory.roster import Group, Host, Layer, Noted, Roster
from reconciler.inventory.tree import ROOT
from reconciler.model import Mistake, Place, Tree

__all__ = ["Noted", "Sources", "read_layer", "read_sources"]

TOP = Place(ROOT, 1)


@dataclass(frozen=True, slots=True)
class Sources:
    """What the files of hosts and groups say; ``members`` (group → its hosts) is None where nothing can be used."""

    files: tuple[str, ...]
    hosts: Mapping[str, Host]
    groups: Mapping[str, Group]
    members: Mapping[str, tuple[str, ...]] | None
    memberships: Mapping[str, tuple[str, ...]]
    order: Mapping[str, int]
    mistakes: tuple[Mistake, ...]


def read_sources(tree: Tree, files: tuple[str, ...], *, allow_local: bool) -> Sources:
    """The hosts and groups of *files*, and every mistake in them."""
    roster = Roster(allow_local=allow_local, place=TOP)
    for file in files:
        _read_source(file, tree[file], roster)
    roster.finish()
    if not roster.hosts:
        roster.note(TOP, "the inventory has no hosts; an empty inventory never means that there is nothing to do")
    members = roster.members() if roster.hosts else None
    everyone = () if members is None else members["all"]
    return Sources(
        files=files,
        hosts=roster.hosts,
        groups=roster.groups,
        members=members,
        memberships={} if members is None else _invert(members),
        order={name: at for at, name in enumerate(everyone)},
        mistakes=tuple(roster.mistakes),
    )


def read_layer(file: str, text: bytes, allow_local: bool) -> tuple[Layer, tuple[Mistake, ...]]:
    """The variables of one file below group_vars or host_vars, and what is wrong in it."""
    roster = Roster(allow_local=allow_local, place=TOP)
    layer = inventoryfiles.read_variables(file, text, roster)
    return layer, tuple(roster.mistakes)


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


def _invert(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Host → its groups, sorted; hosts of the same groups share one tuple."""
    found: dict[str, list[str]] = {host: [] for host in groups["all"]}
    for group in sorted(groups.keys() - {"all"}):
        for host in groups[group]:
            found[host].append(group)
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    return {host: shared.setdefault(tuple(names), tuple(names)) for host, names in found.items()}
