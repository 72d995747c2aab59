"""One host's session: opened, asked, answered, lost, opened again. Called by ``sessions``; all in the loop's thread.

A session remembers over all its connections what was last seen, so that "unchanged" gives the very same object again.
What the far end says is bounded by ``speech``; whatever it does not keep to ends the connection and makes the host
blind, and a time limit does so for silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from reconciler.model import Ask, Blind, HostAsk, Observed
from reconciler.reach import question
from reconciler.stream.connection import Connection
from reconciler.stream.facts import Facts
from reconciler.stream.look import Late, Look, Stage, backoff, same, unfolded
from reconciler.stream.replies import Round
from reconciler.stream.speech import Message, body_size
from reconciler.testimony import Rubbish, clip, facts_asked

if TYPE_CHECKING:
    from reconciler.stream.sessions import Sessions

LATE_SECONDS = 5.0
"""A late answer that is older than this is no answer to a question of now."""
SPARED_SECONDS = 1.0
"""A host that failed this recently is not tried again just because it is asked again."""
MOST_CALLS = 1000
"""Times that a far end may say *look now* between two looks; once would do."""
CALLS_AT_ONCE, CALL_SECONDS = 5, 1.0
"""A host may wake the daemon this many times in a row, and from then on once in so many seconds."""


class Session:
    """Everything about one host. ``resident``: its connection stays open between questions."""

    __slots__ = (
        *("back", "calls", "calm", "digest", "failed_at", "failures", "following", "home", "host", "late", "look"),
        *("observed", "promised", "reason", "resident", "slot", "stage", "valid", "variables", "way"),
    )

    def __init__(self, host: str, variables: Mapping[str, Any], home: Sessions) -> None:
        self.host = host
        self.variables = variables
        self.home = home
        self.stage = Stage.IDLE
        self.way: Connection | None = None
        self.resident = False
        self.slot = False
        self.look: Look | None = None
        self.following: Look | None = None
        self.late: Late | None = None
        self.observed: Observed | None = None
        self.digest = self.promised = ""
        self.valid: tuple[Ask, ...] = ()
        self.failures = 0
        self.failed_at: float | None = None
        self.reason = ""
        self.back = False
        self.calls = 0
        self.calm = 0.0

    # What is asked.

    def ask(self, wanted: HostAsk, asked: Round, nonce: str, *, fresh: bool) -> None:
        """Answer *asked*, now or later."""
        self.home.replies.settle(self.host)
        late, self.late = self.late, None
        if wanted.connection != self.variables:
            self.move(wanted.connection)
            late = None
        if late and not fresh and same(late.asks, wanted.asks) and self.home.loop.clock() - late.at <= LATE_SECONDS:
            self.home.replies.deliver(asked, self.host, late.answer)
        elif self.look is None:
            self.look = Look(wanted.asks, asked, nonce, fresh)
            self.begin()
        elif same(self.look.asks, wanted.asks) and (self.look.fresh or not fresh):
            self.look.asked = asked
            self.following = None
        else:
            self.following = Look(wanted.asks, asked, nonce, fresh)

    def move(self, variables: Mapping[str, Any]) -> None:
        """Go another way from now on; who is there may be another host, so nothing is known of it."""
        self.drop()
        self.home.loop.lift(self)
        self.variables = variables
        self.look = self.following = self.observed = None
        self.digest, self.valid, self.failures, self.failed_at = "", (), 0, None

    def begin(self) -> None:
        """Do what the look needs first."""
        assert self.look is not None  # noqa: S101 - whoever calls has set it
        if self.way is not None:
            self.limit()
            self.look.seasoned = self.stage is Stage.OPEN
            if self.stage is Stage.OPEN and not self.way.ending:
                self.send_look()
        elif self.failed_at is not None and self.home.loop.clock() - self.failed_at < SPARED_SECONDS:
            self.finish(Blind(self.host, self.reason))
        else:
            self.home.enqueue(self)

    def limit(self) -> None:
        """Let the time of this host run from now on."""
        self.home.loop.limit(self, self.home.settings.observe_timeout, self.run_late)

    def run_late(self) -> None:
        """The time limit is over."""
        seconds, way = self.home.settings.observe_timeout, self.way
        reason = way.why_late(seconds) if way is not None else f"not reached within {seconds:g} s"
        if self.way is way:  # reading its last words may have been the end of it
            self.lose(reason)

    def send_look(self) -> None:
        """Put the look to the far end."""
        look, way = self.look, self.way
        assert look is not None  # noqa: S101 - whoever calls has seen both
        assert way is not None  # noqa: S101
        lines = b""
        if way.told is None or not same(way.told, look.asks):
            lines = json.dumps({"asked": question(look.asks)}).encode() + b"\n"
        way.told = look.asks
        look.known = self.digest if same(self.valid, look.asks) else ""
        more = ', "fresh": true' if look.fresh else ""
        self.calls = way.noise = 0
        way.write(lines + f'{{"look": "{look.nonce}", "known": "{look.known}"{more}}}\n'.encode())

    def finish(self, answer: Observed | Blind) -> None:
        """Hand the answer over, or keep it where nobody waits; then go on with what was asked since."""
        look, self.look = self.look, None
        assert look is not None  # noqa: S101 - there is an answer only to a question
        self.home.loop.lift(self)
        if not self.home.replies.deliver(look.asked, self.host, answer) and self.following is None:
            self.late = Late(answer, look.asks, self.home.loop.clock())
            self.call()
        if self.following is not None:
            self.look, self.following = self.following, None
            self.begin()
        elif not self.resident:
            self.drop()

    # The connection.

    def start(self) -> None:
        """Open the connection; it is this host's turn."""
        self.stage = Stage.CONNECTING
        if self not in self.home.loop.limits:
            self.limit()
        try:
            link = self.home.start(self.host, self.variables, self.home.settings)
        except (OSError, ValueError) as problem:
            self.lose(f"no session can be started: {problem}")
            return
        self.home.links += 1
        self.way = Connection(link, self.home.loop, self.take, self.lose)

    def lose(self, reason: str, by_itself: bool = False) -> None:
        """The connection cannot go on. Where it had been idle and ended *by_itself*, the look is tried on a new one."""
        look, idle = self.look, self.stage is Stage.OPEN and self.look is None
        by_itself = by_itself and self.stage is Stage.OPEN
        self.drop()
        if look is not None and by_itself and look.seasoned and not look.again:
            look.again, look.known = True, None
            self.home.enqueue(self)
            return
        self.failures += 1
        self.reason = reason
        self.failed_at = None if idle and by_itself else self.home.loop.clock()
        if look is not None:
            self.finish(Blind(self.host, reason))
        else:
            self.home.loop.lift(self)
        if self.resident and self.stage is Stage.IDLE:
            self.back = True
            self.home.loop.after(backoff(self.host, self.failures), self.return_later(self.failures))

    def return_later(self, failures: int) -> Callable[[], None]:
        """A timer that opens the connection again, unless something else has happened in between."""

        def again() -> None:
            if self.stage is Stage.IDLE and self.failures == failures and self.home.keeps(self):
                self.home.enqueue(self)

        return again

    def drop(self) -> None:
        """End the connection, if there is one."""
        way, self.way = self.way, None
        self.stage = Stage.IDLE
        if way is not None:
            way.close()
            self.home.leave(way.link)
        self.home.release(self)

    # What the far end says.

    def take(self, message: Message | bytes) -> None:
        """Deal with one message; raises Rubbish where it is none that may come now."""
        assert self.way is not None  # noqa: S101 - it came over the connection
        if isinstance(message, bytes):
            self.take_body(message)
        elif "nonce" in message:
            self.take_answer(message, self.way)
        elif "now" in message:
            self.take_call()
        elif "hello" in message and self.stage is Stage.CONNECTING:
            self.take_hello(message, self.way)
        else:
            raise Rubbish("says what nobody understands")

    def take_hello(self, message: Message, way: Connection) -> None:
        """The program runs over there."""
        self.stage = Stage.OPEN
        watches = message.get("watches")
        way.watches = tuple(str(word)[:20] for word in watches[:5]) if isinstance(watches, list) else ()
        if self.resident:
            self.home.release(self)
        back, self.back = self.back, False
        if self.look is not None:
            self.send_look()
            return
        self.home.loop.lift(self)
        if back:
            self.call()

    def take_answer(self, message: Message, way: Connection) -> None:
        """The line that answers a look: unchanged, failed, or what its body will be."""
        look = self.look
        if look is None or look.known is None or message["nonce"] != look.nonce:
            raise Rubbish("the answer does not belong to the question: its nonce is missing or old")
        if "failed" in message:
            self.well(Blind(self.host, clip(str(message["failed"])) or "the host could not answer"))
        elif "bytes" in message:
            way.ear.body = body_size(message)
            self.promised = str(message.get("digest"))
        elif self.observed is not None and look.known and message.get("digest") == look.known:
            self.well(self.observed)
        else:
            raise Rubbish("the answer says that nothing changed, and not since what")

    def take_body(self, body: bytes) -> None:
        """What the host looks like."""
        look = self.look
        assert look is not None  # noqa: S101 - the ear waits for a body only after the answer to a look
        if sha256(body).hexdigest() != self.promised:
            raise Rubbish("the answer is not what its digest says")
        if self.observed is None or self.promised != look.known:
            self.observed = Observed(self.host, Facts(facts_asked(unfolded(body), look.asks)), kept=True)
            self.digest = self.promised
        self.valid = look.asks
        self.well(self.observed)

    def well(self, answer: Observed | Blind) -> None:
        """The far end does what it should, whatever it sees."""
        self.failures = 0
        self.failed_at = None
        self.finish(answer)

    def take_call(self) -> None:
        """The far end says *look now*."""
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise Rubbish("says without end that something changed")
        if self.late is not None and isinstance(self.late.answer, Observed):
            self.late = None
        self.call()

    def call(self) -> None:
        """Have the host asked soon; not too often, whatever it says."""
        if not self.home.replies.unsettle(self.host):
            return
        now = self.home.loop.clock()
        self.calm = max(self.calm, now - CALLS_AT_ONCE * CALL_SECONDS) + CALL_SECONDS
        if self.calm <= now:
            self.home.replies.wake()
        else:
            self.home.loop.after(self.calm - now, self.home.replies.wake)
