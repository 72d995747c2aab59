"""Compile: the files of a revision in, the desired state of every host or mistakes out.

Called by ``accept``, ``foretell``, ``adopt`` and by ``validate``. Pure: nothing of a revision runs here.
``compile_tree`` compiles one revision; a ``Workshop`` compiles one after another and does again only what a revision
touches.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.desired.assembly import Assembly
from reconciler.desired.blame import Blame
from reconciler.desired.hosts import finished_hosts, nearest_groups
from reconciler.desired.past import NOTHING, UNBOUND, Bounds, Past
from reconciler.desired.sheets import Findings, findings_of, read_manifests, read_sheets
from reconciler.inventory import read as read_inventory
from reconciler.model import Desired, Mistake, Tree
from reconciler.policy import load_policy

__all__ = ["STRANGERS", "Bounds", "Findings", "Workshop", "compile_tree", "read_manifests"]

STRANGERS = Bounds(steps=20_000_000, resources=500_000)
"""For revisions that nobody with a right to push stands for; what these do not count, ``apart`` bounds."""


def compile_tree(tree: Tree, *, allow_local: bool) -> Desired:
    """Compile the files below a revision's path.

    Every mistake of the revision is in the answer. A mistake holds the hosts it can touch: those of a
    manifest, those that read a file of variables, all of them for the policy or the inventory itself.
    """
    return Workshop(allow_local=allow_local).compile(tree)


class Workshop:
    """Compiles one revision after another and keeps what the last one was made of, nothing older.

    The answer is that of ``compile_tree``. Hosts and resources about which nothing changed are the very same objects
    as before, and cost next to nothing. A revision without a usable inventory leaves what is kept as it was.
    """

    def __init__(self, *, allow_local: bool) -> None:
        self._allow_local = allow_local
        self._past = NOTHING

    def compile(self, tree: Tree, mistakes: Sequence[Mistake] = (), bounds: Bounds = UNBOUND) -> Desired:
        """Compile the files below a revision's path.

        *mistakes* are of what is there and may not be, such as links: they refuse the whole revision.
        """
        desired, self._past = compile_after(self._past, tree, allow_local=self._allow_local, bounds=bounds)
        return Desired({}, mistakes=tuple(sorted({*mistakes, *desired.mistakes}))) if mistakes else desired


def compile_after(past: Past, tree: Tree, *, allow_local: bool, bounds: Bounds) -> tuple[Desired, Past]:
    """The compiled revision, and all that is to be kept of it."""
    changed = past.changed(tree)
    reading = read_inventory(tree, allow_local=allow_local, before=past.reading, changed=changed)
    sheets = read_sheets(tree, past.sheets, changed)
    findings = findings_of(tree, sheets)
    inventory = reading.inventory
    if inventory is None:
        return Desired({}, mistakes=tuple(sorted({*reading.mistakes, *findings.mistakes}))), past
    policy, limits, waivers, wrong = load_policy(tree, inventory)
    blame = Blame(inventory)
    blame.tell((*findings.mistakes, *reading.mistakes, *wrong))
    blame.hold_readers(reading.mistakes)
    blame.hold(inventory.hosts, wrong)
    for pattern, mistake in findings.patterns:
        blame.hold_pattern(pattern, mistake)
    assembly = Assembly(past, tree, changed, inventory, blame, bounds)
    for sheet in sheets.values():
        for manifest in sheet.manifests:
            assembly.place(manifest)
    assembly.build(waivers)
    mistakes, held = blame.finish()
    hosts = finished_hosts(past, inventory, policy, assembly, held)
    kept = Past(
        tree=dict(tree),
        reading=reading,
        sheets=sheets,
        placed=assembly.placed,
        selected=assembly.selected,
        common=assembly.common,
        made=assembly.made,
        hosts=hosts,
        held=frozenset(held),
        codes=assembly.close(),
    )
    return Desired(dict(hosts), held, mistakes, limits, waivers, nearest_groups(inventory)), kept
