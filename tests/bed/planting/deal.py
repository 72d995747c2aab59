"""Dealing: which changes are made where, drawn from the catalogue by a seed. Pure; the same seed, the same changes.

A round is what is planted together: no two of its changes touch one resource. Kinds take turns, so that the rare
ones are not drowned by files, and nothing is dealt to a host a second time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.bed.planting import accounts, keys, paths, running, settings
from tests.bed.planting.shapes import Change, Declared, change

CATALOGUE: tuple[Declared, ...] = (
    *paths.DECLARED,
    *accounts.DECLARED,
    *keys.DECLARED,
    *settings.DECLARED,
    *running.DECLARED,
)
"""Every resource, with every way in which a hand changes it."""


class NotEnough(ValueError):
    """More changes are asked for than the catalogue has."""


def plant(seed: int, hosts: Sequence[str], count: int, decoys: int = 0) -> list[Change]:
    """One round: *count* changes and *decoys* on all these hosts together, in the order in which they are made."""
    [dealt] = rounds(seed, hosts, 1, count, decoys)
    return dealt


def rounds(seed: int, hosts: Sequence[str], number: int, count: int, decoys: int = 0) -> list[list[Change]]:
    """Several rounds, each of *count* changes and *decoys*; none comes twice. Raises NotEnough."""
    random_ = random.Random(seed)
    everything = [change(host, declared, way) for host in hosts for declared in CATALOGUE for way in declared.ways]
    random_.shuffle(everything)
    real = Deck(c for c in everything if c.differs)
    harmless = Deck(c for c in everything if not c.differs)
    dealt = []
    for _ in range(number):
        touched: set[tuple[str, str]] = set()
        cards = real.deal(count, touched) + harmless.deal(decoys, touched)
        random_.shuffle(cards)
        dealt.append(cards)
    return dealt


class Deck:
    """Changes that were not dealt yet, in a pile for each host and kind."""

    def __init__(self, changes: Iterator[Change]) -> None:
        self.piles: dict[tuple[str, str], list[Change]] = {}
        for each in changes:
            self.piles.setdefault((each.kind, each.host), []).append(each)

    def deal(self, count: int, touched: set[tuple[str, str]]) -> list[Change]:
        """Take *count* changes, one from each pile in turn, none of which touches what is *touched* already."""
        dealt: list[Change] = []
        while len(dealt) < count:
            found = [card for pile in self.piles.values() if (card := self.take(pile, touched))]
            if not found:
                raise NotEnough(f"{count} changes were asked for, and no more than {len(dealt)} fit together")
            dealt += found
        # What was taken too much goes back, under the piles that the next round begins with.
        for card in dealt[count:]:
            self.piles[card.kind, card.host].append(card)
            touched -= places(card)
        self.turn(len(dealt[:count]))
        return dealt[:count]

    def take(self, pile: list[Change], touched: set[tuple[str, str]]) -> Change | None:
        """The first change of a pile that fits; it is then gone from there."""
        for at, card in enumerate(pile):
            if not places(card) & touched:
                touched |= places(card)
                return pile.pop(at)
        return None

    def turn(self, by: int) -> None:
        """Let other piles begin next time."""
        names = list(self.piles)
        at = by % len(names)
        self.piles = {name: self.piles[name] for name in names[at:] + names[:at]}


def places(card: Change) -> set[tuple[str, str]]:
    """What a change touches, with the host it does so on."""
    return {(card.host, touched) for touched in card.touches}
