"""What a server says about its limits, read from the headers of an answer. Only ``wire`` enters here.

Read: ``Retry-After`` (RFC 9110, 10.2.3: seconds or a date), GitHub's ``X-RateLimit-*`` and GitLab's ``RateLimit-*``.
Dates are compared with the server's own ``Date``, so that a clock of ours that is wrong does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST = 3600.0
"""The longest that we believe a server, in seconds; after that it is asked again."""
UNSAID = 60.0
"""What GitHub asks for where a limit was hit and nothing says for how long."""
KEPT = 50
"""So many calls are kept for writes: a look can wait, what has to be said is to go out."""
_EPOCHS_FROM = 10_000_000.0
"""A reset below this is no date since 1970 but a number of seconds."""


@dataclass(frozen=True, slots=True)
class Told:
    """Seconds for which no call, or no read, is to be made; ``about_reads`` says whether the server spoke of them."""

    all_wait: float = 0.0
    reads_wait: float = 0.0
    about_reads: bool = False


def told(status: int, headers: Mapping[str, str], message: str, now: float) -> Told:
    """Read the limits out of one answer; *now* is epoch seconds, used where the server sends no date."""
    at = _date(headers.get("date", "")) or now
    remaining, reset = _number(headers, "remaining"), _reset(headers, at)
    if is_limit(status, headers, message):
        return Told(all_wait=_retry_after(headers, at) or (reset if remaining == 0 else None) or UNSAID)
    if remaining is None or headers.get("x-ratelimit-resource", "core") != "core":
        return Told()
    # A server with a small allowance would otherwise never be read.
    kept = min(float(KEPT), (_number(headers, "limit") or 0.0) // 20)
    return Told(reads_wait=(reset or UNSAID) if remaining < kept else 0.0, about_reads=True)


def is_limit(status: int, headers: Mapping[str, str], message: str) -> bool:
    """Whether the answer means *not now* rather than *no*: GitHub says 403 for both."""
    if status == 429 or (status == 503 and "retry-after" in headers):
        return True
    words = message.lower()
    spoken = "rate limit" in words or "abuse detection" in words
    return status == 403 and (spoken or "retry-after" in headers or _number(headers, "remaining") == 0)


def _retry_after(headers: Mapping[str, str], at: float) -> float | None:
    text = headers.get("retry-after", "")
    date = _date(text)
    return _sane(date - at if date is not None else _float(text))


def _reset(headers: Mapping[str, str], at: float) -> float | None:
    reset = _number(headers, "reset")
    return _sane(reset - at if reset is not None and reset >= _EPOCHS_FROM else reset)


def _sane(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(seconds, 1.0), LONGEST)


def _number(headers: Mapping[str, str], name: str) -> float | None:
    return _float(headers.get(f"x-ratelimit-{name}", headers.get(f"ratelimit-{name}", "")))


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
