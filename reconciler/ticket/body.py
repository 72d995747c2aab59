"""The text of one ticket: what is the matter, where it is declared, what was found, and the ways out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from reconciler.cause import Decision, Fate, TicketMemory
from reconciler.markdown import Section, assemble, bullets, code, details, fence, html_code, link, names, text
from reconciler.model import Change, Commit, HostPlan, Place, Plan, Verdict
from reconciler.talk import Cause, Variant, Why
from reconciler.wording import transition, value_text

HOSTS_SHOWN = 12
VARIANTS_SHOWN = 20
REASONS_SHOWN = 12
LIST_ROOM = 8_000
"""Characters that the list of lingering hosts, or of ways out, may take."""


def nowhere(_: object) -> str:
    """No address."""
    return ""


@dataclass(frozen=True, slots=True)
class Links:
    """Where people see a commit, a line of the accepted revision, and the record; "" where they cannot."""

    commit: Callable[[Commit], str] = nowhere
    line: Callable[[Place], str] = nowhere
    record: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """A prepared branch: the pull request that merges it, or the address at which one click proposes it."""

    url: str
    number: int | None = None

    def words(self) -> str:
        """What to do with it, as Markdown."""
        return f"merge {link(f'#{self.number}', self.url)}" if self.number else link("merge this branch", self.url)


@dataclass(frozen=True, slots=True)
class Ways:
    """What was prepared for a cause: a branch that adopts the live state, or why there is none; one that waives it."""

    adopt: Way | None = None
    unadopted: tuple[str, ...] = ()
    waive: Way | None = None
    until: str = ""


def body(
    decision: Decision,
    *,
    head: str,
    links: Links = Links(),
    ways: Ways = Ways(),
    waiting: Mapping[str, str] | None = None,
    folds: bool = True,
    limit: int = 60_000,
) -> str:
    """The text of one ticket, in at most *limit* characters.

    *head* is its first line, the marker. *waiting* says why hosts of the ticket that its cause does not show
    now keep it open (``notes``). *folds*: whether the forge shows ``<details>``.
    """
    cause = decision.cause
    told = [Section(head), Section(sentence(cause) if cause else asleep(decision.memory))]
    if cause:
        told += [
            section
            for variant in cause.variants[:VARIANTS_SHOWN]
            for section in sections_of(cause, variant, links, folds=folds)
        ]
        left = len(cause.variants) - VARIANTS_SHOWN
        told += [Section(f"It looks different again on {names(hidden(cause), HOSTS_SHOWN)}.")] if left > 0 else []
    told += [Section(lingering(decision.fates, waiting or {}), rank=1)]
    told += [Section(bullets(ways_out(cause, ways), most=5, room=LIST_ROOM))] if cause else []
    return assemble([section for section in told if section.body], limit, links.record)


def sentence(cause: Cause) -> str:
    """The first sentence: what, where, since when."""
    where = names(cause.hosts, HOSTS_SHOWN)
    since = f"since {clock(cause.since)}"
    if cause.why is Why.BLIND:
        return f"**Not seen: {where}** ({since}). Nothing is known of what is not seen, so nothing is done there."
    what = code(cause.resource) if cause.resource else "converging"
    if cause.why is Why.FAILED:
        changed = any(variant.changes for variant in cause.variants)
        verb = ("could not be put right" if changed else "failed") if cause.resource else "ended early"
        return f"**{what} {verb} on {where}** ({since}). It is tried again in every cycle."
    if cause.why is Why.FLAPPING:
        return f"**{what} drifts again and again on {where}**. Something else seems to manage it too."
    words = "is not as declared" if cause.why is Why.OBSERVED else "was changed by hand and by a commit"
    return f"**{what} {words} on {where}** (observe mode, {since})"


def clock(time: str) -> str:
    """A stored time for people, to the minute."""
    return f"{time[:16].replace('T', ' ')} UTC" if time else "an unknown time"


def asleep(memory: TicketMemory | None) -> str:
    """The first sentence of a ticket whose cause is not shown now, and may not be called over."""
    return f"**{text(memory.title)}** (since {clock(memory.since)})" if memory else ""


def hidden(cause: Cause) -> tuple[str, ...]:
    """The hosts of the variants that are not shown one by one."""
    return tuple(sorted(host for variant in cause.variants[VARIANTS_SHOWN:] for host in variant.hosts))


def sections_of(cause: Cause, variant: Variant, links: Links, *, folds: bool) -> list[Section]:
    """One variant: its hosts where there are others, each difference, and what was said."""
    several = len(cause.variants) > 1
    lines = [f"On {names(variant.hosts, HOSTS_SHOWN)}:"] if several else []
    lines += [f"- {difference(change, links)}" for change in variant.changes]
    said, named = spoken(cause, variant), html_code if folds else code
    diffs = [
        Section(
            details(f"{named(change.resource)}: what putting it back would change", fence(change.diff), folds=folds),
            rank=3,
            counts={"diff": 1},
        )
        for change in variant.changes
        if change.diff and not change.secret
    ]
    return [Section("\n".join(lines), rank=1, counts={"variant": 1}), Section(said, rank=2), *diffs]


def difference(change: Change, links: Links) -> str:
    """What is declared where, by which commit, and what was found."""
    declared, found = (code(value_text(v, secret=change.secret)) for v in (change.wanted, change.seen))
    place = link(code(change.place.short), links.line(change.place))
    by = f" ({citation(change.commit, links)})" if change.commit else ""
    if change.diff and not change.secret:
        lines = transition(change)
        verb = "is" if lines == "1 line" else "are"
        return f"{code(change.attribute)}: {lines} {verb} not as declared in {place}{by}"
    past = ""
    if change.verdict is Verdict.CONFLICT:
        past = f", before that {code(value_text(change.last_applied, secret=change.secret))}"
    return f"{code(change.attribute)}: declared {declared} in {place}{by}{past}; found {found}"


def citation(commit: Commit, links: Links) -> str:
    """A commit and its pull request, as Markdown."""
    parts = [f"commit {link(code(commit.short), links.commit(commit))}"]
    number = re.fullmatch("[#!]([0-9]{1,9})", commit.pull_request or "", re.ASCII)
    return ", ".join([*parts, f"pull request {number[1]}"] if number else parts)


def spoken(cause: Cause, variant: Variant) -> str:
    """What modules or the connection said, or when a drift was put right: in a fence, whoever wrote it."""
    if not variant.reasons:
        return ""
    if cause.why is Why.FLAPPING:
        return f"Put right at {', '.join(clock(time) for time in variant.reasons)}."
    lines = [line for reason in variant.reasons[:REASONS_SHOWN] for line in reason.splitlines()[:REASONS_SHOWN]]
    return fence(lines, "text")


def ways_out(cause: Cause, ways: Ways) -> list[str]:
    """What a person can do, each a git action."""
    if cause.why is Why.BLIND:
        return [
            "**Bring them back**: this ticket closes by itself when they are seen.",
            "**Or let them go**: take them out of the inventory.",
            "**Not now**: set `mode: suspended` for them in `reconciler.yml`.",
        ]
    waive = ways.waive
    later = [f"**Not now**: {waive.words()}, which waives it until {text(ways.until)}."] if waive else []
    return [*keep(ways), *put_back(cause), *later]


def keep(ways: Ways) -> list[str]:
    """How what is there becomes what is declared, and what a branch of ours cannot do of it."""
    left = "; ".join(text(reason) for reason in ways.unadopted[:REASONS_SHOWN])
    if ways.adopt:
        rest = f" Not all of it could be adopted: {left}" if left else ""
        return [f"**Keep it**: {ways.adopt.words()}, which declares what is there.{rest}"]
    return [f"**Keep it**: edit what is declared. No branch was prepared: {left}"] if left else []


def put_back(cause: Cause) -> list[str]:
    """How it becomes as declared."""
    if cause.why in (Why.OBSERVED, Why.CONFLICT):
        commits = {c.commit.short for v in cause.variants for c in v.changes if c.commit}
        revert = f", or revert {names(sorted(commits), 3)}" if cause.why is Why.CONFLICT and commits else ""
        return [f"**Put it back**: set `mode: enforce` for it in git{revert}."]
    if cause.why is Why.FLAPPING:
        return ["**End the quarrel**: find what else changes it, or declare it no longer."]
    return ["**Put it right**: mend on the host what is in the way, or change what is declared."]


def lingering(fates: Mapping[str, Fate], waiting: Mapping[str, str]) -> str:
    """The hosts that keep the ticket open though its cause does not show there now."""
    lines = []
    for host, fate in sorted(fates.items()):
        if not fate.over:
            words = "could not be looked at" if fate is Fate.UNSEEN else "is not clean yet"
            why = f": {code(waiting[host])}" if waiting.get(host) else ""
            lines.append(f"{code(host)} {words}{why}")
    return bullets(lines, most=HOSTS_SHOWN, room=LIST_ROOM)


def notes(plan: Plan, hosts: Iterable[str]) -> Mapping[str, str]:
    """Host → why it is not told of now: what is waived, suspended or held there, or why it was not seen."""
    known = {host.host: host for host in plan.hosts}
    return {name: note(known[name]) for name in hosts if name in known}


def note(host: HostPlan) -> str:
    """Why nothing is told of one host."""
    return "; ".join(host.held) or host.reason
