"""Reads the YAML files of an inventory: groups with their hosts, and variables files; called by `inventory`.

What is written goes into a `Roster`, which checks it. Ansible passes over what it does not understand with a
warning; here it is a mistake, because a skipped line is a host that is not managed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from reconciler import yamlfile
from reconciler.inventory.roster import Group, Layer, Roster
from reconciler.model import Mistake, Place
from reconciler.yamlfile import Document

SECTIONS = ("hosts", "children", "vars")
_PLUGIN = "an inventory plugin would run code on the controller; only hosts and groups written out are read"
Path = tuple[str | int, ...]


def read_groups(document: Document, roster: Roster) -> None:
    """Take in an inventory file: a mapping of group names to hosts, children and vars."""
    value = document.value
    if not isinstance(value, dict) or not value:
        roster.note(document.place(()), "an inventory file is a mapping of groups, as in all: {hosts: {web1: }}")
    elif "plugin" in value:
        roster.note(document.key_place(("plugin",)), _PLUGIN)
    else:
        for name in value:
            _Groups(document, roster).read((name,), value[name])


class _Groups:
    """Walks down the groups of one file."""

    def __init__(self, document: Document, roster: Roster) -> None:
        self._document = document
        self._roster = roster

    def read(self, path: Path, value: Any) -> Group | None:
        name = str(path[-1])
        group = self._roster.group(name, self._document.key_place(path))
        if group is None or value is None:
            return group
        if not isinstance(value, dict):
            self._note(path, f"the group {name} is a mapping of {', '.join(SECTIONS)}")
            return group
        for section in value:
            self._section(group, (*path, section), value[section])
        return group

    def _section(self, group: Group, path: Path, value: Any) -> None:
        section = str(path[-1])
        if section not in SECTIONS:
            self._note_key(path, f"a group has no {section[:60]}{_nearest(section)}; it has {', '.join(SECTIONS)}")
            return
        if isinstance(value, str) and section != "vars":
            value = {value: None}
        if value is None:
            return
        if not isinstance(value, dict):
            self._note(path, f"{section} is a mapping: write each name with a ':' after it, without '-'")
            return
        {"hosts": self._hosts, "children": self._children, "vars": self._vars}[section](group, path, value)

    def _hosts(self, group: Group, path: Path, entries: dict[str, Any]) -> None:
        for entry, value in entries.items():
            here = (*path, entry)
            if value is not None and not isinstance(value, dict):
                self._note(here, f"the variables of {entry[:60]} are a mapping")
            layer = self._layer(here, value) if isinstance(value, dict) and value else {}
            self._roster.add_hosts(entry, group, layer, self._document.key_place(here))

    def _layer(self, path: Path, value: dict[str, Any]) -> Layer:
        return self._roster.layer(_settings(self._document, path, value))

    def _children(self, group: Group, path: Path, entries: dict[str, Any]) -> None:
        for name, value in entries.items():
            child = self.read((*path, name), value)
            if child is not None:
                self._roster.add_child(group, child.name, self._document.key_place((*path, name)))

    def _vars(self, group: Group, path: Path, entries: dict[str, Any]) -> None:
        self._roster.set_group_variables(group, _settings(self._document, path, entries))

    def _note(self, path: Path, message: str) -> None:
        self._roster.note(self._document.place(path), message)

    def _note_key(self, path: Path, message: str) -> None:
        self._roster.note(self._document.key_place(path), message)


def _nearest(section: str) -> str:
    near = difflib.get_close_matches(section[:60], SECTIONS, n=1)
    return f", did you mean {near[0]}?" if near else ""


def _settings(document: Document, path: Path, value: dict[str, Any]) -> Iterator[tuple[str, Any, Place]]:
    for name, each in value.items():
        yield name, each, document.key_place((*path, name))


def read_variables(file: str, text: bytes, roster: Roster) -> Layer:
    """The variables of one file below group_vars or host_vars."""
    if text.startswith(b"$ANSIBLE_VAULT"):
        roster.note(Place(file, 1), "files encrypted with ansible-vault cannot be read here")
        return {}
    document, mistakes = yamlfile.load(file, text)
    roster.mistakes.extend(mistakes)
    if document is None or document.value is None:
        return {}
    if not isinstance(document.value, dict):
        roster.mistakes.append(Mistake(document.place(()), "a variables file is a mapping of names to values"))
        return {}
    return roster.layer(_settings(document, (), document.value))
