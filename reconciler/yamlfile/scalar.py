"""What a scalar of YAML 1.2's core schema means; called by `yamlfile` for every value that has no quotes.

Source: yaml.org/spec/1.2.2, section 10.3.2. So ``no``, ``on`` and ``22:22`` are text, and ``0644`` is the
integer 644, unlike in YAML 1.1. It knows nothing of files or places.
"""

from __future__ import annotations

import re
from typing import Any

CORE = "tag:yaml.org,2002:"
"""What every tag of YAML's own types begins with; documents write it as ``!!``."""

MAX_DIGITS = 1000
"""Turning text into a number takes time that grows with the square of its length, and Python stops at 4,300."""

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile("[-+]?[0-9]+")
_OCTAL = re.compile("0o[0-7]+")
_HEXADECIMAL = re.compile("0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NUMBER_STARTS = frozenset("-+.0123456789")


def typed(text: str, tag: str | None) -> Any:
    """The value of *text*, by its own looks or as its core *tag* says; ValueError where the tag does not fit."""
    if tag == "!" or tag == CORE + "str":
        return text
    value = plain(text)
    if tag is None:
        return value
    return _cast(text, value, tag.removeprefix(CORE))


def plain(text: str) -> Any:
    """The value of *text* as the core schema reads it without quotes: None, bool, int, float, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMBER_STARTS:
        return _number(text)
    return text


def _number(text: str) -> Any:
    special = _SPECIAL_FLOAT.fullmatch(text)
    if special:
        return float(special[1] + "inf") if special[2] else float("nan")
    for shape, base in ((_INTEGER, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
        if shape.fullmatch(text):
            return _bounded(text, base)
    return float(text) if _FLOAT.fullmatch(text) else text


def _bounded(text: str, base: int) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has at most {MAX_DIGITS} digits; put it in quotes if it is text")
    return int(text, base)


def _cast(text: str, value: Any, name: str) -> Any:
    if name == "float" and type(value) is int:
        return _as_float(value)
    kinds = {"null": type(None), "bool": bool, "int": int, "float": float}
    if name not in kinds or type(value) is not kinds[name]:
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise ValueError(f"the tag !!{name} does not fit {shown!r}")
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("this number is too large for !!float") from None
