"""One connection to a far end: bytes there and back, its standard error, its end. Called by ``session``.

It gives messages and, once, the reason why it cannot go on; what either means is the session's.
"""

from __future__ import annotations

import select
from collections.abc import Callable

from reconciler.model import Ask
from reconciler.stream.link import Link
from reconciler.stream.loop import READ, WRITE, Loop
from reconciler.stream.reasons import why_ended, why_late
from reconciler.stream.speech import Ear, Message
from reconciler.testimony import Rubbish

CHUNK = 64 * 1024
LAST_WORDS = 4096
"""Bytes kept of standard error: the reason is its last line."""
MOST_NOISE = 1024 * 1024
"""Bytes of standard error between two looks."""
DYING_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Waits for a process whose output ended, until it says with what code; most need the first."""


class Connection:
    """``take`` is called with each message, and may raise Rubbish; ``lose`` with a reason, and whether it just ended.

    After ``close`` neither is called again. ``step`` is how far our script came, ``told`` what the far end was asked
    last, ``watches`` what it watches.
    """

    __slots__ = (
        *("ear", "ending", "heard_all", "link", "loop", "lose", "noise", "open", "outgoing", "said", "step"),
        *("take", "told", "watches"),
    )

    def __init__(
        self, link: Link, loop: Loop, take: Callable[[Message | bytes], None], lose: Callable[[str, bool], None]
    ) -> None:
        self.link = link
        self.loop = loop
        self.take = take
        self.lose = lose
        self.ear = Ear()
        self.open = True
        self.ending = False
        self.outgoing: bytes | memoryview = b""
        self.said = b""
        self.heard_all = link.errors < 0
        self.noise = 0
        self.step = ""
        self.told: tuple[Ask, ...] | None = None
        self.watches: tuple[str, ...] = ()
        loop.watch(link.socket.fileno(), self.stir)
        if not self.heard_all:
            loop.watch(link.errors, self.overhear)
        self.write(memoryview(link.program))

    @property
    def greeted(self) -> bool:
        """Whether the program over there has spoken."""
        return self.ear.greeted

    def write(self, data: bytes | memoryview) -> None:
        """Send now what can be sent now, and the rest later; an end is noticed by reading."""
        if self.outgoing:
            self.outgoing = bytes(self.outgoing) + bytes(data)
            return
        try:
            sent = self.link.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return
        if sent < len(data):
            self.outgoing = data[sent:]
            self.loop.change(self.link.socket.fileno(), WRITE)

    def flush(self) -> None:
        """Go on sending."""
        rest, self.outgoing = self.outgoing, b""
        self.loop.change(self.link.socket.fileno(), READ)
        if rest:
            self.write(rest)

    def stir(self, events: int) -> None:
        """The far end said something, ended, or takes more."""
        if events & select.EPOLLOUT:
            self.flush()
        if events == select.EPOLLOUT:
            return
        try:
            data = self.link.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.hear(data)
        else:
            # Find out why it ended before anything is said about it.
            self.ending = True
            self.loop.forget(self.link.socket.fileno())
            self.conclude(0)

    def hear(self, data: bytes) -> None:
        """Pass messages on."""
        try:
            for message in self.ear.hear(data):
                if isinstance(message, dict) and not self.ear.greeted:
                    self.step = message["step"]
                else:
                    self.take(message)
                if not self.open:
                    return
        except Rubbish as problem:
            self.lose(str(problem), False)

    def overhear(self, _events: int = 0) -> None:
        """Keep the end of what is written to standard error."""
        if self.heard_all or not self.open:
            return
        try:
            data = self.link.read_errors(CHUNK)
        except BlockingIOError:
            return
        if not data:
            self.heard_all = True
            self.loop.forget(self.link.errors)
        self.said = (self.said + data)[-LAST_WORDS:]
        self.noise += len(data)
        if self.noise > MOST_NOISE:
            self.lose("its standard error has no end", False)

    def conclude(self, tries: int) -> None:
        """Say why it ended, from what its process leaves; wait a little for that."""
        if not self.open:
            return
        code = self.link.process.ended()
        if code is None and tries < len(DYING_SECONDS):
            self.loop.after(DYING_SECONDS[tries], lambda: self.conclude(tries + 1))
            return
        self.overhear()
        if self.open:
            self.lose(why_ended(self.last_words(), self.ear.welcome, code, self.step, greeted=self.greeted), True)

    def why_late(self, seconds: float) -> str:
        """Why nothing came within the time limit."""
        self.overhear()
        return why_late(seconds, self.step, self.last_words(), greeted=self.greeted)

    def last_words(self) -> str:
        """The end of standard error, as text."""
        return self.said.decode("utf-8", "replace")

    def close(self) -> None:
        """Stop listening; what becomes of the link is the caller's."""
        self.open = False
        self.loop.forget(self.link.socket.fileno())
        self.loop.forget(self.link.errors)
