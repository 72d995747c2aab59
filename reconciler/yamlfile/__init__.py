"""Reads one YAML file into plain values that know their line; called by everything that reads a revision.

It owns what YAML means here: version 1.2's core schema, one document, text keys, no duplicate key, no merge key,
no foreign tag, and bounds on size, depth and aliases, because a revision may come from a stranger. It works on the
stream of events with a stack of its own: the composers of PyYAML recurse, and deep nesting ends the process.
It never opens a file, and it answers with mistakes where others raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import Event

from reconciler.model import Mistake, Place
from reconciler.yamlfile.tree import Builder, Mark, Stop

MAX_BYTES = 1024 * 1024
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufeff\uff00-\ufffd\U00010000-\U0010ffff]")
_PROBLEM_HINTS = {
    "mapping values are not allowed in this context": "check the indentation, or put a value that holds ': ' in quotes",
    "did not find expected key": "check the indentation and the quotes of the lines above",
    "did not find expected '-' indicator": "check the indentation of this list",
    "could not find expected ':'": "a key needs a ':' after it",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value (dict, list, str, int, float, bool, None) and the place of everything in it; read only."""

    file: str
    value: Any
    root: Mark = field(repr=False, compare=False)

    def place(self, path: tuple[str | int, ...]) -> Place:
        """Where the value at *path* begins, or its nearest known ancestor."""
        return self._place(self._find(path).value)

    def key_place(self, path: tuple[str | int, ...]) -> Place:
        """Where the mapping key at *path* begins, or its nearest known ancestor."""
        return self._place(self._find(path).key)

    def part(self, path: tuple[str | int, ...]) -> Document:
        """The value at *path*, which has to be there, as a document of its own that knows the same places."""
        value = self.value
        for step in path:
            value = value[step]
        return Document(self.file, value, self._find(path))

    def same_as(self, other: Document) -> bool:
        """Whether both say the same, to the type and the order of keys, at the same places."""
        return self.file == other.file and self.root == other.root and repr(self.value) == repr(other.value)

    def _find(self, path: tuple[str | int, ...]) -> Mark:
        mark = self.root
        for step in path:
            if mark.children is None or step not in mark.children:
                break
            mark = mark.children[step]
        return mark

    def _place(self, start: tuple[int, int]) -> Place:
        return Place(self.file, start[0] + 1, start[1] + 1)


def load(file: str, text: bytes) -> tuple[Document | None, list[Mistake]]:
    """The document in *text* and every mistake in it; no document where the file cannot be read to its end."""
    decoded, mistakes = decode(file, text)
    if decoded is None:
        return None, mistakes
    builder = Builder(file)
    try:
        builder.read(_events(decoded))
    except Stop:
        return None, builder.mistakes
    except yaml.YAMLError as error:
        return None, [*builder.mistakes, _syntax_mistake(file, decoded, error)]
    return Document(file, builder.value, builder.root), builder.mistakes


def decode(file: str, text: bytes) -> tuple[str | None, list[Mistake]]:
    """*text* as a string without its byte order mark, or the mistake that makes it unreadable."""
    if len(text) > MAX_BYTES:
        return None, [Mistake(Place(file, 1), f"the file is larger than {MAX_BYTES // 1024} KiB")]
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_after(file, text[: error.start].decode("utf-8", "replace"))
        return None, [Mistake(place, "the file is not valid UTF-8")]
    if found := _UNPRINTABLE.search(decoded):
        message = f"the character {found.group().encode('unicode_escape').decode()} is not allowed here"
        return None, [Mistake(_place_after(file, decoded[: found.start()]), message)]
    return decoded, []


def _events(text: str) -> Iterator[Event]:
    return iter(yaml.parse(text, Loader=yaml.CSafeLoader))


def _place_after(file: str, before: str) -> Place:
    line = before.count("\n") + 1
    return Place(file, line, len(before) - (before.rfind("\n") + 1) + 1)


def _syntax_mistake(file: str, text: str, error: yaml.YAMLError) -> Mistake:
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    mark: Any = getattr(error, "problem_mark", None)
    began: Any = getattr(error, "context_mark", None)
    if problem == "found unexpected end of stream" and began is not None:
        mark = began  # An open quote is noticed at the end of the file, and is to be mended where it was opened.
    place = _clamped(file, text, mark.line + 1, mark.column + 1) if mark is not None else Place(file, 1)
    told = context and began is not None and context != "while scanning for the next token"
    since = f", {context} that begins on line {began.line + 1}" if told else ""
    hint = _hint(problem, text, place)
    return Mistake(place, f"not valid YAML: {problem}{since}{f'; {hint}' if hint else ''}")


def _clamped(file: str, text: str, line: int, column: int) -> Place:
    """The place, or the end of the text: PyYAML counts one line more where the last has no line break."""
    return Place(file, line, column) if line <= text.count("\n") + 1 else _place_after(file, text)


def _hint(problem: str, text: str, place: Place) -> str:
    if problem != "found character that cannot start any token":
        return _PROBLEM_HINTS.get(problem, "")
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    character = line[place.column - 1 : place.column]
    if character == "\t":
        return "indent with spaces, never with tabs"
    return f"a value that begins with {character} needs quotes"
