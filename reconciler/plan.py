"""The plan: every choice of a cycle, made before anything is done.

Called by ``cycle``. Pure. Steps, their order, what is held back and why; executing has no choice left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from reconciler.canary import brings, who_goes_first
from reconciler.diff import compare, orphans
from reconciler.model import (
    Applied,
    Blind,
    Change,
    Desired,
    Handler,
    HostDesired,
    HostMemory,
    HostPlan,
    Limits,
    Mistake,
    Mode,
    Notify,
    Observed,
    Plan,
    Resource,
    State,
    Step,
    Verdict,
    Waiver,
)
from reconciler.waiver import in_force, spare

ACTIONS = ("restart", "reload")
"""From the stronger to the weaker: a restart makes a reload of the same service superfluous."""


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that one host's plan depends on."""

    desired: HostDesired
    seen: Observed | Blind
    applied: Applied
    owed: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()


Plans = dict[str, tuple[Look, HostPlan]]
"""Host → what its last plan was made of, and that plan; kept by the caller, so that the same look costs nothing."""


@dataclass(slots=True)
class Spent:
    """The hosts that were converged since the sweep began, and those of them that something was removed on."""

    converged: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)


def make_plan(
    revision: str,
    desired: Desired,
    seen: Mapping[str, Observed | Blind],
    memories: Mapping[str, HostMemory],
    limits: Limits,
    stop: str = "",
    today: date | None = None,
    *,
    plans: Plans | None = None,
    spent: Spent | None = None,
    canaries: Mapping[str, str] | None = None,
) -> Plan:
    """The plan for every host that was *seen*, and for those that mistakes hold. ``stop`` is a reason to apply nothing.

    ``today`` (UTC) decides which waivers are in force; all of them are where it is not given. *plans* are looked up and
    filled; *spent* is what the sweep has used of its limits already. *canaries*: why each that is not seen now was in
    doubt when it was, "" where it was not.
    """
    nothing, waivers = HostMemory(""), in_force(desired.waivers, today)
    looks = [
        Look(desired.hosts[name], found, memory.applied, memory.owed, waivers.get(name, ()))
        for name, found in seen.items()
        if name in desired.hosts
        for memory in (memories.get(name, nothing),)
    ]
    held = [plan_held(host, mistakes) for host, mistakes in desired.held.items()]
    fleet = len(desired.hosts) + len(held)
    hosts = limit([*(plan_again(look, {} if plans is None else plans) for look in looks), *held], limits, fleet, spent)
    first, waits = who_goes_first(hosts, canaries or {})
    if waits:
        hosts = [hold(host, waits) if brings(host) and host.host not in first else host for host in hosts]
    if stop:
        hosts = [hold(host, stop) for host in hosts]
    ordered = tuple(sorted(hosts, key=lambda host: host.host))
    return Plan(revision, ordered, digest(revision, ordered), first)


def plan_held(host: str, mistakes: Iterable[Mistake]) -> HostPlan:
    """A host whose manifests have mistakes is not looked at, and nothing is done to it."""
    reasons = tuple(str(mistake) for mistake in mistakes)
    return HostPlan(host, Mode.OBSERVE, State.BLIND, held=reasons, reason="its manifests have mistakes")


def plan_again(look: Look, plans: Plans) -> HostPlan:
    """The last plan of a host where nothing that it was made of is another now; else a new one."""
    known = plans.get(look.desired.host)
    if known is not None and is_same(known[0], look):
        return known[1]
    plan = plan_host(look)
    if isinstance(look.seen, Observed) and look.seen.kept:
        plans[look.desired.host] = look, plan
    return plan


def is_same(old: Look, new: Look) -> bool:
    """Whether two looks are made of the very same objects; to compare them by value would cost as much as planning."""
    return (
        old.seen is new.seen
        and old.desired is new.desired
        and old.applied is new.applied
        and (old.owed, old.waivers) == (new.owed, new.waivers)
    )


def plan_host(look: Look) -> HostPlan:
    """What one look at one host means, and the steps that would put it right."""
    desired, seen = look.desired, look.seen
    found = seen if isinstance(seen, Blind) else compare(desired, seen, look.applied)
    mode = shown_mode(desired, found)
    if isinstance(found, Blind):
        return HostPlan(desired.host, mode, State.BLIND, reason=found.reason)
    suspended_in_git = suspended(found)
    found, waived = spare(found, look.waivers)
    differing = [change for change in found if change.verdict is not Verdict.AHEAD]
    enforced = {change.resource for change in differing if change.mode is Mode.ENFORCE}
    due = converge_order(r for r in desired.resources if r.identity in enforced)
    return HostPlan(
        host=desired.host,
        mode=mode,
        state=State.DIFFERS if differing else State.IN_SYNC,
        changes=found,
        steps=tuple(step_for(resource) for resource in due),
        handlers=() if mode is Mode.SUSPENDED else handlers_for(desired, due, look.owed),
        held=(*suspended_in_git, *waived),
        orphans=orphans(desired, look.applied),
    )


