"""The hosts and groups of an inventory while its files are being read; the readers fill it, `inventory` freezes it.

Everything is checked as it comes in, so a reader only says what is written where. What stands at the end follows
Ansible: who is in `all` and `ungrouped`, the order of hosts, and how deep a group lies. Limits keep a hostile
inventory from costing more than its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.inventory import hostnames, variables
from reconciler.inventory.variables import PRIORITY, Variable
from reconciler.model import Mistake, Place

MAX_GROUPS = 10_000
MAX_MEMBERSHIPS = 2_000_000
"""How many pairs of group and host an inventory may come to; 10,000 hosts in 100 groups each are half of it."""

Layer = Mapping[str, Variable]


@dataclass(slots=True)
class Group:
    """One group: its own hosts and children with the place where each was written, in that order."""

    name: str
    place: Place
    hosts: dict[str, Place] = field(default_factory=dict)
    children: dict[str, Place] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    priority: int = 1
    depth: int = 0


@dataclass(slots=True)
class Host:
    """One host, and what each of its entries sets, later entries winning; ranges share their layers."""

    name: str
    place: Place
    layers: list[Layer] = field(default_factory=list)


class Noted:
    """Mistakes found so far."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def note(self, place: Place, message: str) -> None:
        """Remember a mistake."""
        self.mistakes.append(Mistake(place, message))


