"""One launch of Ansible beside the cycle, so that hosts which have answered need not wait for it.

Held by ``world``, used by ``lookout``. It is the one thing of the shell that runs in a thread of its own; it is
handed what to do, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from reconciler.model import Blind, HostAsk, Observed

Seen = Mapping[str, Observed | Blind]


class Beside:
    """At most one look at a time; its hosts are *running*, then *late* until somebody takes what they answered."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._answer: Future[Seen] | None = None
        self._asks: Mapping[str, HostAsk] = {}

    def begin(self, look: Callable[[], Seen], asks: Mapping[str, HostAsk], wake: Callable[[], None]) -> None:
        """Put these questions; *wake* is called when there are answers."""
        self._threads = self._threads or ThreadPoolExecutor(1, "look")
        self._asks = dict(asks)
        self._answer = self._threads.submit(look)
        self._answer.add_done_callback(lambda _: wake())

    @property
    def running(self) -> frozenset[str]:
        """The hosts that are being looked at now."""
        return frozenset(self._asks) if self._answer is not None and not self._answer.done() else frozenset()

    @property
    def late(self) -> frozenset[str]:
        """The hosts whose answers wait to be taken."""
        return frozenset(self._asks) - self.running

    def take(self, asks: Mapping[str, HostAsk], patience: float | None) -> Seen:
        """The answers to these very questions, once; nothing where there are none within *patience* (seconds).

        A host that is asked something else now has to be asked anew; the answers of others stay. Raises what the look
        raised, once.
        """
        if self._answer is None or not asks.keys() & self._asks.keys() or not wait([self._answer], patience).done:
            return {}
        answer, asked = self._answer, self._asks
        self._asks = {host: ask for host, ask in asked.items() if host not in asks}
        if answer.exception() is not None:
            self._asks = {}
        if not self._asks:
            self._answer = None
        seen = answer.result()
        return {host: seen[host] for host, ask in asks.items() if asked.get(host) is ask and host in seen}

    def close(self) -> None:
        """Wait for the end of what runs: it ends soon once its ``stop`` says so."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)
