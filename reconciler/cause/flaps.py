"""Flapping: the same resource of the same host drifts again and again, so something else manages it too.

What is kept is small: the times at which a drift was put right, for a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from reconciler.model import Attempt, HostPlan, Verdict
from reconciler.record import done_by

Flaps = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Host → resource → the times (ISO 8601, UTC) at which a drift of it was put right, oldest first."""

WINDOW = timedelta(hours=24)
ENOUGH = 3
"""Two may be a person who tries something out; three within a day are a program."""
MOST_TIMES = 12


def healed(before: HostPlan, final: HostPlan, attempt: Attempt | None) -> set[tuple[str, str]]:
    """The host and resource of each drift that this cycle put right: planned as *before*, found as *final*."""
    done = done_by(before, final, attempt, ()) if attempt else ()
    return {(before.host, change.resource) for change in done if change.verdict is Verdict.DRIFT}


def note_drift(flaps: Flaps, put_right: Iterable[tuple[str, str]], now: datetime) -> Flaps:
    """The same with what was put right *now*, and without what is older than a day."""
    kept = {
        (host, resource): [time for time in times if now - datetime.fromisoformat(time) < WINDOW]
        for host, resources in flaps.items()
        for resource, times in resources.items()
    }
    for key in sorted(set(put_right)):
        kept.setdefault(key, []).append(now.isoformat(timespec="seconds"))
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for (host, resource), times in kept.items():
        if times:
            found.setdefault(host, {})[resource] = tuple(times[-MOST_TIMES:])
    return found


def flapping(flaps: Flaps) -> Mapping[str, frozenset[str]]:
    """Host → the resources that flap; as of the last ``note_drift``."""
    found = {
        host: frozenset(name for name, times in resources.items() if len(times) >= ENOUGH)
        for host, resources in flaps.items()
    }
    return {host: names for host, names in found.items() if names}
