"""What a server answered: read within bounds, then decoded. Only ``wire`` enters here."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import httpx2

MOST_BYTES = 8 * 1024 * 1024
"""No answer that we ask for is anywhere near; more is a fault or an attack on our memory."""


class Unreadable(Exception):
    """An answer that cannot be used; the text says why and holds nothing of the answer itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came: HTTP status, headers (names in any case) and the body after decompression."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that says yes. ``json`` is None where there was no body; header names may be asked in any case."""

    status: int
    json: Any = field(repr=False)  # it can hold a token that was just made
    headers: Mapping[str, str] = field(repr=False)


def reply_of(answer: Answer) -> Reply:
    """Decode the body as JSON; raises Unreadable."""
    return Reply(answer.status, decoded(answer.body), answer.headers)


def decoded(body: bytes) -> Any:
    """The value of a JSON text in UTF-8, None for no text at all; raises Unreadable."""
    if not body.strip():
        return None
    try:
        value = json.loads(body.decode(), parse_constant=_no_number)
        if b"\\ud" in body.lower():
            # Half a surrogate pair is legal in JSON and cannot be written to any file.
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        raise Unreadable("the answer is not JSON") from None
    return value


def _no_number(_name: str) -> NoReturn:
    raise ValueError


def read_body(response: httpx2.Response, most: int = MOST_BYTES) -> bytes:
    """Read at most *most* bytes, compressed and decompressed; raises Unreadable for more."""
    if response.is_stream_consumed:  # a transport that had it whole and decompressed
        return b"".join(_bounded([response.content], most))
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    chunks = _bounded(response.iter_raw(), most)
    if encoding == "identity":
        return b"".join(chunks)
    if encoding in {"gzip", "x-gzip"}:
        return b"".join(_bounded(_unzipped(chunks, most), most))
    raise Unreadable("the answer is compressed in a way that was not asked for")


def _bounded(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise Unreadable(f"the answer is larger than {most // 1024} KiB")
        yield chunk


def _unzipped(chunks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Decompress piece by piece, none larger than is refused, so that a small answer cannot unfold into a huge one."""
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    begun = False
    try:
        for chunk in chunks:
            begun = True
            yield unzip.decompress(chunk, most + 1)
    except zlib.error:
        raise Unreadable("the answer cannot be decompressed") from None
    if begun and not unzip.eof:
        raise Unreadable("the answer ends early")
