"""Manifests as they are written: files read, shapes checked, every mistake at the user's own line.

A manifest reads like a play: ``name``, ``hosts``, ``mode``, then kinds with lists of resources.
Called by ``desired``, which puts them on hosts. Pure: text in, declarations and mistakes out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from reconciler.kinds import KINDS, Fields
from reconciler.model import Mistake, Mode, Place, Tree
from reconciler.templates import has_template
from reconciler.yamlfile import Document, load

OWN_FOLDERS = ("inventory", "files", "templates")
POLICY = "reconciler.yml"
Path = tuple[str | int, ...]
"""Leads to a value in a document: keys and numbers from the outside in."""
HEAD = ("name", "hosts", "mode")
HOSTS_LINE = re.compile(rb"^[ \t]*(?:-[ \t]+)?hosts:[ \t]*([^\r\n#]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """One resource as written. ``fields`` is None where values depend on the host and are checked there.

    ``path`` leads to it in its file, ``document`` is the part of the file there. ``hosts`` and ``mode`` are those of
    its manifest. Two of them are never equal: what was built of one is kept by the object.
    """

    kind: type[Fields]
    document: Document
    path: Path
    fields: Fields | None
    hosts: str = ""
    mode: Mode | None = None

    @property
    def raw(self) -> Mapping[str, Any]:
        """Its fields as they are written."""
        found: Mapping[str, Any] = self.document.value
        return found

    @property
    def place(self) -> Place:
        """The first line of the resource."""
        return self.document.place(())

    def place_of(self, field: str) -> Place:
        """The line of one of its fields."""
        return self.document.place((field,))

    @property
    def source(self) -> str:
        """The file of the revision that ``src`` names, "" where there is none or it depends on the host."""
        return source_of(self.kind, self.raw)

    def same_as(self, other: Declaration) -> bool:
        """Whether both are written alike, at the same place, for the same hosts."""
        mine, others = (self.path, self.hosts, self.mode), (other.path, other.hosts, other.mode)
        return mine == others and self.document.same_as(other.document)


@dataclass(frozen=True, slots=True)
class Manifest:
    """One manifest. ``broken`` says that some of its resources have mistakes, so that its hosts are held."""

    place: Place
    hosts: str
    hosts_place: Place
    mode: Mode | None
    declarations: tuple[Declaration, ...]
    mistakes: tuple[Mistake, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """One file of manifests: those in it, mistakes that belong to none, and patterns of hosts to hold for these."""

    manifests: tuple[Manifest, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong in it."""
        return not (self.mistakes or any(manifest.mistakes for manifest in self.manifests))

    def declarations(self) -> Mapping[Path, Declaration]:
        """What is declared in it, by where it stands."""
        return {each.path: each for manifest in self.manifests for each in manifest.declarations}


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


NO_SHEET = Sheet()


def load_manifests(file: str, tree: Tree, before: Sheet = NO_SHEET) -> Sheet:
    """The manifests of one file; what is written there as *before* is the same declaration again.

    Where the file cannot be read at all, the patterns are salvaged from lines that look like
    ``hosts: …``; where there is none, ``all`` is held, since nobody can say whom the file concerns.
    """
    text = tree[file]
    document, mistakes = load(file, text)
    if document is None or mistakes:
        salvaged = [pattern.decode(errors="replace").strip().strip("'\"") for pattern in HOSTS_LINE.findall(text)]
        return Sheet((), tuple(mistakes), tuple(salvaged) or ("all",))
    if document.value is None:
        return Sheet()
    if not isinstance(document.value, list):
        wrong = Mistake(document.place(()), "a manifest file is a list, each entry beginning with '- name:'")
        return Sheet((), (wrong,), ("all",))
    known = before.declarations()
    return Sheet(tuple(parse_manifest(document, index, tree, known) for index in range(len(document.value))))


def parse_manifest(document: Document, index: int, tree: Tree, known: Mapping[Path, Declaration]) -> Manifest:
    """One entry of a file, with its mistakes."""
    raw, place = document.value[index], document.place((index,))
    if not isinstance(raw, dict):
        return Manifest(place, "all", place, None, (), (Mistake(place, "a manifest has 'hosts' and resources"),))
    hosts, mode = join_patterns(raw.get("hosts")), raw.get("mode")
    said = Mode(mode) if mode in tuple(Mode) else None
    mistakes = [*head_mistakes(document, index, raw), *kind_mistakes(document, index, raw)]
    declarations: list[Declaration] = []
    for kind in (key for key in raw if key in KINDS):
        found, wrong = parse_resources(document, (index, kind), KINDS[kind], tree)
        declarations += (settle(each, hosts, said, known) for each in found)
        mistakes += wrong
    return Manifest(
        place=place,
        hosts=hosts,
        hosts_place=document.place((index, "hosts")),
        mode=said,
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
            declarations.append(Declaration(kind, document.part(where), where, checked))
    return declarations, mistakes


def settle(new: Declaration, hosts: str, mode: Mode | None, known: Mapping[Path, Declaration]) -> Declaration:
    """A declaration with what its manifest says; the one that is known where nothing about it changed."""
    made = replace(new, hosts=hosts, mode=mode)
    old = known.get(made.path)
    return old if old is not None and old.same_as(made) else made


def absent_source(
    kind: type[Fields], document: Document, path: Path, raw: Mapping[str, Any], tree: Tree
) -> list[Mistake]:
    """A mistake if ``src`` names a file that the revision does not have."""
    source = source_of(kind, raw)
    if not source or source in tree:
        return []
    return [missing(tree, document.place((*path, "src")), kind.content_from, raw["src"])]


def source_of(kind: type[Fields], raw: Mapping[str, Any]) -> str:
    """The file of the revision that ``src`` names, "" where there is none or it depends on the host."""
    src = raw.get("src")
    named = kind.content_from and isinstance(src, str) and not has_template(src)
    return f"{kind.content_from}/{src}" if named else ""


def missing(tree: Tree, place: Place, folder: str, name: str) -> Mistake:
    """The mistake for a file that the revision does not have."""
    known = [other.removeprefix(f"{folder}/") for other in tree if other.startswith(f"{folder}/")]
    return Mistake(place, f"{folder}/{name} is not there{nearest(name, known)}")


def has_template_within(value: Any) -> bool:
    """Whether a value, or anything inside it, is to be rendered for each host."""
    if isinstance(value, list):
        return any(has_template_within(item) for item in value)
    return isinstance(value, str) and has_template(value)


def unknown_fields(model: type[BaseModel], document: Document, path: Path, raw: Mapping[str, Any]) -> list[Mistake]:
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


def model_mistakes(model: type[BaseModel], document: Document, path: Path, what: str, raw: Any = None) -> list[Mistake]:
    """Every mistake that a model finds in *raw*, the value at *path*; in the whole document where it is None."""
    try:
        model.model_validate(document.value if raw is None else raw)
    except ValidationError as error:
        return [explain(model, document, path, what, dict(detail)) for detail in error.errors(include_url=False)]
    return []


def explain(model: type[BaseModel], document: Document, path: Path, what: str, detail: Mapping[str, Any]) -> Mistake:
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
