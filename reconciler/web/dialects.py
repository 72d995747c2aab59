"""How each kind of forge signs a webhook, and which of its events mean that there is something to look at.

``web`` asks. Nothing here touches the network, and of a webhook nothing but its headers and its bytes' HMAC is seen.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

Header = Callable[[bytes], bytes | None]
"""Gives the header of a name (in lower case), or None."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of forge calls things.

    ``signatures`` are the headers that may hold the signature, which is ``prefix`` and the HMAC-SHA256 of the body in
    hexadecimal, or the secret itself where ``bare``. ``events`` are those that name the event; after ``wakes`` there is
    something to look at, and ``pings`` only ask whether anybody is there.
    """

    signatures: tuple[bytes, ...]
    events: tuple[bytes, ...]
    wakes: frozenset[bytes]
    prefix: bytes = b""
    bare: bool = False
    pings: frozenset[bytes] = frozenset()

    def event(self, header: Header) -> bytes:
        """The name of what happened, b"" where it is not said."""
        return _first(header, self.events)


class Seal:
    """The check of one webhook, fed with its body as it comes so that none of it is kept."""

    def __init__(self, dialect: Dialect, secret: bytes) -> None:
        self._dialect, self._secret = dialect, secret
        self._mac = hmac.new(secret, digestmod=sha256)

    def feed(self, part: bytes) -> None:
        """Take the next bytes of the body."""
        self._mac.update(part)

    def is_genuine(self, header: Header) -> bool:
        """Whether a holder of the secret sent it; a wrong signature takes as long as a right one."""
        given = _first(header, self._dialect.signatures)
        signed = self._dialect.prefix + self._mac.hexdigest().encode()
        return hmac.compare_digest(given, self._secret if self._dialect.bare else signed)


def _first(header: Header, names: tuple[bytes, ...]) -> bytes:
    return next((value for name in names if (value := header(name)) is not None), b"")


_FORGEJO = Dialect(
    signatures=(b"x-forgejo-signature", b"x-gitea-signature"),
    events=(b"x-forgejo-event", b"x-gitea-event"),
    wakes=frozenset({b"push", b"pull_request"}),
)
DIALECTS = {
    "github": Dialect(
        signatures=(b"x-hub-signature-256",),
        events=(b"x-github-event",),
        wakes=frozenset({b"push", b"pull_request"}),
        prefix=b"sha256=",
        pings=frozenset({b"ping"}),
    ),
    "gitlab": Dialect(
        signatures=(b"x-gitlab-token",),
        events=(b"x-gitlab-event",),
        wakes=frozenset({b"Push Hook", b"Merge Request Hook"}),
        bare=True,
    ),
    "forgejo": _FORGEJO,
    "gitea": _FORGEJO,
    "pagure": Dialect(
        signatures=(b"x-pagure-signature-256",),
        events=(b"x-pagure-topic",),
        # Comments and flags on pull requests are left out: most of them are our own.
        wakes=frozenset(
            {
                b"git.receive",
                b"pull-request.new",
                b"pull-request.updated",
                b"pull-request.rebased",
                b"pull-request.closed",
                b"pull-request.reopened",
            }
        ),
    ),
}
"""By the forge's kind, as the configuration names it."""
