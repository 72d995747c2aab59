"""Small edits of a YAML text: a value replaced, a field put in or taken out, everything else left as it is.

Called by ``manifest`` and ``variables`` of this room. Splices of one text are made from one reading of it and
applied together. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.adopt.scalars import double, is_plain, write, write_block
from reconciler.adopt.spots import Spot, Unable, find_spots, header_remark

BOM = "\ufeff"
LINE_END = re.compile(r"\r?\n|\Z")


@dataclass(frozen=True, slots=True)
class Splice:
    """A stretch of text and what it becomes."""

    start: int
    end: int
    text: str


def apply(text: str, splices: Iterable[Splice]) -> str:
    """The text with every splice made; those at the same place keep their order. Raises Unable if two overlap."""
    made, at = "", 0
    for splice in sorted(splices, key=lambda each: (each.start, each.end)):
        if splice.start < at:
            raise Unable("two of the changes are in the same words")
        made += text[at : splice.start] + splice.text
        at = splice.end
    return made + text[at:]


def read_text(data: bytes) -> tuple[str, str]:
    """The byte order mark, if there is one, and the text after it; raises ValueError."""
    text = data.decode()
    return (BOM, text[1:]) if text.startswith(BOM) else ("", text)


def newline_of(text: str) -> str:
    """How lines end in a file."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def replace(text: str, spot: Spot, value: Any, *, block: bool = True) -> list[Splice]:
    """Write *value* where *spot* is. ``block`` False writes a text of several lines in quotes."""
    if isinstance(value, list | tuple) and spot.style == "block" and not spot.mapping:
        return _replace_items(text, spot, [str(item) for item in value])
    if spot.style == "block":
        return [Splice(_after_key(text, spot), spot.end, " " + write(value))]
    if spot.style in ("|", ">"):
        return [_replace_block(text, spot, value, block=block)]
    blank = " " if text[spot.start - 1 : spot.start] == ":" else ""
    return [Splice(spot.start, spot.end, blank + write(value, None if spot.style in ("flow", "alias") else spot))]


def _after_key(text: str, spot: Spot) -> int:
    """Where a list below its key begins to matter: behind the key's colon."""
    if spot.key is None:
        raise Unable("it has no key of its own")
    return text.index(":", spot.key.end) + 1


def _replace_block(text: str, spot: Spot, value: Any, *, block: bool) -> Splice:
    """Write over a block scalar: as another one where it is text of several lines, else on one line."""
    newline = newline_of(text)
    lines = isinstance(value, str) and ("\n" in value or spot.style == "|")
    made = write_block(value, text, spot, newline) if lines and block else None
    if made is not None:
        return Splice(spot.start, spot.end, made)
    end = newline if text[spot.start : spot.end].endswith("\n") else ""
    return Splice(spot.start, spot.end, write(value) + header_remark(text, spot) + end)


def _replace_items(text: str, spot: Spot, wanted: list[str]) -> list[Splice]:
    """Take items out of a list below its key and put others at its end, one a line."""
    items = [child for child in spot.children.values() if isinstance(child, Spot)]
    gone = [item for item in items if item.value not in wanted]
    new = [value for value in wanted if value not in {item.value for item in items}]
    if len(gone) == len(items):
        raise Unable("none of the items that are written stays; change the list by hand")
    splices = [_drop_lines(text, text.rfind("-", 0, item.start), item.end) for item in gone]
    last = items[-1]
    dash = text.rfind("\n", 0, last.start) + 1
    lead = re.match(r"[ \t]*-[ \t]+", text[dash : last.start])
    if lead is None and new:
        raise Unable("the list is not written one item a line")
    lead_text = lead[0] if lead else ""
    return [*splices, *(insert_line(text, last.end, lead_text + write(value)) for value in new)]


