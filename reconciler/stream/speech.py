"""What a far end says, cut into messages. Pure; called by the sessions.

Whoever is at the far end may be broken or hostile, so everything here has a bound. A login may print before
our program speaks; afterwards every byte is the program's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from reconciler.testimony import Rubbish, clip

LARGEST_BODY = 4 * 1024 * 1024
"""Bytes; the far end itself stops there."""
LONGEST_LINE = 64 * 1024
"""Bytes of a line that is no body; the longest that an honest far end says has a few hundred."""
LONGEST_WELCOME = 64 * 1024
"""Bytes that a login may print before the program says hello."""
VERSION = 1

Message = dict[str, Any]


class Ear:
    """Takes bytes as they come and gives messages: a dict for a line, bytes for a body."""

    __slots__ = ("body", "greeted", "kept", "searched", "welcome", "welcomed")

    def __init__(self) -> None:
        self.kept = bytearray()
        self.searched = 0
        self.body = 0
        """Bytes of the body that comes next, 0 where a line does."""
        self.greeted = False
        self.welcome = ""
        """The last line that was printed before the program spoke."""
        self.welcomed = 0

    def hear(self, data: bytes) -> Iterator[Message | bytes]:
        """What *data* completes. Raises Rubbish where the far end does not keep to what was agreed."""
        self.kept += data
        while True:
            if self.body:
                if len(self.kept) <= self.body:
                    return
                yield self.take_body()
                continue
            end = self.kept.find(b"\n", self.searched)
            if end < 0:
                self.wait()
                return
            line = bytes(self.kept[:end])
            del self.kept[: end + 1]
            self.searched = 0
            if (message := self.read(line)) is not None:
                yield message

    def wait(self) -> None:
        """Keep the beginning of a line until the rest is there."""
        self.searched = len(self.kept)
        if self.searched > LONGEST_LINE:
            raise Rubbish("the answer has no end")

    def take_body(self) -> bytes:
        """The body that a line announced; it has to end where that said."""
        if self.kept[self.body] != ord("\n"):
            raise Rubbish("the answer is longer than it says")
        body = bytes(self.kept[: self.body])
        del self.kept[: self.body + 1]
        self.body = 0
        return body

    def read(self, line: bytes) -> Message | None:
        """The message in a line; None for what a login printed."""
        message = parsed(line)
        if not self.greeted:
            self.greeted = message is not None and message.get("hello") == VERSION
            return message if self.greeted else self.pass_over(line)
        if message is None:
            raise Rubbish(f"the answer is no message: {shown(line)}" if line else "the answer is an empty line")
        return message

    def pass_over(self, line: bytes) -> Message | None:
        """Let a line of a login pass; those of our own script tell how far it came."""
        self.welcomed += len(line) + 1
        if self.welcomed > LONGEST_WELCOME:
            raise Rubbish(f"something else speaks in place of our program: {shown(line)}")
        words = shown(line)
        if words.startswith(STEP):
            return {"step": words.removeprefix(STEP)}
        self.welcome = words or self.welcome
        return None


STEP = "reconciler: "
"""What begins a line of our own script."""


def parsed(line: bytes) -> Message | None:
    """One message, or None for what is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def shown(line: bytes) -> str:
    """The beginning of a line, fit to be shown."""
    return clip(line[:400].decode("utf-8", "replace"))[:120]


def body_size(message: Message) -> int:
    """How many bytes a message says will follow; raises Rubbish where that cannot be."""
    size = message["bytes"]
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise Rubbish("the answer does not say how long it is")
    if size > LARGEST_BODY:
        raise Rubbish("the answer is too large")
    return size
