"""Compile: the files of a revision in, the desired state of every host or mistakes out.

The one entry is ``compile_tree``. Called by ``cycle`` and by ``validate``. Pure: nothing of a
revision runs here, so a stranger's revision may be compiled as safely as one's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from reconciler.inventory import Inventory, PatternMistake, Variable
from reconciler.inventory import load as load_inventory
from reconciler.kinds import Fields
from reconciler.manifests import (
    Declaration,
    Manifest,
    explain,
    load_manifests,
    manifest_files,
    misnamed_files,
    missing,
    nearest,
)
from reconciler.model import Desired, HostDesired, Mistake, Place, Resource, Tree, Value
from reconciler.policy import host_modes, limits_of, load_policy
from reconciler.templates import Renderer, Scope, TemplateMistake, has_template

SHOWN_HOSTS = 3
"""A mistake that many hosts share names this many of them."""


def compile_tree(tree: Tree, *, allow_local: bool) -> Desired:
    """Compile the files below a revision's path.

    Every mistake of the revision is in the answer. A mistake holds the hosts it can touch: those of a
    manifest, those that read a file of variables, all of them for the policy or the inventory itself.
    """
    inventory, mistakes = load_inventory(tree, allow_local=allow_local)
    if inventory is None:
        _, elsewhere = read_manifests(tree)
        return Desired({}, mistakes=tuple(sorted({*mistakes, *elsewhere.mistakes})))
    policy, wrong = load_policy(tree, inventory)
    manifests, findings = read_manifests(tree)
    findings.mistakes += [*mistakes, *wrong]
    compiler = Compiler(tree, inventory, findings)
    compiler.hold(findings.patterns)
    for mistake in mistakes:
        compiler.blame_hosts(mistake, inventory.hosts_reading(mistake.place.file))
    for mistake in wrong:
        compiler.blame_hosts(mistake, inventory.hosts)
    for manifest in manifests:
        compiler.place(manifest)
    resources, held = compiler.finish()
    modes = host_modes(policy, inventory)
    hosts = {
        host: HostDesired(host, modes[host], inventory.connection(host), resources.get(host, ()))
        for host in inventory.hosts
        if host not in held
    }
    return Desired(hosts, held, tuple(sorted(set(findings.mistakes))), limits_of(policy))


@dataclass(slots=True)
class Findings:
    """Mistakes that belong to no host, and the patterns of hosts that they hold."""

    mistakes: list[Mistake] = field(default_factory=list)
    patterns: list[tuple[str, Mistake]] = field(default_factory=list)


def read_manifests(tree: Tree) -> tuple[list[Manifest], Findings]:
    """Every manifest of the tree, and what could not be read."""
    manifests: list[Manifest] = []
    findings = Findings(misnamed_files(tree))
    for name in manifest_files(tree):
        found, mistakes, patterns = load_manifests(name, tree)
        manifests += found
        findings.mistakes += [*mistakes, *(m for manifest in found for m in manifest.mistakes)]
        findings.patterns += [(pattern, mistakes[0]) for pattern in patterns]
    return manifests, findings


@dataclass(frozen=True, slots=True)
class Built:
    """A resource with the tokens that keep two of them from claiming the same thing."""

    resource: Resource
    claims: frozenset[str]
    shares: frozenset[str]


class Compiler:
    """Puts manifests on hosts: renders what depends on a host, once for all what does not."""

    def __init__(self, tree: Tree, inventory: Inventory, findings: Findings) -> None:
        self.tree = tree
        self.inventory = inventory
        self.findings = findings
        templates = {name.removeprefix("templates/"): text for name, text in tree.items() if in_folder(name)}
        self.renderer = Renderer(templates)
        self.merged: dict[str, Mapping[str, Variable]] = {}
        self.scopes: dict[str, Scope] = {}
        self.built: dict[str, list[Built]] = defaultdict(list)
        self.held: dict[str, list[Mistake]] = defaultdict(list)
        self.shared: dict[Mistake, list[str]] = defaultdict(list)
        self.undefined: dict[Mistake, str] = {}

    def hold(self, patterns: Iterable[tuple[str, Mistake]]) -> None:
        """Hold the hosts of manifests that could not be read; all of them where even the pattern is unknown."""
        for pattern, mistake in patterns:
            try:
                hosts = self.inventory.select(pattern)
            except PatternMistake:
                hosts = self.inventory.hosts
            self.blame_hosts(mistake, hosts)

    def blame_hosts(self, mistake: Mistake, hosts: Iterable[str]) -> None:
        """Hold hosts for a mistake that is told already."""
        for host in hosts:
            self.held[host].append(mistake)

    def place(self, manifest: Manifest) -> None:
        """Put the resources of one manifest on its hosts."""
        try:
            hosts = self.inventory.select(manifest.hosts) if manifest.hosts else ()
        except PatternMistake as error:
            groups = ", ".join(sorted(set(self.inventory.groups) - {"all", "ungrouped"}))
            close = nearest(error.part, [*self.inventory.groups, *self.inventory.hosts])
            message = f"hosts '{error.part}' matches no host{close or f'; groups are: {groups}'}"
            self.findings.mistakes.append(Mistake(manifest.hosts_place, message))
            return
        for host in hosts if manifest.mistakes else ():
            self.held[host] += manifest.mistakes
        for declaration in manifest.declarations:
            self.declare(manifest, declaration, hosts)

    def declare(self, manifest: Manifest, declaration: Declaration, hosts: tuple[str, ...]) -> None:
        """Build one resource for every host of its manifest; the same object where no host matters."""
        fields = declaration.fields
        if fields is not None and fields.content_from != "templates":
            try:
                built = self.build(manifest, declaration, fields, content_of(self.tree, declaration, fields))
            except MistakesFound as error:
                self.blame(error, hosts)
                return
            for host in hosts:
                self.built[host].append(built)
            return
        for host in hosts:
            try:
                self.built[host].append(self.build_for(manifest, declaration, host))
            except MistakesFound as error:
                self.blame(error, (host,))

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

    def blame(self, error: MistakesFound, hosts: tuple[str, ...]) -> None:
        """Note mistakes that show on some hosts only, and hold them."""
        for mistake, undefined in error.found:
            self.shared[mistake] += hosts
            if undefined:
                self.undefined[mistake] = undefined
            self.blame_hosts(mistake, hosts)

    def finish(self) -> tuple[dict[str, tuple[Resource, ...]], dict[str, tuple[Mistake, ...]]]:
        """Resources of the hosts that are free of mistakes, and the mistakes of those that are not."""
        for host in self.inventory.hosts:
            self.refuse_twice(host)
        wording = {mistake: self.word(mistake, hosts) for mistake, hosts in self.shared.items()}
        self.findings.mistakes += wording.values()
        held = {host: tuple(sorted({wording.get(m, m) for m in found})) for host, found in self.held.items()}
        resources = {host: tuple(item.resource for item in built) for host, built in self.built.items()}
        return resources, held

    def refuse_twice(self, host: str) -> None:
        """Find two resources of one host that claim the same thing, and say it at the later one."""
        claimed: dict[str, Resource] = {}
        shared: dict[str, Resource] = {}
        for item in self.built.get(host, ()):
            others = [claimed[t] for t in item.claims | item.shares if t in claimed]
            others += [shared[t] for t in item.claims if t in shared]
            claimed.update(dict.fromkeys(item.claims, item.resource))
            shared.update(dict.fromkeys(item.shares, item.resource))
            if others:
                first, second = sorted((others[0], item.resource), key=lambda resource: resource.place)
                self.blame(
                    MistakesFound(
                        (Mistake(second.place, f"{second.identity} is declared twice: also {first.place}"), None)
                    ),
                    (host,),
                )

    def word(self, mistake: Mistake, hosts: list[str]) -> Mistake:
        """The mistake with the hosts it shows on, and where an undefined variable is defined."""
        shown = ", ".join(hosts[:SHOWN_HOSTS]) + (
            f" and {len(hosts) - SHOWN_HOSTS} more" if len(hosts) > SHOWN_HOSTS else ""
        )
        known = self.inventory.where_defined(self.undefined.get(mistake, ""))
        where = f" (defined for {known[0][0]} in {known[0][1].short})" if known else ""
        return replace(mistake, message=f"{mistake.message} for {shown}{where}")


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
