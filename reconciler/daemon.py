"""The daemon: when a cycle runs, one at a time, until it is told to stop.

The only importer of apscheduler, and with ``cli`` the only reader of clocks. A wake-up carries no
data: the timer, a webhook, SIGHUP and a host with news each only say *now*; SIGTERM and SIGINT say *finish*.
"""

from __future__ import annotations

import gc
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
from reconciler.model import Mode
from reconciler.world import World

LONGEST_RETRY = 60.0
"""Seconds. A repository that is back is noticed within a minute, however long it was away."""
JITTER = 0.1
"""Share of the interval by which polls are spread, so that many daemons do not ask one server at once."""


@dataclass(slots=True)
class Pace:
    """When git is asked and the fleet looked at, and the backoff; in monotonic seconds, which no clock step moves."""

    interval: float
    sweep_interval: float
    swept_at: float | None = None
    polled_at: float | None = None
    failures: int = 0
    not_before: float = 0.0

    def sweep_due(self, now: float) -> bool:
        """Whether the fleet is to be looked at."""
        return self.swept_at is None or now - self.swept_at >= self.sweep_interval

    def poll_due(self, now: float) -> bool:
        """Whether git is to be asked though the timer says nothing, as it goes by the wall clock."""
        return self.polled_at is None or now - self.polled_at >= self.interval * (1 + 2 * JITTER)

    def resting(self, now: float) -> bool:
        """Whether it went wrong a short while ago."""
        return now < self.not_before

    def until(self, now: float) -> float:
        """Seconds until something is due by itself."""
        swept = now if self.swept_at is None else self.swept_at + self.sweep_interval
        polled = now if self.polled_at is None else self.polled_at + self.interval * (1 + 2 * JITTER)
        return max(0.0, self.not_before - now, min(swept, polled) - now)

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


def keep_for_long() -> None:
    """Have Python look for garbage among what is there now for the last time, until the next revision.

    Looking through all that is known of ten thousand hosts takes half a second, in which nobody is heard.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@dataclass(slots=True)
class Daemon:
    """Runs cycles on a world until a signal ends it."""

    world: World
    pace: Pace
    monotonic: Callable[[], float] = time.monotonic
    wake: Bell = field(default_factory=Bell)
    stopping: bool = False
    asked: bool = True
    ticked: bool = False
    trouble: str = ""
    kept: str = ""

    def run(self) -> None:
        """Block until SIGTERM or SIGINT; the first cycle runs at once."""
        signal.signal(signal.SIGTERM, self.finish)
        signal.signal(signal.SIGINT, self.finish)
        signal.signal(signal.SIGHUP, self.look_now)
        self.world.wake = self.wake.ring
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
            self.poll_now,
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
        """Run a cycle at every wake-up, and when one is due though nobody says so."""
        self.wake.ring()
        while not self.stopping:
            self.wake.wait(self.pace.until(self.monotonic()))
            if not self.stopping:
                self.run_due(self.monotonic())

    def run_due(self, now: float) -> None:
        """Run the cycle that is due now, if any. After trouble only hosts with news, and whoever asks, are heard."""
        # Each is cleared only where it was seen, so that nothing is lost that is said in between.
        if asked := self.asked:
            self.asked = False
        if ticked := self.ticked:
            self.ticked = False
        heard = asked or not self.pace.resting(now)
        poll = heard and (asked or ticked or self.pace.poll_due(now))
        sweep = heard and (asked or self.pace.sweep_due(now))
        if poll or sweep or self.world.called:
            self.run_cycle(now, poll=poll, sweep=sweep)

    def run_cycle(self, now: float, *, poll: bool, sweep: bool) -> None:
        """One cycle, whatever comes of it: an error is told once, and the next cycle is the retry."""
        if poll:
            self.pace.polled_at = now
        failed = True
        try:
            report = cycle(self.world, sweep=sweep, poll=poll, wait=False)
            failed = bool(report.trouble) and (poll or sweep)
        except ReconcilerError as error:
            report = Report(trouble=str(error))
        except Exception as error:  # noqa: BLE001 - a defect of ours must not end the daemon, nor print a traceback
            report = Report(trouble=f"unexpected {type(error).__name__}: {error}")
            logs.trace(error)
        if report.swept or (sweep and not failed):
            self.pace.swept_at = now
        if failed:
            self.pace.failed(self.monotonic())
        elif poll and not report.trouble:
            self.pace.succeeded()
        self.tell(report, polled=poll)
        if report.plan and not self.stopping and any(host.mode is Mode.ENFORCE for host in report.plan.hosts):
            self.world.ansible.warm()  # the next repair begins at once
        if report.swept and report.revision != self.kept:
            self.kept = report.revision
            keep_for_long()

    def tell(self, report: Report, *, polled: bool) -> None:
        """Log what is new: trouble when it begins and when it ends; an idle cycle says nothing.

        Only a cycle that asked git can say that trouble is over: the others never met it.
        """
        if self.trouble and not report.trouble and not polled:
            return
        if report.trouble and report.trouble != self.trouble:
            logs.warn(report.trouble)
        elif self.trouble and not report.trouble:
            logs.info("the trouble is over")
        else:
            sessions = self.world.stream.count() if self.world.stream else 0
            logs.debug(f"cycle done at {report.revision[:7] or 'no revision'}, {sessions} sessions open")
        self.trouble = report.trouble

    def finish(self, _signal: int, _frame: FrameType | None) -> None:
        """Stop: no new task starts, the running one ends, then the daemon does."""
        self.stopping = True
        self.wake.ring()

    def poll_now(self) -> None:
        """Ask git now, or as soon as the running cycle is over."""
        self.ticked = True
        self.wake.ring()

    def look_now(self, _signal: int, _frame: FrameType | None) -> None:
        """Poll git and look at the fleet now, or as soon as the running cycle is over."""
        self.asked = True
        self.wake.ring()