def put(text: str, item: Spot, name: str, value: Any, order: Sequence[str] = (), *, block: bool = True) -> list[Splice]:
    """Set a field of a mapping. One that is not written goes below the nearest written before it in *order*."""
    if name in item.children:
        return replace(text, item.children[name], value, block=block)
    if not item.mapping or not item.children:
        raise Unable("there is no field below which it could be written")
    before = order[: order.index(name)] if name in order else ()
    after = next((item.children[each] for each in reversed(before) if each in item.children), last_of(item))
    return [insert_pair(text, item, after, name, value)]


def last_of(item: Spot) -> Spot:
    """The value that is written last in a mapping."""
    return max(item.children.values(), key=lambda spot: spot.end)


def insert_pair(text: str, item: Spot, after: Spot, name: str, value: Any) -> Splice:
    """A new field behind *after*, on a line of its own unless the mapping is in braces."""
    key = after.key
    if key is None:
        raise Unable("the mapping has no keys")
    flowing = item.style == "flow" or key.flowing
    written = double(value) if key.style == '"' and isinstance(value, str) else write(value, flowing=flowing)
    named = f'"{name}"' if key.style == '"' or not is_plain(name, flowing=flowing) else name
    if flowing:
        return Splice(after.end, after.end, f", {named}: {written}")
    return insert_line(text, after.end, " " * (key.at[1] - 1) + f"{named}: {written}")


def insert_line(text: str, behind: int, line: str) -> Splice:
    """A line below the one in which the character before *behind* stands."""
    newline = newline_of(text)
    if text[behind - 1 : behind] == "\n":
        return Splice(behind, behind, line + newline)
    found = LINE_END.search(text, behind)
    if found is None or not found[0]:
        return Splice(len(text), len(text), newline + line)
    return Splice(found.end(), found.end(), line + newline)


def drop(text: str, item: Spot, name: str) -> list[Splice]:
    """Take a field out; a comment behind it stays, on a line of its own."""
    spot = item.children.get(name)
    if spot is None or spot.key is None:
        return []
    if item.style == "flow":
        return [_drop_pair(item, spot)]
    if text[text.rfind("\n", 0, spot.key.start) + 1 : spot.key.start].strip():
        raise Unable(f"'{name}' is the first line of the resource and would have to go; change it by hand")
    return [_drop_lines(text, spot.key.start, spot.end)]


def _drop_lines(text: str, start: int, end: int) -> Splice:
    if text[end - 1 : end] == "\n":
        return Splice(text.rfind("\n", 0, start) + 1, end, "")
    found = LINE_END.search(text, end)
    stop = len(text) if found is None else found.start()
    remark = text[end:stop].strip()
    if remark:
        return Splice(start, stop, remark)
    return Splice(text.rfind("\n", 0, start) + 1, len(text) if found is None else found.end(), "")


def _drop_pair(item: Spot, spot: Spot) -> Splice:
    """Take a pair out of braces, with the comma before it, or behind it where it is the first."""
    others = sorted(child.end for child in item.children.values())
    before = [end for end in others if end < spot.end]
    if before:
        return Splice(before[-1], spot.end, "")
    follower = min((c.key.start for c in item.children.values() if c.key and c.key.start > spot.end), default=spot.end)
    return Splice(spot.key.start if spot.key else spot.start, follower, "")


def append(text: str, name: str, value: Any) -> str:
    """The text of a variables file with one more variable, or with the one it has set anew."""
    if not text.strip():
        return f"{name}: {write(value)}\n"
    try:
        root = find_spots(text)
    except Unable:
        newline = newline_of(text)
        return text + ("" if text.endswith("\n") else newline) + f"{name}: {write(value)}{newline}"
    if not root.mapping:
        raise Unable("the file of variables holds no variables that another could be put below")
    if not root.children:
        return text[: root.start] + "{" + f'"{name}": {write(value, flowing=True)}' + "}" + text[root.end :]
    if name in root.children:
        return apply(text, replace(text, root.children[name], value))
    return apply(text, [insert_pair(text, root, last_of(root), name, value)])
