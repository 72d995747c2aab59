"""One declaration made into a resource: its values rendered for a host, its content found, its sources noted.

Called by ``desired``, which knows on which hosts a declaration lies. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from reconciler.inventory import Inventory, Variable
from reconciler.kinds import Fields
from reconciler.manifests import Declaration, Manifest, explain, missing, nearest
from reconciler.model import Mistake, Place, Resource, Tree, Value
from reconciler.templates import Renderer, Scope, TemplateMistake, has_template


@dataclass(frozen=True, slots=True)
class Built:
    """A resource with the tokens that keep two of them from claiming the same thing."""

    resource: Resource
    claims: frozenset[str]
    shares: frozenset[str]


class Builder:
    """Makes resources of the declarations of one revision; renders what depends on a host."""

    def __init__(self, tree: Tree, inventory: Inventory, steps: int | None = None) -> None:
        self.tree = tree
        self.inventory = inventory
        templates = {name.removeprefix("templates/"): text for name, text in tree.items() if in_folder(name)}
        self.renderer = Renderer(templates, steps)
        self.merged: dict[str, Mapping[str, Variable]] = {}
        self.scopes: dict[str, Scope] = {}

    def build_for_all(self, manifest: Manifest, declaration: Declaration, fields: Fields) -> Built:
        """The one resource of a declaration in which nothing depends on the host."""
        return self.build(manifest, declaration, fields, content_of(self.tree, declaration, fields))

    def build_for(self, manifest: Manifest, declaration: Declaration, host: str) -> Built:
        """Build one resource for one host, rendering what holds a template."""
        scope = self.scope(host)
        used: set[str] = set()
        fields = declaration.fields or self.fields_for(declaration, scope, used)
        content: bytes | None
        if fields.content_from == "templates":
            content = self.render(declaration, str(getattr(fields, "src", "")), scope)
            used |= scope.used
        else:
            content = content_of(self.tree, declaration, fields)
        variables = self.variables(host)
        places = tuple(variables[name].place for name in sorted(used) if name in variables)
        return self.build(manifest, declaration, fields, content, places)

    def variables(self, host: str) -> Mapping[str, Variable]:
        """The variables of one host, merged once, for every templated resource of a host asks for them."""
        if host not in self.merged:
            self.merged[host] = self.inventory.variables(host)
        return self.merged[host]

    def scope(self, host: str) -> Scope:
        """What templates see of one host: its variables, its own names and nothing else."""
        if host not in self.scopes:
            own = {
                "inventory_hostname": host,
                "inventory_hostname_short": host.partition(".")[0],
                "group_names": list(self.inventory.groups_of(host)),
            }
            values = {name: variable.value for name, variable in self.variables(host).items()}
            self.scopes[host] = Scope(values | own)
        return self.scopes[host]

    def fields_for(self, declaration: Declaration, scope: Scope, used: set[str]) -> Fields:
        """The fields of a resource whose values depend on the host; adds the variables they took to *used*."""
        values: dict[str, Any] = {}
        found: list[tuple[Mistake, str | None]] = []
        for name, value in declaration.raw.items():
            try:
                values[name] = self.evaluate(declaration, name, value, scope, used)
            except MistakesFound as error:
                found += error.found
        if found:
            raise MistakesFound(*found)
        try:
            return declaration.kind.model_validate(values)
        except ValidationError as error:
            kind, details = declaration.kind, error.errors(include_url=False)
            about = [explain(kind, declaration.document, declaration.path, kind.kind, dict(each)) for each in details]
            raise MistakesFound(*((mistake, None) for mistake in about)) from None

    def evaluate(self, declaration: Declaration, name: str, value: Any, scope: Scope, used: set[str]) -> Any:
        """One value of a manifest for one host."""
        if isinstance(value, list):
            return [self.evaluate(declaration, name, item, scope, used) for item in value]
        if not isinstance(value, str) or not has_template(value):
            return value
        try:
            result = self.renderer.evaluate(value, scope)
        except TemplateMistake as error:
            raise MistakesFound((Mistake(declaration.place_of(name), wording(error)), error.undefined)) from None
        used |= scope.used
        return result

    def render(self, declaration: Declaration, name: str, scope: Scope) -> bytes:
        """The content of a template for one host."""
        if f"templates/{name}" not in self.tree:
            raise MistakesFound((missing(self.tree, declaration.place_of("src"), "templates", name), None))
        try:
            return self.renderer.render(name, scope)
        except TemplateMistake as error:
            where = Place(error.file, error.line, error.column) if error.file else declaration.place_of("src")
            raise MistakesFound((Mistake(where, wording(error)), error.undefined)) from None

    def build(
        self,
        manifest: Manifest,
        declaration: Declaration,
        fields: Fields,
        content: bytes | None,
        used: tuple[Place, ...] = (),
    ) -> Built:
        """The resource, with where each of its values came from."""
        declared = fields.wanted(content)
        refuse_unknown_ignores(declaration, fields, declared)
        wanted = {name: value for name, value in declared.items() if name not in fields.ignore}
        resource = Resource(
            kind=fields.kind,
            name=fields.key(),
            wanted=wanted,
            ask=fields.ask(content),
            fields=fields,
            place=declaration.place,
            places={name: declaration.place_of(declaring_field(declaration, fields, name)) for name in wanted},
            sources=(*source_file(fields), *used),
            content=content,
            mode=fields.own_mode() or manifest.mode,
            notify=fields.notifies(),
            hosts=manifest.hosts,
        )
        return Built(resource, fields.claims(), fields.shares())


class MistakesFound(Exception):
    """Mistakes met while building one resource, each with the variable that is undefined, if that is it."""

    def __init__(self, *found: tuple[Mistake, str | None]) -> None:
        super().__init__(*found)
        self.found = found


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
