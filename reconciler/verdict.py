"""Why an attribute is as it is: the three-way verdict, and nothing else.

L is the value last known to be both desired and live, D the value desired now, V the live one.
"""

from __future__ import annotations

from reconciler.model import Value, Verdict


def judge(applied: tuple[Value] | None, desired: Value, live: Value) -> Verdict:
    """The verdict on one attribute. ``applied`` is ``(L,)``, or None where it was never applied.

    What was never applied has no past: it is in sync, or it is pending.
    """
    if applied is None:
        return Verdict.IN_SYNC if live == desired else Verdict.PENDING
    last = applied[0]
    if live == desired:
        return Verdict.IN_SYNC if last == desired else Verdict.AHEAD
    if live == last:
        return Verdict.PENDING
    return Verdict.DRIFT if desired == last else Verdict.CONFLICT
