"""One cycle: the program's whole story. A newcomer reads this page first.

    commit → Revision → Desired + Observed → Changes → Verdicts → Plan → Outcomes → Record → Speech

Called by ``daemon`` and ``cli``. What woke us makes no difference: the same world gives the
same cycle. Everything that decides is pure and lies elsewhere; everything that acts is behind World.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from reconciler.accept import Accepted, accept, as_before
from reconciler.converge import converge, cut_short
from reconciler.errors import Corrupt
from reconciler.escalate import Found
from reconciler.lookout import due, observe
from reconciler.model import Blind, Observed, Plan
from reconciler.plan import make_plan
from reconciler.provenance import cite
from reconciler.publish import publish, write_down
from reconciler.speak import announce, speak
from reconciler.world import Known, World

STOPPED = "stopped; the next start looks at every host again"


@dataclass(frozen=True, slots=True)
class Report:
    """What a cycle came to. ``plan`` is None where nothing was looked at; ``trouble`` says what to retry soon.

    ``swept``: every host was asked, not only those with news.
    """

    revision: str = ""
    plan: Plan | None = None
    after: Plan | None = None
    trouble: str = ""
    swept: bool = False


def cycle(world: World, *, sweep: bool, poll: bool = True, wait: bool = True) -> Report:
    """One cycle. A clone that turns out to be damaged is made again; the next cycle goes on with it."""
    try:
        return run_through(world, sweep=sweep, poll=poll, wait=wait)
    except Corrupt as error:
        world.mend()
        return Report(trouble=f"the local clone was damaged and has been made again: {error}")


def run_through(world: World, *, sweep: bool, poll: bool, wait: bool) -> Report:
    """Fetch, compile, observe, compare, plan, converge, prove, record, publish, speak: once.

    Without *sweep* only hosts with news are looked at, unless the revision changed. Without *poll* git is asked only
    before something is changed on a host. Without *wait* hosts that are slow to answer have their turn later.
    """
    accepted = accept(world) if poll else as_before(world)
    sweep = sweep or accepted.new
    hosts = due(world, accepted.desired, sweep=sweep, poll=poll) if accepted.desired else ()
    if accepted.desired is None or not hosts:
        trouble = publish(world, poll=poll) or accepted.trouble
        speak(world, accepted, listen=poll, wait=wait)
        return Report(accepted.sha, trouble=trouble)
    world.recent.unsettled.update(hosts)
    world.recent.moved.difference_update(hosts)
    known = world.known()
    seen = observe(world, accepted.desired, hosts, wait=wait)
    if cut_short(world, seen):
        return Report(accepted.sha, trouble=STOPPED)
    if not seen:  # they are all slow, and wake us one by one
        return Report(accepted.sha, trouble=accepted.trouble)
    world.recent.begin(accepted.desired, sweep=sweep)
    today = world.clock().date()
    plan = plan_for(world, accepted, seen, known, today)
    if plan.acts and not poll and accept(world) != accepted:
        return run_through(world, sweep=True, poll=True, wait=wait)
    announce(world, accepted, plan)
    attempts, after = converge(world, accepted, plan, known, today)
    if after is None:
        return Report(accepted.sha, plan, trouble=STOPPED)
    news = write_down(world, accepted, plan, attempts, after, known, seen, sweep=sweep)
    world.recent.unsettled.difference_update(hosts)
    world.recent.unsettled.update(host.host for host in plan.hosts if host.steps and host.host not in attempts)
    world.queue_behind(accepted, plan, attempts)
    world.look_again(after, attempts)
    trouble = publish(world, poll=poll) or accepted.trouble
    found = Found(plan, attempts, world.recent.standings) if news and world.recent.covers(accepted.desired) else None
    speak(world, accepted, found, listen=poll, wait=wait)
    return Report(accepted.sha, plan, after, trouble, swept=sweep)


def plan_for(world: World, accepted: Accepted, seen: Mapping[str, Observed | Blind], known: Known, today: date) -> Plan:
    """What is to be done, with the commits that say so. The same look as last time is the same plan."""
    if accepted.desired is None:
        return Plan(accepted.sha, ())
    plan = make_plan(
        accepted.sha,
        accepted.desired,
        seen,
        known.hosts,
        accepted.limits,
        accepted.stop,
        today,
        plans=world.recent.plans,
        spent=world.recent.spent,
        canaries=world.recent.doubts(accepted.desired, accepted.limits.canaries),
    )
    return cite(world, plan, accepted.desired)


def look(world: World) -> tuple[Accepted, Plan]:
    """The plan of this moment, with nothing applied and nothing recorded."""
    accepted = accept(world, dry=True)
    seen = observe(world, accepted.desired) if accepted.desired else {}
    return accepted, plan_for(world, accepted, seen, world.known(), world.clock().date())
