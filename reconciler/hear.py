"""Hear of pull requests: what each that is open would do to the live fleet, as a comment and a status to be.

Called by ``speak``. What it would do is ``foresee``'s business; here is whose turn it is, what is to be said then, and
what is forgotten once a pull request is closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from reconciler.accept import Accepted
from reconciler.apart import About
from reconciler.comment import digest
from reconciler.deliver import about_pull_requests
from reconciler.errors import PreviewError
from reconciler.foresee import PULLS, UNKNOWN, foresee
from reconciler.foretell import Words
from reconciler.model import HostMemory
from reconciler.publish import keep_plan
from reconciler.standing import PLAN
from reconciler.talk import PullRequest
from reconciler.world import World

if TYPE_CHECKING:
    from reconciler.forge import Forge

PATIENCE = 20.0
"""Seconds of one cycle that may go into pull requests; the others have their turn in the next."""
MOST_WAITING = 80
"""Comments and statuses of pull requests that may wait to be delivered; about what GitHub takes in a minute."""

Wanted = Mapping[str, Mapping[str, Any]]


def hear(world: World, accepted: Accepted, forge: Forge, *, wait: bool) -> None:
    """Preview every open pull request that is new, or whose base or fleet has changed since; forget the closed.

    Without *wait*, hosts with news come first: an answer that takes longer is taken by a later cycle.
    """
    if accepted.desired is None:
        return
    settings = world.config.forge
    found = forge.pull_requests(world.config.repository.branch)
    open_now = {pull.number: pull for pull in found if not pull.fork or settings is None or settings.strangers}
    forget(world, open_now)
    fleet = fleet_key(world.state.hosts())
    keys = {number: f"{pull.head} {accepted.sha} {fleet}" for number, pull in open_now.items()}
    due = [pull for number, pull in open_now.items() if world.desk.heard.get(number) != keys[number]]
    if world.apart.about not in {About(pull.number, pull.head, accepted.sha) for pull in due}:
        world.apart.close()
    try:
        preview_due(world, accepted, forge, due, keys, wait=wait)
    except PreviewError as error:
        tell(world, str(error))
    finally:
        world.apart.rest()


def tell(world: World, trouble: str) -> None:
    """Say what keeps us from previewing, once: hosts do not wait for it, and the next poll tries again."""
    before, world.desk.unread = world.desk.unread, trouble
    if trouble != before:
        world.say(trouble or "pull requests can be previewed again")


def preview_due(
    world: World, accepted: Accepted, forge: Forge, due: list[PullRequest], keys: Mapping[int, str], *, wait: bool
) -> None:
    """Preview as many of these as there is time for."""
    deadline = world.monotonic() + PATIENCE

    def patient() -> bool:
        return not world.stop() and (wait or not (world.called or world.monotonic() > deadline))

    for pull in in_turn(due, world.desk.served, world.apart.about):
        if world.stop() or world.monotonic() > deadline or told_faster_than_taken(world):
            return
        world.progress(f"previewing #{pull.number}")
        world.desk.served.pop(pull.author, None)  # and to the end, whatever comes of it: the others come first then
        world.desk.served[pull.author] = None
        told = foresee(world, accepted, forge, pull, keys[pull.number], patient)
        if world.stop() or world.apart.about is not None:
            return  # git may have been cut short, and what it could not do then says nothing about the pull request
        if told is not None:
            world.state.say(wanted(world, accepted, pull, told.words))
            world.desk.heard[pull.number] = told.key
            tell(world, "")


def told_faster_than_taken(world: World) -> bool:
    """Whether so much about pull requests waits for the forge that whoever comes next had better be chosen later."""
    return sum(map(about_pull_requests, world.state.waiting())) >= MOST_WAITING


def forget(world: World, open_now: Mapping[int, PullRequest]) -> None:
    """Forget pull requests that are no longer open, and let what was fetched of them go."""
    heads = {pull.head for pull in open_now.values()}
    comments = [s for s in world.state.slots("comment/") if int(s.name.partition("/")[2]) not in open_now]
    statuses = [s for s in world.state.slots("status/") if s.name.endswith(f"/{world.desk.context(PLAN)}")]
    world.state.vacate([s.name for s in comments] + [s.name for s in statuses if s.name.split("/")[1] not in heads])
    for gone in world.desk.served.keys() - {pull.author for pull in open_now.values()}:
        del world.desk.served[gone]
    for ref in world.repository.names(PULLS):
        number = int(ref.rpartition("/")[2])
        if number not in open_now:
            world.desk.heard.pop(number, None)
            world.repository.point(ref, None, None)


def fleet_key(memories: Mapping[str, HostMemory]) -> str:
    """Changes whenever a preview could: with the state of a host, or with what differs there."""
    told = [(name, memory.state, memory.story, memory.revision) for name, memory in sorted(memories.items())]
    return sha256(repr(told).encode()).hexdigest()[:12]


def in_turn(pulls: Iterable[PullRequest], served: Iterable[str], about: About | None) -> list[PullRequest]:
    """The one that is being previewed, colleagues, then strangers; of each author the oldest first, then the others'.

    *served* are the authors whose turn it was, the latest last: they come after those whose it never was. So nobody
    keeps the others waiting, neither with a flood nor with a head that moves again and again.
    """
    waited = {author: place for place, author in enumerate(served, 1)}
    turns: Counter[str] = Counter()
    ordered: list[tuple[tuple[bool, bool, int, int, int], PullRequest]] = []
    for pull in sorted(pulls, key=lambda pull: pull.number):
        waits = about is not None and (about.number, about.head) == (pull.number, pull.head)
        place = (not waits, pull.fork, turns[pull.author], waited.get(pull.author, 0), pull.number)
        ordered.append((place, pull))
        turns[pull.author] += 1
    return [pull for _, pull in sorted(ordered, key=lambda entry: entry[0])]


def wanted(world: World, accepted: Accepted, pull: PullRequest, words: Words) -> Wanted:
    """The comment and the status of one pull request as they are to be."""
    slots: dict[str, Mapping[str, Any]] = {
        f"status/{pull.head}/{world.desk.context(PLAN)}": {
            "standing": words.standing,
            "description": words.description,
            "url": pull.url,
        }
    }
    if world.config.forge and world.config.forge.comments:
        name, body = f"comment/{pull.number}", comment_on(world, accepted, pull, words)
        there = world.state.slot(name)
        if there is None or there.wanted["digest"] != digest(body):
            slots[name] = {"body": body, "digest": digest(body)}
    return slots


def comment_on(world: World, accepted: Accepted, pull: PullRequest, words: Words) -> str:
    """The comment on one pull request; a plan too long for it is kept on the audit branch."""
    kept = keep_plan(world, accepted.sha, pull.number, pull.head, words.record) if words.record else None
    return words.linked.replace(UNKNOWN, kept) if kept else words.comment
