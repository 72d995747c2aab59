"""Who we are to a forge: a token kept in a file, or a GitHub App that asks for one every hour.

``open_forge`` takes either; the adapters' wires call them for the headers of each request. Tokens and keys stay out of
every message, log line and repr.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import jwt
from pydantic import AwareDatetime, Field

from reconciler.errors import ForgeAway, ForgeRefused
from reconciler.forge.answers import Answer, read
from reconciler.wire import Wire

RETRY = 60.0
"""Seconds until a file that could not be used is looked at again: somebody has to put it right first."""
EARLY = timedelta(minutes=5)
"""An installation's token is replaced this long before it expires, so that no request meets the end of it."""
SKEW = timedelta(minutes=1)
"""How far our clock may be ahead of GitHub's: it refuses what was issued in its future."""
SIGNED_FOR = timedelta(minutes=8)
"""How long our signature is good; GitHub allows ten minutes, counted by its own clock."""


@dataclass(frozen=True)
class TokenFile:
    """A personal, project or bot token in a file, read for every request so that a new one needs no restart."""

    path: Path

    def __call__(self) -> str:
        """The token; ForgeAway where there is none to be had."""
        token = _read(self.path, "token").strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ForgeAway(
                f"{self.path} does not hold a token", wait=RETRY, hint="It is one line with the token only."
            )
        return token


@dataclass(frozen=True)
class App:
    """A GitHub App and where it is installed; *key* is the file of its private key (PEM)."""

    id: int
    installation: int
    key: Path


class _Installation(Answer):
    token: Annotated[str, Field(min_length=1, repr=False)]
    expires_at: Annotated[AwareDatetime, Field(strict=False)]


class _Slug(Answer):
    slug: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


@dataclass
class AppToken:
    """The token of a GitHub App's installation, asked for when the last one is about to expire.

    *wire* speaks as the App itself: its headers are ``app_headers``.
    """

    app: App
    wire: Wire
    now: Callable[[], datetime]
    _held: _Installation | None = field(default=None, init=False, repr=False)

    def __call__(self) -> str:
        """The token; ForgeAway or ForgeRefused where GitHub gives none."""
        if self._held is None or self.now() >= self._held.expires_at - EARLY:
            path = f"/app/installations/{self.app.installation}/access_tokens"
            reply = self.wire.send("POST", path, {})
            self._held = read(_Installation, reply.json, "the App's installation")
        return self._held.token

    def login(self) -> str:
        """The name that the App writes under."""
        return f"{read(_Slug, self.wire.get('/app').json, 'the App').slug}[bot]"


def app_signature(app: App, at: datetime) -> str:
    """The App's own word that it is the App, signed with its key, good from *at* for some minutes."""
    claims = {"iss": str(app.id), "iat": int((at - SKEW).timestamp()), "exp": int((at + SIGNED_FOR).timestamp())}
    try:
        return jwt.encode(claims, _read(app.key, "App's key"), algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        # Its words may quote the file.
        raise ForgeRefused(f"{app.key} is no RSA private key", hint="Download a new one from the App's page.") from None


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ForgeAway(f"the forge's {what} in {path} cannot be read: {reason}", wait=RETRY) from None
