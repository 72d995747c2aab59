"""Adopt: the files of a revision as they would read if it declared what is live.

The one entry is ``adopt``; the shell calls it to prepare a branch. It edits the declaring words and no others,
and proves each edit by compiling the result: what was wished is declared, for exactly those hosts, and nothing else
changed for anybody. It is the only room that knows ruamel.yaml. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.adopt.contents import edit_content
from reconciler.adopt.declared import targets_of
from reconciler.adopt.manifest import Draft, edit_fields
from reconciler.adopt.proof import asked_of, prove, prove_remarks
from reconciler.adopt.spots import Unable
from reconciler.adopt.variables import Level, set_all
from reconciler.adopt.world import World
from reconciler.desired import compile_tree
from reconciler.model import Tree
from reconciler.talk import Edit, Wish

__all__ = ["adopt"]

MAX_APART = 20
"""Where many hosts cannot be adopted together, at most so many are tried one by one: each try compiles the tree."""
TOGETHER = {"sysctl": frozenset({"value", "persisted"})}
"""Attributes of a kind that one field declares."""


def adopt(tree: Tree, wishes: Sequence[Wish], *, allow_local: bool) -> Edit:
    """The files of *tree* that have to be edited so that it declares what is wished.

    Wishes are taken greedily: one that cannot be had is in ``left``, as a sentence for a person, and spoils no
    other. ``files`` are whole files, below the state's path, only those that differ; a new file may be among them.
    """
    try:
        world = World.of(tree, allow_local=allow_local)
    except Unable as error:
        return Edit(left=tuple(dict.fromkeys(f"{wish.resource} on {wish.host}: {error}" for wish in wishes)))
    adoption = Adoption(world)
    for task in adoption.sort(wishes):
        adoption.attempt(task)
    files = {name: data for name, data in adoption.world.tree.items() if tree.get(name) != data}
    taken = frozenset(adoption.taken)
    return Edit(files, tuple(wish for wish in dict.fromkeys(wishes) if wish in taken), adoption.sentences())


@dataclass(slots=True)
class Adoption:
    """Wishes being taken one after another, each on top of what was proven before."""

    world: World
    taken: list[Wish] = field(default_factory=list)
    reasons: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def sort(self, wishes: Sequence[Wish]) -> list[tuple[Wish, ...]]:
        """Wishes that one edit may fulfil, in the order in which the first of each was given."""
        tasks: dict[tuple[object, ...], list[Wish]] = defaultdict(list)
        asked: dict[tuple[str, str, str], Wish] = {}
        for wish in dict.fromkeys(wishes):
            about = (wish.host, wish.resource, wish.attribute)
            if asked.setdefault(about, wish) != wish:
                self.leave((wish,), "two different values are wished for")
                continue
            try:
                tasks[self._key(wish)].append(wish)
            except Unable as error:
                self.leave((wish,), str(error))
        return [tuple(task) for task in tasks.values()]

    def _key(self, wish: Wish) -> tuple[object, ...]:
        item = self.world.item(wish.host, wish.resource)
        if wish.attribute not in item.resource.wanted:
            raise Unable(f"its {wish.attribute} is not declared")
        fields, place = item.resource.fields, item.resource.place
        if wish.attribute == "content" and getattr(fields, "src", None):
            return fields.content_from, fields.src
        together = TOGETHER.get(item.resource.kind, frozenset())
        return place, item.resource.hosts, "together" if wish.attribute in together else wish.attribute

    def attempt(self, task: Sequence[Wish]) -> None:
        """Take wishes together; if that cannot be, those of one value; if that cannot be, each host by itself."""
        reason = self.take(task)
        if not reason:
            return
        values = _by_value(task)
        parts = values if len(values) > 1 else _by_host(task)
        if len(parts) == 1 or len(parts) > MAX_APART:
            self.leave(task, reason)
            return
        taken, known = len(self.taken), {what: list(hosts) for what, hosts in self.reasons.items()}
        for part in parts:
            self.attempt(part)
        if len(self.taken) == taken:
            # One reason for all of them says more than one for each.
            self.reasons = known
            self.leave(task, reason)

    def take(self, task: Sequence[Wish]) -> str:
        """Try the drafts for a task until one proves out; the reason why none does, or nothing."""
        try:
            if self._fulfilled(task):
                self.taken += task
                return ""
            return self._try_drafts(task)
        except (Unable, ValueError, LookupError) as error:
            return str(error) if isinstance(error, Unable) else "its declaration cannot be edited; change it by hand"

    def _fulfilled(self, task: Sequence[Wish]) -> bool:
        items = ((self.world.item(wish.host, wish.resource), wish) for wish in task)
        return all(item.resource.wanted.get(wish.attribute, item) == wish.value for item, wish in items)

    def _try_drafts(self, task: Sequence[Wish]) -> str:
        reasons: list[str] = []
        for draft, level in self._drafts(task, reasons):
            try:
                self._prove(task, draft, level)
            except (Unable, ValueError, LookupError) as error:
                reasons.append(str(error) if isinstance(error, Unable) else "its declaration cannot be edited by rule")
            else:
                self.taken += task
                return ""
        return reasons[0] if reasons else "no way was found to declare it"

    def _drafts(self, task: Sequence[Wish], reasons: list[str]) -> Iterator[tuple[Draft, Level]]:
        try:
            for draft in self._edits(task):
                levels = tuple(Level) if draft.settings else (Level.GROUP,)
                yield from ((draft, level) for level in levels)
        except Unable as error:
            reasons.append(str(error))

    def _edits(self, task: Sequence[Wish]) -> Iterator[Draft]:
        found = [(self.world.item(wish.host, wish.resource), wish) for wish in task]
        if task[0].attribute == "content":
            yield from edit_content(self.world, found)
            return
        item = found[0][0]
        values = {wish.host: {w.attribute: w.value for w in task if w.host == wish.host} for wish in task}
        wished = values[task[0].host]
        if any(each != wished for each in values.values()):
            raise Unable("the hosts do not agree")
        yield edit_fields(self.world, item, targets_of(item.resource.fields, wished), frozenset(values))

    def _prove(self, task: Sequence[Wish], draft: Draft, level: Level) -> None:
        """Make the edit and go on from there; raises Unable where it is not exactly what was wished."""
        files = {**self.world.tree, **draft.files}
        set_all(self.world, files, draft.settings, level)
        edited = {name: data for name, data in files.items() if self.world.tree.get(name) != data}
        prove_remarks(self.world.tree, edited)
        after = compile_tree(files, allow_local=self.world.allow_local)
        fields = draft.fields | {wish.attribute for wish in task}
        prove(self.world.desired, after, asked_of(task), fields, " and ".join(sorted(edited)))
        self.world = World.of(files, allow_local=self.world.allow_local, desired=after)

    def leave(self, task: Iterable[Wish], reason: str) -> None:
        """Say of wishes why they are not taken."""
        for wish in task:
            what = wish.resource if wish.attribute == "content" else f"{wish.resource} {wish.attribute}"
            hosts = self.reasons.setdefault((what, reason), [])
            if wish.host not in hosts:
                hosts.append(wish.host)

    def sentences(self) -> tuple[str, ...]:
        """One sentence for each thing that was left, hosts with the same reason together."""
        return tuple(f"{what} on {', '.join(hosts)}: {reason}" for (what, reason), hosts in self.reasons.items())


def _by_value(task: Sequence[Wish]) -> list[list[Wish]]:
    """Parts of a task in which all hosts wish for the same."""
    per_host = _by_host(task)
    parts: dict[object, list[Wish]] = defaultdict(list)
    for wishes in per_host:
        parts[tuple((wish.resource, wish.attribute, wish.value) for wish in wishes)] += wishes
    return list(parts.values())


def _by_host(task: Sequence[Wish]) -> list[list[Wish]]:
    parts: dict[str, list[Wish]] = defaultdict(list)
    for wish in task:
        parts[wish.host].append(wish)
    return list(parts.values())
