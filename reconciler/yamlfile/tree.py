"""Builds one value out of YAML's events, with the place of everything in it; called by `yamlfile` alone.

It keeps a stack of its own instead of recursing, and stops at the bounds on depth and aliases. What a scalar means is
`yamlscalar`'s business; what the text of a syntax error says is `yamlfile`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from reconciler.model import Mistake, Place
from reconciler.yamlfile.scalar import CORE, typed

MAX_DEPTH = 50
MAX_ALIASED = 100_000
"""How many values aliases may add in one file; without a limit ten lines can stand for billions of values."""

_SEQUENCE_TAGS = (None, "!", CORE + "seq")
_MAPPING_TAGS = (None, "!", CORE + "map")
_CORE_TAGS = frozenset(CORE + name for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_TAG_HINTS = {
    "!vault": "values encrypted with ansible-vault cannot be read here; keep the secret out of this file",
    "!vault-encrypted": "values encrypted with ansible-vault cannot be read here; keep the secret out of this file",
    "!unsafe": "leave !unsafe out: values are data here and are never templated",
}


class Mark(NamedTuple):
    """Where one value, and the key it has in a mapping, begin (counted from 0), with the marks of what is in it."""

    key: tuple[int, int]
    value: tuple[int, int]
    children: dict[str | int, Mark] | None = None


class Stop(Exception):
    """Reading any further would break a bound; the mistake has been noted."""


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read; ``key`` is the mapping key whose value comes next."""

    value: dict[str, Any] | list[Any]
    start: tuple[int, int]
    anchor: str | None
    size: int
    marks: dict[str | int, Mark] = field(default_factory=dict)
    key: str | None = None
    key_start: tuple[int, int] = (0, 0)
    wants_key: bool = False


class Builder:
    """Turns events into one document; the stack holds the open lists and mappings from the outside in."""

    def __init__(self, file: str) -> None:
        self.mistakes: list[Mistake] = []
        self._file = file
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, dict[str | int, Mark] | None, int] | None] = {}
        self._nodes = 0
        self._aliased = 0
        self._documents = 0
        self.value: Any = None
        self.root = Mark((0, 0), (0, 0))

    def read(self, events: Iterator[Event]) -> None:
        """Take in every event; raises Stop, after noting the mistake, where a bound is broken."""
        for event in events:
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, CollectionEndEvent):
                self._close()
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self._open(event)
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, DocumentStartEvent):
                self._begin(event)

    def _begin(self, event: DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(event, "a second document begins here; one file holds one document")

    def _scalar(self, event: ScalarEvent) -> None:
        self._nodes += 1
        start = _start(event)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.wants_key:
            value: Any = event.value
            self._name_key(frame, self._key_of(event, start), start)
        else:
            value = self._typed(event, start)
            self._add(value, start, None)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, None, 1)

    def _typed(self, event: ScalarEvent, start: tuple[int, int]) -> Any:
        if event.tag is None and not event.implicit[0]:
            return event.value
        if not self._tag_allowed(event.tag, start):
            return event.value
        try:
            return typed(event.value, event.tag)
        except ValueError as error:
            self._note(start, str(error))
            return event.value

    def _tag_allowed(self, tag: str | None, start: tuple[int, int]) -> bool:
        if tag is None or tag == "!" or tag in _CORE_TAGS:
            return True
        self._note(start, _TAG_HINTS.get(tag, f"the tag {tag} is not known here; only YAML's own types are"))
        return False

    def _key_of(self, event: ScalarEvent, start: tuple[int, int]) -> str:
        if event.value == "<<" and event.implicit[0]:
            self._note(start, "merge keys (<<) are not supported; write the values out")
        key = self._typed(event, start)
        if not isinstance(key, str):
            self._note(start, f"a key must be text: put {event.value or 'it'} in quotes")
        return str(event.value)

    def _name_key(self, frame: _Frame, key: str, start: tuple[int, int]) -> None:
        if key in frame.marks:
            first, again = frame.marks[key].key[0] + 1, start[0] + 1
            self._note(start, f"{key!r} is given twice: on line {first}, and again on line {again}")
        frame.key, frame.key_start, frame.wants_key = key, start, False

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        self._nodes += 1
        start = _start(event)
        if len(self._stack) >= MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        mapping = isinstance(event, MappingStartEvent)
        if event.tag not in (_MAPPING_TAGS if mapping else _SEQUENCE_TAGS) and self._tag_allowed(event.tag, start):
            self._note(
                start, f"the tag {event.tag.replace(CORE, '!!')} does not fit a {'mapping' if mapping else 'list'}"
            )
        value: dict[str, Any] | list[Any] = {} if mapping else []
        self._stack.append(_Frame(value, start, event.anchor, self._nodes + self._aliased, wants_key=mapping))
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.anchor is not None:
            size = self._nodes + self._aliased - frame.size + 1
            self._anchors[frame.anchor] = (frame.value, frame.marks, size)
        parent = self._stack[-1] if self._stack else None
        if parent is not None and parent.wants_key:
            self._refuse_key(parent, frame.start)
        else:
            self._add(frame.value, frame.start, frame.marks)

    def _refuse_key(self, parent: _Frame, start: tuple[int, int]) -> None:
        self._note(start, "a key must be text; where this was meant as a template, put the whole value in quotes")
        parent.key, parent.key_start, parent.wants_key = None, start, False

    def _alias(self, event: AliasEvent) -> None:
        start = _start(event)
        name = str(event.anchor)
        if name not in self._anchors:
            self._stop(event, f"*{name} stands for nothing: there is no &{name} before it")
        known = self._anchors[name]
        if known is None:
            self._stop(event, f"*{name} stands for a value that contains it")
        value, marks, size = known
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            self._stop(event, f"aliases add more than {MAX_ALIASED} values")
        frame = self._stack[-1] if self._stack else None
        if frame is None or not frame.wants_key:
            self._add(value, start, marks)
        elif isinstance(value, str):
            self._name_key(frame, value, start)
        else:
            self._refuse_key(frame, start)

    def _add(self, value: Any, start: tuple[int, int], marks: dict[str | int, Mark] | None) -> None:
        if not self._stack:
            self.value, self.root = value, Mark(start, start, marks)
            return
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            frame.marks[len(frame.value)] = Mark(start, start, marks)
            frame.value.append(value)
            return
        if frame.key is not None:
            frame.marks[frame.key] = Mark(frame.key_start, start, marks)
            frame.value[frame.key] = value
        frame.wants_key = True

    def _note(self, start: tuple[int, int], message: str) -> None:
        self.mistakes.append(Mistake(Place(self._file, start[0] + 1, start[1] + 1), message))

    def _stop(self, event: Event, message: str) -> NoReturn:
        self._note(_start(event), message)
        raise Stop


def _start(event: Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line, mark.column) if mark is not None else (0, 0)
