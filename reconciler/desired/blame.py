"""Which mistakes a revision has and which hosts they hold; called by ``desired``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from reconciler.inventory import Inventory, PatternMistake
from reconciler.manifests import nearest
from reconciler.model import Mistake
from reconciler.resources import MistakesFound
from reconciler.templates import NOT_HERE

SHOWN_HOSTS = 3
"""A mistake that many hosts share names this many of them."""

Batch = tuple[Mistake, ...]


class Blame:
    """Gathers mistakes and the hosts they can touch.

    Hosts are held by batches, each of them one object for all its hosts, so that many mistakes on many hosts are not
    their product.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.held: dict[str, list[Batch]] = defaultdict(list)
        self._told: list[Mistake] = []
        self._shared: dict[Mistake, dict[str, None]] = defaultdict(dict)
        self._undefined: dict[Mistake, str] = {}

    def tell(self, mistakes: Iterable[Mistake]) -> None:
        """Note mistakes as they are."""
        self._told += mistakes

    def hold(self, hosts: Iterable[str], mistakes: Sequence[Mistake]) -> None:
        """Hold hosts for mistakes that are told already."""
        batch = tuple(mistakes)
        for host in hosts if batch else ():
            self.held[host].append(batch)

    def hold_readers(self, mistakes: Iterable[Mistake]) -> None:
        """Hold the hosts that read the files of the inventory with mistakes."""
        for file, found in groupby(sorted(mistakes), key=lambda mistake: mistake.place.file):
            self.hold(self.inventory.hosts_reading(file), tuple(found))

    def hold_pattern(self, pattern: str, mistake: Mistake) -> None:
        """Hold the hosts of a manifest that could not be read; all of them where even the pattern is unknown."""
        try:
            hosts = self.inventory.select(pattern)
        except PatternMistake:
            hosts = self.inventory.hosts
        self.hold(hosts, (mistake,))

    def show(self, error: MistakesFound, host: str) -> None:
        """Hold a host for mistakes that show on it; they are told with the hosts they show on."""
        for mistake, undefined in error.found:
            self._shared[mistake][host] = None
            if undefined:
                self._undefined[mistake] = undefined
        self.hold((host,), error.mistakes)

    def finish(self) -> tuple[tuple[Mistake, ...], dict[str, tuple[Mistake, ...]]]:
        """Every mistake of the revision, and those of each host that is held."""
        words: dict[Mistake, Mistake] = {}
        known: dict[str, str] = {}
        for mistake, hosts in self._shared.items():
            variable = self._undefined.get(mistake, "")
            if variable and variable not in known:
                known[variable] = self._about(variable, next(iter(hosts)))
            shown = f"{mistake.message} for {shortened(list(hosts))}{known.get(variable, '')}"
            words[mistake] = replace(mistake, message=shown)
        merged: dict[tuple[int, ...], tuple[Mistake, ...]] = {}
        held: dict[str, tuple[Mistake, ...]] = {}
        for host, batches in self.held.items():
            key = tuple(map(id, batches))
            if key not in merged:
                merged[key] = tuple(sorted({words.get(one, one) for batch in batches for one in batch}))
            held[host] = merged[key]
        return tuple(sorted({*self._told, *words.values()})), held

    def _about(self, variable: str, host: str) -> str:
        """What helps with a variable that *host* does not have: where it is defined, or what may have been meant."""
        if found := self.inventory.where_defined(variable):
            return f" (defined for {found[0][0]} in {found[0][1].short})"
        if variable in NOT_HERE:
            return " (Ansible has it, desired state does not: nothing runs here)"
        return nearest(variable, self.inventory.variables(host))


def shortened(names: Sequence[str], most: int = SHOWN_HOSTS) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