class Roster(Noted):
    """Groups and hosts in the order in which they were first written, and the mistakes found so far."""

    def __init__(self, *, allow_local: bool, place: Place) -> None:
        super().__init__()
        self.groups = {name: Group(name, place) for name in ("all", "ungrouped")}
        self.hosts: dict[str, Host] = {}
        self._allow_local = allow_local
        self._expanded = 0
        self.groups["all"].children["ungrouped"] = place

    def group(self, name: str, place: Place) -> Group | None:
        """The group of that name, new if need be; None where the name cannot be one."""
        if name in self.groups:
            return self.groups[name]
        problem = hostnames.group_problem(name)
        if not problem and len(self.groups) >= MAX_GROUPS:
            problem = f"an inventory has at most {MAX_GROUPS} groups"
        if problem:
            self.note(place, problem)
            return None
        self.groups[name] = Group(name, place)
        return self.groups[name]

    def add_child(self, parent: Group, child: str, place: Place) -> None:
        """Put the known group *child* under *parent*; loops are found at the end."""
        if child == "all" or "ungrouped" in (parent.name, child):
            if (parent.name, child) != ("all", "ungrouped"):
                self.note(place, f"{child} cannot be a child of {parent.name}: all and ungrouped are made by Ansible")
            return
        parent.children.setdefault(child, place)

    def add_hosts(self, entry: str, group: Group, layer: Layer, place: Place) -> None:
        """Put the host or range *entry*, perhaps with a port, into *group*, and give it the variables of *layer*."""
        text, port = hostnames.split_port(entry)
        first = self._port_layer(port, place)
        for name in self._names(text, place):
            if name not in self.hosts:
                self.hosts[name] = Host(name, place, [first] if first else [])
            if layer:
                self.hosts[name].layers.append(layer)
            group.hosts.setdefault(name, place)

    def _port_layer(self, port: int | None, place: Place) -> Layer:
        return {} if port is None else self.layer([("ansible_port", port, place)])

    def _names(self, text: str, place: Place) -> list[str]:
        try:
            names = hostnames.expand(text, hostnames.MAX_HOSTS - self._expanded)
        except ValueError as error:
            self.note(place, str(error))
            return []
        if len(names) > 1:
            self._expanded += len(names)
        problem = next(filter(None, map(hostnames.host_problem, names)), "")
        if problem:
            self.note(place, problem)
        return [] if problem else names

    def layer(self, settings: Iterable[tuple[str, Any, Place]]) -> dict[str, Variable]:
        """The variables of one host entry or variables file that may be set, in their proper types."""
        return self._checked(settings, in_group=False)

    def set_group_variables(self, group: Group, settings: Iterable[tuple[str, Any, Place]]) -> None:
        """Set variables that an inventory file gives to *group*, its priority included."""
        found = self._checked(settings, in_group=True)
        priority = found.pop(PRIORITY, None)
        if priority is not None:
            group.priority = priority.value
        group.variables.update(found)

    def _checked(self, settings: Iterable[tuple[str, Any, Place]], *, in_group: bool) -> dict[str, Variable]:
        found: dict[str, Variable] = {}
        for name, value, place in settings:
            try:
                proper = variables.checked(name, value, allow_local=self._allow_local, in_group=in_group)
            except ValueError as error:
                self.note(place, str(error))
            else:
                found[name] = Variable(proper, place)
        return found

    def finish(self) -> None:
        """Settle what only the whole shows: one name for two things, loops, depth, `all` and `ungrouped`."""
        for name in sorted(self.hosts.keys() & self.groups.keys()):
            self.note(self.hosts[name].place, f"{name} is a host here and a group at {self.groups[name].place.short}")
        self._settle_ungrouped()
        self._break_loops()
        self._settle_all()
        self._measure()

    def _settle_ungrouped(self) -> None:
        own = self.groups["ungrouped"].hosts
        grouped = {host for group in self._proper_groups() for host in group.hosts}
        kept = {host: place for host, place in own.items() if host not in grouped}
        alone = {name: host.place for name, host in self.hosts.items() if name not in grouped}
        self.groups["ungrouped"].hosts = {**kept, **alone}

    def _proper_groups(self) -> list[Group]:
        return [group for name, group in self.groups.items() if name not in ("all", "ungrouped")]

    def _break_loops(self) -> None:
        done: set[str] = set()
        for name in self.groups:
            if name not in done:
                self._walk(name, done)

    def _walk(self, start: str, done: set[str]) -> None:
        trail = {start: iter(list(self.groups[start].children.items()))}
        while trail:
            parent = next(reversed(trail))
            child, place = next(trail[parent], ("", None))
            if place is None:
                done.add(parent)
                del trail[parent]
            elif child in trail:
                self._refuse_loop(list(trail), child, place)
            elif child not in done:
                trail[child] = iter(list(self.groups[child].children.items()))

    def _refuse_loop(self, trail: list[str], child: str, place: Place) -> None:
        loop = [*trail[trail.index(child) :], child]
        shown = loop if len(loop) <= 10 else [*loop[:5], "…", *loop[-4:]]
        self.note(place, f"groups cannot contain themselves: {' → '.join(shown)}")
        del self.groups[trail[-1]].children[child]

    def _settle_all(self) -> None:
        children = {child for group in self._proper_groups() for child in group.children}
        top = self.groups["all"].children
        for group in self._proper_groups():
            if group.name not in children:
                top.setdefault(group.name, group.place)

    def _measure(self) -> None:
        left = dict.fromkeys(self.groups, 0)
        for group in self.groups.values():
            for child in group.children:
                left[child] += 1
        ready = ["all"]
        while ready:
            parent = self.groups[ready.pop()]
            for child in parent.children:
                self.groups[child].depth = max(self.groups[child].depth, parent.depth + 1)
                left[child] -= 1
                if not left[child]:
                    ready.append(child)

    def members(self) -> dict[str, tuple[str, ...]] | None:
        """Every group's hosts, those of its children included, in Ansible's order; None if they are too many."""
        found: dict[str, tuple[str, ...]] = {}
        total = 0
        for name in self.groups:
            hosts, visited = self._members_of(name)
            total += visited
            if total > MAX_MEMBERSHIPS:
                self.note(self.groups[name].place, f"an inventory has at most {MAX_MEMBERSHIPS} members of groups")
                return None
            found[name] = hosts
        return found

    def _members_of(self, name: str) -> tuple[tuple[str, ...], int]:
        hosts: dict[str, None] = {}
        seen, level, visited = {name}, [name], 0
        while level:
            for each in level:
                hosts.update(dict.fromkeys(self.groups[each].hosts))
                visited += 1 + len(self.groups[each].hosts) + len(self.groups[each].children)
            below = dict.fromkeys(child for each in level for child in self.groups[each].children)
            level = [child for child in below if child not in seen]
            seen.update(level)
        return tuple(hosts), visited
