"""Put hosts right and look at them again: one launch of Ansible however many hosts, one more where canaries go first.

Called by ``cycle``. The intent is on disk before a host is touched; whatever a launch says, only an
empty difference in the second look is called converged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date

from reconciler.accept import Accepted
from reconciler.ansible import HostWork
from reconciler.canary import doubt, waits_for, waves
from reconciler.errors import LaunchError, Unreachable
from reconciler.lookout import observe
from reconciler.memory import intent_of, owed_after
from reconciler.model import Attempt, Blind, Desired, HostPlan, Observed, Plan
from reconciler.plan import Look, hold, plan_host
from reconciler.waiver import in_force
from reconciler.wording import count
from reconciler.world import Known, World


def converge(
    world: World, accepted: Accepted, plan: Plan, known: Known, today: date
) -> tuple[Mapping[str, Attempt], Plan | None]:
    """Carry the plan out once, then look again at the hosts it touched. The next cycle is the retry.

    What commits bring goes to the canaries first, and to the others only where it is proved there. Waivers are judged
    by *today*, as in the plan, whatever the clock says by then. The second plan is None where a stop came before it was
    known how the hosts are now.
    """
    if accepted.desired is None:
        return {}, Plan(plan.revision, ())
    attempts: dict[str, Attempt] = {}
    finals: list[HostPlan] = []
    doubts: dict[str, str] = {}
    for wave in waves(plan):
        if waits := waits_for(doubts):
            finals += [hold(host, waits) for host in wave]
            continue
        tried, proved = converge_wave(world, accepted.desired, wave, known, today)
        attempts |= tried
        if proved is None:
            return attempts, None
        finals += proved
        for host, final in zip(wave, proved, strict=True):
            if host.host in plan.first:
                doubts[host.host] = doubt(final, owed_after(known.of(host.host).owed, host, tried.get(host.host)))
    return attempts, Plan(plan.revision, tuple(finals))


def converge_wave(
    world: World, desired: Desired, due: Collection[HostPlan], known: Known, today: date
) -> tuple[Mapping[str, Attempt], list[HostPlan] | None]:
    """One launch for these hosts and the look that proves it.

    What it found, in the same order, is None where a stop came before it was known.
    """
    if world.stop():
        return {}, None
    try:
        with world.lease() as stop:
            attempts = carry_out(world, desired, due, known, stop)
    except Unreachable as error:
        reason = f"the lease against a second daemon cannot be taken: {error.args[0]}"
        return {}, [hold(host, reason) for host in due]
    if world.stop():
        return attempts, None
    seen = observe(world, desired, attempts.keys(), fresh=True)
    if cut_short(world, seen):
        return attempts, None
    waivers = in_force(desired.waivers, today)
    looks = (
        Look(
            desired.hosts[host.host],
            seen.get(host.host, Blind(host.host, "gave no answer")),
            known.of(host.host).applied,
            waivers=waivers.get(host.host, ()),
        )
        for host in due
    )
    return attempts, list(map(plan_host, looks))


def carry_out(
    world: World, desired: Desired, due: Collection[HostPlan], known: Known, stop: Callable[[], bool]
) -> Mapping[str, Attempt]:
    """One launch for all hosts, with the intent on disk before it."""
    world.state.begin({host.host: intent_of(host, known.interrupted.get(host.host)) for host in due})
    world.progress(f"converging {count(len(due), 'host')}")
    world.recent.spent.converged |= {host.host for host in due if host.steps}
    world.recent.spent.removed |= {host.host for host in due if any(step.removes for step in host.steps)}
    work = {host.host: work_of(desired, host) for host in due}
    try:
        return world.ansible.converge(work, staged(desired, due), stop)
    except LaunchError:
        take_back(world, work, known)
        raise


def cut_short(world: World, seen: Mapping[str, Observed | Blind]) -> bool:
    """Whether a stop came while the hosts were looked at: one that was not seen may be well."""
    return world.stop() and any(isinstance(answer, Blind) for answer in seen.values())


def take_back(world: World, hosts: Collection[str], known: Known) -> None:
    """Ansible did not start, so nothing was done: forget these intents, but not those of an earlier cycle."""
    world.state.finish(done=[host for host in hosts if host not in known.interrupted])
    world.state.begin({host: known.interrupted[host] for host in hosts if host in known.interrupted})


def work_of(desired: Desired, host: HostPlan) -> HostWork:
    """One host's steps with the way to reach it."""
    return HostWork(desired.hosts[host.host].connection, host.steps, host.handlers)


def staged(desired: Desired, due: Collection[HostPlan]) -> dict[str, bytes]:
    """The contents that travel as files: sha256 to bytes."""
    contents = {}
    for host in due:
        names = {step.id: step.staged for step in host.steps if step.staged}
        for resource in desired.hosts[host.host].resources if names else ():
            if resource.identity in names and resource.content is not None:
                contents[str(names[resource.identity])] = resource.content
    return contents
