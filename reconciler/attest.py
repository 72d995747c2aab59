"""Attest: who approved the revision that is being applied, and which checks it passed, read once from the forge.

Called by ``publish``. The answer goes into the audit commits, so that the evidence outlives the forge. Nothing waits
for it: where the forge is away the record says so, and the evidence follows in a commit of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.accept import Accepted
from reconciler.errors import ForgeError
from reconciler.model import Outcome
from reconciler.record import Occasion, revision_event
from reconciler.talk import Evidence
from reconciler.wording import clean
from reconciler.world import World

if TYPE_CHECKING:
    from reconciler.forge import Forge

Trailers = tuple[tuple[str, str], ...]
SHOWN = 50
MOST_TRIES = 60
"""Cycles in which evidence that was missing is asked for again; then the record stays as it is."""


def attest(world: World, accepted: Accepted) -> Trailers:
    """The trailers that say who approved the accepted revision; none where there is no forge to ask."""
    forge = world.desk.forge
    if forge is None or not accepted.sha:
        return ()
    known = world.state.get("evidence") or {}
    if known.get("revision") == accepted.sha:
        return tuple((name, value) for name, value in known["trailers"])
    trailers, missing = ask(world, forge, accepted.sha)
    due = {"revision": accepted.sha, "tries": 0} if missing else None
    read = known if missing else {"revision": accepted.sha, "trailers": trailers}
    world.state.say({}, meta={"evidence": read, "evidence_due": due})
    return trailers


def ask(world: World, forge: Forge, sha: str) -> tuple[Trailers, bool]:
    """What the forge says of a revision now, and whether it could not say it."""
    if world.monotonic() < world.desk.line(world.desk.FORGE).not_before:
        return (("Evidence", "not read, the forge was away"),), True
    try:
        return trailers_of(forge.evidence(sha)), False
    except ForgeError as error:
        return (("Evidence", f"not read: {clean(str(error).partition(chr(10))[0])}"),), True


def attest_later(world: World) -> None:
    """Record the evidence that was missing when the revision was recorded, as soon as the forge can give it."""
    due, forge = world.state.get("evidence_due"), world.desk.forge
    if not due or forge is None or world.state.get("recorded") != due["revision"]:
        return
    sha, tries = due["revision"], due["tries"] + 1
    trailers, missing = ask(world, forge, sha)
    if missing:
        world.state.put("evidence_due", {"revision": sha, "tries": tries} if tries < MOST_TRIES else None)
        return
    occasion = Occasion(world.config.shard, world.clock(), sha, trailers)
    event = revision_event(Outcome.ATTESTED, f"{sha[:7]}: who approved it, read later", occasion, {})
    world.state.finish((), [event], (), {"evidence": {"revision": sha, "trailers": trailers}, "evidence_due": None})


def trailers_of(evidence: Evidence) -> Trailers:
    """What is known, as trailers; that nobody approved is said as well."""
    if not evidence.change:
        pushed = (("Change", "none; pushed without a pull request"),)
        return (*pushed, *checks_of(evidence))
    approved = [review for review in evidence.reviews if review.verdict == "approved"]
    rejected = [review for review in evidence.reviews if review.verdict == "rejected"]
    names = ", ".join(
        f"{clean(r.author)} (review {clean(r.id)})" if r.id else clean(r.author) for r in approved[:SHOWN]
    )
    trailers = [("Change", clean(evidence.change)), ("Change-Author", clean(evidence.author) or "unknown")]
    trailers += [("Approved-By", names or "nobody")]
    trailers += [("Rejected-By", ", ".join(clean(r.author) for r in rejected[:SHOWN]))] if rejected else []
    return (*trailers, *checks_of(evidence))


def checks_of(evidence: Evidence) -> Trailers:
    """The checks and their results on one line."""
    told = " ".join(f"{clean(check.name).replace(' ', '-')}={clean(check.result)}" for check in evidence.checks[:SHOWN])
    return (("Checks", told or "none"),)
