"""What is remembered of a ticket between cycles: plain values that the state file keeps as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any

from reconciler.cause.find import change_likeness
from reconciler.talk import Cause, Why

MOST_VALUES = 8
"""A file that changes all the time is told so often, and from then on shown in the ticket without calling anyone."""


@dataclass(frozen=True, slots=True)
class TicketMemory:
    """One ticket, or one line of the dashboard (``overflow``).

    ``open`` until its own check saw every host clean; ``dismissed`` where a person closed or deleted it before that:
    it is left alone until there is news. ``number`` is the forge's, None where it has none (yet). ``values`` are keys
    of the differences it was told with; together with ``hosts`` they say what is news. Times are ISO 8601 in UTC.
    """

    fingerprint: str
    why: Why
    resource: str
    title: str
    since: str
    hosts: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    number: int | None = None
    open: bool = True
    overflow: bool = False
    dismissed: bool = False
    closed_at: str | None = None


def as_record(memory: TicketMemory) -> dict[str, Any]:
    """The memory as JSON has it."""
    plain = {field.name: getattr(memory, field.name) for field in fields(memory)}
    return {**plain, "why": str(memory.why), "hosts": list(memory.hosts), "values": list(memory.values)}


def as_memory(record: Mapping[str, Any]) -> TicketMemory:
    """The memory that a record holds."""
    known = {field.name: record[field.name] for field in fields(TicketMemory) if field.name in record}
    lists = {name: tuple(record.get(name, ())) for name in ("hosts", "values")}
    return TicketMemory(**{**known, "why": Why(record["why"]), **lists})


def dismiss(memory: TicketMemory, *, deleted: bool = False) -> TicketMemory:
    """The memory of a ticket that somebody closed, or deleted, though its story goes on."""
    return replace(memory, dismissed=memory.open, number=None if deleted else memory.number)


def new_values(cause: Cause, memory: TicketMemory) -> set[str]:
    """Keys of the differences of a cause, apart from hosts, that its ticket has not told; none once it told enough.

    Words of failure and times change without being news, and a value that comes again is none either.
    """
    told = {repr(tuple(map(change_likeness, variant.changes))) for variant in cause.variants if variant.changes}
    keys = {sha256(text.encode()).hexdigest()[:12] for text in told}
    return keys - set(memory.values) if len(memory.values) < MOST_VALUES else set()


def all_values(cause: Cause, memory: TicketMemory) -> tuple[str, ...]:
    """What a ticket has told once it tells what its cause shows now."""
    return tuple(sorted({*memory.values, *sorted(new_values(cause, memory))[: MOST_VALUES - len(memory.values)]}))
