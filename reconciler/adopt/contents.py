"""Whole files that are live otherwise: the file below ``files/``, the text in a manifest, the lines of a template.

Called by ``adopt``. Of a template only lines without an expression are edited; where a line holds one variable, it is
the variable that is set. Pure.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.adopt import splices
from reconciler.adopt.declared import Target
from reconciler.adopt.expressions import turned_round
from reconciler.adopt.manifest import Draft, edit_fields
from reconciler.adopt.spots import Unable
from reconciler.adopt.variables import Setting
from reconciler.adopt.world import Item, World
from reconciler.talk import Wish
from reconciler.templates import has_template

MAX_LINES = 2_000
"""Comparing lines takes time that grows with the square of their number, and a host chooses what it sends."""


def live_content(item: Item, wish: Wish) -> bytes:
    """The file as it is on the host; raises Unable where it may not or cannot be told."""
    if item.resource.fields.no_log:
        raise Unable("it is secret, and what is secret is never copied into git")
    if wish.content is None:
        raise Unable("what the file holds now was not read")
    if wish.value != f"sha256:{hashlib.sha256(wish.content).hexdigest()}":
        raise Unable("what was read of the file is not what is live; it may have changed in between")
    return wish.content


def edit_content(world: World, found: Sequence[tuple[Item, Wish]]) -> Iterator[Draft]:
    """Ways in which the source of some hosts' files could read, the best first; raises Unable."""
    item = found[0][0]
    contents = {live_content(each, wish) for each, wish in found}
    if item.resource.fields.content_from == "templates":
        yield edit_template(world, found)
        return
    if len(contents) > 1:
        raise Unable("the file is not the same on these hosts, and one source declares it for all of them")
    src = getattr(item.resource.fields, "src", None)
    if src is None:
        yield from _edit_inline(world, found, contents.pop())
        return
    refuse_unseen(world, "files", src)
    yield Draft({f"files/{src}": contents.pop()}, fields=frozenset({"src"}))


def _edit_inline(world: World, found: Sequence[tuple[Item, Wish]], content: bytes) -> Iterator[Draft]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise Unable("what is live is not text, and the manifest holds text; make it a file below files/") from None
    hosts = frozenset(wish.host for _, wish in found)
    for block in (True, False):
        yield edit_fields(world, found[0][0], [Target("content", text)], hosts, block=block)


def refuse_unseen(world: World, folder: str, name: str) -> None:
    """Leave a file alone that a host may use for which nothing can be proven."""
    unseen = world.unseen(folder, name)
    if unseen:
        raise Unable(f"{min(unseen)} may use {folder}/{name} too, and its manifests have mistakes; mend those first")


