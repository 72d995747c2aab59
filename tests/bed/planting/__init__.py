"""Planted changes: a desired state over all kinds, and seeded changes to real hosts that leave it, with the truth.

The test of recall and the bench share it. A state is declared, hosts are prepared, converged and shelved once; then a
round of changes is dealt by a seed, made, looked at through whatever is to be judged, scored and taken back:

    prepare(hosts); …converge state(inventory)…; shelve(hosts)
    for changes in rounds(seed, names, 5, 100, decoys=20):
        apply(hosts, changes)
        score(found, changes)
        undo(hosts, changes)

Others enter through this package only. The parts: ``paths``, ``accounts``, ``keys``, ``settings`` and ``running`` are
the catalogue of resources and of ways to change them, in the words of ``shapes``; ``deal`` draws, ``hands`` touches
hosts, ``score`` judges.
"""

from __future__ import annotations

from typing import Any

import yaml

from tests.bed.planting import paths
from tests.bed.planting.deal import CATALOGUE, NotEnough, plant, rounds
from tests.bed.planting.hands import NotPlanted, apply, prepare, shelve, undo
from tests.bed.planting.score import Score, differing, expected, score, score_resources
from tests.bed.planting.shapes import Change, Found, How

__all__ = [
    "COUNT",
    "RESOURCES",
    "Change",
    "Found",
    "How",
    "NotEnough",
    "NotPlanted",
    "Score",
    "apply",
    "contents",
    "differing",
    "expected",
    "plant",
    "prepare",
    "rounds",
    "score",
    "score_resources",
    "shelve",
    "state",
    "undo",
]


def by_kind() -> dict[str, list[dict[str, Any]]]:
    """Kind → the fields of each of its resources, as a manifest has them."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for declared in CATALOGUE:
        if declared.kind:
            kinds.setdefault(declared.kind, []).append(dict(declared.fields))
    return kinds


RESOURCES = by_kind()
COUNT = sum(map(len, RESOURCES.values()))
"""How many resources each host has."""


def contents() -> dict[str, str]:
    """``files/`` and ``templates/`` of the desired state."""
    return paths.FILES | paths.TEMPLATES


def state(inventory: str, mode: str = "enforce") -> dict[str, str]:
    """The desired state of all hosts of an inventory: path below ``desired-state/`` → text."""
    manifest = [{"name": "What is planted in", "hosts": "all", **RESOURCES}]
    return {
        "inventory/hosts.yml": inventory,
        "reconciler.yml": f"mode: {mode}\n",
        "planted.yml": yaml.safe_dump(manifest, sort_keys=False),
        **contents(),
    }
