"""Preview: what merging a revision would do to the live fleet, told before anybody merges it.

Called by ``speak`` for every open pull request. Pure: two compiled revisions and what is remembered of the hosts in,
a Preview out. Nobody is looked at for it, and nothing of the revision runs. Its parts: ``pairs`` sets what is
declared before and after side by side, ``live`` says what is there, ``hosts`` what would be done to one host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from reconciler.canary import canaries_of
from reconciler.model import Desired, HostMemory, HostPlan, Limits, Mistake, Mode
from reconciler.plan import digest, limit, plan_held
from reconciler.preview.hosts import Draft, Sides, preview_host
from reconciler.preview.live import blindness
from reconciler.talk import HostPreview, Preview
from reconciler.waiver import in_force

__all__ = ["preview", "unpreviewed"]

UNUSABLE = "nothing of the revision can be used, because of its mistakes"


def preview(
    base: Desired,
    head: Desired,
    memories: Mapping[str, HostMemory],
    *,
    base_sha: str,
    head_sha: str,
    seen_at: str | None,
    limits: Limits,
    groups: Mapping[str, str] | None = None,
    conflicts: tuple[str, ...] = (),
    today: date | None = None,
) -> Preview:
    """What would be different on the hosts if *head* took the place of *base*; nothing, if they say the same.

    *memories* are the hosts as they were last seen, *limits* those of *base*, *groups* maps hosts to the name that they
    are summed up by, *today* (UTC) decides which waivers are in force: all of them where it is not given. What a host
    needs anyway, because of *base* or of drift alone, is no part of it.
    """
    before, after = base.hosts.keys() | base.held.keys(), head.hosts.keys() | head.held.keys()
    if head.refused:
        hosts, plan = [refused_host(host, base, head, memories.get(host)) for host in before], ""
        after = before
    else:
        sides = Sides(base, head, memories, in_force(base.waivers, today), in_force(head.waivers, today))
        hosts, plan = foreseen(sides, limits)
    known = before | memories.keys() if base.refused else before
    return Preview(
        base=base_sha,
        head=head_sha,
        fleet=len(after),
        hosts=tuple(grouped(hosts, groups or {})),
        arriving=tuple(sorted(after - known)),
        leaving=tuple(sorted(before - after)),
        mistakes=head.mistakes if head.refused else new_mistakes(base.mistakes, head.mistakes),
        conflicts=conflicts,
        seen_at=seen_at,
        plan=plan,
        canaries=canaries_of(limits.canaries, head),
    )


def unpreviewed(
    base_sha: str, head_sha: str, *, fleet: int, refused: str = "", conflicts: tuple[str, ...] = ()
) -> Preview:
    """The preview of a head that cannot be had or merged; *refused* says why."""
    return Preview(base_sha, head_sha, fleet, conflicts=conflicts, refused=refused)


def foreseen(sides: Sides, limits: Limits) -> tuple[list[HostPreview], str]:
    """The hosts that are touched, and the name of what would be done to them; "" for nothing at all."""
    base, head, memories = sides.base, sides.head, sides.memories
    drafts = {host: preview_host(sides, host) for host in head.hosts}
    plans = [draft.plan for draft in drafts.values()] + [plan_held(*each) for each in head.held.items()]
    # How many hosts go in one cycle only says when the others follow; it keeps nothing from them.
    allowed = sorted(limit(plans, replace(limits, hosts=None), len(plans)), key=lambda plan: plan.host)
    hosts = [settle(drafts[plan.host], plan) for plan in allowed if plan.host in drafts and drafts[plan.host].touched]
    hosts += [held_host(host, base, head, memories.get(host)) for host in newly_held(base, head)]
    return hosts, digest("", allowed) if any(plan.steps for plan in allowed) else ""


def settle(draft: Draft, plan: HostPlan) -> HostPreview:
    """The preview of a host, with what the plan of it holds back."""
    return replace(draft.preview, handlers=tuple(str(handler.notify) for handler in plan.handlers), held=plan.held)


def newly_held(base: Desired, head: Desired) -> list[str]:
    """The hosts that mistakes of *head* hold, and that *base* does not hold for the very same ones."""
    return [host for host, found in head.held.items() if new_mistakes(base.held.get(host, ()), found)]


def held_host(host: str, base: Desired, head: Desired, memory: HostMemory | None) -> HostPreview:
    """A host whose manifests have mistakes: nothing would be done to it."""
    mode = base.hosts[host].mode if host in base.hosts else Mode.OBSERVE
    return HostPreview(host, mode, held=tuple(str(mistake) for mistake in head.held[host]), blind=blindness(memory))


def refused_host(host: str, base: Desired, head: Desired, memory: HostMemory | None) -> HostPreview:
    """A host of *base* where *head* cannot be used at all."""
    if host in head.held:
        return held_host(host, base, head, memory)
    mode = base.hosts[host].mode if host in base.hosts else Mode.OBSERVE
    return HostPreview(host, mode, held=(UNUSABLE,), blind=blindness(memory))


def new_mistakes(before: Iterable[Mistake], after: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """The mistakes that were not there before; one that only moved to another line of its file is an old one."""
    old, found = set(before), list(after)
    moved = Counter((mistake.place.file, mistake.message) for mistake in old.difference(found))
    new = []
    for mistake in found:
        key = (mistake.place.file, mistake.message)
        if mistake not in old and not moved[key]:
            new.append(mistake)
        elif mistake not in old:
            moved[key] -= 1
    return tuple(new)


def grouped(hosts: Iterable[HostPreview], groups: Mapping[str, str]) -> list[HostPreview]:
    """The hosts in order, each with its group."""
    return [replace(host, group=groups.get(host.host, "")) for host in sorted(hosts, key=lambda host: host.host)]
