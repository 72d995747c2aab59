"""The signed webhook: a letter as JSON, to whatever program wants to hear it.

Only ``ears`` enters here. The receiver checks ``X-Reconciler-Signature-256``: ``sha256=`` and, in hexadecimal, the
HMAC-SHA256 of the value of ``X-Reconciler-Timestamp``, a full stop and the body. A letter that comes twice has the same
``X-Reconciler-Delivery``, timestamp, body and signature.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from urllib.parse import urlsplit

from reconciler.talk import Letter
from reconciler.wire import Hook


class WebhookEar:
    """Sends letters to *url*, signed with *secret*; *now* is epoch seconds. Its name shows the host alone."""

    def __init__(self, url: str, secret: str, now: Callable[[], float]) -> None:
        self.name = f"webhook:{urlsplit(url).hostname}"
        self._secret = secret.encode()
        self._hook = Hook(url, now=now)

    def hear(self, letter: Letter) -> None:
        """POST it; any 2xx means that it was heard. Raises ForgeAway or ForgeRefused."""
        body = as_json(letter)
        self._hook.post(
            body,
            {
                "Content-Type": "application/json",
                "X-Reconciler-Event": letter.event,
                "X-Reconciler-Delivery": letter.id,
                "X-Reconciler-Timestamp": letter.at,
                "X-Reconciler-Signature-256": signature(self._secret, letter.at, body),
            },
        )

    def close(self) -> None:
        """Close every connection."""
        self._hook.close()


def as_json(letter: Letter) -> bytes:
    """The letter's fields by their names, as they are: what hosts and strangers chose is not neutralised here."""
    return json.dumps(asdict(letter), sort_keys=True).encode()


def signature(secret: bytes, at: str, body: bytes) -> str:
    """What only who holds the secret can say of this body at this time."""
    return "sha256=" + hmac.new(secret, at.encode() + b"." + body, sha256).hexdigest()
