"""What a session keeps about one question, and the small rules about it. Called by ``session``; waits for nothing."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from reconciler.model import Ask, Blind, Observed
from reconciler.stream.replies import Round
from reconciler.testimony import Rubbish

LONGEST_BACKOFF = 60.0


class Stage(Enum):
    """What a session is doing about its connection."""

    IDLE = 0
    QUEUED = 1
    CONNECTING = 2
    OPEN = 3


@dataclass(slots=True)
class Look:
    """One question to the host. ``known`` is set when it was sent; ``seasoned``: over a connection that was there."""

    asks: tuple[Ask, ...]
    asked: Round
    nonce: str
    fresh: bool
    known: str | None = None
    seasoned: bool = False
    again: bool = False


class Late(NamedTuple):
    """An answer that nobody waited for any more."""

    answer: Observed | Blind
    asks: tuple[Ask, ...]
    at: float


def same(one: tuple[Ask, ...], other: tuple[Ask, ...]) -> bool:
    """Whether the same is asked; nearly always the very same object."""
    return one is other or one == other


def unfolded(body: bytes) -> Any:
    """The facts in a body; raises Rubbish where it holds none."""
    try:
        found = json.loads(body)
    except RecursionError:
        raise Rubbish("the answer is nested too deeply") from None
    except ValueError:
        raise Rubbish("the answer is no JSON") from None
    return found.get("observed") if isinstance(found, dict) else None


def backoff(host: str, failures: int) -> float:
    """Seconds until the next try: one, doubling to a minute, and never in step with other hosts."""
    spread = zlib.crc32(f"{host} {failures}".encode("utf-8", "replace")) / 2**32
    return float(min(2 ** min(failures - 1, 6), LONGEST_BACKOFF) * (0.75 + spread / 2))
