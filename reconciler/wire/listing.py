"""Lists that come in pages: where the next page is, and what is on this one. Adapters choose or bring their own."""

from __future__ import annotations

import re
from typing import Any

from reconciler.wire.answers import Reply

_LINK = re.compile(r"<([^<>]*)>([^<]*)")


def identity(value: Any) -> Any:
    """The page is the list."""
    return value


def by_link_header(reply: Reply) -> str | None:
    """The address that the Link header (RFC 8288) calls next, None on the last page."""
    for address, params in _LINK.findall(reply.headers.get("link", "")):
        if any(_is_next(param) for param in params.split(";")):
            return str(address)
    return None


def _is_next(param: str) -> bool:
    name, _, value = param.partition("=")
    return name.strip().lower() == "rel" and "next" in value.strip(' \t,"').lower().split()
