"""All sessions: whose turn it is to connect, who keeps a connection, which processes are on their way out.

Called by ``Stream``, through the loop's thread in which everything here runs.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Collection, Mapping

from reconciler.model import Blind, HostAsk
from reconciler.stream.link import KILL_AFTER, Link, Start
from reconciler.stream.look import Stage
from reconciler.stream.loop import Loop
from reconciler.stream.replies import BROKEN, Replies, Round
from reconciler.stream.session import Session
from reconciler.stream.settings import StreamSettings

REAP_SECONDS = 0.02
"""Between two looks at processes that are to end."""


class Sessions:
    """The sessions by host."""

    def __init__(self, settings: StreamSettings, start: Start, loop: Loop, replies: Replies) -> None:
        self.settings = settings
        self.start = start
        self.loop = loop
        self.replies = replies
        self.by_host: dict[str, Session] = {}
        self.residents = 0
        self.connecting = 0
        self.links = 0
        self.asked: deque[Session] = deque()
        self.failing: deque[Session] = deque()
        self.unasked: deque[Session] = deque()
        self.pumping = False
        self.leaving: dict[Link, float] = {}
        self.over = False

    def ask(self, asks: Mapping[str, HostAsk], asked: Round, nonce: str, *, fresh: bool) -> None:
        """Put a question to many hosts."""
        for host, wanted in asks.items():
            session = self.by_host.get(host)
            if session is None:
                session = self.by_host[host] = Session(host, wanted.connection, self)
            self.house(session)
            session.ask(wanted, asked, nonce, fresh=fresh)

    def house(self, session: Session) -> None:
        """Let a session keep its connection while there is room."""
        if not session.resident and self.residents < self.settings.sessions:
            session.resident = True
            self.residents += 1

    def keep(self, hosts: Collection[str], reason: str = "asked no longer") -> None:
        """End the sessions of all others."""
        wanted = frozenset(hosts)
        self.pumping = True  # nobody's turn comes before all have gone that are to go
        for host in [host for host in self.by_host if host not in wanted]:
            self.dismiss(self.by_host.pop(host), reason)
        self.pumping = False
        self.pump()

    def dismiss(self, session: Session, reason: str) -> None:
        """End a session for good; who still waits for it hears why."""
        self.residents -= session.resident
        session.resident = False
        session.drop()
        self.loop.lift(session)
        for look in (session.look, session.following):
            if look is not None:
                self.replies.deliver(look.asked, session.host, Blind(session.host, reason))
        session.look = session.following = None
        self.replies.settle(session.host)

    def keeps(self, session: Session) -> bool:
        """Whether the session is one of ours that stays connected."""
        return session.resident and self.by_host.get(session.host) is session

    def end_all(self) -> None:
        """End everything; the loop runs until the last process is gone."""
        self.over = True
        self.keep(())

    def abandon(self) -> None:
        """Leave nothing behind, however the loop ended; that takes as long as killing does."""
        self.keep((), BROKEN)
        for link in self.leaving:
            link.process.signal(signal.SIGKILL)
            link.process.reap()
        self.leaving.clear()

    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.over and not self.leaving

    # Turns to connect.

    def enqueue(self, session: Session) -> None:
        """Let a session connect when it is its turn: who is asked and well first, who is not asked last."""
        session.stage = Stage.QUEUED
        if session.look is None:
            self.unasked.append(session)
        else:
            (self.failing if session.failures else self.asked).append(session)
        self.pump()

    def release(self, session: Session) -> None:
        """Give back the session's turn, if it has one."""
        if session.slot:
            session.slot = False
            self.connecting -= 1
            self.pump()

    def pump(self) -> None:
        """Start connecting whose turn it is. What fails at once comes back here, but not into the loop below."""
        if self.pumping:
            return
        self.pumping = True
        while (session := self.next_turn()) is not None:
            session.slot = True
            self.connecting += 1
            session.start()
        self.pumping = False

    def next_turn(self) -> Session | None:
        """Who may connect now. A queue may still hold who has connected or gone since."""
        for queue, room in ((self.asked, 1.0), (self.failing, 1.0), (self.unasked, 0.25)):
            while queue and self.connecting < max(1, self.settings.connecting * room):
                session = queue.popleft()
                if session.stage is Stage.QUEUED and self.by_host.get(session.host) is session:
                    return session
        return None

    # Processes.

    def leave(self, link: Link) -> None:
        """Let a process end, and see to it that it does."""
        self.links -= 1
        link.close()
        if not self.leaving:
            self.loop.after(REAP_SECONDS / 4, self.see_off)
        self.leaving[link] = self.loop.clock() + KILL_AFTER

    def see_off(self) -> None:
        """Reap who has ended, and kill who will not."""
        now = self.loop.clock()
        for link, until in list(self.leaving.items()):
            if link.process.ended() is not None:
                link.process.reap()
                del self.leaving[link]
            elif now >= until:
                link.process.signal(signal.SIGKILL)
        if self.leaving:
            self.loop.after(REAP_SECONDS, self.see_off)
