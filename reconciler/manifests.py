"""Manifests as they are written: files read, shapes checked, every mistake at the user's own line.

A manifest reads like a play: ``name``, ``hosts``, ``mode``, then kinds with lists of resources.
Called by ``desired``, which puts them on hosts. Pure: text in, declarations and mistakes out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from reconciler.kinds import KINDS, Fields
from reconciler.model import Mistake, Mode, Place, Tree
from reconciler.templates import has_template
from reconciler.yamlfile import Document, load

OWN_FOLDERS = ("inventory", "files", "templates")
POLICY = "reconciler.yml"
HEAD = ("name", "hosts", "mode")
HOSTS_LINE = re.compile(rb"^[ \t]*(?:-[ \t]+)?hosts:[ \t]*([^\r\n#]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Declaration:
    """One resource as written. ``fields`` is None where values depend on the host and are checked there."""

    kind: type[Fields]
    document: Document
    path: tuple[str | int, ...]
    raw: Mapping[str, Any]
    fields: Fields | None

    @property
    def place(self) -> Place:
        """The first line of the resource."""
        return self.document.place(self.path)

    def place_of(self, field: str) -> Place:
        """The line of one of its fields."""
        return self.document.place((*self.path, field))


@dataclass(frozen=True, slots=True)
class Manifest:
    """One manifest. ``broken`` says that some of its resources have mistakes, so that its hosts are held."""

    place: Place
    hosts: str
    hosts_place: Place
    mode: Mode | None
    declarations: tuple[Declaration, ...]
    mistakes: tuple[Mistake, ...] = ()


def manifest_files(tree: Tree) -> list[str]:
    """The files that hold manifests: ``*.yml`` outside the folders and files that mean something else."""
    return sorted(name for name in tree if name.endswith(".yml") and name != POLICY and is_open(name))


def is_open(name: str) -> bool:
    """Whether a file lies where manifests are looked for: in no hidden folder, and in none of our own."""
    parts = name.split("/")
    return parts[0] not in OWN_FOLDERS and not any(part.startswith(".") for part in parts)


def misnamed_files(tree: Tree) -> list[Mistake]:
    """A mistake for each ``*.yaml`` that somebody may believe to be a manifest."""
    names = sorted(name for name in tree if name.endswith(".yaml") and is_open(name))
    return [Mistake(Place(name, 1), "manifests end in .yml; rename it, or move it out") for name in names]


def load_manifests(file: str, tree: Tree) -> tuple[list[Manifest], list[Mistake], list[str]]:
    """The manifests of one file, mistakes that belong to no manifest, and patterns of hosts to hold for those.

    Where the file cannot be read at all, the patterns are salvaged from lines that look like
    ``hosts: …``; where there is none, ``all`` is held, since nobody can say whom the file concerns.
    """
    text = tree[file]
    document, mistakes = load(file, text)
    if document is None or mistakes:
        salvaged = [pattern.decode(errors="replace").strip().strip("'\"") for pattern in HOSTS_LINE.findall(text)]
        return [], mistakes, salvaged or ["all"]
    if document.value is None:
        return [], [], []
    if not isinstance(document.value, list):
        where = document.place(())
        return [], [Mistake(where, "a manifest file is a list, each entry beginning with '- name:'")], ["all"]
    return [parse_manifest(document, index, tree) for index in range(len(document.value))], [], []


def parse_manifest(document: Document, index: int, tree: Tree) -> Manifest:
    """One entry of a file, with its mistakes."""
    raw, place = document.value[index], document.place((index,))
    if not isinstance(raw, dict):
        return Manifest(place, "all", place, None, (), (Mistake(place, "a manifest has 'hosts' and resources"),))
    mistakes = [*head_mistakes(document, index, raw), *kind_mistakes(document, index, raw)]
    declarations: list[Declaration] = []
    for kind in (key for key in raw if key in KINDS):
        found, wrong = parse_resources(document, (index, kind), KINDS[kind], tree)
        declarations += found
        mistakes += wrong
    hosts, mode = raw.get("hosts"), raw.get("mode")
    return Manifest(
        place=place,
        hosts=join_patterns(hosts),
        hosts_place=document.place((index, "hosts")),
        mode=Mode(mode) if mode in tuple(Mode) else None,
        declarations=tuple(declarations),
        mistakes=tuple(mistakes),
    )


def join_patterns(hosts: Any) -> str:
    """One host pattern, or a list of them joined as Ansible does."""
    if isinstance(hosts, list) and all(isinstance(pattern, str) for pattern in hosts):
        return ",".join(hosts)
    return hosts if isinstance(hosts, str) else ""


def head_mistakes(document: Document, index: int, raw: Mapping[str, Any]) -> list[Mistake]:
    """What is wrong with ``name``, ``hosts`` and ``mode``."""
    mistakes = []
    if not join_patterns(raw.get("hosts")):
        mistakes.append(Mistake(document.place((index, "hosts")), "a manifest needs 'hosts', an Ansible host pattern"))
    if not isinstance(raw.get("name", ""), str):
        mistakes.append(Mistake(document.place((index, "name")), "the name of a manifest is text"))
    if raw.get("mode", "observe") not in tuple(Mode):
        where = document.place((index, "mode"))
        mistakes.append(Mistake(where, f"mode is observe, enforce or suspended, not '{raw['mode']}'"))
    return mistakes


def kind_mistakes(document: Document, index: int, raw: Mapping[str, Any]) -> list[Mistake]:
    """A mistake for each key that is neither part of the head nor a kind."""
    known = (*HEAD, *KINDS)
    return [
        Mistake(document.key_place((index, key)), f"unknown kind '{key}'{nearest(key, known)}")
        for key in raw
        if key not in known
    ]


def parse_resources(
    document: Document, path: tuple[int, str], kind: type[Fields], tree: Tree
) -> tuple[list[Declaration], list[Mistake]]:
    """The resources of one kind in one manifest."""
    raw = document.value[path[0]][path[1]]
    if not isinstance(raw, list):
        return [], [Mistake(document.place(path), f"{kind.kind} is a list of resources, each beginning with '- '")]
    declarations, mistakes = [], []
    for number, fields in enumerate(raw):
        where = (*path, number)
        if not isinstance(fields, dict):
            mistakes.append(Mistake(document.place(where), f"a {kind.kind} is a mapping of fields"))
            continue
        depends = any(has_template_within(value) for value in fields.values())
        wrong = unknown_fields(kind, document, where, fields) + absent_source(kind, document, where, fields, tree)
        if not depends:
            known = {name: value for name, value in fields.items() if name in field_names(kind)}
            wrong += model_mistakes(kind, document, where, kind.kind, known)
        mistakes += wrong
        if not wrong:
            checked = None if depends else kind.model_validate(fields)
            declarations.append(Declaration(kind, document, where, fields, checked))
    return declarations, mistakes


def absent_source(
    kind: type[Fields], document: Document, path: tuple[str | int, ...], raw: Mapping[str, Any], tree: Tree
) -> list[Mistake]:
    """A mistake if ``src`` names a file that the revision does not have."""
    src, folder = raw.get("src"), kind.content_from
    if not folder or not isinstance(src, str) or has_template(src) or f"{folder}/{src}" in tree:
        return []
    return [missing(tree, document.place((*path, "src")), folder, src)]


def missing(tree: Tree, place: Place, folder: str, name: str) -> Mistake:
    """The mistake for a file that the revision does not have."""
    known = [other.removeprefix(f"{folder}/") for other in tree if other.startswith(f"{folder}/")]
    return Mistake(place, f"{folder}/{name} is not there{nearest(name, known)}")


def has_template_within(value: Any) -> bool:
    """Whether a value, or anything inside it, is to be rendered for each host."""
    if isinstance(value, list):
        return any(has_template_within(item) for item in value)
    return isinstance(value, str) and has_template(value)


def unknown_fields(
    model: type[BaseModel], document: Document, path: tuple[str | int, ...], raw: Mapping[str, Any]
) -> list[Mistake]:
    """A mistake for each field that the kind does not have, with the nearest that it has."""
    what = getattr(model, "kind", "this")
    return [
        Mistake(document.key_place((*path, key)), f"unknown field '{key}' for {what}{nearest(key, field_names(model))}")
        for key in raw
        if key not in field_names(model)
    ]


def field_names(model: type[BaseModel]) -> list[str]:
    """The fields of a model as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


