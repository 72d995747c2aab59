"""Answers kept with their ETag, so that what did not change need not be sent again. Only ``wire`` enters here."""

from __future__ import annotations

from collections import OrderedDict

import httpx2

from reconciler.wire.answers import Answer

MOST_ENTRIES = 512
MOST_BYTES = 16 * 1024 * 1024
_PER_REQUEST = ("content-encoding", "content-length", "transfer-encoding")
"""Headers about one transfer, not about what was transferred."""


class Etags:
    """The answers used last, by address; bounded in number and in bytes of their bodies."""

    def __init__(self, entries: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[str, Answer] = OrderedDict()
        self._entries, self._most, self._size = entries, most_bytes, 0

    def headers(self, url: str) -> dict[str, str]:
        """What to ask with: the ETag of the answer that is kept, or nothing."""
        kept = self._kept.get(url)
        return {"If-None-Match": kept.headers["etag"]} if kept else {}

    def settle(self, url: str, answer: Answer) -> Answer:
        """Keep a new answer; give the kept one for 304, with the new headers over its own."""
        if answer.status == 304 and (kept := self._kept.get(url)):
            self._kept.move_to_end(url)
            fresh = {name: value for name, value in answer.headers.items() if name.lower() not in _PER_REQUEST}
            return Answer(kept.status, httpx2.Headers({**kept.headers, **fresh}), kept.body)
        self.forget(url)
        if answer.status == 200 and answer.headers.get("etag") and len(answer.body) <= self._most // 8:
            self._keep(url, answer)
        return answer

    def _keep(self, url: str, answer: Answer) -> None:
        self._kept[url] = answer
        self._size += len(answer.body)
        while len(self._kept) > self._entries or self._size > self._most:
            self.forget(next(iter(self._kept)))

    def forget(self, url: str) -> None:
        """Ask for *url* in full the next time."""
        if gone := self._kept.pop(url, None):
            self._size -= len(gone.body)
