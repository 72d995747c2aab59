"""Which revision is in force: the newest commit of the branch, if it may be accepted; else the last one that was.

Called by ``cycle``. Fails closed: a branch that is gone, empty or rewritten, or a revision that cannot
be compiled, changes nothing on any host, and the refusal itself is recorded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import yaml

from reconciler.canary import canaries_of
from reconciler.errors import Gone, ReconcilerError, Refused, Rewritten, Unreachable
from reconciler.model import Commit, Desired, Limits, Mistake, Outcome
from reconciler.recall import REF, recall
from reconciler.record import Occasion, revision_event
from reconciler.world import Compiled, World

LOOK = "refs/reconciler/look"
"""Where ``plan`` fetches to, so that it never meets the daemon it runs beside."""
MISTAKES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Accepted:
    """The revision in force. ``desired`` is None where there is none yet.

    ``new`` until it has been recorded; ``stop`` says why nothing may be applied, ``trouble`` what
    kept us from asking for a newer one; ``limits`` are those of the revision before.
    """

    sha: str
    commit: Commit | None = None
    desired: Desired | None = None
    limits: Limits = field(default_factory=Limits)
    new: bool = False
    stop: str = ""
    trouble: str = ""


def accept(world: World, *, dry: bool = False) -> Accepted:
    """Ask for the newest commit and decide what is in force. *dry* writes nothing down and raises refusals."""
    if not dry:
        recall(world, compiled)
    known = world.state.get("accepted")
    try:
        return in_force(world, newest(world, known, LOOK if dry else REF), known, dry=dry)
    except Unreachable as error:
        if known is None or dry:
            raise
        return in_force(world, known, known, trouble=str(error))
    except (Gone, Rewritten, Refused) as error:
        if dry:
            raise
        refuse(world, error, known)
        return in_force(world, known, known, stop=str(error)) if known else Accepted("", stop=str(error))


def as_before(world: World) -> Accepted:
    """What the last cycle found in force, without asking git again; git is asked where there was none."""
    return world.recent.accepted or accept(world)


def newest(world: World, known: str | None, ref: str) -> str:
    """The tip of the branch, fetched into *ref* and verified; raises where it may not be accepted after *known*."""
    branch = world.config.repository.branch
    tip = world.repository.tip(branch)
    if tip == known and world.repository.has(tip):
        return tip
    tip = world.repository.fetch(branch, ref)
    if known and tip != known and not world.repository.descends(tip, known):
        raise Rewritten(
            f"the history of {branch} was rewritten: {tip[:7]} does not descend from {known[:7]}, accepted before",
            hint=f"to accept it, merge {known[:7]} into {branch}: git merge -s ours {known}",
        )
    desired = compiled(world, tip)
    if desired.refused:
        raise refusal(tip, desired.mistakes)
    return tip


def refusal(sha: str, mistakes: tuple[Mistake, ...]) -> Refused:
    """Why a revision cannot be used at all."""
    lines = [str(mistake) for mistake in mistakes[:MISTAKES_SHOWN]]
    rest = len(mistakes) - len(lines)
    text = "\n".join([*lines, f"and {rest} more"] if rest else lines)
    return Refused(f"{sha[:7]} cannot be applied, nothing was changed\n{text}")


def in_force(
    world: World, sha: str, known: str | None, *, dry: bool = False, stop: str = "", trouble: str = ""
) -> Accepted:
    """The accepted revision with everything a cycle needs to know of it."""
    if not world.repository.has(sha):
        reason = stop or f"{sha[:7]}, accepted before, is in the repository no more"
        return Accepted(sha, stop=reason, trouble=trouble)
    desired = compiled(world, sha)
    if sha != known and not dry:
        before = asdict(compiled(world, known).limits) if known and world.repository.has(known) else asdict(Limits())
        world.state.put("limits", before)
        world.state.put("accepted", sha)
    if not (stop or trouble or dry) and world.state.get("refused"):
        follow_again(world, sha)
    new = world.state.get("recorded") != sha
    return Accepted(sha, world.repository.commit(sha), desired, limits_before(world, desired), new, stop, trouble)


def limits_before(world: World, desired: Desired) -> Limits:
    """The limits of the revision before, or the default ones."""
    kept = world.state.get("limits") or {}
    return Limits(**{**kept, "canaries": canaries_of(kept.get("canaries", ()), desired)})


def compiled(world: World, sha: str) -> Desired:
    """The compiled revision; kept while it is in force, so that an unchanged one costs nothing."""
    if sha not in world.compiled:
        folder = folder_of(world, sha)
        alike = next((c for c in world.compiled.values() if folder and c.folder == folder), None)
        for old in list(world.compiled)[:-1]:
            del world.compiled[old]
        world.compiled[sha] = Compiled(folder, alike.desired if alike else compile_anew(world, sha))
    return world.compiled[sha].desired


def folder_of(world: World, sha: str) -> str:
    """The id of the folder of desired state; "" where there is none."""
    try:
        return world.repository.tree_id(sha, world.config.repository.path)
    except Gone:
        return ""


def compile_anew(world: World, sha: str) -> Desired:
    """Compile a revision: what it changed since the last one."""
    tree, mistakes = world.repository.tree(sha, world.config.repository.path)
    return world.workshop.compile(tree, mistakes)


def refuse(world: World, error: ReconcilerError, known: str | None) -> None:
    """Record a refusal once, however often it is met; its first line says which it is, the rest may vary."""
    reason = str(error)
    if str(world.state.get("refused") or "").partition("\n")[0] == reason.partition("\n")[0]:
        return
    now = world.clock()
    occasion = Occasion(world.config.shard, now, known or "none")
    words = reason.splitlines()
    event = revision_event(Outcome.HELD, "\n\n".join([f"nothing is applied: {words[0]}", *words[1:]]), occasion, {})
    world.state.finish((), [event], (), {"refused": reason})
    world.say(f"nothing is applied: {reason}")


def follow_again(world: World, sha: str) -> None:
    """Record that a refusal is over."""
    occasion = Occasion(world.config.shard, world.clock(), sha)
    text = f"{world.config.repository.branch} can be followed again at {sha[:7]}"
    event = revision_event(Outcome.RECOVERED, text, occasion, {})
    world.state.finish((), [event], (), {"refused": None})
    world.say(text)


def revision_file(accepted: Accepted) -> Mapping[str, bytes]:
    """``revision.yml`` of the audit branch: the revision accepted last, from which the next must descend."""
    record = {"accepted": accepted.sha, "subject": accepted.commit.subject if accepted.commit else ""}
    return {"revision.yml": yaml.safe_dump(record, sort_keys=False, allow_unicode=True).encode()}
