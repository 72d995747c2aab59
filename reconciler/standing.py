"""How far a commit got, as the one status that forges show beside it.

The shell calls it after each cycle and each preview. Pure. The words depend on how the fleet stands and not on
the clock, so an unchanged world gives an equal status, which need not be sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from reconciler.comment import acting, held, turned, turning, turns, watched
from reconciler.model import HostMemory, HostPlan, Mode, Plan, State, Verdict
from reconciler.talk import CommitStatus, Preview, Standing
from reconciler.wording import clean

PLAN = "reconciler/plan"
CONVERGE = "reconciler/converge"
LONGEST = 140
"""What GitHub takes; the others take more."""


def status(sha: str, context: str, standing: Standing, words: str, url: str) -> CommitStatus:
    """A status whose words are one line that every forge takes."""
    line = " ".join(clean(words).split())
    return CommitStatus(sha, context, standing, line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…", url)


def plan_status(preview: Preview, url: str = "") -> CommitStatus:
    """What a pull request would do, on its head."""
    trouble = plan_trouble(preview)
    return status(
        preview.head, PLAN, Standing.FAILURE if trouble else Standing.SUCCESS, trouble or effect(preview), url
    )


def plan_trouble(preview: Preview) -> str:
    """Why a pull request should not be merged as it is; "" for nothing."""
    if preview.refused:
        return f"refused: {first_line(preview.refused)}"
    if preview.conflicts:
        return f"conflicts with the base in {listed(preview.conflicts, 'files')}"
    if preview.mistakes:
        number = len(preview.mistakes)
        return f"{number} mistake{'s' if number > 1 else ''}: {preview.mistakes[0]}"
    return ""


def effect(preview: Preview) -> str:
    """What merging would do, in numbers."""
    changed, kept, left = acting(preview), held(preview), watched(preview)
    unseen = sum(bool(host.blind) for host in changed)
    rest = [f"{unseen} of them not seen"] if unseen else []
    rest += [f"nothing applied on {hosts(len(kept))}"] if kept else []
    rest += [f"mode of {hosts(len(turned(preview)))} changes"] if turned(preview) else []
    rest += [f"mode of {turning_words(preview)} changes"] if turning(preview) else []
    rest += [f"not enforced on {hosts(len(left))}"] if left else []
    rest += [f"{len(preview.arriving)} arrive"] if preview.arriving else []
    rest += [f"{len(preview.leaving)} leave"] if preview.leaving else []
    what = f"changes {len(changed)} of {hosts(preview.fleet)}" if changed else f"changes none of {hosts(preview.fleet)}"
    return ", ".join([what, *rest])


def turning_words(preview: Preview) -> str:
    """``2 resources on 3 hosts``."""
    number = len(turns(preview))
    return f"{number} resource{'' if number == 1 else 's'} on {hosts(len(turning(preview)))}"


class Place(Enum):
    """Where one host stands on its way to a commit."""

    DECLARED = "as declared"
    OBSERVED = "observed and left"
    SPARED = "suspended or waived"
    WAITING = "waiting"
    UNSEEN = "not seen"
    HELD = "held for mistakes"
    FAILED = "failed"


def converge_status(sha: str, plan: Plan, memories: Mapping[str, HostMemory], url: str = "") -> CommitStatus:
    """How far the fleet is with the accepted revision *sha*.

    *plan* is how every host stands after the cycle (the last look at each), *memories* what is remembered of them then.
    """
    places: dict[Place, list[HostPlan]] = {}
    for host in plan.hosts:
        places.setdefault(place_of(host, memories.get(host.host)), []).append(host)
    total = len(plan.hosts)
    if Place.FAILED in places:
        return status(sha, CONVERGE, Standing.FAILURE, failure(places[Place.FAILED], total), url)
    if Place.HELD in places:
        held = places[Place.HELD]
        words = f"mistakes hold {len(held)} of {hosts(total)}: {held[0].held[0]}"
        return status(sha, CONVERGE, Standing.FAILURE, words, url)
    waiting, unseen = places.get(Place.WAITING, []), places.get(Place.UNSEEN, [])
    if waiting or unseen:
        done = total - len(waiting) - len(unseen)
        parts = [f"{done} of {hosts(total)}", *wait(waiting), *blind(unseen, memories)]
        return status(sha, CONVERGE, Standing.PENDING, "; ".join(parts), url)
    return status(sha, CONVERGE, Standing.SUCCESS, success(places, total), url)


def begun_status(sha: str, plan: Plan, url: str = "") -> CommitStatus:
    """The accepted revision *sha* is about to be applied as *plan* has it."""
    due = sum(bool(host.steps or host.handlers) for host in plan.hosts)
    return status(sha, CONVERGE, Standing.PENDING, f"converging {due} of {hosts(len(plan.hosts))}", url)


def refused_status(sha: str, reason: str, url: str = "") -> CommitStatus:
    """A commit of the branch that may not be applied."""
    return status(sha, CONVERGE, Standing.ERROR, f"refused: {first_line(reason)}", url)


def place_of(host: HostPlan, memory: HostMemory | None) -> Place:
    """Where one host stands; the worst of what is said of it."""
    if host.state is State.BLIND:
        return Place.HELD if host.held else Place.UNSEEN
    if memory is not None and memory.story.startswith("failed:"):
        return Place.FAILED
    modes = {change.mode for change in host.changes if change.verdict is not Verdict.AHEAD}
    for mode, place in ((Mode.ENFORCE, Place.WAITING), (Mode.OBSERVE, Place.OBSERVED), (Mode.SUSPENDED, Place.SPARED)):
        if mode in modes:
            return place
    return Place.DECLARED


def failure(failed: Sequence[HostPlan], total: int) -> str:
    """Which hosts could not be converged, and on what."""
    left = [c.resource for c in failed[0].changes if c.mode is Mode.ENFORCE and c.verdict is not Verdict.AHEAD]
    what = f": {listed(list(dict.fromkeys(left)), 'resources')}" if left else ": a restart or reload"
    where = failed[0].host if len(failed) == 1 else f"{len(failed)} of {hosts(total)}, first {failed[0].host}"
    return f"failed on {where}{what}"


def wait(waiting: Sequence[HostPlan]) -> list[str]:
    """How many hosts are yet to be converged, and what holds them back."""
    if not waiting:
        return []
    # What holds a whole host back is said last, after what is waived or suspended there.
    reason = next((host.held[-1] for host in waiting if host.held), "the next cycle goes on")
    return [f"{len(waiting)} wait{'s' if len(waiting) == 1 else ''}: {first_line(reason).partition(';')[0]}"]


def blind(unseen: Sequence[HostPlan], memories: Mapping[str, HostMemory]) -> list[str]:
    """Which hosts are not seen, and since when."""
    if not unseen:
        return []
    memory = memories.get(unseen[0].host)
    since = (memory.seen_at or memory.since) if memory else None
    when = f" since {since[:16].replace('T', ' ')}" if since and len(unseen) == 1 else ""
    return [f"{listed([host.host for host in unseen], 'hosts')} not seen{when}"]


def success(places: Mapping[Place, Sequence[HostPlan]], total: int) -> str:
    """Everything is as it should be, or is left on purpose."""
    others = [f"{len(places[p])} {p.value}" for p in (Place.OBSERVED, Place.SPARED) if p in places]
    if not others:
        return f"{hosts(total)} as declared"
    return ", ".join([f"{len(places.get(Place.DECLARED, ()))} as declared", *others])


def hosts(number: int) -> str:
    """``1 host``, ``40 hosts``."""
    return f"{number} host{'' if number == 1 else 's'}"


def listed(names: Iterable[str], noun: str) -> str:
    """``a and b``, or ``5 files``."""
    known = list(names)
    return " and ".join(known) if len(known) < 3 else f"{len(known)} {noun}"


def first_line(reason: str) -> str:
    """The first line of what may be many."""
    return reason.strip().partition("\n")[0]
