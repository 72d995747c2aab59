"""One declaration made into a resource: its values rendered for a host, its content found, its sources noted.

Called by ``desired``, which knows on which hosts a declaration lies, and keeps what was built. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from reconciler.inventory import Inventory, Variable
from reconciler.kinds import Fields
from reconciler.manifests import Declaration, explain, missing, nearest
from reconciler.model import Mistake, Place, Resource, Tree, Value
from reconciler.templates import Codes, Renderer, Scope, TemplateMistake, has_template

MAX_KIN = 200
"""How many different resources of one declaration are remembered while others are made that may be like them."""


@dataclass(frozen=True, slots=True)
class Reads:
    """All that a resource of one host was made from, next to its declaration.

    ``used`` are the variables it cites, ``asked`` all names it looked for among them, ``files`` the files of the
    revision; of the last two also what is not there. While these stay the same, so does the resource.
    """

    used: frozenset[str]
    asked: frozenset[str]
    files: frozenset[str]


@dataclass(slots=True)
class Trail:
    """What has been read so far, while one resource is made."""

    used: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def end(self) -> Reads:
        """All of it."""
        return Reads(frozenset(self.used), frozenset(self.asked), frozenset(self.files))


@dataclass(slots=True)
class Kin:
    """The resources made of one declaration: those that are alike are one, and the others share what they can.

    ``fields`` are by the values they were made from, ``first`` is the first resource of each of them, ``known`` the
    newest of each of them and content. ``places`` are by the attributes they are of.
    """

    fields: dict[str, Fields] = field(default_factory=dict)
    first: dict[int, Resource] = field(default_factory=dict)
    known: dict[tuple[int, bytes | None], Resource] = field(default_factory=dict)
    places: dict[tuple[str, ...], Mapping[str, Place]] = field(default_factory=dict)

    def places_of(self, declaration: Declaration, fields: Fields, wanted: Iterable[str]) -> Mapping[str, Place]:
        """The line of each attribute."""
        names = tuple(wanted)
        if names not in self.places:
            fields_of = {name: declaring_field(declaration, fields, name) for name in names}
            self.places[names] = {name: declaration.place_of(one) for name, one in fields_of.items()}
        return self.places[names]

    def thin_out(self) -> None:
        """Forget all of them where they turn out to be mostly unlike."""
        if len(self.known) > MAX_KIN:
            self.fields.clear()
            self.first.clear()
            self.known.clear()


@dataclass(frozen=True, slots=True)
class Sight:
    """One host as its templates see it."""

    host: str
    variables: Mapping[str, Variable]
    scope: Scope


class Builder:
    """Makes resources of the declarations of one revision; renders what depends on a host.

    Quickest where everything of one host is asked for before the next, since it keeps the sight of one only.
    """

    def __init__(self, tree: Tree, inventory: Inventory, steps: int | None = None, codes: Codes | None = None) -> None:
        self.tree = tree
        self.inventory = inventory
        self.templates = {name.removeprefix("templates/"): text for name, text in tree.items() if in_folder(name)}
        self.renderer = Renderer(self.templates, steps, codes)
        self.kin: dict[Declaration, Kin] = defaultdict(Kin)
        self.sight: Sight | None = None

    def build_for_all(self, declaration: Declaration, fields: Fields) -> Resource:
        """The one resource of a declaration in which nothing depends on the host."""
        return self.build(declaration, fields, content_of(self.tree, declaration, fields))

    def build_for(self, declaration: Declaration, host: str) -> tuple[Resource, Reads]:
        """Build one resource for one host, rendering what holds a template; raises MistakesFound."""
        sight, trail = self.see(host), Trail()
        fields = declaration.fields or self.fields_for(declaration, sight.scope, trail)
        content: bytes | None
        if fields.content_from == "templates":
            content = self.render(declaration, str(getattr(fields, "src", "")), sight.scope, trail)
        else:
            content = content_of(self.tree, declaration, fields)
            trail.files |= {place.file for place in source_file(fields)}
        reads = trail.end()
        return self.build(declaration, fields, content, self.places(reads, host)), reads

    def cite_again(self, resource: Resource, reads: Reads, host: str) -> Resource:
        """The same resource, where variables it used may have moved to another line."""
        sources = (*source_file(resource.fields), *self.places(reads, host))
        return resource if sources == resource.sources else replace(resource, sources=sources)

    def places(self, reads: Reads, host: str) -> tuple[Place, ...]:
        """Where the variables that a resource used are set."""
        variables = self.see(host).variables
        return tuple(variables[name].place for name in sorted(reads.used) if name in variables)

    def see(self, host: str) -> Sight:
        """What templates see of one host: its variables, its own names and nothing else."""
        if self.sight is None or self.sight.host != host:
            own = {
                "inventory_hostname": host,
                "inventory_hostname_short": host.partition(".")[0],
                "group_names": list(self.inventory.groups_of(host)),
            }
            variables = self.inventory.variables(host)
            values = {name: variable.value for name, variable in variables.items()}
            self.sight = Sight(host, variables, Scope(values | own))
        return self.sight

    def fields_for(self, declaration: Declaration, scope: Scope, trail: Trail) -> Fields:
        """The fields of a resource whose values depend on the host; the same object for the same values."""
        values: dict[str, Any] = {}
        found: list[tuple[Mistake, str | None]] = []
        for name, value in declaration.raw.items():
            try:
                values[name] = self.evaluate(declaration, name, value, scope, trail)
            except MistakesFound as error:
                found += error.found
        if found:
            raise MistakesFound(*found)
        known, spelled = self.kin[declaration].fields, repr(values)
        if spelled not in known:
            known[spelled] = validated(declaration, values)
        return known[spelled]

    def evaluate(self, declaration: Declaration, name: str, value: Any, scope: Scope, trail: Trail) -> Any:
        """One value of a manifest for one host."""
        if isinstance(value, list):
            return [self.evaluate(declaration, name, item, scope, trail) for item in value]
        if not isinstance(value, str) or not has_template(value):
            return value
        try:
            result = self.renderer.evaluate(value, scope)
        except TemplateMistake as error:
            raise MistakesFound((Mistake(declaration.place_of(name), wording(error)), error.undefined)) from None
        self.follow(scope, trail)
        return result

    def render(self, declaration: Declaration, name: str, scope: Scope, trail: Trail) -> bytes:
        """The content of a template for one host."""
        if f"templates/{name}" not in self.tree:
            raise MistakesFound((missing(self.tree, declaration.place_of("src"), "templates", name), None))
        try:
            text = self.renderer.render(name, scope)
        except TemplateMistake as error:
            where = Place(error.file, error.line, error.column) if error.file else declaration.place_of("src")
            raise MistakesFound((Mistake(where, wording(error)), error.undefined)) from None
        self.follow(scope, trail)
        return text

    def follow(self, scope: Scope, trail: Trail) -> None:
        """Note what the last rendering read."""
        trail.used |= scope.used
        trail.asked |= scope.asked
        trail.files |= {f"templates/{name}" for name in self.renderer.asked}

    def build(
        self, declaration: Declaration, fields: Fields, content: bytes | None, used: tuple[Place, ...] = ()
    ) -> Resource:
        """The resource, with where each of its values came from; one that is known where it would be equal."""
        kin, key = self.kin[declaration], (id(fields), content)
        kin.thin_out()
        sources = (*source_file(fields), *used)
        known = kin.known.get(key)
        if known is not None and known.sources == sources:
            return known
        like = known or kin.first.get(id(fields))
        if like is None:
            made = kin.first[id(fields)] = first_of(declaration, fields, content, sources, kin)
        elif like is known:
            made = replace(like, sources=sources)
        else:
            wanted, ask = wanted_of(fields, fields.wanted(content)), fields.ask(content)
            made = replace(like, wanted=wanted, ask=ask, sources=sources, content=content)
        kin.known[key] = made
        return made


def first_of(
    declaration: Declaration, fields: Fields, content: bytes | None, sources: tuple[Place, ...], kin: Kin
) -> Resource:
    """A resource of which there is none yet with the same fields."""
    declared = fields.wanted(content)
    refuse_unknown_ignores(declaration, fields, declared)
    wanted = wanted_of(fields, declared)
    return Resource(
        kind=fields.kind,
        name=fields.key(),
        wanted=wanted,
        ask=fields.ask(content),
        fields=fields,
        place=declaration.place,
        places=kin.places_of(declaration, fields, wanted),
        sources=sources,
        content=content,
        mode=fields.own_mode() or declaration.mode,
        notify=fields.notifies(),
        hosts=declaration.hosts,
    )


def wanted_of(fields: Fields, declared: Mapping[str, Value]) -> dict[str, Value]:
    """What is compared: everything that is declared and not to be ignored."""
    return {name: value for name, value in declared.items() if name not in fields.ignore}


def validated(declaration: Declaration, values: Mapping[str, Any]) -> Fields:
    """The fields of a declaration with the values they have on a host; raises MistakesFound."""
    kind = declaration.kind
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        details = [dict(each) for each in error.errors(include_url=False)]
        about = [explain(kind, declaration.document, (), kind.kind, each) for each in details]
        raise MistakesFound(*((mistake, None) for mistake in about)) from None


class MistakesFound(Exception):
    """Mistakes met while building one resource, each with the variable that is undefined, if that is it."""

    def __init__(self, *found: tuple[Mistake, str | None]) -> None:
        super().__init__(*found)
        self.found = found
        self.mistakes = tuple(mistake for mistake, _ in found)


def refuse_unknown_ignores(declaration: Declaration, fields: Fields, declared: Mapping[str, Value]) -> None:
    """A misspelt attribute would be compared after all, to somebody's surprise."""
    for name in fields.ignore:
        if name not in declared:
            message = f"{fields.kind} has no attribute '{name}' to ignore here{nearest(name, declared)}"
            raise MistakesFound((Mistake(declaration.place_of("ignore"), message), None))


