"""Puts manifests on hosts and builds what the revision touches; called by ``desired``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

from reconciler.desired.blame import Blame, shortened
from reconciler.desired.past import Bounds, Made, Past
from reconciler.desired.touched import Changes, layouts, touched_hosts
from reconciler.inventory import MOST_GUESSES, Inventory, PatternMistake
from reconciler.kinds import Fields
from reconciler.manifests import Declaration, Manifest, nearest
from reconciler.model import Mistake, Resource, Tree, Waiver
from reconciler.policy import idle_waivers
from reconciler.resources import Builder, MistakesFound, Reads
from reconciler.templates import Codes

SHOWN_GROUPS = 20
"""Where a pattern means no host, this many groups are named."""
MAX_CLAIMS = 5_000
"""How many fields have their claims remembered; those that hosts share are far fewer."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What was built for one host in the revision before: all of it, by its declaration, and by its name."""

    resources: tuple[Resource | None, ...]
    placed: Mapping[Declaration, tuple[Resource | None, Reads | None]]
    named: Mapping[str, Resource]

    def like(self, resource: Resource) -> Resource:
        """The resource of before, where nothing about this one changed; else this one."""
        old = self.named.get(resource.identity)
        return old if old is not None and old == resource else resource

    def unless_moved(self, resources: Sequence[Resource | None]) -> tuple[Resource | None, ...]:
        """The resources as a tuple, the one of before where it has the very same in it."""
        same = len(resources) == len(self.resources) and all(map(is_, resources, self.resources))
        return self.resources if same else tuple(resources)


