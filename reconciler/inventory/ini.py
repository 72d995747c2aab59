"""Reads an inventory file in Ansible's INI format; called by `inventory`, writes into a `Roster`.

The format is Ansible's own and not that of configparser: ``[group]`` holds hosts with ``key=value`` after them,
``[group:children]`` groups, ``[group:vars]`` variables; values that look like Python literals are read as such.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Callable
from typing import Any

from reconciler import yamlfile
from reconciler.inventory.roster import Group, Roster
from reconciler.model import Place

MAX_LITERAL = 4096
"""Longest value that is read as a Python literal; the standard library warns of crashes on hostile ones."""

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_NAME = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_WORD = re.compile("[A-Za-z_][A-Za-z0-9_./:@-]*")
_NEEDS_SHLEX = re.compile(r"[\"'\\#]")
_LITERAL_WORDS = frozenset({"True", "False", "None"})


def read_groups(file: str, text: bytes, roster: Roster) -> None:
    """Take in one INI file."""
    decoded, mistakes = yamlfile.decode(file, text)
    roster.mistakes.extend(mistakes)
    if decoded is not None:
        _Lines(file, roster).read(decoded)


class _Lines:
    """Goes through the lines, remembering the section and what it has mentioned before it was declared."""

    def __init__(self, file: str, roster: Roster) -> None:
        self._file = file
        self._roster = roster
        self._line = ""
        self._number = 0
        self._group: Group | None = roster.groups["ungrouped"]
        self._read: Callable[[Group, str], None] = self._host
        self._early: dict[str, list[tuple[Group, Place]]] = {}
        self._undeclared: dict[str, Place] = {}

    def read(self, text: str) -> None:
        for self._number, self._line in enumerate(text.splitlines(), start=1):
            line = self._line.strip()
            if line and line[0] not in "#;":
                self._statement(line)
        self._finish()

    def _statement(self, line: str) -> None:
        section = _SECTION.fullmatch(line)
        if section is not None:
            self._section(section[1], section[2] or "hosts")
        elif line.startswith("[") and line.endswith("]"):
            self._note(line, f"{line[:60]} is not a section; write [group], [group:children] or [group:vars]")
        elif self._group is not None:
            self._read(self._group, line)

    def _section(self, name: str, content: str) -> None:
        readers = {"hosts": self._host, "children": self._child, "vars": self._variable}
        known = name in self._roster.groups
        self._group = self._roster.group(name, self._place(name)) if content in readers else None
        if content not in readers:
            self._note(content, f"a section holds hosts, children or vars, not {content[:60]}")
        if self._group is None:
            return
        self._read = readers[content]
        if content != "vars":
            self._declare(name)
        elif not known and name not in self._early:
            self._undeclared[name] = self._place(name)

    def _declare(self, name: str) -> None:
        self._undeclared.pop(name, None)
        for parent, place in self._early.pop(name, []):
            self._roster.add_child(parent, name, place)

    def _host(self, group: Group, line: str) -> None:
        try:
            tokens = _split(line)
        except ValueError as error:
            self._note(line, f"this line cannot be split into words: {str(error).lower()}")
            return
        if "=" in tokens[0]:
            self._note(tokens[0], f"a line begins with a host here, not with {tokens[0][:60]}")
            return
        settings = [setting for token in tokens[1:] if (setting := self._assignment(token)) is not None]
        self._roster.add_hosts(tokens[0], group, self._roster.layer(settings), self._place(tokens[0]))

    def _assignment(self, token: str) -> tuple[str, Any, Place] | None:
        name, equals, text = token.partition("=")
        if not equals:
            self._note(token, f"expected key=value after the host, not {token[:60]}")
            return None
        return self._setting(name, text)

    def _setting(self, name: str, text: str) -> tuple[str, Any, Place] | None:
        try:
            return name, _literal(text), self._setting_place(name)
        except ValueError as error:
            self._roster.note(self._setting_place(name), f"{name[:60]}: {error}")
            return None

    def _setting_place(self, name: str) -> Place:
        at = self._line.find(name)
        while at >= 0 and not self._is_word(at, at + len(name)):
            at = self._line.find(name, at + 1)
        return Place(self._file, self._number, max(at, 0) + 1)

    def _is_word(self, start: int, end: int) -> bool:
        return (start == 0 or self._line[start - 1].isspace()) and self._line[end:].lstrip().startswith("=")

    def _child(self, group: Group, line: str) -> None:
        found = _NAME.fullmatch(line)
        if found is None:
            self._note(line, f"expected the name of a group, not {line[:60]}")
        elif found[1] in self._roster.groups:
            self._roster.add_child(group, found[1], self._place(found[1]))
        else:
            self._early.setdefault(found[1], []).append((group, self._place(found[1])))

    def _variable(self, group: Group, line: str) -> None:
        name, equals, text = line.partition("=")
        if not equals:
            self._note(line, f"expected key=value, not {line[:60]}")
            return
        setting = self._setting(name.strip(), text.strip())
        if setting is not None:
            self._roster.set_group_variables(group, [setting])

    def _finish(self) -> None:
        for name, mentions in self._early.items():
            for parent, place in mentions:
                self._roster.note(
                    place, f"{parent.name} has the child {name[:60]}, but there is no group [{name[:60]}]"
                )
        for name, place in self._undeclared.items():
            self._roster.note(place, f"there are variables for {name}, but there is no group [{name}]")

    def _place(self, token: str) -> Place:
        return Place(self._file, self._number, max(self._line.find(token), 0) + 1)

    def _note(self, token: str, message: str) -> None:
        self._roster.note(self._place(token), message)


def _split(line: str) -> list[str]:
    """The words of a line as a shell would split them, comments left out; most lines need no shell rules."""
    if line.isascii() and line.isprintable() and _NEEDS_SHLEX.search(line) is None:
        return line.split()
    return shlex.split(line, comments=True) or [""]


def _literal(text: str) -> Any:
    """The value of *text*: a Python literal where it is one, as Ansible reads it, else the text itself."""
    if _WORD.fullmatch(text) and text not in _LITERAL_WORDS:
        return text
    if len(text) > MAX_LITERAL:
        raise ValueError(f"a value in an INI file has at most {MAX_LITERAL} characters; a YAML file can hold it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = ast.literal_eval(text)
        except TypeError:
            raise ValueError("a list or mapping cannot be a member of a set or a key") from None
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
    return _plain(value)


def _plain(value: Any) -> Any:
    """*value* in the types that YAML knows too; ValueError where a key is not text."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("the keys of a mapping must be text")
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in (sorted(value, key=repr) if isinstance(value, set) else value)]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is ...:
        return "..."
    return str(value) if isinstance(value, complex) else value
