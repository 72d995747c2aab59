"""Text made part of an address. Where people see things is made from the configured web root, never from an answer."""

from __future__ import annotations

from urllib.parse import quote


def in_path(text: str) -> str:
    """*text* as one segment of a path."""
    return quote(text, safe="")


def as_path(text: str) -> str:
    """*text* as a path: its slashes stay."""
    return quote(text, safe="/")
