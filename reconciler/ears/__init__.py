"""Other ears than the forge's: who else hears of a transition, by a signed webhook, or in chat and mail by Apprise.

The only importer of apprise; webhooks go over ``wire``. The shell opens the ears once and gives each one a Letter at a
time. An ear sends it once: what is to be said, when, and again, is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from reconciler.ears.chat import AppriseEar, addresses
from reconciler.ears.webhook import WebhookEar
from reconciler.talk import Letter

__all__ = ["AppriseEar", "Ear", "Wanted", "WebhookEar", "open_ears"]


class Ear(Protocol):
    """Somebody who hears letters. ``name`` tells it from the others, survives a restart and holds no secret."""

    name: str

    def hear(self, letter: Letter) -> None:
        """Send it once. Raises ForgeAway where a later try may succeed, ForgeRefused where none will."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class Wanted(Protocol):
    """One ear as the configuration has it: ``webhook`` and ``secret``, or ``apprise``."""

    @property
    def webhook(self) -> str | None:
        """Where signed JSON is sent to."""
        ...

    @property
    def secret(self) -> Path | None:
        """The file with the secret it is signed with."""
        ...

    @property
    def apprise(self) -> Path | None:
        """The file with Apprise URLs, one on a line."""
        ...


def open_ears(
    wanted: Iterable[Wanted], read_secret: Callable[[Path], str], now: Callable[[], float]
) -> tuple[Ear, ...]:
    """Make every ear that is *wanted*; *now* is epoch seconds. Raises ConfigError for one that cannot be.

    Two ears of one name get a number, in their order.
    """
    ears = [ear for each in wanted for ear in _opened(each, read_secret, now)]
    seen: Counter[str] = Counter()
    for ear in ears:
        seen[ear.name] += 1
        if seen[ear.name] > 1:
            ear.name = f"{ear.name} #{seen[ear.name]}"
    return tuple(ears)


def _opened(each: Wanted, read_secret: Callable[[Path], str], now: Callable[[], float]) -> list[Ear]:
    if each.webhook is not None and each.secret is not None:
        return [WebhookEar(each.webhook, read_secret(each.secret), now)]
    return [AppriseEar(url, place) for place, url in addresses(each.apprise)] if each.apprise is not None else []