def model_mistakes(
    model: type[BaseModel], document: Document, path: tuple[str | int, ...], what: str, raw: Any = None
) -> list[Mistake]:
    """Every mistake that a model finds in *raw*, the value at *path*; in the whole document where it is None."""
    try:
        model.model_validate(document.value if raw is None else raw)
    except ValidationError as error:
        return [explain(model, document, path, what, dict(detail)) for detail in error.errors(include_url=False)]
    return []


def explain(
    model: type[BaseModel], document: Document, path: tuple[str | int, ...], what: str, detail: Mapping[str, Any]
) -> Mistake:
    """One of pydantic's findings as a sentence at its line."""
    where = tuple(part for part in detail["loc"] if isinstance(part, (str, int)))
    field = ".".join(str(part) for part in where)
    if detail["type"] == "missing":
        return Mistake(document.place((*path, *where[:-1])), f"{what} needs the field '{where[-1]}'")
    if detail["type"] == "extra_forbidden":
        known = field_names(model) if len(where) == 1 else ()
        return Mistake(document.key_place((*path, *where)), f"unknown key '{field}'{nearest(str(where[-1]), known)}")
    text = str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    given = detail.get("input")
    plain = isinstance(given, (str, int, float, bool)) and "password" not in where
    shown = f", not {given!r}" if plain and text.startswith("should") else ""
    return Mistake(document.place((*path, *where)), f"{field}: {text}{shown}" if field else text)


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where something known is near."""
    matches = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""
