"""The daemon: when a cycle runs, one at a time, until it is told to stop.

The only importer of apscheduler, and with ``cli`` the only reader of clocks. A wake-up carries no
data: the timer and SIGHUP each only say *now*; SIGTERM and SIGINT say *finish*.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from apscheduler.schedulers.background import BackgroundScheduler

from reconciler import logs
from reconciler.cycle import Report, cycle
from reconciler.errors import ReconcilerError
from reconciler.world import World

LONGEST_RETRY = 60.0
"""Seconds. A repository that is back is noticed within a minute, however long it was away."""
JITTER = 0.1
"""Share of the interval by which polls are spread, so that many daemons do not ask one server at once."""


@dataclass(slots=True)
class Pace:
    """The two clocks and the backoff, in monotonic seconds; a step of the wall clock moves none of them."""

    interval: float
    sweep_interval: float
    swept_at: float | None = None
    failures: int = 0
    not_before: float = 0.0

    def sweep_due(self, now: float) -> bool:
        """Whether the fleet is to be looked at."""
        return self.swept_at is None or now - self.swept_at >= self.sweep_interval

    def succeeded(self) -> None:
        """Back to the ordinary pace."""
        self.failures, self.not_before = 0, 0.0

    def failed(self, now: float) -> None:
        """Wait longer after each failure, up to a minute (or to the interval, where that is longer)."""
        self.failures += 1
        longest = max(self.interval, LONGEST_RETRY)
        self.not_before = now + min(longest, self.interval * 2 ** min(self.failures - 1, 10)) * (1 - JITTER)


class Bell:
    """Wakes one sleeper. It takes no lock, so a signal handler may ring it whatever it interrupted."""

    def __init__(self) -> None:
        self._listen, self._ring = os.pipe()
        os.set_blocking(self._listen, False)
        os.set_blocking(self._ring, False)

    def ring(self) -> None:
        """Wake the sleeper, now or as soon as it sleeps; ringing twice is the same."""
        with suppress(BlockingIOError):
            os.write(self._ring, b"!")

    def wait(self, seconds: float) -> None:
        """Sleep until it rings, at most *seconds* (monotonic)."""
        select.select([self._listen], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self._listen, 4096)


@dataclass(slots=True)
class Daemon:
    """Runs cycles on a world until a signal ends it."""

    world: World
    pace: Pace
    monotonic: Callable[[], float] = time.monotonic
    wake: Bell = field(default_factory=Bell)
    stopping: bool = False
    asked: bool = True
    trouble: str = ""

    def run(self) -> None:
        """Block until SIGTERM or SIGINT; the first cycle runs at once."""
        signal.signal(signal.SIGTERM, self.finish)
        signal.signal(signal.SIGINT, self.finish)
        signal.signal(signal.SIGHUP, self.look_now)
        scheduler = self.start_timer()
        try:
            self.loop()
        finally:
            scheduler.shutdown(wait=False)

    def start_timer(self) -> BackgroundScheduler:
        """The timer that says *now* every interval; late is better than dropped, and one is enough."""
        logging.getLogger("apscheduler").addHandler(logging.NullHandler())
        logging.getLogger("apscheduler").propagate = False
        scheduler = BackgroundScheduler(timezone="UTC")
        scheduler.add_job(
            self.wake.ring,
            "interval",
            seconds=self.pace.interval,
            jitter=self.pace.interval * JITTER,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        scheduler.start()
        return scheduler

    def loop(self) -> None:
        """Run a cycle at every wake-up. The wait has its own limit, since the timer goes by the wall clock."""
        self.wake.ring()
        while not self.stopping:
            self.wake.wait(self.pace.interval * (1 + 2 * JITTER))
            now = self.monotonic()
            if not self.stopping and (self.asked or now >= self.pace.not_before):
                self.run_cycle(now)

    def run_cycle(self, now: float) -> None:
        """One cycle, whatever comes of it: an error is told once, and the next cycle is the retry."""
        sweep = self.pace.sweep_due(now)
        if self.asked:  # cleared only where it was seen, so that no SIGHUP is lost in between
            self.asked, sweep = False, True
        try:
            report = cycle(self.world, sweep=sweep)
        except ReconcilerError as error:
            report = Report(trouble=str(error))
        except Exception as error:  # noqa: BLE001 - a defect of ours must not end the daemon, nor print a traceback
            report = Report(trouble=f"unexpected {type(error).__name__}: {error}")
            logs.trace(error)
        if report.plan is not None:
            self.pace.swept_at = now
        if report.trouble:
            self.pace.failed(self.monotonic())
        else:
            self.pace.succeeded()
        self.tell(report)

    def tell(self, report: Report) -> None:
        """Log what is new: trouble when it begins and when it ends; an idle cycle says nothing."""
        if report.trouble and report.trouble != self.trouble:
            logs.warn(report.trouble)
        elif self.trouble and not report.trouble:
            logs.info("the trouble is over")
        else:
            logs.debug(f"cycle done at {report.revision[:7] or 'no revision'}")
        self.trouble = report.trouble

    def finish(self, _signal: int, _frame: FrameType | None) -> None:
        """Stop: no new task starts, the running one ends, then the daemon does."""
        self.stopping = True
        self.wake.ring()

    def look_now(self, _signal: int, _frame: FrameType | None) -> None:
        """Poll git and look at the fleet now, or as soon as the running cycle is over."""
        self.asked = True
        self.wake.ring()
