"""Which hosts a revision touches, seen from the one before; called by ``desired``.

A host too many costs time; a host too few would be a mistake, for it keeps what it had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from reconciler.desired.past import Past
from reconciler.inventory import Comparison, Difference, Inventory
from reconciler.manifests import Declaration
from reconciler.resources import Reads

SAME = Difference()
Placed = Mapping[Declaration, tuple[str, ...]]


class Changes:
    """What is other than in the revision before: files, and what each host sees of its variables."""

    def __init__(self, past: Past, inventory: Inventory, files: Collection[str]) -> None:
        self.files = frozenset(files)
        self._comparison = None if past.inventory is None else Comparison(past.inventory, inventory)
        self._known = past.made.keys()
        self._seen: dict[str, Difference] = {}
        self._whole: dict[int, Reads] = {}

    def of(self, host: str) -> Difference:
        """What a host, which was there before, sees otherwise."""
        if self._comparison is None or host not in self._known:
            return SAME
        if host not in self._seen:
            self._seen[host] = self._comparison.of(host)
        return self._seen[host]

    def spare(self, reads: Reads, host: str) -> bool:
        """Whether something made from these would be made again as it is, but for the lines it cites."""
        return reads.files.isdisjoint(self.files) and reads.asked.isdisjoint(self.of(host).values)

    def touch(self, reads: tuple[Reads | None, ...], host: str) -> bool:
        """Whether anything of a host that was made from these would be another."""
        whole = self._whole.get(id(reads))
        if whole is None:
            whole = self._whole[id(reads)] = union(reads)
        return not (self.spare(whole, host) and whole.used.isdisjoint(self.of(host).places))


def union(reads: tuple[Reads | None, ...]) -> Reads:
    """Everything that some resources were made from."""
    all_of = [each for each in reads if each is not None]
    return Reads(
        frozenset().union(*(each.used for each in all_of)),
        frozenset().union(*(each.asked for each in all_of)),
        frozenset().union(*(each.files for each in all_of)),
    )


def touched_hosts(past: Past, placed: Placed, inventory: Inventory, changes: Changes) -> list[str]:
    """The hosts that may have other resources or mistakes than before, in their order."""
    if not in_same_order(past.placed, placed):
        return list(inventory.hosts)
    found = set(past.held)
    for declaration in past.placed.keys() | placed.keys():
        old, new = past.placed.get(declaration, ()), placed.get(declaration, ())
        if old is not new:
            found |= set(old) ^ set(new)
        if declaration.source in changes.files:
            found.update(new)
    return [
        host
        for host in inventory.hosts
        if host in found or host not in past.made or changes.touch(past.made[host].reads, host)
    ]


def in_same_order(old: Placed, new: Placed) -> bool:
    """Whether the declarations that are in both come in the same order."""
    return [each for each in old if each in new] == [each for each in new if each in old]


def layouts(placed: Placed, hosts: Collection[str]) -> dict[str, list[Declaration]]:
    """The declarations of each of some hosts, in their order."""
    wanted = set(hosts)
    found: dict[str, list[Declaration]] = defaultdict(list)
    reached: dict[int, list[str]] = {}
    for declaration, reach in placed.items():
        # Declarations of one pattern share the tuple of its hosts, which is looked through once.
        if id(reach) not in reached:
            reached[id(reach)] = [host for host in reach if host in wanted]
        for host in reached[id(reach)]:
            found[host].append(declaration)
    return found