def shown_mode(desired: HostDesired, found: tuple[Change, ...] | Blind) -> Mode:
    """The mode that governs what is shown of a host: of its changes, else of its resources."""
    if desired.mode is Mode.SUSPENDED:
        return Mode.SUSPENDED
    changes = () if isinstance(found, Blind) else found
    modes = {change.mode for change in changes} or {r.mode or desired.mode for r in desired.resources}
    return Mode.ENFORCE if Mode.ENFORCE in modes else desired.mode


def suspended(changes: Iterable[Change]) -> tuple[str, ...]:
    """Why differences stay that are suspended in git."""
    names = sorted({c.resource for c in changes if c.mode is Mode.SUSPENDED and c.verdict is not Verdict.AHEAD})
    return (f"suspended in git: {', '.join(names)}",) if names else ()


def converge_order(resources: Iterable[Resource]) -> list[Resource]:
    """What is made goes first, groundwork before what stands on it; what is removed goes last, in reverse."""
    ordered = sorted(resources, key=lambda resource: (resource.fields.rank(), resource.kind, resource.name))
    makes = [resource for resource in ordered if not resource.fields.removes()]
    return makes + [resource for resource in reversed(ordered) if resource.fields.removes()]


def step_for(resource: Resource) -> Step:
    """The resource as data for its kind's playbook."""
    staged = None if resource.content is None else hashlib.sha256(resource.content).hexdigest()
    return Step(resource.identity, resource.kind, resource.fields.args(), staged, resource.fields.removes())


def handlers_for(desired: HostDesired, due: Iterable[Resource], owed: Iterable[str]) -> tuple[Handler, ...]:
    """The restarts and reloads that the due resources may ask for, and those still owed from an interrupted run."""
    because: dict[Notify, list[str]] = {}
    for resource in due:
        for notify in resource.notify:
            because.setdefault(notify, []).append(resource.identity)
    debts = {Notify(*text.split(" ", 1)) for text in owed}
    stopped = {r.name for r in desired.resources if r.kind == "service" and r.wanted.get("state") == "stopped"}
    wanted = sorted({*because, *debts}, key=lambda notify: (notify.service, ACTIONS.index(notify.action)))
    return tuple(
        Handler(notify, tuple(because.get(notify, ())), notify in debts)
        for notify in wanted
        if notify.service not in stopped
    )


def limit(hosts: list[HostPlan], limits: Limits, fleet: int, spent: Spent | None = None) -> list[HostPlan]:
    """Hold back what is more than one sweep may do: too many removals at once, too many hosts at once."""
    spent = spent or Spent()
    removing = {host.host for host in hosts if any(step.removes for step in host.steps)}
    number, allowed = len(removing | spent.removed), max(limits.removals_hosts, fleet * limits.removals_percent // 100)
    if number > allowed:
        reason = (
            f"something would be removed on {number} of {fleet} hosts, and the limit is {allowed};"
            " raise limits.removals_hosts in reconciler.yml in a commit before this one"
        )
        hosts = [hold(host, reason) if host.host in removing else host for host in hosts]
    if limits.hosts is not None:
        more, canaries = [h.host for h in hosts if h.steps and h.host not in spent.converged], set(limits.canaries)
        more.sort(key=lambda name: name not in canaries)
        waiting = set(more[max(0, limits.hosts - len(spent.converged)) :])
        reason = f"only {limits.hosts} hosts are converged in one cycle (limits.hosts); it waits for the next"
        hosts = [hold(host, reason) if host.host in waiting else host for host in hosts]
    return hosts


def hold(host: HostPlan, reason: str) -> HostPlan:
    """The same look with nothing to be done, and why."""
    if not host.steps and not host.handlers:
        return host
    return replace(host, steps=(), handlers=(), held=(*host.held, reason))


def digest(revision: str, hosts: Iterable[HostPlan]) -> str:
    """Six digits that name what a plan would do, the same for the same plan."""
    todo = [
        [host.host, [[s.id, s.args, s.staged] for s in host.steps], [str(h.notify) for h in host.handlers]]
        for host in hosts
        if host.steps or host.handlers
    ]
    text = json.dumps([revision, todo], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:6]
