"""Hear of pull requests: what each that is open would do to the live fleet, as a comment and a status to be.

Called by ``speak``. What it would do is ``foresee``'s business; here is whose turn it is, what is to be said then, and
what is forgotten once a pull request is closed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from reconciler.accept import Accepted
from reconciler.comment import digest, plan_comment, plan_record
from reconciler.deliver import about_pull_requests
from reconciler.foresee import PULLS, foresee
from reconciler.model import Desired, HostMemory, Place
from reconciler.publish import keep_plan
from reconciler.standing import PLAN, plan_status
from reconciler.talk import Preview, PullRequest
from reconciler.world import World

if TYPE_CHECKING:
    from reconciler.forge import Forge

PATIENCE = 20.0
"""Seconds of one cycle that may go into pull requests; the others have their turn in the next."""
MOST_WAITING = 80
"""Comments and statuses of pull requests that may wait to be delivered; about what GitHub takes in a minute."""

Wanted = Mapping[str, Mapping[str, Any]]


def hear(world: World, accepted: Accepted, forge: Forge) -> None:
    """Preview every open pull request that is new, or whose base or fleet has changed since; forget the closed."""
    if accepted.desired is None:
        return
    settings = world.config.forge
    found = forge.pull_requests(world.config.repository.branch)
    open_now = {pull.number: pull for pull in found if not pull.fork or settings is None or settings.strangers}
    forget(world, open_now)
    memories = world.state.hosts()
    fleet = fleet_key(memories)
    keys = {number: f"{pull.head} {accepted.sha} {fleet}" for number, pull in open_now.items()}
    due = [pull for number, pull in open_now.items() if world.desk.heard.get(number) != keys[number]]
    deadline = world.monotonic() + PATIENCE
    for pull in fairly(due):
        if world.stop() or world.monotonic() > deadline or told_faster_than_taken(world):
            return
        world.progress(f"previewing #{pull.number}")
        wanted = consider(world, accepted, accepted.desired, forge, pull, memories)
        if world.stop():
            return  # git may have been cut short, and what it could not do then says nothing about the pull request
        world.state.say(wanted)
        if wanted:
            world.desk.heard[pull.number] = keys[pull.number]


def told_faster_than_taken(world: World) -> bool:
    """Whether so much about pull requests waits for the forge that whoever comes next had better be chosen later."""
    return sum(map(about_pull_requests, world.state.waiting())) >= MOST_WAITING


def forget(world: World, open_now: Mapping[int, PullRequest]) -> None:
    """Forget pull requests that are no longer open, and let what was fetched of them go."""
    heads = {pull.head for pull in open_now.values()}
    comments = [s for s in world.state.slots("comment/") if int(s.name.partition("/")[2]) not in open_now]
    statuses = [s for s in world.state.slots("status/") if s.name.endswith(f"/{world.desk.context(PLAN)}")]
    world.state.vacate([s.name for s in comments] + [s.name for s in statuses if s.name.split("/")[1] not in heads])
    for ref in world.repository.names(PULLS):
        number = int(ref.rpartition("/")[2])
        if number not in open_now:
            world.desk.heard.pop(number, None)
            world.repository.point(ref, None, None)


def fleet_key(memories: Mapping[str, HostMemory]) -> str:
    """Changes whenever a preview could: with the state of a host, or with what differs there."""
    told = [(name, memory.state, memory.story, memory.revision) for name, memory in sorted(memories.items())]
    return sha256(repr(told).encode()).hexdigest()[:12]


def fairly(pulls: Iterable[PullRequest]) -> list[PullRequest]:
    """The oldest of each author first, so that nobody's flood keeps the others waiting."""
    turns: Counter[str] = Counter()
    ordered: list[tuple[int, int, PullRequest]] = []
    for pull in sorted(pulls, key=lambda pull: pull.number):
        ordered.append((turns[pull.author], pull.number, pull))
        turns[pull.author] += 1
    return [pull for _, _, pull in sorted(ordered, key=lambda entry: entry[:2])]


def consider(
    world: World,
    accepted: Accepted,
    base: Desired,
    forge: Forge,
    pull: PullRequest,
    memories: Mapping[str, HostMemory],
) -> Wanted:
    """The comment and the status of one pull request as they are to be; nothing while git and forge differ on its head.

    A forge tells of a push before or after git has it, and what was read must not be told of a commit that was not.
    """
    found = foresee(world, accepted, base, pull, memories)
    if found.head != pull.head:
        return {}
    status = world.desk.own_status(plan_status(found, pull.url))
    wanted: dict[str, Mapping[str, Any]] = {
        f"status/{pull.head}/{status.context}": {
            "standing": str(status.standing),
            "description": status.description,
            "url": status.url,
        }
    }
    if world.config.forge and world.config.forge.comments:
        name, body = f"comment/{pull.number}", comment_on(world, accepted, forge, pull, found)
        there = world.state.slot(name)
        if there is None or there.wanted["digest"] != digest(body):
            wanted[name] = {"body": body, "digest": digest(body)}
    return wanted


def comment_on(world: World, accepted: Accepted, forge: Forge, pull: PullRequest, found: Preview) -> str:
    """The comment on one pull request; a plan too long for it is kept on the audit branch, but not a stranger's."""

    def line_url(place: Place) -> str:
        return forge.line_url(found.head, world.config.repository.within(place.file), place.line)

    def comment(limit: int, record_url: str = "") -> str:
        key = f"{world.desk.name}/{pull.number}"
        return plan_comment(found, limit=limit, key=key, line_url=line_url, record_url=record_url, folds=forge.folds)

    body = comment(forge.body_limit)
    if pull.fork or body == comment(sys.maxsize):
        return body
    kept = keep_plan(world, accepted.sha, pull.number, found.head, plan_record(found))
    return comment(forge.body_limit, forge.line_url(kept, f"plans/{pull.number}.md", 1) if kept else "")
