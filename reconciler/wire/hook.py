"""One webhook of somebody else: bytes to a fixed address. ``ears`` calls it and has signed them before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import httpx2

from reconciler.wire.limits import told
from reconciler.wire.line import Line
from reconciler.wire.origin import web_address
from reconciler.wire.words import refusal, slow_down

_MOST = 64 * 1024
"""An answer that nobody reads need not be long."""


class Hook:
    """POSTs to one *url*, of which messages name the host only: with many services the path is the password.

    The arguments are those of Wire. Raises ConfigError for an address that cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], float],
        ca: Path | None = None,
        proxy: str | None = None,
        timeout: float = 10.0,
        patience: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._url, self._now = web_address(url), now
        self._what = f"The webhook to {self._url.host}"
        self._line = Line(self._url.scheme, ca=ca, proxy=proxy, timeout=timeout, patience=patience, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._line.close()

    def post(self, content: bytes, headers: Mapping[str, str]) -> None:
        """Send *content* once. Raises ForgeAway (with ``wait`` where the server says so) or ForgeRefused."""
        with self._line.limited():
            answer = self._line.call(self._what, "POST", self._url, headers, content=content, most=_MOST)
        if 200 <= answer.status < 300:
            return
        limits = told(answer.status, answer.headers, "", self._now())
        if limits.all_wait:
            raise slow_down(self._what, answer, "", limits.all_wait, writes=True)
        raise refusal(self._what, answer, writes=True)