def wording(error: TemplateMistake) -> str:
    """What is wrong with a template, so that ``for web1`` can follow it."""
    return f"'{error.undefined}' is undefined" if error.undefined else error.message.rstrip(".")


def in_folder(name: str) -> bool:
    """Whether a file of the tree is a template."""
    return name.startswith("templates/")


def declaring_field(declaration: Declaration, fields: Fields, attribute: str) -> str:
    """The field that declares *attribute*: the one of its own name where it was written, as a copy's ``content``."""
    return attribute if attribute in declaration.raw else fields.declared_by.get(attribute, attribute)


def source_file(fields: Fields) -> tuple[Place, ...]:
    """The file of the revision that a resource's content comes from."""
    name = getattr(fields, "src", None) if fields.content_from else None
    return (Place(f"{fields.content_from}/{name}", 1),) if name else ()


def content_of(tree: Tree, declaration: Declaration, fields: Fields) -> bytes | None:
    """The content of a resource that no host changes: written in the manifest, or a file below ``files/``."""
    name = getattr(fields, "src", None)
    if fields.content_from != "files" or name is None:
        return fields.inline()
    if f"files/{name}" not in tree:
        raise MistakesFound((missing(tree, declaration.place_of("src"), "files", name), None))
    return tree[f"files/{name}"]
