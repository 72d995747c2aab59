"""Compile: the files of a revision in, the desired state of every host or mistakes out.

The one entry is ``compile_tree``. Called by ``cycle`` and by ``validate``. Pure: nothing of a
revision runs here, so a stranger's revision may be compiled as safely as one's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from reconciler.inventory import Inventory, PatternMistake
from reconciler.inventory import load as load_inventory
from reconciler.manifests import Declaration, Manifest, load_manifests, manifest_files, misnamed_files, nearest
from reconciler.model import Desired, HostDesired, Mistake, Resource, Tree, Waiver
from reconciler.policy import host_modes, idle_waivers, limits_of, load_policy
from reconciler.resources import Builder, Built, MistakesFound

SHOWN_HOSTS = 3
"""A mistake that many hosts share names this many of them."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much work a revision may be: *steps* of all its templates together, *resources* counted on every host."""

    steps: int | None = None
    resources: int = 5_000_000


STRANGERS = Bounds(steps=20_000_000, resources=500_000)
"""For revisions that nobody with a right to push stands for; some twenty seconds at the worst."""


def compile_tree(tree: Tree, *, allow_local: bool, bounds: Bounds = Bounds()) -> Desired:
    """Compile the files below a revision's path.

    Every mistake of the revision is in the answer. A mistake holds the hosts it can touch: those of a
    manifest, those that read a file of variables, all of them for the policy or the inventory itself.
    """
    inventory, mistakes = load_inventory(tree, allow_local=allow_local)
    if inventory is None:
        _, elsewhere = read_manifests(tree)
        return Desired({}, mistakes=tuple(sorted({*mistakes, *elsewhere.mistakes})))
    policy, waivers, wrong = load_policy(tree, inventory)
    manifests, findings = read_manifests(tree)
    findings.mistakes += [*mistakes, *wrong]
    compiler = Compiler(tree, inventory, findings, bounds)
    compiler.hold(findings.patterns)
    for mistake in mistakes:
        compiler.blame_hosts(mistake, inventory.hosts_reading(mistake.place.file))
    for mistake in wrong:
        compiler.blame_hosts(mistake, inventory.hosts)
    for manifest in manifests:
        compiler.place(manifest)
    compiler.check(waivers)
    resources, held = compiler.finish()
    modes = host_modes(policy, inventory)
    hosts = {
        host: HostDesired(host, modes[host], inventory.connection(host), resources.get(host, ()))
        for host in inventory.hosts
        if host not in held
    }
    groups = {host: nearest_group(inventory, host) for host in inventory.hosts}
    return Desired(hosts, held, tuple(sorted(set(findings.mistakes))), limits_of(policy), waivers, groups)


def nearest_group(inventory: Inventory, host: str) -> str:
    """The deepest group of a host, of equals the first by name."""
    groups = [group for group in inventory.groups_of(host) if group not in ("all", "ungrouped")]
    return min(groups, key=lambda group: (-inventory.depth_of(group), group), default="")


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


class Compiler:
    """Puts manifests on hosts, and holds the hosts that a mistake can touch."""

    def __init__(self, tree: Tree, inventory: Inventory, findings: Findings, bounds: Bounds) -> None:
        self.inventory = inventory
        self.findings = findings
        self.left = bounds.resources
        self.builder = Builder(tree, inventory, bounds.steps)
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
        self.left -= len(hosts) * len(manifest.declarations)
        if self.left < 0:
            mistake = Mistake(manifest.place, "with this manifest, the revision declares more than can be compiled")
            self.findings.mistakes.append(mistake)
            self.blame_hosts(mistake, hosts)
            return
        for declaration in manifest.declarations:
            self.declare(manifest, declaration, hosts)

    def declare(self, manifest: Manifest, declaration: Declaration, hosts: tuple[str, ...]) -> None:
        """Build one resource for every host of its manifest; the same object where no host matters."""
        fields = declaration.fields
        if fields is not None and fields.content_from != "templates":
            try:
                built = self.builder.build_for_all(manifest, declaration, fields)
            except MistakesFound as error:
                self.blame(error, hosts)
                return
            for host in hosts:
                self.built[host].append(built)
            return
        for host in hosts:
            try:
                self.built[host].append(self.builder.build_for(manifest, declaration, host))
            except MistakesFound as error:
                self.blame(error, (host,))

    def blame(self, error: MistakesFound, hosts: tuple[str, ...]) -> None:
        """Note mistakes that show on some hosts only, and hold them."""
        for mistake, undefined in error.found:
            self.shared[mistake] += hosts
            if undefined:
                self.undefined[mistake] = undefined
            self.blame_hosts(mistake, hosts)

    def check(self, waivers: Sequence[Waiver]) -> None:
        """Hold the hosts of a waiver that matches nothing: what it was to spare might be converged."""
        if not waivers:
            return
        resources = {
            host: [item.resource for item in self.built.get(host, ())]
            for host in self.inventory.hosts
            if host not in self.held
        }
        for mistake, hosts in idle_waivers(waivers, resources):
            self.findings.mistakes.append(mistake)
            self.blame_hosts(mistake, sorted(hosts))

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
                twice = Mistake(second.place, f"{second.identity} is declared twice: also {first.place}")
                self.blame(MistakesFound((twice, None)), (host,))

    def word(self, mistake: Mistake, hosts: list[str]) -> Mistake:
        """The mistake with the hosts it shows on, and where an undefined variable is defined."""
        shown = ", ".join(hosts[:SHOWN_HOSTS]) + (
            f" and {len(hosts) - SHOWN_HOSTS} more" if len(hosts) > SHOWN_HOSTS else ""
        )
        known = self.inventory.where_defined(self.undefined.get(mistake, ""))
        where = f" (defined for {known[0][0]} in {known[0][1].short})" if known else ""
        return replace(mistake, message=f"{mistake.message} for {shown}{where}")
