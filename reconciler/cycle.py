"""One cycle: the program's whole story. A newcomer reads this page first.

    commit → Revision → Desired + Observed → Changes → Verdicts → Plan → Outcomes → Record → Speech

Called by ``daemon`` and ``cli``. What a wake-up wants makes no difference: the same world gives the
same cycle. Everything that decides is pure and lies elsewhere; everything that acts is behind World.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.accept import Accepted, accept
from reconciler.converge import converge, cut_short, observe
from reconciler.errors import Corrupt
from reconciler.escalate import Found
from reconciler.model import Plan
from reconciler.plan import make_plan
from reconciler.provenance import cite
from reconciler.publish import publish, write_down
from reconciler.speak import announce, speak
from reconciler.world import World

STOPPED = "stopped; the next start looks at every host again"


@dataclass(frozen=True, slots=True)
class Report:
    """What a cycle came to. ``plan`` is None where nothing was looked at; ``trouble`` says what to retry soon."""

    revision: str = ""
    plan: Plan | None = None
    after: Plan | None = None
    trouble: str = ""


def cycle(world: World, *, sweep: bool) -> Report:
    """One cycle. A clone that turns out to be damaged is made again; the next cycle goes on with it."""
    try:
        return run_through(world, sweep=sweep)
    except Corrupt as error:
        world.mend()
        return Report(trouble=f"the local clone was damaged and has been made again: {error}")


def run_through(world: World, *, sweep: bool) -> Report:
    """Fetch, compile, observe, compare, plan, converge, prove, record, publish, speak: once.

    Without *sweep* the fleet is looked at only if the revision changed.
    """
    accepted = accept(world)
    if accepted.desired is None or not (sweep or accepted.new):
        trouble = publish(world) or accepted.trouble
        speak(world, accepted)
        return Report(accepted.sha, trouble=trouble)
    known = world.known()
    seen = observe(world, accepted.desired)
    if cut_short(world, seen):
        return Report(accepted.sha, trouble=STOPPED)
    today = world.clock().date()
    plan = make_plan(accepted.sha, accepted.desired, seen, known.hosts, accepted.limits, accepted.stop, today)
    plan = cite(world, plan, accepted.desired)
    announce(world, accepted, plan)
    attempts, after = converge(world, accepted, plan, known, today)
    if after is None:
        return Report(accepted.sha, plan, trouble=STOPPED)
    write_down(world, accepted, plan, attempts, after, known)
    trouble = publish(world) or accepted.trouble
    speak(world, accepted, Found(plan, attempts, after, seen))
    return Report(accepted.sha, plan, after, trouble)


def look(world: World) -> tuple[Accepted, Plan]:
    """The plan of this moment, with nothing applied and nothing recorded."""
    accepted = accept(world, dry=True)
    if accepted.desired is None:
        return accepted, Plan(accepted.sha, ())
    seen = observe(world, accepted.desired)
    known, today = world.known().hosts, world.clock().date()
    plan = make_plan(accepted.sha, accepted.desired, seen, known, accepted.limits, accepted.stop, today)
    return accepted, cite(world, plan, accepted.desired)
