"""Wire: what an adapter may ask of its forge's API. Only ``wire`` enters here.

One thread at a time. Reads are tried again and remembered; a write is sent once, and an answer that was lost is
said to be unsure, because only the caller can look whether it was done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import httpx2
import stamina
import stamina.instrumentation

from reconciler.errors import ForgeAway, ForgeError, ForgeRefused
from reconciler.wire.answers import Answer, Reply, Unreadable, reply_of
from reconciler.wire.budget import Budget, Pace
from reconciler.wire.etags import Etags
from reconciler.wire.limits import told
from reconciler.wire.line import Line
from reconciler.wire.listing import by_link_header, identity
from reconciler.wire.origin import Origin, Params
from reconciler.wire.words import FORGE_HINTS, Passing, clean, message_of, refusal, slow_down

MOST_PAGES = 1000
"""A list this long is no list of ours but a server that goes round in circles."""
LONGEST_LIST = 300.0
"""Seconds for all pages of a list: a cycle is not held longer by one forge."""
MOST_REDIRECTS = 2
"""A repository that was renamed is one redirect away."""
_REDIRECTS = frozenset({301, 302, 307, 308})
_ATTEMPTS = 3
_JSON = {"Accept": "application/json"}

# A read that succeeds in the end is no news, and one that fails says so itself.
stamina.instrumentation.set_on_retry_hooks([])


class Wire:
    """Calls below one *root* address, with the *headers* that are asked for anew at every call (the token).

    ``monotonic`` and ``now`` (epoch seconds) are clocks; ``ca`` is a PEM file trusted besides the system's;
    ``proxy`` replaces the proxy variables of the environment; ``timeout`` is for each step of a call and
    ``patience`` for a whole call with its retries, in seconds. ``spent`` are the times (epoch seconds) of the writes
    that an earlier Wire kept by ``keep``, which is called before every write with all that still count, so that a
    restart does not fill the budget again. Every call raises ForgeAway or ForgeRefused.
    """

    def __init__(
        self,
        root: str,
        *,
        headers: Callable[[], Mapping[str, str]],
        monotonic: Callable[[], float],
        now: Callable[[], float],
        ca: Path | None = None,
        proxy: str | None = None,
        per_minute: int = 80,
        per_hour: int = 500,
        spent: Iterable[float] = (),
        keep: Callable[[list[float]], None] | None = None,
        timeout: float = 10.0,
        patience: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._origin = Origin(root)
        self._headers = headers
        self._monotonic, self._now = monotonic, now
        then, started = now(), monotonic()
        # A time in the future is one of a clock that was put back since: it counts as now, for an hour at most.
        budget = Budget(per_minute, per_hour, (started - max(then - at, 0.0) for at in spent))
        self._pace = Pace(monotonic, budget, partial(self._keep, keep) if keep else None)
        self._etags = Etags()
        self._line = Line(
            self._origin.scheme, ca=ca, proxy=proxy, timeout=timeout, patience=patience, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._line.close()

    def _keep(self, keep: Callable[[list[float]], None], times: list[float]) -> None:
        """Hand on times that mean something after a restart."""
        offset = self._now() - self._monotonic()
        keep([round(offset + at, 3) for at in times])

    def get(self, path: str, params: Params | None = None) -> Reply:
        """Read *path* (below the root, or a full address there) with the query *params* added."""
        return self._get(self._origin.url(path, params))

    def pages(
        self,
        path: str,
        params: Params | None = None,
        *,
        items: Callable[[Any], Any] = identity,
        next_of: Callable[[Reply], str | None] = by_link_header,
    ) -> Iterator[Any]:
        """Everything of a list, page after page to the end.

        *items* takes the list out of a page's JSON; *next_of* gives the next page's address, None after the last.
        Raises ForgeError for a list without an end.
        """
        what = f"GET {clean(path.partition('?')[0])}"
        until = self._monotonic() + LONGEST_LIST
        seen: set[str] = set()
        following: str | None = path
        while following is not None:
            if following in seen or len(seen) >= MOST_PAGES:
                raise ForgeError(f"{what}: the list has no end.")
            if self._monotonic() > until:
                raise ForgeAway(f"{what}: the list was not complete after {LONGEST_LIST:g} seconds.")
            url = self._origin.url(following, None if seen else params)
            reply = self._get(url)
            found = _listed(what, items, reply)
            seen.add(following)
            following = next_of(reply)
            if following is None and found and len(found) % 10 == 0:
                # Page sizes are multiples of ten. A full last page stays as it is when the list grows beyond it, and
                # may then be answered with 304 and our old headers, which know of no next page.
                self._etags.forget(str(url))
            yield from found

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        form: bool = False,
        counts: bool = True,
    ) -> Reply:
        """Write once, with *body* as JSON or as a form; never tried again, never redirected.

        It spends the budget of writes, unless it *counts* not: asking for a token makes nothing that people see.
        """
        url = self._origin.url(path)
        headers = {**_JSON, **self._headers()}
        kind, content = _encoded(body, form=form)
        self._pace.before_write(counts=counts)
        with self._line.limited():
            answer = self._call(method, url, {**headers, **kind}, content)
        if answer.status in _REDIRECTS:
            raise refusal(self._what(method, url), answer, writes=True)
        return self._reply(method, url, answer)

    def _get(self, url: httpx2.URL) -> Reply:
        self._pace.before_read()
        headers = {**_JSON, **self._headers()}
        with self._line.limited():
            for _ in range(MOST_REDIRECTS + 1):
                answer = self._read(url, headers)
                if answer.status not in _REDIRECTS:
                    return self._reply("GET", url, answer)
                url = self._origin.follow(url, answer.headers["location"])
        raise ForgeRefused(f"{self._what('GET', url)}: the forge redirects without an end.", status=answer.status)

    def _read(self, url: httpx2.URL, headers: Mapping[str, str]) -> Answer:
        """One address, tried again where that may help, and only sent anew where it changed."""
        key = str(url)
        asked = {**headers, **self._etags.headers(key)}
        for attempt in stamina.retry_context(
            on=self._worthwhile, attempts=_ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=1.0, wait_jitter=0.3
        ):
            with attempt:
                answer = self._call("GET", url, asked)
        return self._etags.settle(key, answer)

    def _worthwhile(self, error: Exception) -> bool:
        return isinstance(error, Passing) and not self._line.late

    def _call(self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None = None) -> Answer:
        """One call as it is; every answer that is neither a yes, nor 304, nor a redirect is raised."""
        what, writes = self._what(method, url), method != "GET"
        answer = self._line.call(what, method, url, headers, content=content)
        said = clean(message_of(answer), headers) if answer.status >= 300 else ""
        limits = told(answer.status, answer.headers, said, self._now())
        self._pace.heed(limits)
        if limits.all_wait:
            raise slow_down(what, answer, said, limits.all_wait, writes=writes)
        redirects = answer.status in _REDIRECTS and "location" in answer.headers
        if 200 <= answer.status < 300 or redirects or (answer.status == 304 and "If-None-Match" in headers):
            return answer
        raise refusal(what, answer, said, writes=writes, hints=FORGE_HINTS)

    def _reply(self, method: str, url: httpx2.URL, answer: Answer) -> Reply:
        try:
            return reply_of(answer)
        except Unreadable as error:
            message = f"{self._what(method, url)}: {error}; a proxy or a page for people may be in between."
            raise ForgeAway(message, unsure=method != "GET") from None

    def _what(self, method: str, url: httpx2.URL) -> str:
        return f"{method} {clean(self._origin.path(url))}"


def _listed(what: str, items: Callable[[Any], Any], reply: Reply) -> list[Any]:
    """The list on one page; an answer of another shape is the forge's fault and said so."""
    try:
        found = items(reply.json)
    except (TypeError, KeyError, IndexError, AttributeError):
        found = None
    if not isinstance(found, list):
        raise ForgeError(f"{what}: the answer is not the list that it should be.")
    return found


def _encoded(body: Mapping[str, Any] | None, *, form: bool) -> tuple[dict[str, str], bytes | None]:
    """The headers that say what a body is, and its bytes."""
    if body is None:
        return {}, None
    if form:
        fields = {name: str(value).lower() if isinstance(value, bool) else value for name, value in body.items()}
        encoded = urlencode(fields, doseq=True, errors="replace")
        return {"Content-Type": "application/x-www-form-urlencoded"}, encoded.encode()
    encoded = json.dumps(body, ensure_ascii=False, allow_nan=False)
    # Half a surrogate pair, from a host's output, cannot be written as UTF-8.
    return {"Content-Type": "application/json"}, encoded.encode(errors="replace")
