"""The daemon's pace and its bell; what it does with them is in tests/loop."""

import os
import signal
import time

from reconciler.daemon import Bell, Pace


def test_a_bell_that_was_rung_before_the_sleep_ends_it_at_once_and_only_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    bell.wait(60)
    begun = time.monotonic()
    bell.wait(0.05)
    assert time.monotonic() - begun >= 0.04


def test_a_bell_may_be_rung_from_a_signal_handler_while_it_is_waited_for() -> None:
    bell, heard = Bell(), []

    def ring(number: int, _frame: object) -> None:
        heard.append(number)
        bell.ring()

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        for _ in range(200):
            os.kill(os.getpid(), signal.SIGUSR1)
            bell.wait(60)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(heard) == 200


def test_a_full_bell_does_not_block_whoever_rings() -> None:
    bell = Bell()
    for _ in range(100_000):
        bell.ring()
    bell.wait(60)


def test_a_sweep_that_ended_in_trouble_is_not_repeated_at_every_retry() -> None:
    pace = Pace(interval=60, sweep_interval=600)
    assert pace.sweep_due(0)
    pace.swept_at = 0
    pace.failed(10)
    assert not pace.sweep_due(70)
    assert pace.sweep_due(600)