def edit_template(world: World, found: Sequence[tuple[Item, Wish]]) -> Draft:
    """The template's lines and its variables, as the files of all these hosts say alike."""
    src = found[0][0].resource.fields.src
    texts: set[str] = set()
    values: dict[tuple[tuple[str, ...], str], set[str]] = {}
    bom, source = splices.read_text(world.tree[f"templates/{src}"])
    for item, wish in found:
        lines = Lines(f"templates/{src}", source, _text(item.resource.content or b""))
        texts.add(lines.edit(_text(live_content(item, wish))))
        for path, value in lines.variables.items():
            values.setdefault((path, value), set()).add(wish.host)
    if len(texts) > 1:
        raise Unable(f"the hosts would need different lines in templates/{src}; change it by hand")
    settings = [Setting(path, value, frozenset(hosts)) for (path, value), hosts in values.items()]
    text = texts.pop()
    if text == source:
        return Draft({}, settings, frozenset({"src"}))
    refuse_unseen(world, "templates", src)
    return Draft({f"templates/{src}": (bom + text).encode()}, settings, frozenset({"src"}))


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Unable("what is live is not text, and a template makes text") from None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines of the rendered file from ``start`` to ``end``, and the live lines that stand there instead."""

    start: int
    end: int
    live: tuple[str, ...]


class Lines:
    """One template beside what it renders to: which line of the file comes from which line of the template."""

    def __init__(self, file: str, source: str, rendered: str) -> None:
        self.file = file
        self.newline = splices.newline_of(source)
        self.source = _lines(source)
        self.rendered = _lines(rendered)
        self.variables: dict[tuple[str, ...], str] = {}
        if max(len(self.source), len(self.rendered)) > MAX_LINES:
            raise Unable(f"the file has more than {MAX_LINES} lines; change {file} by hand")
        self.origin = self._origins()

    def _origins(self) -> Mapping[int, int]:
        """Line of the file → line of the template, where there is one for one."""
        plain = [line.replace("\r\n", "\n") for line in self.source]
        origin: dict[int, int] = {}
        for tag, a1, a2, b1, b2 in difflib.SequenceMatcher(None, plain, self.rendered, autojunk=False).get_opcodes():
            if tag == "equal" or (tag == "replace" and a2 - a1 == b2 - b1):
                origin.update(zip(range(b1, b2), range(a1, a2), strict=True))
            elif tag == "replace":
                shown = [at for at in range(a1, a2) if "{%" not in plain[at] and "{#" not in plain[at]]
                if len(shown) == b2 - b1:
                    origin.update(zip(range(b1, b2), shown, strict=True))
        return origin

    def edit(self, live: str) -> str:
        """The template's text with the lines in which the live file differs; variables go to ``variables``."""
        after = _lines(live)
        if len(after) > MAX_LINES:
            raise Unable(f"the file has more than {MAX_LINES} lines; change {self.file} by hand")
        made = list(self.source)
        matcher = difflib.SequenceMatcher(None, self.rendered, after, autojunk=False)
        for tag, i1, i2, j1, j2 in reversed(matcher.get_opcodes()):
            if tag != "equal":
                self._change(made, Stretch(i1, i2, tuple(after[j1:j2])))
        return "".join(made)

    def _change(self, made: list[str], stretch: Stretch) -> None:
        if stretch.end - stretch.start == len(stretch.live):
            for at, line in zip(range(stretch.start, stretch.end), stretch.live, strict=True):
                self._change_line(made, at, line)
            return
        lines = [self._own_line(at) for at in range(stretch.start, stretch.end)]
        start = lines[0] if lines else self._gap(stretch.start)
        if lines != list(range(start, start + len(lines))):
            raise Unable(f"the lines are not together in {self.file}:{start + 1}; change it by hand")
        made[start : start + len(lines)] = [self._written(line) for line in stretch.live]

    def _change_line(self, made: list[str], at: int, line: str) -> None:
        """One line for another, or other values for the variables in it."""
        origin = self.origin.get(at)
        if origin is None or not _is_literal(self.source[origin]):
            self._turn_round(at, line)
        else:
            made[origin] = self._written(line)

    def _turn_round(self, at: int, line: str) -> None:
        origin = self.origin.get(at)
        source = self.source[origin].replace("\r\n", "\n") if origin is not None else ""
        found = turned_round(source, self.rendered[at], line) if origin is not None else []
        if not found or any(self.variables.get(each.path, value) != value for each, value in found):
            raise Unable(self._expression_at(origin))
        self.variables.update({each.path: value for each, value in found})

    def _expression_at(self, origin: int | None) -> str:
        if origin is None:
            return f"a line of it comes from a loop or a condition in {self.file}; change that by hand"
        return f"the line comes from an expression in {self.file}:{origin + 1}; change it by hand"

    def _own_line(self, at: int) -> int:
        origin = self.origin.get(at)
        if origin is None or not _is_literal(self.source[origin]):
            raise Unable(self._expression_at(origin))
        return origin

    def _gap(self, at: int) -> int:
        """Where in the template a line goes that is new between two lines of the file."""
        if at - 1 in self.origin:
            return self.origin[at - 1] + 1
        if at in self.origin:
            return self.origin[at]
        if not self.rendered:
            return len(self.source)
        raise Unable(self._expression_at(None))

    def _written(self, line: str) -> str:
        if not _is_literal(line):
            raise Unable("what is live holds '{{', '{%' or '{#', which would be read as a template")
        return line.removesuffix("\n") + self.newline if line.endswith("\n") else line


def _lines(text: str) -> list[str]:
    """Lines with their ends, parted at newlines only."""
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _is_literal(line: str) -> bool:
    return not has_template(line) and "{#" not in line
