"""Facts as they are kept between looks: small. Called by the sessions; knows no host.

Ten thousand hosts are ten thousand of these, and nearly all of them are not read for hours.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any


class Facts(Mapping[str, Mapping[str, Any]]):
    """Collector → key → fact, kept compressed and unpacked while it is read."""

    __slots__ = ("packed",)

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.packed = zlib.compress(json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace"), 1)

    def __getitem__(self, collector: str) -> Mapping[str, Any]:
        return unpacked(self.packed)[collector]  # type: ignore[no-any-return]  # they were packed as such above

    def __iter__(self) -> Iterator[str]:
        return iter(unpacked(self.packed))

    def __len__(self) -> int:
        return len(unpacked(self.packed))

    def __repr__(self) -> str:
        return f"Facts({len(self.packed)} bytes)"


@lru_cache(maxsize=4)
def unpacked(packed: bytes) -> dict[str, Any]:
    """The facts of one of the last few hosts that were read: comparing one host asks hundreds of times."""
    return json.loads(zlib.decompress(packed))  # type: ignore[no-any-return]  # they were packed as such above
