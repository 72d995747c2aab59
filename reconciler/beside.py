"""One launch of Ansible beside the cycle, so that hosts which have answered need not wait for it.

Held by ``world``, used by ``lookout``. It is the one thing of the shell that runs in a thread of its own; it is
handed what to do, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from reconciler.model import Blind, Observed

Seen = Mapping[str, Observed | Blind]


class Beside:
    """At most one look at a time; its hosts are *running*, then *late* until somebody takes what they answered."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._answer: Future[Seen] | None = None
        self._hosts: frozenset[str] = frozenset()

    def begin(self, look: Callable[[], Seen], hosts: Collection[str], wake: Callable[[], None]) -> None:
        """Look at *hosts*; *wake* is called when they have answered."""
        self._threads = self._threads or ThreadPoolExecutor(1, "look")
        self._hosts = frozenset(hosts)
        self._answer = self._threads.submit(look)
        self._answer.add_done_callback(lambda _: wake())

    @property
    def running(self) -> frozenset[str]:
        """The hosts that are being looked at now."""
        return self._hosts if self._answer is not None and not self._answer.done() else frozenset()

    @property
    def late(self) -> frozenset[str]:
        """The hosts whose answers wait to be taken."""
        return self._hosts - self.running

    def take(self, patience: float | None) -> Seen:
        """The answers, once; nothing where there are none within *patience* (seconds). Raises what the look raised."""
        if self._answer is None or not wait([self._answer], patience).done:
            return {}
        answer, self._answer, self._hosts = self._answer, None, frozenset()
        return answer.result()

    def close(self) -> None:
        """Wait for the end of what runs: it ends soon once its ``stop`` says so."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)
