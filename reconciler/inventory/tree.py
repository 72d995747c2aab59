"""Which file below ``inventory/`` is what: hosts and groups, a group's variables, a host's, or nothing we may read.

`inventory` calls it with the paths of a revision. It looks at names only, never at content. The rules are those by
which Ansible reads a directory; what Ansible would skip in silence, or run, is a mistake here.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from reconciler.inventory.roster import Noted
from reconciler.model import Place

ROOT = "inventory"
VARIABLE_SUFFIXES = ("", ".yml", ".yaml", ".json")
"""Endings of variables files; of several for one group or host Ansible reads the first in this order."""

SOURCE_SUFFIXES = (*VARIABLE_SUFFIXES, ".ini")
_IGNORED_SUFFIXES = (".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")
"""What Ansible leaves out of an inventory directory by default."""

MOST_GUESSES = 20
"""Mistakes of one sort after which nobody looks among all names for the one that was meant; that takes time."""

_FOLDERS = {"group_vars": "group", "host_vars": "host"}


@dataclass(frozen=True, slots=True)
class Files:
    """The files of an inventory in reading order: sources of hosts, and what lies in group_vars and host_vars."""

    sources: tuple[str, ...]
    group_vars: tuple[str, ...]
    host_vars: tuple[str, ...]


def sort_files(paths: Iterable[str], notes: Noted) -> Files:
    """Tell the files below ``inventory/`` apart; what has no business there is noted."""
    found: dict[str, list[str]] = {"sources": [], "group_vars": [], "host_vars": []}
    ours = (PurePosixPath(path) for path in paths if path.startswith(f"{ROOT}/"))
    for path in sorted(ours, key=lambda path: path.parts):
        parts = path.parts[1:]
        if any(part.startswith(".") for part in parts):
            continue
        if parts[0] in _FOLDERS and len(parts) > 1:
            found[parts[0]].append(str(path))
        elif not any(part.endswith(_IGNORED_SUFFIXES) for part in parts):
            problem = _source_problem(path)
            if problem:
                notes.note(Place(str(path), 1), problem)
            else:
                found["sources"].append(str(path))
    return Files(*(tuple(each) for each in found.values()))


def _source_problem(path: PurePosixPath) -> str:
    misplaced = next((part for part in path.parts[1:] if part in _FOLDERS), "")
    if misplaced:
        return f"Ansible looks for files of variables in the folder {ROOT}/{misplaced} only"
    if "vars_plugins" in path.parts or path.suffix not in SOURCE_SUFFIXES:
        return "not a static inventory: files end in .yml, .yaml, .json or .ini, or have no ending"
    return ""


def by_owner(folder: str, files: Iterable[str], owners: Collection[str], notes: Noted) -> dict[str, tuple[str, ...]]:
    """The variables files in *folder* of each group or host of *owners*, in reading order."""
    entries: dict[str, list[str]] = {}
    for file in files:
        entries.setdefault(PurePosixPath(file).parts[2], []).append(file)
    found: dict[str, str] = {}
    for entry in sorted(entries, key=_rank):
        owner = _owner(entry, owners)
        if owner is None:
            _note_orphan(folder, entry, entries[entry][0], owners, notes)
        elif owner in found:
            notes.note(Place(entries[entry][0], 1), f"Ansible reads {folder}/{found[owner]} and never this file")
        else:
            found[owner] = entry
    return {owner: _readable(entries[entry], notes) for owner, entry in found.items()}


def owner_of(file: str, folder: str, owners: Collection[str]) -> str | None:
    """Whose variables *file* holds, if it lies in *folder* and they are one of *owners*."""
    parts = PurePosixPath(file).parts
    return _owner(parts[2], owners) if len(parts) > 2 and parts[:2] == (ROOT, folder) else None


def _rank(entry: str) -> tuple[int, str]:
    suffix = PurePosixPath(entry).suffix
    return VARIABLE_SUFFIXES.index(suffix) if suffix in VARIABLE_SUFFIXES else 0, entry


def _owner(entry: str, owners: Collection[str]) -> str | None:
    names = (entry.removesuffix(suffix) for suffix in VARIABLE_SUFFIXES if entry.endswith(suffix))
    return next((name for name in names if name in owners), None)


def _note_orphan(folder: str, entry: str, file: str, owners: Collection[str], notes: Noted) -> None:
    if entry.endswith(_IGNORED_SUFFIXES):
        return
    suffix = next((suffix for suffix in VARIABLE_SUFFIXES[1:] if entry.endswith(suffix)), "")
    name = entry.removesuffix(suffix)
    few = len(owners) <= 5_000 and len(notes.mistakes) < MOST_GUESSES
    near = difflib.get_close_matches(name, owners, n=1) if few else []
    hint = f"; did you mean {near[0]}?" if near else ""
    notes.note(
        Place(file, 1), f"there is no {_FOLDERS[folder]} {name[:60]} in the inventory, so nothing reads this{hint}"
    )


def _readable(files: list[str], notes: Noted) -> tuple[str, ...]:
    """The files of one entry that Ansible reads: in a folder, those of known endings in folders without one."""
    kept = []
    for file in files:
        inside = PurePosixPath(*PurePosixPath(file).parts[3:])
        if not inside.parts or _is_read(inside):
            kept.append(file)
        elif not file.endswith(_IGNORED_SUFFIXES):
            notes.note(
                Place(file, 1),
                "Ansible would not read this file: it ends in .yml, .yaml or .json, in a folder without a dot",
            )
    return tuple(kept)


def _is_read(inside: PurePosixPath) -> bool:
    folders_are_plain = not any(PurePosixPath(part).suffix for part in inside.parts[:-1])
    return folders_are_plain and inside.suffix in VARIABLE_SUFFIXES and not inside.name.endswith("~")
