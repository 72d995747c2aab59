"""What is kept of a compiled revision, so that the next one need not be compiled whole; called by ``desired``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.inventory import Inventory, Reading
from reconciler.manifests import Declaration, Sheet
from reconciler.model import HostDesired, Resource, Tree
from reconciler.resources import Reads
from reconciler.templates import Codes


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much work a revision may be: *steps* of all its templates together, *resources* counted on every host."""

    steps: int | None = None
    resources: int = 5_000_000


UNBOUND = Bounds()
"""For revisions of those with a right to push."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was built for one host, one each for its declarations in their order.

    A resource is None where building it failed; what it was made from is None where the host had no part in it.
    """

    resources: tuple[Resource | None, ...] = ()
    reads: tuple[Reads | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """One compiled revision.

    ``placed`` has every declaration in its order, with the hosts it lies on; ``selected`` the hosts of each pattern;
    ``common`` the resources in which nothing depends on the host; ``made`` what was built for each host, also where
    it was ``held`` for its mistakes.
    """

    tree: Tree = field(default_factory=dict)
    reading: Reading | None = None
    sheets: Mapping[str, Sheet] = field(default_factory=dict)
    placed: Mapping[Declaration, tuple[str, ...]] = field(default_factory=dict)
    selected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    common: Mapping[Declaration, Resource] = field(default_factory=dict)
    made: Mapping[str, Made] = field(default_factory=dict)
    hosts: Mapping[str, HostDesired] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    codes: Codes | None = None

    @property
    def inventory(self) -> Inventory | None:
        """Its inventory; None before the first revision."""
        return self.reading.inventory if self.reading is not None else None

    def changed(self, tree: Tree) -> frozenset[str]:
        """The files that another tree has otherwise: added, removed, or with another content."""
        shared = self.tree.keys() & tree.keys()
        return frozenset(self.tree.keys() ^ tree.keys()) | {name for name in shared if self.tree[name] != tree[name]}


NOTHING = Past()
"""Before the first revision."""
