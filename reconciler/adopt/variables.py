"""Variables set at the level that covers exactly the hosts that are meant; called by ``manifest`` and ``contents``.

A definition that only those hosts read is edited where it stands. Otherwise a nearer one is added: for the one group
that consists of those hosts, else for each host. Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from reconciler.adopt import splices
from reconciler.adopt.expressions import natural, parse
from reconciler.adopt.spots import Spot, Unable, find_spots
from reconciler.adopt.world import World
from reconciler.inventory import Variable
from reconciler.model import Place
from reconciler.templates import has_template

SUFFIXES = ("", ".yml", ".yaml", ".json")
"""Endings of variables files in the order in which Ansible looks for them."""
MAX_REFERENCES = 10
_INI_VALUE = r"""(?P<before>{name}[ \t]*=[ \t]*)(?P<value>"[^"]*"|'[^']*'|[^\s#]+)"""
_INI_WORD = re.compile(r"[A-Za-z0-9_./:@+-]+")


class Level(Enum):
    """Where a variable may be set, from the choice that reads best to the one that touches least."""

    GROUP = "where it is defined, else for a group"
    HOST = "where it is defined, else for each host"
    APART = "for each host"


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable, or a key below it, that is to have a value for some hosts."""

    path: tuple[str, ...]
    value: Any
    hosts: frozenset[str]

    @property
    def name(self) -> str:
        """The variable."""
        return self.path[0]


def set_all(world: World, files: dict[str, bytes], settings: Iterable[Setting], level: Level) -> None:
    """Set variables in *files*, which are the world's own with other edits made; raises Unable."""
    here: dict[str, list[splices.Splice]] = defaultdict(list)
    nearer: list[Setting] = []
    for setting in settings:
        for file, found in _resolve(world, setting, level, nearer):
            here[file] += found
    for file, found in here.items():
        bom, text = splices.read_text(world.tree[file])
        files[file] = (bom + splices.apply(text, dict.fromkeys(found))).encode()
    for setting in nearer:
        _set_nearer(world, files, setting, level)


def _resolve(
    world: World, setting: Setting, level: Level, nearer: list[Setting], depth: int = 0
) -> Iterator[tuple[str, list[splices.Splice]]]:
    """The edits of definitions that only the hosts of *setting* read; what remains is added to *nearer*."""
    groups: dict[Place | None, set[str]] = defaultdict(set)
    for host in sorted(setting.hosts):
        known = world.variables(host).get(setting.name)
        groups[known.place if known else None].add(host)
    rest: set[str] = set()
    for hosts in groups.values():
        variable = world.variables(min(hosts)).get(setting.name)
        if variable is None or level is Level.APART or not readers(world, setting.name, variable) <= hosts:
            rest |= hosts
            continue
        old = _inner(variable, setting)
        onward = parse(old) if isinstance(old, str) and has_template(old) else None
        if onward is not None and depth < MAX_REFERENCES:
            yield from _resolve(world, Setting(onward.path, setting.value, frozenset(hosts)), level, nearer, depth + 1)
        elif isinstance(old, str) and has_template(old):
            raise Unable(f"the variable {setting.name} is an expression at {variable.place.short}; change it by hand")
        else:
            yield variable.place.file, _edit(world, variable, setting, natural(setting.value, old))
    if rest:
        known = world.variables(min(rest)).get(setting.name)
        value = natural(setting.value, known.value if known else None)
        nearer.append(replace(setting, value=value, hosts=frozenset(rest)))


def readers(world: World, name: str, variable: Variable) -> set[str]:
    """The hosts that see this definition of a variable."""
    seen = ((host, world.variables(host).get(name)) for host in world.inventory.hosts)
    return {host for host, known in seen if known is not None and known.place == variable.place}


def _inner(variable: Variable, setting: Setting) -> Any:
    value = variable.value
    for step in setting.path[1:]:
        if not isinstance(value, Mapping) or step not in value:
            raise Unable(f"the variable {'.'.join(setting.path)} is not written out at {variable.place.short}")
        value = value[step]
    return value


def _edit(world: World, variable: Variable, setting: Setting, value: Any) -> list[splices.Splice]:
    """The splices that give a definition another value where it stands."""
    file = variable.place.file
    _, text = splices.read_text(world.tree[file])
    spot = _definition(text, variable.place)
    if spot is not None:
        return splices.replace(text, spot.find(setting.path[1:]), value)
    return _edit_ini(text, variable.place, setting, value)


def _definition(text: str, place: Place) -> Spot | None:
    try:
        root = find_spots(text)
    except Unable:
        return None
    at = (place.line, place.column)
    return next((spot for spot in root.walk() if spot.key is not None and spot.key.at == at), None)


def _edit_ini(text: str, place: Place, setting: Setting, value: Any) -> list[splices.Splice]:
    lines = text.splitlines(keepends=True)
    start = sum(len(line) for line in lines[: place.line - 1]) + place.column - 1
    found = re.compile(_INI_VALUE.format(name=re.escape(setting.name))).match(text, start)
    written = str(value)
    if found is None or len(setting.path) > 1 or not _INI_WORD.fullmatch(written):
        raise Unable(f"the variable {setting.name} cannot be rewritten at {place.short}; change it by hand")
    quote = found["value"][0] if found["value"][0] in "'\"" else ""
    return [splices.Splice(found.start("value"), found.end("value"), quote + written + quote)]


def _set_nearer(world: World, files: dict[str, bytes], setting: Setting, level: Level) -> None:
    if len(setting.path) > 1:
        raise Unable(f"the variable {setting.name} holds more than this and is set for more hosts; change it by hand")
    group = exact_group(world, setting.hosts) if level is Level.GROUP else None
    owners = [("group_vars", group)] if group else [("host_vars", host) for host in sorted(setting.hosts)]
    for folder, owner in owners:
        file = variables_file(files, folder, owner)
        bom, text = splices.read_text(files.get(file, b""))
        files[file] = (bom + splices.append(text, setting.name, setting.value)).encode()


def exact_group(world: World, hosts: frozenset[str]) -> str | None:
    """The one group that consists of these hosts; ``all`` where they are every host."""
    if hosts == frozenset(world.inventory.hosts):
        return "all"
    groups = [name for name, members in world.inventory.groups.items() if frozenset(members) == hosts]
    proper = [name for name in groups if name not in ("all", "ungrouped")]
    return proper[0] if len(proper) == 1 else None


def variables_file(files: Mapping[str, bytes], folder: str, owner: str) -> str:
    """The file that holds the variables of a group or host, or the one that will."""
    base = f"inventory/{folder}/{owner}"
    for suffix in SUFFIXES:
        if base + suffix in files:
            return base + suffix
        inside = sorted(name for name in files if not suffix and name.startswith(f"{base}/"))
        plain = [name for name in inside if name.endswith((".yml", ".yaml")) and "/" not in name[len(base) + 1 :]]
        if inside:
            return next((name for name in plain if name == f"{base}/main.yml"), plain[-1] if plain else f"{base}/z.yml")
    return f"{base}.yml"
