"""What is to be said elsewhere and what has been: slots on the forge, letters to the other ears.

Part of ``state.State``. A slot is one place that holds one thing: the comment on a pull request, one status of one
commit, a ticket. What it is to hold is kept beside what it was last known to hold, so an outage loses nothing and
a crash repeats nothing; what became stale while it waited is never said. Letters are transitions: each one
is delivered, in order.
"""

from __future__ import annotations

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.state.format import to_json
from reconciler.talk import Letter


@dataclass(frozen=True, slots=True)
class Slot:
    """A place on the forge: what it is to hold, what it was last known to hold (None: nothing), and the forge's id."""

    name: str
    wanted: Mapping[str, Any]
    sent: Mapping[str, Any] | None = None
    ref: Any = None


class Speech:
    """Slots and letters of one state file."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Everything or nothing."""

    @abstractmethod
    def _is_new(self, key: str, text: str) -> bool:
        """Whether a fact is not stored so already."""

    @abstractmethod
    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Every row of a query."""

    def say(
        self,
        slots: Mapping[str, Mapping[str, Any]],
        letters: Iterable[Letter] = (),
        ears: Collection[str] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Store what slots are to hold, letters for every ear, and facts, in one transaction.

        What is so already is not written again. A slot that waits keeps its place when its wish changes: else one that
        changes often would wait for ever behind the others.
        """
        new = [(name, to_json(wanted)) for name, wanted in slots.items()]
        new = [pair for pair in new if self._rows("SELECT wanted FROM slots WHERE slot = ?", pair[0]) != [(pair[1],)]]
        texts = [(ear, letter.id, to_json(asdict(letter))) for letter in letters for ear in ears]
        facts = [pair for pair in ((key, to_json(value)) for key, value in (meta or {}).items()) if self._is_new(*pair)]
        if not (new or texts or facts):
            return
        ((last,),) = self._rows("SELECT coalesce(max(nr), 0) FROM slots")
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO slots (nr, slot, wanted) VALUES (?, ?, ?)"
                " ON CONFLICT (slot) DO UPDATE SET"
                " nr = CASE WHEN sent IS wanted THEN excluded.nr ELSE nr END, wanted = excluded.wanted",
                [(last + number, *pair) for number, pair in enumerate(new, start=1)],
            )
            connection.executemany("INSERT OR IGNORE INTO letters (ear, id, letter) VALUES (?, ?, ?)", texts)
            connection.executemany("REPLACE INTO meta VALUES (?, ?)", facts)

    def slot(self, name: str) -> Slot | None:
        """One slot, None where nothing was ever to be said there."""
        found = self._rows("SELECT slot, wanted, sent, ref FROM slots WHERE slot = ?", name)
        return _slot(found[0]) if found else None

    def slots(self, prefix: str) -> list[Slot]:
        """Every slot whose name begins so, by name."""
        rows = self._rows(
            "SELECT slot, wanted, sent, ref FROM slots WHERE substr(slot, 1, ?) = ? ORDER BY slot", len(prefix), prefix
        )
        return [_slot(row) for row in rows]

    def waiting(self, prefix: str = "") -> list[str]:
        """The names, beginning with *prefix*, of slots that do not hold yet what they are to; longest waiting first."""
        rows = self._rows(
            "SELECT slot FROM slots WHERE sent IS NOT wanted AND substr(slot, 1, ?) = ? ORDER BY nr",
            *(len(prefix), prefix),
        )
        return [name for (name,) in rows]

    def refer(self, name: str, ref: Any) -> None:
        """Note the forge's id of a slot, before it is known to hold what it is to hold."""
        with self._transaction() as connection:
            connection.execute("UPDATE slots SET ref = ? WHERE slot = ?", (to_json(ref), name))

    def holds(self, slot: Slot, ref: Any) -> None:
        """Note that a slot holds what *slot* wanted, under the forge's id *ref*."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE slots SET sent = ?, ref = ? WHERE slot = ?", (to_json(slot.wanted), to_json(ref), slot.name)
            )

    def vacate(self, names: Iterable[str]) -> None:
        """Forget slots: nothing is to be said there any more."""
        gone = [(name,) for name in names]
        if gone:
            with self._transaction() as connection:
                connection.executemany("DELETE FROM slots WHERE slot = ?", gone)

    def letters(self, ear: str) -> list[Letter]:
        """The letters that one ear has not heard, oldest first."""
        rows = self._rows("SELECT letter FROM letters WHERE ear = ? ORDER BY nr", ear)
        return [_letter(text) for (text,) in rows]

    def unheard(self) -> dict[str, int]:
        """Every ear that has letters waiting for it, and how many."""
        return dict(self._rows("SELECT ear, count(*) FROM letters GROUP BY ear ORDER BY ear"))

    def disown(self, ears: Iterable[str]) -> None:
        """Forget every letter for ears that are there no more."""
        gone = [(ear,) for ear in ears]
        if gone:
            with self._transaction() as connection:
                connection.executemany("DELETE FROM letters WHERE ear = ?", gone)

    def heard(self, ear: str, letter: str) -> None:
        """Forget a letter (its id) for one ear: it is delivered, or never can be."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM letters WHERE ear = ? AND id = ?", (ear, letter))


def _slot(row: tuple[Any, ...]) -> Slot:
    name, wanted, sent, ref = row
    return Slot(name, json.loads(wanted), sent and json.loads(sent), ref and json.loads(ref))


def _letter(text: str) -> Letter:
    stored = json.loads(text)
    return Letter(**{**stored, "hosts": tuple(stored["hosts"])})
