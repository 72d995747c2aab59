"""What is said about a call that failed: short, on one line, and without anything that is secret.

Only ``wire`` enters here. A server may repeat what we sent, so its words are cleaned and our headers masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from reconciler.errors import ForgeAway, ForgeError, ForgeRefused
from reconciler.wire.answers import Answer, Unreadable, decoded

MOST_CHARACTERS = 200
_SECRET_FROM = 8
"""A word of a header this long may be a token; shorter ones are words such as Bearer."""
_KNOWN = frozenset({"accept", "accept-encoding", "content-type", "user-agent", "if-none-match"})
"""Headers of ours that hold no secret, and words that a server may well have to say."""
FORGE_HINTS = {
    401: "The token is wrong, expired or revoked.",
    403: "The token lacks a right for this.",
    404: "It is not there, or the token may not see it; check the repository's name and the token's rights.",
}
_MOVED = "It is elsewhere now; write the new address into the configuration."


class Passing(ForgeAway):
    """A failure that may be over in a moment, so a read is tried again at once."""


def clean(text: str, ours: Mapping[str, str] | None = None) -> str:
    """*text* on one line, without control characters and the values of the headers *ours*, at most 200 characters."""
    line = " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in text).split())
    # What was taken out could have hidden a token, so the search for it comes after.
    for secret in sorted(_secrets(ours or {}), key=len, reverse=True):
        line = re.sub(re.escape(secret), "***", line, flags=re.IGNORECASE)
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"


def _secrets(headers: Mapping[str, str]) -> set[str]:
    values = {value for name, value in headers.items() if name.lower() not in _KNOWN and len(value) > 3}
    return values | {word for value in values for word in value.split() if len(word) >= _SECRET_FROM}


def message_of(answer: Answer) -> str:
    """The server's own words, as the four forges send them, or nothing."""
    try:
        value = decoded(answer.body)
    except Unreadable:
        return ""
    if not isinstance(value, dict):
        return ""
    found = value.get("message") or value.get("error") or ""
    return ": ".join([_text(found), *_details(value.get("errors"))])


def _details(errors: Any) -> list[str]:
    """GitHub's reasons for 422; each is a text or says its message."""
    listed = errors if isinstance(errors, list) else []
    return [_text(e.get("message") or e.get("code") or "" if isinstance(e, dict) else e) for e in listed[:3]]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def refusal(
    what: str, answer: Answer, said: str = "", *, writes: bool, hints: Mapping[int, str] | None = None
) -> ForgeError:
    """The error that an answer outside 200 to 299 means, limits aside; *said* is clean already, *hints* by status."""
    line = f"{what}: the server answers {answer.status}{_reason(answer.status)}{f': {said}' if said else ''}."
    if answer.status in {502, 503, 504}:
        return Passing(line, unsure=writes)
    if answer.status >= 500 or answer.status in {304, 408, 425}:
        return ForgeAway(line, unsure=writes)
    hint = _MOVED if 300 <= answer.status < 400 else (hints or {}).get(answer.status, "")
    return ForgeRefused(line, status=answer.status, hint=hint)


def slow_down(what: str, answer: Answer, said: str, wait: float, *, writes: bool) -> ForgeAway:
    """The error for a limit that was hit: 403 and 429 did nothing, 503 may have."""
    line = f"{what}: the server wants us to slow down ({answer.status}{f': {said}' if said else ''})."
    unsure = writes and answer.status >= 500
    return ForgeAway(line, wait=wait, unsure=unsure, hint=f"It is tried again in {wait:.0f} seconds or later.")


def _reason(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
