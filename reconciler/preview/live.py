"""What is there on a host, as far as anybody knows: reconstructed from what is remembered of its last look.

Called by the other parts of ``preview``. Pure. What cannot be known is None, and never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.memory import as_value
from reconciler.model import HostMemory, Mode, State, Value
from reconciler.preview.pairs import Pair

NEVER = "never looked at"
ELSEWHERE = "never looked at where it would be reached from now on"


@dataclass(frozen=True, slots=True)
class Live:
    """What the last look at a host left: what was as declared then, and what was not."""

    applied: Mapping[str, Mapping[str, Value]]
    records: Mapping[str, Mapping[str, Value]]

    def value(self, pair: Pair, attribute: str) -> tuple[Value] | None:
        """``(V,)``, or None where nobody has looked.

        A difference was recorded with what was seen; what has no record was as declared at the last look. Where the
        base has declared something newer since, that counts as live only if it is enforced, and so comes first.
        """
        if (seen := self.recorded(pair, attribute)) is not None:
            return seen
        known = self.applied.get(pair.known_as, {})
        if attribute not in known:
            return None
        value = known[attribute]
        if pair.old is None or attribute not in pair.old.wanted:
            # It was declared at the last look and is not now: good for nothing but to see that nothing would change.
            return (value,) if value == pair.new.wanted[attribute] else None
        declared = pair.old.wanted[attribute]
        return (declared,) if value == declared or pair.mode_before is Mode.ENFORCE else None

    def recorded(self, pair: Pair, attribute: str) -> tuple[Value] | None:
        """``(V,)`` where the last look found another value than was declared then."""
        records = self.records.get(pair.known_as)
        return (records[attribute],) if records and attribute in records else None


def live_of(memory: HostMemory | None) -> Live:
    """What is remembered of a host, in the form it is asked for."""
    if memory is None:
        return Live({}, {})
    records: dict[str, dict[str, Value]] = {}
    for change in memory.changes:
        records.setdefault(change["resource"], {})[change["attribute"]] = as_value(change["seen"])
    return Live(memory.applied, records)


def blindness(memory: HostMemory | None) -> str:
    """Since when a host has not been seen, or that it never was, and why; "" for a host that is seen."""
    if memory is None or not memory.state:
        return NEVER
    if memory.state != State.BLIND:
        return ""
    # A memory that was made again from the record knows since when the host is blind, not when it was seen before.
    when = memory.seen_at or (memory.since if memory.applied else None)
    said = f"not seen since {when}" if when else "never seen"
    return f"{said}: {memory.reason}" if memory.reason else said
