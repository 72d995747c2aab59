"""Which variables two inventories have otherwise, and which they only have elsewhere; called by `inventory`.

Values are compared as a template would tell them apart, which is finer than ``==``: 1 is not true, and a mapping
in another order is another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.inventory.roster import Layer
from reconciler.inventory.variables import Variable


@dataclass(frozen=True, slots=True)
class Difference:
    """Names of variables: ``values`` have or may have another value, ``places`` are set at another line."""

    values: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()

    def __or__(self, other: Difference) -> Difference:
        if not other or not self:
            return self or other
        return Difference(self.values | other.values, self.places | other.places)

    def __bool__(self) -> bool:
        return bool(self.values or self.places)


NOTHING = Difference()


def compare(old: Mapping[str, Variable], new: Mapping[str, Variable]) -> Difference:
    """The difference of two sets of variables."""
    if old is new:
        return NOTHING
    values, places = old.keys() ^ new.keys(), set()
    for name in old.keys() & new.keys():
        was, now = old[name], new[name]
        if was is now:
            continue
        if not same_data(was.value, now.value):
            values.add(name)
        if was.place != now.place:
            places.add(name)
    return Difference(frozenset(values), frozenset(places)) if values or places else NOTHING


def compare_layers(old: tuple[Layer, ...], new: tuple[Layer, ...]) -> Difference:
    """The difference of two stacks of variables, the later layers winning."""
    if len(old) == len(new) and all(was is now for was, now in zip(old, new, strict=True)):
        return NOTHING
    return compare(_merged(old), _merged(new))


def _merged(layers: Iterable[Layer]) -> Mapping[str, Variable]:
    merged: dict[str, Variable] = {}
    for layer in layers:
        merged.update(layer)
    return merged


def same_data(old: Any, new: Any) -> bool:
    """Whether two values of YAML are the same to everything that can look at them."""
    return old is new or (type(old) is type(new) and repr(old) == repr(new))
