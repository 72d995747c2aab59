"""Write down what a cycle came to: memory and events in one transaction, then the audit branch, then the remote.

Called by ``cycle``. A kill between any two of these loses nothing and doubles nothing: events wait in
the outbox until the remote has them, and each has a key that the audit branch is searched for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.accept import Accepted, revision_file
from reconciler.attest import attest, attest_later
from reconciler.comment import digest
from reconciler.errors import GitError
from reconciler.memory import remember, resumed_changes
from reconciler.model import Attempt, Blind, Event, HostMemory, HostPlan, Observed, Outcome, Plan, State
from reconciler.record import Occasion, Told, events_of, revision_event, tell
from reconciler.wording import count
from reconciler.world import Known, Standing, World

SWEPT_STORED = timedelta(minutes=1)
"""How often the time of the last sweep is stored at most, where nothing else is."""


def write_down(
    world: World,
    accepted: Accepted,
    plan: Plan,
    attempts: Mapping[str, Attempt],
    after: Plan,
    known: Known,
    seen: Mapping[str, Observed | Blind],
    *,
    sweep: bool,
) -> bool:
    """One transaction: what is remembered of every host, what is to be said, and the intents that are settled.

    Returns whether there is anything that people may want to hear: a story, or a whole sweep.
    """
    now = world.clock()
    finals = {host.host: host for host in after.hosts}
    told: list[Told] = []
    changed: list[HostMemory] = []
    for before in plan.hosts:
        attempt = attempts.get(before.host)
        if attempt is None and before.host not in known.interrupted and is_settled(world, before, known):
            continue
        new, one = settle(world, accepted, before, finals.get(before.host, before), attempt, known, seen)
        told += [one] if one else []
        changed += [new] if new != known.hosts.get(before.host) else []
    evidence = attest(world, accepted) if told or accepted.new else ()
    occasion = Occasion(world.config.shard, now, accepted.sha, evidence)
    gone = gone_hosts(accepted, known)
    events = events_for(accepted, plan, told, gone, occasion)
    meta = {"recorded": accepted.sha, **(swept(world, now) if sweep else {})}
    world.state.finish(changed, events, [*settled_intents(world, plan, finals), *gone], meta, gone)
    world.recent.accepted = replace(accepted, new=False)
    for event in events:
        world.say(event.message.splitlines()[0])
    return sweep or bool(events)


def swept(world: World, now: datetime) -> Mapping[str, str]:
    """When the fleet was swept, as a fact to store; within a minute after it was stored, it is only noted.

    Storing waits for the disk, and whoever sweeps every few seconds would have it wait each time.
    """
    text = now.isoformat(timespec="seconds")
    world.state.note("swept_at", text)
    stored = world.recent.swept_stored
    if stored is not None and timedelta() <= now - stored < SWEPT_STORED:
        return {}
    world.recent.swept_stored = now
    return {"swept_at": text}


def is_settled(world: World, before: HostPlan, known: Known) -> bool:
    """Whether a host stands just as it was written down last, by the very same plan and memory."""
    last = world.recent.standings.get(before.host)
    return (
        last is not None
        and last.before is before
        and last.attempt is None
        and last.memory is known.hosts.get(before.host)
    )


def gone_hosts(accepted: Accepted, known: Known) -> list[str]:
    """The hosts that a new revision does not have any more."""
    if not accepted.new or accepted.desired is None:
        return []
    return sorted(known.hosts.keys() - accepted.desired.hosts.keys() - accepted.desired.held.keys())


def settled_intents(world: World, plan: Plan, finals: Mapping[str, HostPlan]) -> list[str]:
    """The hosts whose intents have an outcome: a host lost on the way keeps its own until it is seen again."""
    intents = world.state.intents()
    blind = {h.host for h in plan.hosts if finals.get(h.host, h).state is State.BLIND} if intents else ()
    return [host for host in intents if host not in blind]


def settle(
    world: World,
    accepted: Accepted,
    before: HostPlan,
    final: HostPlan,
    attempt: Attempt | None,
    known: Known,
    seen: Mapping[str, Observed | Blind],
) -> tuple[HostMemory, Told | None]:
    """What is remembered of one host, and what there is to say of it."""
    desired = accepted.desired.hosts.get(before.host) if accepted.desired else None
    old, swept_at = known.of(before.host), world.state.get("swept_at")
    final = recite(final, before)
    now = world.clock().isoformat(timespec="seconds")
    new = remember(old, desired, before, final, attempt, accepted.sha, (now, swept_at))
    new = old if new == old else new
    answer = seen.get(before.host) if final.changes else None
    world.recent.standings[before.host] = Standing(desired, before, final, attempt, new, answer)
    intent = known.interrupted.get(before.host)
    resumed = None if intent is None else resumed_changes(intent, before.mode)
    return new, tell(before, final, attempt, old, new, resumed, swept_at)


def recite(final: HostPlan, before: HostPlan) -> HostPlan:
    """What still differs, with the commits that were found for it before."""
    commits = {(c.resource, c.attribute): c.commit for c in before.changes}
    changes = tuple(replace(c, commit=commits.get((c.resource, c.attribute))) for c in final.changes)
    return replace(final, changes=changes)


def events_for(accepted: Accepted, plan: Plan, told: list[Told], gone: list[str], occasion: Occasion) -> list[Event]:
    """The stories of the cycle; for a new revision also what it left behind, or that it touched no host at all."""
    files: dict[str, bytes | None] = {f"hosts/{host}.yml": None for host in gone}
    files |= revision_file(accepted) if accepted.new else {}
    words = revision_words(accepted, plan, gone, quiet=not told) if accepted.new else ""
    events = [revision_event(Outcome.CONVERGED, words, occasion, files)] if words else []
    return [*events, *events_of(told, occasion, {} if events else files)]


def revision_words(accepted: Accepted, plan: Plan, gone: list[str], *, quiet: bool) -> str:
    """What is to be said of a new revision beside the stories of its hosts; nothing, as a rule."""
    orphaned = Counter(name for host in plan.hosts for name in host.orphans)
    left = [f"- {name} on {count(n, 'host')}" for name, n in sorted(orphaned.items())]
    mistakes = [f"- {mistake}" for mistake in (accepted.desired.mistakes if accepted.desired else ())]
    subject = accepted.commit.subject if accepted.commit else ""
    nothing = f", nothing to change on {count(len(plan.hosts), 'host')}" if quiet else ""
    fleet = {*accepted.desired.hosts, *accepted.desired.held} if accepted.desired else set()
    silent = len(fleet - {host.host for host in plan.hosts})
    nothing += f"; {count(silent, 'host')} yet to answer" if silent else ""
    parts = [f"{accepted.sha[:7]} accepted{nothing}"]
    parts += [subject] if subject else []
    parts += ["Declared no longer, and left as it is:\n" + "\n".join(left)] if left else []
    parts += ["In the inventory no more, and left as they are: " + ", ".join(gone)] if gone else []
    parts += ["Mistakes in it:\n" + "\n".join(mistakes)] if mistakes else []
    return "\n\n".join(parts) if quiet or left or gone or mistakes else ""


def publish(world: World, *, poll: bool = True) -> str:
    """Append what waits in the outbox to the audit branch and push it; the trouble, if it has to wait longer.

    After trouble it waits for the next *poll*, or every host with news would wait for a remote that is away.
    """
    if poll or not world.recent.trouble:
        world.recent.trouble = append_and_push(world)
    return world.recent.trouble


def append_and_push(world: World) -> str:
    """Append and push now; the trouble, if there is any."""
    attest_later(world)
    events = world.state.outbox()
    if not events:
        return ""
    world.progress("recording")
    restored = world.audit.restored
    try:
        world.audit.append(events)
        if not world.audit.publish(events):
            return "the audit branch could not be pushed yet; it is kept and tried again"
    except GitError as error:
        return f"{len(events)} audit commits wait to be pushed: {error}"
    if world.audit.restored > restored:
        world.say(f"{world.audit.branch} was gone from the remote and has been put back whole")
    world.state.delivered(ids(events))
    world.state.put("published", world.audit.published)
    return ""


def keep_plan(world: World, revision: str, number: int, head: str, text: str) -> str | None:
    """Put the plan of a pull request on the audit branch, if what it says is not there yet.

    The commit that has it, None as long as it is not published.
    """
    path, known = f"plans/{number}.md", world.state.get("plans") or {}
    there = world.audit.file(path)
    if there is None or digest(there.decode(errors="replace")) != digest(text) or str(number) not in known:
        about = (("Change", f"#{number}"), ("Head", head))
        occasion = Occasion(world.config.shard, world.clock(), revision, about)
        words = f"the plan of #{number} at {head[:7]}, which is too long for a comment"
        event = revision_event(Outcome.PLANNED, words, occasion, {path: text.encode(errors="replace")})
        world.state.finish((), [event])
        if publish(world):
            return None
        world.state.put("plans", known | {str(number): world.audit.published})
    return str((world.state.get("plans") or {})[str(number)])


def ids(events: Iterable[Event]) -> list[str]:
    """The keys of events."""
    return [event.id for event in events]
