"""Find causes: from how hosts stand after a cycle to the few things that need a person.

A sign is what one host shows; signs of the same kind and resource are one cause, and hosts that show the same are
one variant of it. What is waived or suspended in git needs nobody, nor does a drift that was put right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from reconciler.cause.flaps import Flaps, flapping
from reconciler.memory import shown
from reconciler.model import Attempt, Change, HostMemory, HostPlan, Mode, Plan, State, Verdict
from reconciler.talk import Cause, Variant, Why

GRAVITY = (Why.FAILED, Why.CONFLICT, Why.BLIND, Why.FLAPPING, Why.OBSERVED)
"""What is told first where not everything can be."""
STILL_DIFFERS = "it still differs after the second look"


@dataclass(frozen=True, slots=True)
class Sign:
    """What one host shows of one cause."""

    why: Why
    resource: str
    host: str
    since: str
    changes: tuple[Change, ...] = ()
    reasons: tuple[str, ...] = ()

    def likeness(self) -> str:
        """Equal for hosts on which the cause looks the same; secrets are as equal as they are shown."""
        return repr((*map(change_likeness, self.changes), *self.reasons))


def change_likeness(change: Change) -> tuple[object, ...]:
    """What of a change people see. Content is compared by the lines that differ."""
    values = shown(change.wanted, secret=change.secret), shown(change.seen, secret=change.secret)
    return change.resource, change.attribute, change.diff or values, change.verdict, change.place.short


def causes(
    plan: Plan,
    memories: Mapping[str, HostMemory],
    *,
    looked_at: datetime,
    blind_after: timedelta,
    attempts: Mapping[str, Attempt] | None = None,
    flaps: Flaps | None = None,
) -> tuple[Cause, ...]:
    """Everything that needs a person, the gravest first.

    *plan* is how the hosts stand after the cycle (the last look at each), *memories* what is remembered of them
    then, *looked_at* when that was written down (``swept_at``): a difference that was not there before is only
    suspected. *attempts* are those of this cycle, *flaps* the drifts put right in the last day.
    """
    signs: list[Sign] = []
    flapped = flapping(flaps or {})
    for host in plan.hosts:
        memory = memories.get(host.host, HostMemory(host.host))
        signs += observed(host, memory, looked_at)
        signs += failed(host, memory, (attempts or {}).get(host.host))
        signs += [flaps_of(host.host, name, flaps or {}) for name in sorted(flapped.get(host.host, ()))]
        signs += blind(host, memory, looked_at, blind_after)
    groups: dict[tuple[Why, str], list[Sign]] = {}
    for sign in signs:
        groups.setdefault((sign.why, sign.resource), []).append(sign)
    found = [cause_of(why, resource, group) for (why, resource), group in groups.items()]
    return tuple(sorted(found, key=gravity))


def gravity(cause: Cause) -> tuple[int, int, str]:
    """A sort key: the gravest first, of equals that on most hosts."""
    return GRAVITY.index(cause.why), -len(cause.hosts), cause.resource


def cause_of(why: Why, resource: str, signs: Sequence[Sign]) -> Cause:
    """Signs of one kind and resource as one cause, hosts that show the same together."""
    alike: dict[str, list[Sign]] = {}
    for sign in signs:
        alike.setdefault(sign.likeness(), []).append(sign)
    variants = [
        Variant(tuple(sorted(sign.host for sign in group)), group[0].changes, group[0].reasons)
        for group in alike.values()
    ]
    ordered = sorted(variants, key=lambda variant: (-len(variant.hosts), variant.hosts))
    return Cause(why, resource, fingerprint(why, resource), tuple(ordered), min(sign.since for sign in signs))


def fingerprint(why: Why, resource: str) -> str:
    """The 12 hexadecimal digits that one story keeps, whatever hosts and values it has."""
    return sha256(f"{why}\n{resource}".encode()).hexdigest()[:12]


def observed(host: HostPlan, memory: HostMemory, looked_at: datetime) -> Iterator[Sign]:
    """Drift and conflicts that observe mode leaves, if they were there in the look before too."""
    told = {Verdict.DRIFT: Why.OBSERVED, Verdict.CONFLICT: Why.CONFLICT}
    since = first_seen(memory)
    groups: dict[tuple[Why, str], list[Change]] = {}
    for change in host.changes:
        first = since.get((change.resource, change.attribute))
        if change.mode is Mode.OBSERVE and change.verdict in told and first and before(first, looked_at):
            groups.setdefault((told[change.verdict], change.resource), []).append(change)
    for (why, resource), changes in groups.items():
        start = min(since[change.resource, change.attribute] for change in changes)
        yield Sign(why, resource, host.host, start, tuple(changes))


def first_seen(memory: HostMemory) -> Mapping[tuple[str, str], str]:
    """When each difference that is remembered of a host was first seen."""
    return {(str(c["resource"]), str(c["attribute"])): str(c["since"]) for c in memory.changes}


def before(time: str, than: datetime) -> bool:
    """Whether a time as it is stored is earlier, in whole seconds, than another."""
    return datetime.fromisoformat(time) < than.replace(microsecond=0)


def failed(host: HostPlan, memory: HostMemory, attempt: Attempt | None) -> Iterator[Sign]:
    """What was to be put right and was not, with the modules' own words."""
    if not memory.story.startswith("failed:"):
        return
    left: dict[str, list[Change]] = {}
    for change in host.changes:
        if change.mode is Mode.ENFORCE and change.verdict is not Verdict.AHEAD:
            left.setdefault(change.resource, []).append(change)
    known = first_seen(memory)
    words = why_left(left, attempt)
    unrun = [change for name in left if name not in words for change in left[name]]
    for resource, reason in words.items():
        changes = left.get(resource, [] if resource else unrun)
        times = [known[c.resource, c.attribute] for c in changes if (c.resource, c.attribute) in known]
        since = min(times, default=memory.since or "")
        yield Sign(Why.FAILED, resource, host.host, since, tuple(changes), (reason,) if reason else ())


def why_left(left: Iterable[str], attempt: Attempt | None) -> Mapping[str, str]:
    """The resources that could not be put right, the restarts that failed, and why.

    What did not run, because something before it failed or the attempt ended early, is no cause of its own; the early
    end is, under the name "".
    """
    if attempt is None:
        return dict.fromkeys(left, STILL_DIFFERS)
    words = {}
    for name in left:
        if name in attempt.steps:
            result = attempt.steps[name]
            words[name] = result.message if result.status == "failed" else STILL_DIFFERS
    words |= {name: result.message for name, result in attempt.handlers.items() if result.status == "failed"}
    if attempt.reason and words.keys() != set(left):
        words[""] = attempt.reason
    return words or dict.fromkeys(left, "it was not carried out")


def flaps_of(host: str, resource: str, flaps: Flaps) -> Sign:
    """A resource that drifts again and again, with the times it was put right."""
    times = flaps[host][resource]
    return Sign(Why.FLAPPING, resource, host, times[0], reasons=times)


def blind(host: HostPlan, memory: HostMemory, looked_at: datetime, blind_after: timedelta) -> list[Sign]:
    """A host that has not been seen for too long; one that is held for its mistakes was not looked for."""
    since = memory.seen_at or memory.since
    if host.state is not State.BLIND or host.held or since is None:
        return []
    if looked_at - datetime.fromisoformat(since) <= blind_after:
        return []
    return [Sign(Why.BLIND, "", host.host, since, reasons=(host.reason,))]
