"""What was found against what was planted. Pure; works for us and for whoever else looks at the same hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.diff import compare
from reconciler.model import Blind, Desired, Observed
from tests.bed.planting.shapes import Change, Found

T = TypeVar("T")


@dataclass(frozen=True)
class Score(Generic[T]):
    """What was rightly found, what was missed and what was invented."""

    found: frozenset[T]
    missed: frozenset[T]
    invented: frozenset[T]

    @property
    def recall(self) -> float:
        """The share of what was there that was found; 1 where nothing was there."""
        there = len(self.found) + len(self.missed)
        return len(self.found) / there if there else 1.0

    @property
    def precision(self) -> float:
        """The share of what was said that is true; 1 where nothing was said."""
        said = len(self.found) + len(self.invented)
        return len(self.found) / said if said else 1.0


def expected(changes: Iterable[Change]) -> set[Found]:
    """Every difference that these changes make."""
    return {(change.host, *effect) for change in changes for effect in change.differs}


def score(found: Iterable[Found], changes: Iterable[Change]) -> Score[Found]:
    """Judge by host, resource and attribute."""
    return judge(set(found), expected(changes))


def score_resources(found: Iterable[tuple[str, str]], changes: Iterable[Change]) -> Score[tuple[str, str]]:
    """Judge by host and resource, for those who look at tasks and know no attributes."""
    return judge(set(found), {(host, resource) for host, resource, _ in expected(changes)})


def judge(said: set[T], there: set[T]) -> Score[T]:
    """Two sets against each other."""
    return Score(frozenset(said & there), frozenset(there - said), frozenset(said - there))


def differing(desired: Desired, seen: Mapping[str, Observed | Blind]) -> set[Found]:
    """Every difference between a desired state and what a lane saw; a blind host is an AssertionError."""
    found = set()
    for host in desired.hosts.values():
        answer = seen[host.host]
        changes = answer if isinstance(answer, Blind) else compare(host, answer, {})
        assert not isinstance(changes, Blind), f"{host.host} is blind: {changes.reason}"
        found |= {(host.host, change.resource, change.attribute) for change in changes}
    return found
