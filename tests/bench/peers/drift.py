"""Drift on the workload's own resources, planted with a seed, and how much of it a tool found.

Packages and groups are left alone: taking a package away needs a registry to put it back, and another number of a
group is also another owner of the files that belong to it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.bed.hosts import Host
from tests.bench import workload
from tests.bench.peers.base import Found

HOWS = ("change", "delete", "add", "running")
EACH = 2
"""Of every way, on every host."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One difference to be: what is done (a shell command), to which resource, in which way."""

    resource: str
    how: str
    command: str


@dataclass(frozen=True, slots=True)
class Score:
    """How many pairs of host and resource were found, missed and invented."""

    found: int
    missed: int
    invented: int

    @property
    def recall(self) -> float:
        """The share of what was planted that was found."""
        return self.found / (self.found + self.missed)

    @property
    def precision(self) -> float:
        """The share of what was said that is true; 1.0 where nothing was said."""
        return self.found / ((self.found + self.invented) or 1) if self.found or self.invented else 1.0


def ways() -> Iterator[Planted]:
    """Every difference that can be planted."""
    for name, kind, fields in workload.items():
        for how, command in COMMANDS.get(kind, lambda _fields: ())(fields):
            yield Planted(name, how, command)


def choose(seed: int, host: str) -> list[Planted]:
    """What to plant on one host: some of every way, no resource twice."""
    chance, chosen, all_ways = random.Random(f"{seed}/{host}"), dict[str, Planted](), list(ways())
    for how in HOWS:
        left = [way for way in all_ways if way.how == how and way.resource not in chosen]
        chosen |= {way.resource: way for way in distinct(chance, left)[:EACH]}
    return list(chosen.values())


def distinct(chance: random.Random, ways_left: list[Planted]) -> list[Planted]:
    """These in an order of chance, one of each resource."""
    shuffled = chance.sample(ways_left, len(ways_left))
    return list({way.resource: way for way in shuffled}.values())


def plant(seed: int, hosts: Iterable[Host]) -> Found:
    """Plant on every host; what a tool has to find."""
    expected = set()
    for host in hosts:
        for way in choose(seed, host.name):
            host.exec(way.command)
            expected.add((host.name, way.resource))
    return frozenset(expected)


def score(found: Found, expected: Found) -> Score:
    """How a tool did."""
    return Score(len(found & expected), len(expected - found), len(found - expected))


def contents(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """A file with content."""
    path = fields["dest"]
    changes = (f"echo by hand >>{path}", f"chmod 0600 {path}", f"chown games {path}")
    return [*(("change", change) for change in changes), ("delete", f"rm {path}")]


def paths(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """``file`` by its state."""
    path = fields["path"]
    match fields["state"]:
        case "directory" if path != "/srv/bench":
            return [("change", f"chmod 0777 {path}"), ("delete", f"rmdir {path}")]
        case "link":
            return [("change", f"ln -sfn /srv/bench/d1 {path}"), ("delete", f"rm {path}")]
        case "absent":
            return [("add", f"touch {path}")]
    return []


def users(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """An account."""
    return [
        ("change", f"usermod -s /bin/sh {fields['name']}"),
        ("change", f"usermod -c 'by hand' {fields['name']}"),
        ("delete", f"userdel {fields['name']}"),
    ]


def lines(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """A line of a file."""
    gone = ("delete", f"sed -i '/^{fields['line']}$/d' {fields['path']}")
    return [("change", f"sed -i 's/^UMASK.*/UMASK 022/' {fields['path']}") if "regexp" in fields else gone]


COMMANDS: dict[str, Any] = {
    "copy": contents,
    "template": contents,
    "file": paths,
    "user": users,
    "lineinfile": lines,
    # Every tool keeps the job under a name of its own, so all of its lines are changed.
    "cron": lambda _: [("change", "sed -i 's/^17 3 /18 3 /' /var/spool/cron/crontabs/root")],
    "service": lambda f: [("running", f"systemctl stop {f['name']}"), ("change", f"systemctl disable -q {f['name']}")],
}
