"""Propose: for a difference that needs a person, a branch that keeps what is live, and one that lets it be for a while.

Called by ``speak``. Both are one commit of ours on the revision in force, made anew when it or the difference changes;
what is proposed was compiled and proved to say exactly that. Merging is a person's to do.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from reconciler.accept import Accepted
from reconciler.adopt import adopt
from reconciler.cause import named, title
from reconciler.diff import fact_of
from reconciler.errors import Refused
from reconciler.kinds import Unreadable
from reconciler.markdown import unheard
from reconciler.model import Blind, Change, Observed, Tree
from reconciler.repo import Draft
from reconciler.talk import Cause, Edit, Why, Wish
from reconciler.ticket import adoption
from reconciler.waiver import waive
from reconciler.wording import clean
from reconciler.world import World

ADOPTABLE = (Why.OBSERVED, Why.CONFLICT)
Seen = Mapping[str, Observed | Blind]


@dataclass(frozen=True, slots=True)
class Offer:
    """What is prepared for one cause.

    ``pull`` is the number of the pull request that adopts the live state, None where there is none (yet);
    ``pull_state`` is open, closed, merged, "left" where a person has pushed to its branch, or "". ``left`` says what
    cannot be adopted and why. ``waive`` is the branch that waives it until ``until``, "" where there is none.
    """

    pull: int | None = None
    pull_state: str = ""
    proposed: bool = False
    left: tuple[str, ...] = ()
    waive: str = ""
    until: date | None = None

    def unadopted(self) -> tuple[str, ...]:
        """Why there is nothing to merge, or not all of it, in sentences."""
        states = {
            "left": "a person has changed the branch that was prepared; it is left to them",
            "closed": f"#{self.pull}, which adopts it, was closed by a person",
            "merged": f"#{self.pull}, which adopts it, was merged; it waits for the next look",
        }
        waiting = ("the pull request is on its way",) if self.proposed and self.pull is None else ()
        return (*self.left, *([states[self.pull_state]] if self.pull_state in states else waiting))


def offer(world: World, accepted: Accepted, cause: Cause, seen: Seen, tree: Callable[[], Tree]) -> Offer:
    """Prepare the branches of one cause; what they are to be is stored, and pushed by ``deliver``."""
    adopted, edit = propose_adoption(world, accepted, cause, seen, tree)
    branch, until = propose_waiver(world, accepted, cause, tree)
    return Offer(proposed=adopted, left=edit.left, waive=branch, until=until)


def with_pull(world: World, fingerprint: str, offered: Offer) -> Offer:
    """What is prepared for a cause with its pull request as the forge was last found to have it."""
    slot = world.state.slot(f"pull/{fingerprint}")
    ref = (slot.ref if slot else None) or {}
    return replace(offered, pull=ref.get("number"), pull_state="left" if "left" in ref else str(ref.get("state", "")))


def withdraw(world: World, fingerprint: str) -> dict[str, Mapping[str, Any]]:
    """The slots of a cause that is over: its pull request closed, its branches gone."""
    wanted: dict[str, Mapping[str, Any]] = {}
    for name in (f"pull/{fingerprint}", f"branch/{fingerprint}"):
        slot = world.state.slot(name)
        if slot is not None:
            wanted[name] = {**slot.wanted, "sha": None, "key": ""}
    return wanted


def propose_adoption(
    world: World, accepted: Accepted, cause: Cause, seen: Seen, tree: Callable[[], Tree]
) -> tuple[bool, Edit]:
    """Whether a branch that adopts what is live is there or under way, and what it could not take over."""
    name = f"pull/{cause.fingerprint}"
    wishes = wishes_of(accepted, cause, seen) if cause.why in ADOPTABLE else ()
    if not wishes or world.desk.forge is None or not (world.config.forge and world.config.forge.adopt):
        return False, Edit()
    key = sha256(repr((accepted.sha, wishes)).encode()).hexdigest()
    slot = world.state.slot(name)
    if slot is not None and slot.wanted["key"] == key:
        return slot.wanted["sha"] is not None, Edit(left=tuple(slot.wanted["left"]))
    edit = adopt(tree(), wishes, allow_local=world.config.allow_local_connection)
    words = unheard(f"adopt {clean(cause.resource)} as it is on {named(cause.hosts)}")
    branch = world.desk.branch("adopt", cause.fingerprint)
    sha = commit(world, accepted, branch, words, cause, edit.files) if edit.files else None
    text = adoption(cause, edit)
    wanted = {"branch": branch, "base": world.config.repository.branch, "sha": sha, "title": words, "body": text}
    # Stored also where nothing could be done, so that it is not tried again in every sweep.
    world.state.say({name: {**wanted, "key": key, "left": list(edit.left)}})
    return sha is not None, edit


def propose_waiver(world: World, accepted: Accepted, cause: Cause, tree: Callable[[], Tree]) -> tuple[str, date | None]:
    """The branch with a commit that waives a cause for a while, and until when; nothing where it names no resource."""
    settings = world.config.forge
    if not cause.resource or world.desk.forge is None or settings is None or cause.why is Why.FAILED:
        return "", None
    name, branch = f"branch/{cause.fingerprint}", world.desk.branch("waive", cause.fingerprint)
    until = (datetime.fromisoformat(cause.since) + settings.waive_for).date()
    until = max(until, world.clock().date() + settings.waive_for // 2)
    slot = world.state.slot(name)
    key = sha256(repr((accepted.sha, cause.hosts)).encode()).hexdigest()
    if slot is not None and slot.wanted["key"] == key and slot.wanted["until"] > world.clock().date().isoformat():
        return branch if slot.wanted["sha"] else "", date.fromisoformat(slot.wanted["until"])
    try:
        files = waive(tree(), cause.resource, cause.hosts, until, title(cause))
    except Refused:
        return "", None
    sha = commit(world, accepted, branch, unheard(f"waive {cause.resource} until {until}"), cause, files)
    world.state.say({name: {"branch": branch, "sha": sha, "key": key, "until": until.isoformat()}})
    return branch, until


def commit(world: World, accepted: Accepted, branch: str, words: str, cause: Cause, files: Mapping[str, bytes]) -> str:
    """One commit on the revision in force; the same for the same files, because its date is that of the cause."""
    paths = {world.config.repository.within(name): content for name, content in files.items()}
    at = datetime.fromisoformat(cause.since)
    (sha,) = world.repository.write(accepted.sha, [Draft(words, at, paths)])
    local = f"refs/reconciler/own/{branch}"
    old = world.repository.ref(local)
    if old != sha:
        world.repository.point(local, sha, old)
    return sha


def wishes_of(accepted: Accepted, cause: Cause, seen: Seen) -> tuple[Wish, ...]:
    """The live values of a cause, whole files among them."""
    return tuple(
        Wish(host, change.resource, change.attribute, change.seen, live_content(accepted, seen, host, change))
        for variant in cause.variants
        for host in variant.hosts
        for change in variant.changes
        if not change.secret
    )


def live_content(accepted: Accepted, seen: Seen, host: str, change: Change) -> bytes | None:
    """The file as the host has it, where that is what differs and it was small enough to be sent."""
    desired, answer = accepted.desired and accepted.desired.hosts.get(host), seen.get(host)
    if change.attribute != "content" or not desired or not isinstance(answer, Observed):
        return None
    resource = next((r for r in desired.resources if r.identity == change.resource), None)
    try:
        text = fact_of(answer, resource).get("content") if resource else None
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (Unreadable, binascii.Error):
        return None
