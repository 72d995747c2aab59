"""Speak with people: what a cycle found, as statuses, tickets and letters; what pull requests would do, as comments.

Called by ``cycle`` once hosts are converged and git has the record. What is to be said is stored first, then
delivered as far as the forge and the ears take it now; the rest waits. Whoever listens or not, hosts come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.accept import Accepted
from reconciler.deliver import deliver, tell_ears
from reconciler.errors import GitError
from reconciler.escalate import Found, Slots, assess, record_url, refusal_letters, store
from reconciler.hear import hear
from reconciler.model import Plan
from reconciler.recall import REF
from reconciler.standing import CONVERGE, begun_status, converge_status, refused_status
from reconciler.talk import CommitStatus
from reconciler.world import World

BRIEFLY = 3.0
"""Seconds that hosts may have to wait for what is said before they are converged."""


def announce(world: World, accepted: Accepted, plan: Plan) -> None:
    """Say that a new revision is about to be applied, so that a long convergence is seen to begin.

    Once for each revision: putting a drift right again and again would use up the statuses that a commit may have.
    """
    if world.desk.forge is None or not accepted.new or accepted.stop or not any(host.steps for host in plan.hosts):
        return
    begun = begun_status(accepted.sha, plan, record_url(world))
    world.state.say(status_slots(world, [begun]))
    with world.desk.speaking(world.desk.FORGE, world.monotonic, world.say) as speaking:
        if speaking:
            deliver(world, f"status/{begun.sha}/{world.desk.context(CONVERGE)}", patience=BRIEFLY)


def speak(
    world: World, accepted: Accepted, found: Found | None = None, *, listen: bool = True, wait: bool = True
) -> None:
    """Store what is to be said, and say as much of it as can be said now; *listen* for pull requests too.

    Without *wait*, previews that take long are left to later cycles. Branches go first, so that the ticket that
    offers them can name their pull request.
    """
    if world.desk.silent:
        return
    letters, meta = refusal_letters(world, accepted)
    world.state.say(status_slots(world, statuses(world, accepted, found)), letters, world.desk.ear_names, meta)
    needs = assess(world, accepted, found) if found else None
    converse(world, accepted if listen else None, wait=wait)
    if needs:
        store(world, needs)
        converse(world)
    tell_ears(world)


def converse(world: World, accepted: Accepted | None = None, *, wait: bool = True) -> None:
    """Hear of pull requests and deliver what waits, if the forge can be spoken with."""
    forge = world.desk.forge
    if forge is None:
        return
    with world.desk.speaking(world.desk.FORGE, world.monotonic, world.say) as speaking:
        unread: GitError | None = None
        try:
            if speaking and accepted:
                hear(world, accepted, forge, wait=wait)
        except GitError as error:  # one pull request that cannot be fetched does not keep everything else unsaid
            unread = error
        if speaking:
            deliver(world)
        if unread:
            raise unread


def statuses(world: World, accepted: Accepted, found: Found | None) -> Iterator[CommitStatus]:
    """How far the revision in force got; that a newer one may not be applied."""
    if world.desk.forge is None:
        return
    url, tip = record_url(world), world.repository.ref(REF)
    if accepted.stop and tip and tip != accepted.sha:
        yield refused_status(tip, accepted.stop, url)
    if found is not None and not accepted.stop:
        yield converge_status(accepted.sha, found.final, world.state.hosts(), url)


def status_slots(world: World, said: Iterable[CommitStatus]) -> Slots:
    """Statuses as slots; one that says the same as before keeps the link it had."""
    slots: Slots = {}
    for status in map(world.desk.own_status, said):
        name = f"status/{status.sha}/{status.context}"
        wanted = {"standing": str(status.standing), "description": status.description, "url": status.url}
        there = world.state.slot(name)
        if there is None:
            forget_older(world, name)
        if there is None or {**there.wanted, "url": ""} != {**wanted, "url": ""}:
            slots[name] = wanted
    return slots


def forget_older(world: World, name: str) -> None:
    """Let go of the delivered statuses of revisions that are in force no more."""
    older = [slot for slot in world.state.slots("status/") if slot.name.endswith(f"/{world.desk.context(CONVERGE)}")]
    world.state.vacate([slot.name for slot in older if slot.name != name and slot.sent == slot.wanted])