class Assembly:
    """The hosts of one revision while they are put together."""

    def __init__(
        self, past: Past, tree: Tree, changed: Collection[str], inventory: Inventory, blame: Blame, bounds: Bounds
    ) -> None:
        self.inventory = inventory
        self.changes = Changes(past, inventory, changed)
        self.placed: dict[Declaration, tuple[str, ...]] = {}
        self.selected: dict[str, tuple[str, ...]] = {}
        self.common: dict[Declaration, Resource] = {}
        self.made: dict[str, Made] = {}
        self._past = past
        self._blame = blame
        self._left = bounds.resources
        self._strays = 0
        self._codes = Codes(past.codes)
        self._builder = Builder(tree, inventory, bounds.steps, self._codes)
        self._failed: dict[Declaration, MistakesFound] = {}
        self._claims: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        self._same: dict[Any, Any] = {}

    def place(self, manifest: Manifest) -> None:
        """Put one manifest on its hosts."""
        try:
            hosts = self.select(manifest.hosts) if manifest.hosts else ()
        except PatternMistake as error:
            self._blame.tell([self.no_host(manifest, error)])
            return
        self._blame.hold(hosts, manifest.mistakes)
        self._left -= len(hosts) * len(manifest.declarations)
        if self._left < 0:
            mistake = Mistake(manifest.place, "with this manifest, the revision declares more than can be compiled")
            self._blame.tell([mistake])
            self._blame.hold(hosts, [mistake])
            return
        self.placed.update(dict.fromkeys(manifest.declarations, hosts))

    def select(self, pattern: str) -> tuple[str, ...]:
        """The hosts of a pattern; the same object as before where they are the same. Raises PatternMistake."""
        if pattern not in self.selected:
            before, known = self._past.inventory, self._past.selected.get(pattern)
            if before is None or known is None or before.groups is not self.inventory.groups:
                found = self.inventory.select(pattern)
                known = known if known == found else found
            self.selected[pattern] = known
        return self.selected[pattern]

    def no_host(self, manifest: Manifest, error: PatternMistake) -> Mistake:
        """The mistake of a manifest whose pattern means no host; the first few say which names there are."""
        message = f"hosts '{error.part}' matches no host"
        self._strays += 1
        if self._strays <= MOST_GUESSES:
            groups = sorted(set(self.inventory.groups) - {"all", "ungrouped"})
            close = nearest(error.part, [*self.inventory.groups, *self.inventory.hosts])
            message += close or f"; groups are: {shortened(groups, SHOWN_GROUPS)}"
        return Mistake(manifest.hosts_place, message)

    def build(self, waivers: Sequence[Waiver]) -> None:
        """Build the hosts that the revision touches, and take over the others as they were."""
        touched = touched_hosts(self._past, self.placed, self.inventory, self.changes)
        known = [host for host in touched if host in self._past.made]
        old, new = layouts(self._past.placed, known), layouts(self.placed, touched)
        self.keep_common()
        self.made = {host: self._past.made.get(host, Made()) for host in self.inventory.hosts}
        for host in touched:
            self.build_host(host, new.get(host, []), self.remains(host, old.get(host, [])))
        self.check(waivers)
        for host in touched:
            self.refuse_twice(host)

    def keep_common(self) -> None:
        """Take over resources in which nothing depends on the host, where nothing about them changed."""
        for declaration, resource in self._past.common.items():
            if declaration in self.placed and declaration.source not in self.changes.files:
                self.common[declaration] = resource

    def remains(self, host: str, declarations: Sequence[Declaration]) -> Remains:
        """What is left of a host of the revision before."""
        made = self._past.made.get(host, Made())
        parts = zip(made.resources, made.reads, strict=True)
        named = {resource.identity: resource for resource in made.resources if resource is not None}
        return Remains(made.resources, dict(zip(declarations, parts, strict=True)), named)

    def build_host(self, host: str, declarations: Sequence[Declaration], remains: Remains) -> None:
        """Build one resource for every declaration of a host; the same object where no host matters."""
        resources: list[Resource | None] = []
        reads: list[Reads | None] = []
        for declaration in declarations:
            try:
                resource, read = self.resource(declaration, host, remains)
            except MistakesFound as error:
                self._blame.show(error, host)
                resource, read = None, None
            resources.append(resource)
            reads.append(read)
        self.made[host] = Made(remains.unless_moved(resources), self.shared(tuple(reads)))

    def resource(self, declaration: Declaration, host: str, remains: Remains) -> tuple[Resource, Reads | None]:
        """One resource of a host: as it was, or built; raises MistakesFound."""
        fields = declaration.fields
        if fields is not None and fields.content_from != "templates":
            return remains.like(self.built_for_all(declaration, fields)), None
        old, reads = remains.placed.get(declaration, (None, None))
        if old is None or reads is None or not self.changes.spare(reads, host):
            resource, reads = self._builder.build_for(declaration, host)
            return remains.like(resource), self.shared(reads)
        if not reads.used.isdisjoint(self.changes.of(host).places):
            old = self._builder.cite_again(old, reads, host)
        return old, reads

    def built_for_all(self, declaration: Declaration, fields: Fields) -> Resource:
        """The resource that every host of a declaration has; raises MistakesFound, built once or not."""
        if declaration in self._failed:
            raise MistakesFound(*self._failed[declaration].found)
        if declaration not in self.common:
            try:
                self.common[declaration] = self._builder.build_for_all(declaration, fields)
            except MistakesFound as error:
                self._failed[declaration] = error
                raise
        return self.common[declaration]

    def shared(self, value: Any) -> Any:
        """The value that was there first of those that are equal."""
        return self._same.setdefault(value, value)

    def check(self, waivers: Sequence[Waiver]) -> None:
        """Hold the hosts of a waiver that matches nothing: what it was to spare might be converged."""
        concerned = {host for waiver in waivers for host in waiver.hosts if host not in self._blame.held}
        resources = {host: [each for each in self.made[host].resources if each is not None] for host in concerned}
        for mistake, hosts in idle_waivers(waivers, resources):
            self._blame.tell([mistake])
            self._blame.hold(sorted(hosts), [mistake])

    def refuse_twice(self, host: str) -> None:
        """Find two resources of one host that claim the same thing, and say it at the later one."""
        claimed: dict[str, Resource] = {}
        shared: dict[str, Resource] = {}
        for resource in filter(None, self.made[host].resources):
            claims, shares = self.tokens(resource)
            others = [claimed[token] for token in claims | shares if token in claimed]
            others += [shared[token] for token in claims if token in shared]
            claimed.update(dict.fromkeys(claims, resource))
            shared.update(dict.fromkeys(shares, resource))
            if others:
                first, second = sorted((others[0], resource), key=lambda resource: resource.place)
                twice = Mistake(second.place, f"{second.identity} is declared twice: also {first.place}")
                self._blame.show(MistakesFound((twice, None)), host)

    def tokens(self, resource: Resource) -> tuple[frozenset[str], frozenset[str]]:
        """What a resource claims and what it shares; kept by its fields, which many hosts have in common."""
        key = id(resource.fields)
        if len(self._claims) > MAX_CLAIMS:
            self._claims.clear()
        if key not in self._claims:
            self._claims[key] = resource.fields.claims(), resource.fields.shares()
        return self._claims[key]

    def close(self) -> Codes:
        """The code of the revision's templates, for the next one."""
        self._codes.close(self._builder.templates)
        return self._codes
