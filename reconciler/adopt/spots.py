"""Where everything stands in a YAML file, to the character; called by the other parts of ``adopt``.

It owns the parser of ruamel.yaml, whose events carry exact offsets, and nothing of what values mean: that is
``yamlfile``'s. Texts are without a byte order mark. Pure, and without recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]+)+")
"""An anchor or a tag before a value; it stays when the value is replaced."""
REMARK = re.compile(r"#[^\r\n]*|(?:(?<=\n)|\A)[ \t]*(?=\r?\n)")
"""A comment or an empty line, in a text from which the scalars have been taken out."""


class Unable(Exception):
    """Something that cannot be adopted; the message is the reason for a person, without a full stop."""


@dataclass(slots=True)
class Spot:
    """One value of a file: offsets of its text, how it is written, and the spots of what is in it.

    ``style`` is ``block``, ``flow`` or ``alias`` or, for a scalar, what it begins with: a quote, ``|``, ``>`` or
    nothing. ``children`` of an alias are those of what it stands for. ``at`` is line and column, from 1.
    """

    start: int
    end: int
    style: str
    at: tuple[int, int]
    key: Spot | None = None
    value: str = ""
    flowing: bool = False
    mapping: bool = False
    children: dict[str | int, Spot] = field(default_factory=dict)

    @property
    def scalar(self) -> bool:
        """Whether it is a scalar."""
        return self.style not in ("block", "flow", "alias")

    def walk(self) -> Iterator[Spot]:
        """This spot and every one in it, none twice through aliases."""
        waiting = [self]
        while waiting:
            spot = waiting.pop()
            yield spot
            if spot.style != "alias":
                waiting.extend(spot.children.values())

    def find(self, path: tuple[str | int, ...]) -> Spot:
        """The spot at *path*; raises Unable."""
        spot = self
        for step in path:
            if step not in spot.children:
                raise Unable("its lines cannot be found in the file")
            spot = spot.children[step]
        return spot


def find_spots(text: str) -> Spot:
    """The root of a file's one document; raises Unable where there is none or it cannot be read."""
    builder = _Builder(text)
    try:
        # This parser knows no tabs between words, and a blank is as long.
        for event in YAML(typ="safe", pure=True).parse(text.replace("\t", " ")):
            builder.take(event)
    except (YAMLError, ValueError, LookupError) as error:
        raise Unable("the file cannot be read as YAML to its end") from error
    if builder.root is None:
        raise Unable("the file is empty")
    return builder.root


def remarks(text: str) -> list[str]:
    """Every comment and empty line of a file, in order; none for a file that is no YAML."""
    try:
        root = find_spots(text)
    except Unable:
        return REMARK.findall(text)
    left, at = "", 0
    for start, end in sorted(_scalar_spans(root, text)):
        left += text[at:start] + "x"
        at = max(at, end)
    return [found.strip() for found in REMARK.findall(left + text[at:])]


def _scalar_spans(root: Spot, text: str) -> Iterator[tuple[int, int]]:
    """The spans of keys and scalars, without the comment that may stand behind the ``|`` of a block scalar."""
    for spot in root.walk():
        for each in (spot, spot.key):
            if each is not None and each.scalar:
                body = body_start(text, each)
                yield from ((each.start, each.start + 1), (body, each.end)) if body else ((each.start, each.end),)


def body_start(text: str, spot: Spot) -> int:
    """Where the lines of a block scalar begin, below its first; 0 for any other value."""
    if spot.style not in ("|", ">"):
        return 0
    end = text.find("\n", spot.start) + 1
    return end if spot.start < end < spot.end else spot.end


def header_remark(text: str, spot: Spot) -> str:
    """The comment behind the ``|`` of a block scalar, with the blanks before it."""
    found = re.search(r"[ \t]+#[^\r\n]*", text[spot.start : body_start(text, spot)])
    return found[0] if found else ""


class _Builder:
    """Makes spots of events; the stack holds the open lists and mappings, and the key whose value comes next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Spot | None = None
        self.stack: list[Spot] = []
        self.keys: list[Spot | None] = []
        self.anchors: dict[str, Spot] = {}

    def take(self, event: Event) -> None:
        if isinstance(event, CollectionEndEvent):
            self._close(event)
        elif isinstance(event, ScalarEvent):
            self._scalar(event)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            spot = self._spot(event, "flow" if event.flow_style else "block")
            spot.mapping = isinstance(event, MappingStartEvent)
            self._put(spot)
            self.stack.append(spot)
            self.keys.append(None)
        elif isinstance(event, AliasEvent):
            spot = self._spot(event, "alias")
            target = self.anchors.get(str(event.anchor), spot)
            spot.children, spot.mapping, spot.value = target.children, target.mapping, target.value
            self._put(spot)

    def _spot(self, event: Event, style: str) -> Spot:
        start = event.start_mark
        spot = Spot(start.index, event.end_mark.index, style, (start.line + 1, start.column + 1))
        spot.flowing = bool(self.stack) and self.stack[-1].style == "flow"
        anchor = getattr(event, "anchor", None)
        if anchor and style != "alias":
            self.anchors[str(anchor)] = spot
        return spot

    def _scalar(self, event: ScalarEvent) -> None:
        spot = self._spot(event, event.style or "")
        spot.value = str(event.value)
        properties = PROPERTIES.match(self.text, spot.start, spot.end)
        if properties:
            spot.start = properties.end()
        if spot.style in ("|", ">"):
            spot.end = self._end_of_block(spot)
        self._put(spot)

    def _end_of_block(self, spot: Spot) -> int:
        """Where a block scalar ends without the empty lines below it, unless they belong to it."""
        body = self.text[spot.start : spot.end]
        if "+" in body.partition("\n")[0].partition("#")[0]:
            return spot.end
        kept = body.rstrip()
        rest = body[len(kept) :]
        return spot.start + len(kept) + (rest.find("\n") + 1 if "\n" in rest else len(rest))

    def _put(self, spot: Spot) -> None:
        parent = self.stack[-1] if self.stack else None
        if parent is None:
            self.root = self.root or spot
        elif not parent.mapping:
            parent.children[len(parent.children)] = spot
        elif self.keys[-1] is None:
            self.keys[-1] = spot
        else:
            spot.key, self.keys[-1] = self.keys[-1], None
            if not spot.style and spot.start == spot.end:
                spot.start = spot.end = self._after_colon(spot.key)
            parent.children[spot.key.value] = spot

    def _after_colon(self, key: Spot) -> int:
        """An empty value stands behind its colon, not where the parser noticed that there is none."""
        return self.text.find(":", key.end) + 1

    def _close(self, event: CollectionEndEvent) -> None:
        spot = self.stack.pop()
        self.keys.pop()
        if spot.style == "flow":
            spot.end = event.end_mark.index
        else:
            spot.end = max([spot.start, *(child.end for child in spot.children.values())])
