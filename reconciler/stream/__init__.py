"""Looking at hosts over sessions that stay open, as the rest of the program sees it.

One OpenSSH client for each host, at whose far end stays what looks at it. Called by the shell; decides nothing: whom
to ask, what and when is the caller's. The parts: ``loop`` is the one thread that waits for all of them, ``sessions``,
``session`` and ``connection`` say what happens in it, ``speech`` reads what far ends say, ``link`` and ``command``
start ssh, ``replies`` is what passes between the threads, ``facts`` keeps what was seen small, ``reasons`` words what
went wrong.
"""

from __future__ import annotations

import resource
import secrets
from collections.abc import Callable, Collection, Mapping
from threading import Thread
from time import monotonic

from reconciler.model import Blind, HostAsk, Observed
from reconciler.reach import refused
from reconciler.stream.link import Link, Process, Start, run, start_ssh
from reconciler.stream.loop import Loop
from reconciler.stream.replies import Replies, Round
from reconciler.stream.sessions import Sessions
from reconciler.stream.settings import StreamSettings

__all__ = ["Link", "Process", "Start", "Stream", "StreamSettings", "run", "start_ssh"]

DESCRIPTORS = 3
"""For each session: its socket, its standard error, and one more while its process is being started."""
OTHER_DESCRIPTORS = 256
END_SECONDS = 10.0
"""Longer than any process needs that can be killed at all."""


class Stream:
    """Asks hosts over open sessions. ``wake`` is called from another thread when a host becomes restless.

    ``clock`` gives monotonic seconds. Nothing is started before the first question. Not for two threads at a time.
    """

    def __init__(
        self,
        settings: StreamSettings,
        wake: Callable[[], None],
        clock: Callable[[], float] = monotonic,
        start: Start = start_ssh,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.start = start
        self.replies = Replies(wake, clock)
        self.sessions: Sessions | None = None
        self.thread: Thread | None = None

    def observe(
        self,
        asks: Mapping[str, HostAsk],
        stop: Callable[[], bool],
        *,
        fresh: bool = False,
        patience: float | None = None,
    ) -> dict[str, Observed | Blind]:
        """Look at every host; one whose far end says that nothing changed gives the same Observed as last time.

        With *patience* the answer may leave hosts out that did not answer within so many seconds: they are still
        being asked, and restless when their answer is there. ``fresh`` has everything read again. Once ``stop()``
        says so, who has not answered is blind.
        """
        seen: dict[str, Observed | Blind] = {
            host: Blind(host, problem) for host, ask in asks.items() if (problem := unfit(host, ask))
        }
        todo = {host: ask for host, ask in asks.items() if host not in seen} if seen else dict(asks)
        if not todo:
            return seen
        sessions, thread = self.running(len(todo))
        asked = Round(todo)
        nonce = secrets.token_hex(8)
        sessions.loop.post(lambda: sessions.ask(todo, asked, nonce, fresh=fresh))
        why = self.replies.await_answers(asked, stop, thread.is_alive, patience)
        unheard = {host: Blind(host, why) for host in todo if host not in asked.answers} if why else {}
        return seen | asked.answers | unheard

    def restless(self) -> frozenset[str]:
        """The hosts that want to be asked: something changed there, or an answer came late, or they are back."""
        with self.replies.heard:
            return frozenset(self.replies.restless)

    def keep(self, hosts: Collection[str]) -> None:
        """End the sessions of all other hosts, soon."""
        if (sessions := self.sessions) is not None:
            wanted = frozenset(hosts)
            sessions.loop.post(lambda: sessions.keep(wanted))

    def count(self) -> int:
        """How many sessions are open or being opened; each is a process."""
        return self.sessions.links if self.sessions is not None else 0

    def watching(self) -> int:
        """How many hosts tell by themselves when something changes."""
        if self.sessions is None:
            return 0
        return sum(1 for session in list(self.sessions.by_host.values()) if session.way and session.way.watches)

    def close(self) -> None:
        """End every session and wait until its process is gone."""
        sessions, thread = self.sessions, self.thread
        self.sessions = self.thread = None
        if sessions is not None and thread is not None:
            sessions.loop.post(sessions.end_all)
            thread.join(END_SECONDS)

    def running(self, hosts: int) -> tuple[Sessions, Thread]:
        """The sessions and their thread, started where they are not."""
        allow_descriptors(min(hosts, self.settings.sessions) + self.settings.connecting)
        if self.sessions is None or self.thread is None or not self.thread.is_alive():
            loop = Loop(self.clock)
            self.sessions = Sessions(self.settings, self.start, loop, self.replies)
            self.thread = Thread(target=serve, args=(self.sessions,), name="stream", daemon=True)
            self.thread.start()
        return self.sessions, self.thread


def serve(sessions: Sessions) -> None:
    """The thread: run the loop, and leave nothing open however that ends."""
    try:
        sessions.loop.run(sessions.finished)
    finally:
        sessions.abandon()
        sessions.loop.close()


def unfit(host: str, ask: HostAsk) -> str:
    """Why a host is not for this lane, or nothing."""
    if ask.connection.get("ansible_connection") == "local":
        return "a local connection needs no session: it is Ansible's lane"
    return refused(host, ask.connection)


def allow_descriptors(sessions: int) -> None:
    """Let this process have as many open descriptors as so many sessions need, as far as the system lets it."""
    need = sessions * DESCRIPTORS + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < need:
        most = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
