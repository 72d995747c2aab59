"""How a value is written in YAML, in the manner of what stood there before; called by the other parts of ``adopt``.

What a text without quotes would mean is asked of ``yamlfile``, which will read it again. Pure.
"""

from __future__ import annotations

import re
from typing import Any

from reconciler import yamlfile
from reconciler.adopt.spots import Spot, header_remark

OLD_WORDS = re.compile(r"(?i:y|n|yes|no|on|off)|0[0-9]+|[-+0-9_.:]+")
"""Text that YAML 1.1 takes for something else; quotes cost nothing and save a reader's doubt."""
MAX_INDICATOR = 9
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write(value: Any, like: Spot | None = None, *, flowing: bool = False) -> str:
    """*value* (text, number, boolean or list of such) on one line, quoted as *like* is if it has to be text."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(write(item, flowing=True) for item in value) + "]"
    if isinstance(value, bool):
        return _cased(value, like)
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is no scalar")  # noqa: TRY004 - every caller knows ValueError
    return _write_text(value, "" if like is None else like.style, flowing or (like is not None and like.flowing))


def _cased(value: bool, like: Spot | None) -> str:
    word = str(value).lower()
    old = "" if like is None or like.style else like.value
    return word.upper() if old in ("TRUE", "FALSE") else word.title() if old in ("True", "False") else word


def _write_text(text: str, style: str, flowing: bool) -> str:
    if style == "'" and is_clear(text) and ("'" not in text or '"' in text or "\\" in text):
        return single(text)
    if style in ('"', "'"):
        return double(text)
    if is_plain(text, flowing=flowing):
        return text
    return single(text) if is_clear(text) and ('"' in text or "\\" in text) else double(text)


def is_clear(text: str) -> bool:
    """Whether a text can stand in single quotes, on one line and without escapes."""
    return text.isprintable()


def is_plain(text: str, *, flowing: bool) -> bool:
    """Whether a text means itself without quotes, for us and for older readers."""
    if not is_clear(text) or OLD_WORDS.fullmatch(text):
        return False
    line = f"[k: {text}]\n" if flowing else f"- k: {text}\n"
    document, mistakes = yamlfile.load("", line.encode())
    return document is not None and not mistakes and document.value == [{"k": text}]


def single(text: str) -> str:
    """In single quotes."""
    return "'" + text.replace("'", "''") + "'"


def double(text: str) -> str:
    """In double quotes, with escapes for all that does not print."""
    return '"' + "".join(_ESCAPES.get(char) or (char if char.isprintable() else _escape(char)) for char in text) + '"'


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def write_block(value: str, source: str, spot: Spot, newline: str) -> str | None:
    """*value* as the block scalar that is at *spot* of *source*, or None where it cannot be written so."""
    body = source[spot.start : spot.end].partition("\n")[2]
    if not value.strip("\n") or not all(char in "\n\t\xa0" or char.isprintable() for char in value):
        return None
    column = spot.key.at[1] - 1 if spot.key is not None else 0
    indent = _indent_of(body, spot.value, column + 2)
    leading = value[: len(value) - len(value.lstrip())]
    digit = str(indent - column) if " " in leading else ""
    if indent <= column or (digit and indent - column > MAX_INDICATOR):
        return None
    chomp = {0: "-", 1: ""}.get(len(value) - len(value.rstrip("\n")), "+")
    lines = [" " * indent + line if line else "" for line in value.removesuffix("\n").split("\n")]
    end = newline if body.endswith("\n") or not body else ""
    return f"|{digit}{chomp}{header_remark(source, spot)}{newline}{newline.join(lines)}{end}"


def _indent_of(body: str, value: str, usual: int) -> int:
    """How far the lines of a block scalar are indented in the file."""
    written = next((line for line in body.splitlines() if line.strip()), None)
    meant = next((line for line in value.splitlines() if line.strip()), "")
    return usual if written is None else _blanks(written) - _blanks(meant)


def _blanks(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
