"""What a revision would do to one host, attribute by attribute, and the plan that this amounts to.

Called by ``preview``. Pure. Only what is there because of the revision is foreseen; drift that stays is told beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.diff import line_diff
from reconciler.memory import shown
from reconciler.model import Desired, HostDesired, HostMemory, HostPlan, Mode, State, Value, Waiver
from reconciler.plan import converge_order, handlers_for, step_for
from reconciler.policy import CAREFUL
from reconciler.preview.live import ELSEWHERE, Live, blindness, live_of
from reconciler.preview.pairs import Pair, moved, pairs_of
from reconciler.preview.spared import spared
from reconciler.talk import Action, Foreseen, HostPreview, Kept, Turn

LEFT = {Mode.OBSERVE: "only observed", Mode.SUSPENDED: "suspended in git"}
"""Why a resource stays as it is on a host that others are applied on."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One host before limits are looked at: what is to be said, and what would be done."""

    preview: HostPreview
    plan: HostPlan
    moved: bool = False

    @property
    def touched(self) -> bool:
        """Whether the revision makes any difference to the host."""
        told = self.preview
        return bool(self.moved or told.foreseen or told.orphans or told.mode_before or told.turns)


@dataclass(slots=True)
class LineDiffs:
    """Differences of contents, each made once: many hosts get the same file."""

    known: dict[tuple[bytes, bytes], tuple[str, ...]] = field(default_factory=dict)

    def of(self, before: bytes, after: bytes) -> tuple[str, ...]:
        """The lines that differ."""
        key = (before, after)
        if key not in self.known:
            self.known[key] = line_diff(before, after)
        return self.known[key]


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared: two revisions with the waivers of each that are in force (by host), and what is remembered."""

    base: Desired
    head: Desired
    memories: Mapping[str, HostMemory]
    waived_before: Mapping[str, tuple[Waiver, ...]]
    waived: Mapping[str, tuple[Waiver, ...]]
    diffs: LineDiffs = field(default_factory=LineDiffs)


def preview_host(sides: Sides, host: str) -> Draft:
    """What would be different on one host of the head."""
    base, head, diffs = sides.base.hosts.get(host), sides.head.hosts[host], sides.diffs
    elsewhere = moved(base, head)
    memory = None if elsewhere else sides.memories.get(host)
    live, waivers = live_of(memory), (sides.waived_before.get(host, ()), sides.waived.get(host, ()))
    pairs, orphans = pairs_of(base, head)
    pairs = [spared(pair, live, *waivers) for pair in pairs] if any(waivers) else pairs
    touched: list[Pair] = []
    found: list[Foreseen] = []
    drift: list[str] = []
    for pair in pairs:
        if ahead := foresee(pair, live, diffs):
            touched.append(pair)
            found += ahead
        elif drifted(pair, live):
            drift.append(pair.new.identity)
    mode, before, turns = modes(base, head, pairs, touched)
    preview = HostPreview(
        host=head.host,
        mode=mode,
        mode_before=before,
        turns=turns,
        foreseen=tuple(found),
        orphans=orphans,
        drift=tuple(drift),
        held_in_part=kept_back(touched, mode),
        blind=ELSEWHERE if elsewhere else blindness(memory),
    )
    return Draft(preview, plan_of(head, mode, touched), elsewhere)


def foresee(pair: Pair, live: Live, diffs: LineDiffs) -> list[Foreseen]:
    """What would be set of one resource because of the revision; with it, everything of it that differs."""
    if pair.old is not None and pair.old.wanted == pair.new.wanted and not pair.turned:
        return []
    due: list[tuple[str, tuple[Value] | None]] = []
    because = False
    for name, wanted in pair.new.wanted.items():
        value = live.value(pair, name)
        cause = pair.turned or pair.changed(name)
        if (value is None and cause) or (value is not None and value[0] != wanted):
            due.append((name, value))
            because = because or cause
    return [foresee_one(pair, name, value, live, diffs) for name, value in due] if because else []


def foresee_one(pair: Pair, name: str, value: tuple[Value] | None, live: Live, diffs: LineDiffs) -> Foreseen:
    """One attribute that would be set."""
    old, new, secret = pair.old, pair.new, pair.secret(name)
    declared = old is not None and name in old.wanted
    before = old.wanted[name] if old is not None and declared else None
    seen = live.recorded(pair, name) if declared else None
    return Foreseen(
        resource=new.identity,
        attribute=name,
        action=action_of(pair, live),
        before=shown(before, secret=secret),
        after=shown(new.wanted[name], secret=secret),
        place=new.place_of(name),
        diff=content_diff(pair, diffs) if name == "content" and not secret else (),
        live=None if seen is None or seen[0] == before else (shown(seen[0], secret=secret),),
        unseen=value is None,
        irreversible=pair.irreversible,
        secret=secret,
    )


def action_of(pair: Pair, live: Live) -> Action:
    """What would happen to the resource as a whole; one that is to be there again is added."""
    if pair.new.fields.removes():
        return Action.REMOVE
    if pair.old is None:
        # What the last look knew is there, though the base declares it no longer or has a mistake in it.
        return Action.CHANGE if pair.known_as in live.applied else Action.ADD
    return Action.ADD if pair.old.fields.removes() else Action.CHANGE


def content_diff(pair: Pair, diffs: LineDiffs) -> tuple[str, ...]:
    """The lines of a file that are declared otherwise; all of them where there was no such file."""
    if pair.new.content is None:
        return ()
    before = pair.old.content if pair.old and "content" in pair.old.wanted else None
    return diffs.of(before or b"", pair.new.content)


def drifted(pair: Pair, live: Live) -> bool:
    """Whether the host was last seen with something else of a resource that the revision does not touch."""
    records = live.records.get(pair.known_as, {})
    wanted = pair.new.wanted
    return any(name in wanted and wanted[name] != value for name, value in records.items())


def modes(
    base: HostDesired | None, head: HostDesired, pairs: list[Pair], touched: list[Pair]
) -> tuple[Mode, Mode | None, tuple[Turn, ...]]:
    """The mode of what is touched, or else of what turns; that before, if all turn together; else those that turn."""
    known = [Turn(pair.new.identity, pair.mode_before, pair.mode) for pair in pairs if pair.mode_before]
    turns = tuple(turn for turn in known if turn.before is not turn.after)
    after = {pair.mode for pair in touched} or {turn.after for turn in turns} or {pair.mode for pair in pairs}
    mode = least_careful(after, head.mode)
    before = together(base, head, {(turn.before, turn.after) for turn in known}) if turns else {}
    return (mode, before[mode], ()) if mode in before else (mode, None, turns)


def together(base: HostDesired | None, head: HostDesired, ways: set[tuple[Mode, Mode]]) -> dict[Mode, Mode]:
    """The one mode that all resources turn to, and the one they had; nothing where they go more *ways* than one.

    Where the host itself turns, a resource that was in its new mode before is no exception.
    """
    own = (base.mode if base else head.mode, head.mode)
    if own in ways and own[0] is not own[1]:
        ways = ways - {(head.mode, head.mode)}
    return {after: before for before, after in ways} if len(ways) == 1 else {}


def least_careful(found: Iterable[Mode], default: Mode) -> Mode:
    """The mode under which most is done."""
    return max(found, key=CAREFUL.index, default=default)


def plan_of(head: HostDesired, mode: Mode, touched: list[Pair]) -> HostPlan:
    """What would be done because of the revision, as a plan that limits can be held against."""
    due = converge_order(pair.new for pair in touched if pair.enforced)
    return HostPlan(
        host=head.host,
        mode=mode,
        state=State.DIFFERS if touched else State.IN_SYNC,
        steps=tuple(step_for(resource) for resource in due),
        handlers=handlers_for(head, due, ()),
    )


def kept_back(touched: list[Pair], mode: Mode) -> tuple[Kept, ...]:
    """What of the touched would stay as it is, and why, where *mode*, the least careful of them, does not say so."""
    return tuple(
        Kept(pair.new.identity, reason)
        for pair in touched
        for reason in (*([LEFT[pair.mode]] if pair.mode is not mode else []), *pair.waived)
    )
