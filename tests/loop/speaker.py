"""A daemon that only speaks, as a process that may be killed at any moment, for ``test_outage.py``.

Everything is the real thing, over a real socket; its clocks run ``SPEED`` times as fast as those on the wall.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.config import load
from reconciler.deliver import tell_ears
from reconciler.opening import open_world
from reconciler.speak import converse

SPEED = 120.0
"""Two minutes are a second."""
BEGIN = datetime(2026, 11, 22, 19, 41, 7, tzinfo=UTC)


def fast(since: float) -> float:
    """Seconds that have passed since the monotonic time *since*, as they are counted here."""
    return (time.monotonic() - since) * SPEED


def run(config: Path, since: float, ready: Path) -> None:
    """Speak until nothing waits."""

    def clock() -> datetime:
        return BEGIN + timedelta(seconds=fast(since))

    with open_world(
        load(config), clock=clock, monotonic=lambda: fast(since), say=lambda _: None, progress=lambda _: None
    ) as world:
        ready.touch()
        while world.state.waiting() or any(world.state.letters(name) for name in world.desk.ear_names):
            converse(world)
            tell_ears(world)
            time.sleep(0.1)
