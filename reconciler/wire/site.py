"""Pages made for people, with the cookies of one visit: read one, send its form. Only ``wire`` enters here.

For a forge that has no call for something it has a form for. It follows nothing, tries nothing again, and what it
is given stays in memory and goes to this one site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import httpx2

from reconciler.wire.answers import Answer
from reconciler.wire.line import Line
from reconciler.wire.origin import Origin
from reconciler.wire.words import clean, refusal

_MOST = 4 * 1024 * 1024
"""A page with a long comment on it is well below."""
_MOVES = frozenset({301, 302, 303, 307, 308})
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page as text; ``moved`` says that the site sends us elsewhere instead, as it does after a form or to log in."""

    text: str = field(repr=False)
    moved: bool


class Site:
    """The pages below *root*; the other arguments are those of Wire."""

    def __init__(
        self,
        root: str,
        *,
        ca: Path | None = None,
        proxy: str | None = None,
        timeout: float = 10.0,
        patience: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._root, self._origin = root.rstrip("/"), Origin(root)
        self._line = Line(
            self._origin.scheme, ca=ca, proxy=proxy, timeout=timeout, patience=patience, transport=transport
        )
        self._cookies: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._line.close()

    def has_cookie(self, name: str) -> bool:
        """Whether the site gave us this cookie, and a value in it."""
        return bool(self._cookies.get(name))

    def read(self, path: str) -> Page:
        """Read one page; raises ForgeAway or ForgeRefused."""
        return self._call("GET", path, None)

    def submit(self, path: str, fields: Mapping[str, str]) -> Page:
        """Send a form once; raises ForgeAway or ForgeRefused."""
        return self._call("POST", path, urlencode(fields).encode())

    def _call(self, method: str, path: str, content: bytes | None) -> Page:
        url = self._origin.url(path)
        what = f"{method} {clean(self._origin.path(url))}"
        # A site that guards its forms wants to see where they come from.
        headers = {"Accept": "text/html", "Referer": f"{self._root}/", **self._cookie(), **(_FORM if content else {})}
        with self._line.limited():
            answer = self._line.call(what, method, url, headers, content=content, most=_MOST)
        self._remember(answer)
        if not (200 <= answer.status < 300 or answer.status in _MOVES):
            raise refusal(what, answer, writes=method == "POST")
        return Page(answer.body.decode(errors="replace"), answer.status in _MOVES)

    def _cookie(self) -> dict[str, str]:
        pairs = "; ".join(f"{name}={value}" for name, value in self._cookies.items() if value)
        return {"Cookie": pairs} if pairs else {}

    def _remember(self, answer: Answer) -> None:
        given = answer.headers.get_list("set-cookie") if isinstance(answer.headers, httpx2.Headers) else []
        for line in given:
            try:
                cookie = SimpleCookie(line)
            except CookieError:
                continue
            self._cookies.update({name: morsel.coded_value for name, morsel in cookie.items()})
