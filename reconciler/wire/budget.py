"""How often we may ask: a budget of writes of our own, and the limits that the server tells us.

Only ``wire`` enters here. Nothing sleeps: what may not be asked now is refused with the seconds to wait. Times are
monotonic seconds; what an earlier daemon has spent is handed in as ages.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

from reconciler.errors import ForgeAway
from reconciler.wire.limits import Told

MINUTE, HOUR = 60.0, 3600.0


class Budget:
    """At most *per_minute* writes in any 60 seconds and *per_hour* in any 3,600; *spent* is when there were some."""

    def __init__(self, per_minute: int, per_hour: int, spent: Iterable[float] = ()) -> None:
        self._windows = ((MINUTE, per_minute), (HOUR, per_hour))
        self._spent: deque[float] = deque(sorted(spent), maxlen=max(per_minute, per_hour, 1))

    def wait(self, now: float) -> float:
        """How many seconds until a write is free, 0 for now."""
        return max(self._wait_in(length, most, now) for length, most in self._windows)

    def _wait_in(self, length: float, most: int, now: float) -> float:
        """The *most*-th write from the end is the one that has to leave the window first."""
        if most < 1:
            return length
        if len(self._spent) < most:
            return 0.0
        return max(0.0, self._spent[-most] + length - now)

    def spend(self, now: float) -> None:
        """Count one write."""
        self._spent.append(now)

    def recent(self, now: float) -> list[float]:
        """When the writes were that still count, oldest first."""
        return [at for at in self._spent if at > now - HOUR]


class Pace:
    """Whether a call may be made now, by our own budget and by what the server said last."""

    def __init__(
        self, monotonic: Callable[[], float], budget: Budget, keep: Callable[[list[float]], None] | None = None
    ) -> None:
        self._monotonic = monotonic
        self._budget = budget
        self._keep = keep
        self._calls_from = -math.inf
        self._reads_from = -math.inf

    def before_read(self) -> None:
        """Raise ForgeAway where the server is to be left alone, or its last calls are kept for writes."""
        self._before_any()
        rest = self._reads_from - self._monotonic()
        if rest > 0:
            raise _away("The forge allows only a few more calls, which are kept for what has to be said.", rest)

    def before_write(self, *, counts: bool) -> None:
        """Raise ForgeAway where the server is to be left alone or the budget is spent; else spend one write.

        It is kept as spent before it is made: whoever dies in between has spent one too many, never one too few.
        """
        self._before_any()
        if not counts:
            return
        now = self._monotonic()
        rest = self._budget.wait(now)
        if rest > 0:
            raise _away("The budget of writes to the forge is spent.", rest)
        self._budget.spend(now)
        if self._keep:
            self._keep(self._budget.recent(now))

    def heed(self, told: Told) -> None:
        """Remember what the server said about its limits; the longer wait counts."""
        now = self._monotonic()
        self._calls_from = max(self._calls_from, now + told.all_wait)
        self._reads_from = now + told.reads_wait if told.about_reads else self._reads_from

    def _before_any(self) -> None:
        rest = self._calls_from - self._monotonic()
        if rest > 0:
            raise _away("The forge asked to be left alone.", rest)


def _away(message: str, rest: float) -> ForgeAway:
    return ForgeAway(message, wait=rest, hint=f"It is tried again in {math.ceil(rest)} seconds or later.")
