"""What passes between the thread of the sessions and whoever asks: answers, and which hosts want to be asked.

Called by both sides; holds the only lock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Condition

from reconciler.model import Blind, Observed

STOPPED = "stopped before it was done"
BROKEN = "the open sessions broke down; they are opened anew with the next question"
POLL = 0.1
"""Seconds between two looks at whether to stop."""


class Round:
    """One question to many hosts: who answered, and how many are still to be heard."""

    __slots__ = ("answers", "closed", "left")

    def __init__(self, hosts: Collection[str]) -> None:
        self.answers: dict[str, Observed | Blind] = {}
        self.left = len(hosts)
        self.closed = False


class Replies:
    """``wake`` is called, from the thread of the sessions, when a host becomes restless."""

    def __init__(self, wake: Callable[[], None], clock: Callable[[], float]) -> None:
        self.wake = wake
        self.clock = clock
        self.heard = Condition()
        self.restless: set[str] = set()

    def deliver(self, asked: Round, host: str, answer: Observed | Blind) -> bool:
        """Hand an answer over; False where whoever asked no longer waits."""
        with self.heard:
            if asked.closed:
                return False
            asked.answers[host] = answer
            asked.left -= 1
            if asked.left == 0:
                self.heard.notify_all()
            return True

    def unsettle(self, host: str) -> bool:
        """Note that a host wants to be asked; False where that was known."""
        with self.heard:
            known = host in self.restless
            self.restless.add(host)
        return not known

    def settle(self, host: str) -> None:
        """Note that a host is asked, or none of ours any more."""
        with self.heard:
            self.restless.discard(host)

    def await_answers(
        self, asked: Round, stop: Callable[[], bool], alive: Callable[[], bool], patience: float | None
    ) -> str:
        """Wait until all have answered, or for *patience* seconds; returns why others never will, or "".

        Afterwards the round is closed: what comes later is nobody's.
        """
        end = None if patience is None else self.clock() + patience
        with self.heard:
            try:
                while asked.left and alive():
                    if stop():
                        return STOPPED
                    left = None if end is None else end - self.clock()
                    if left is not None and left <= 0:
                        return ""
                    self.heard.wait(POLL if left is None else min(POLL, left))
                return BROKEN if asked.left else ""
            finally:
                asked.closed = True
