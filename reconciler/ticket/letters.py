"""Letters: the transitions of a cycle in plain text, for chat, mail and other programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256

from reconciler.cause import Decision, Move, named, title
from reconciler.talk import Cause, Letter, Variant, Why
from reconciler.wording import clean, transition

MOST_LETTERS = 20
"""More transitions than this in one cycle are told in one last letter."""
LINES_SHOWN = 20
REASON_LENGTH = 400


def letters(
    decisions: Iterable[Decision], *, at: datetime, urls: Mapping[str, str] | None = None
) -> tuple[Letter, ...]:
    """The transitions of a cycle for chat and mail, one for each cause; *urls* has the tickets' by fingerprint.

    What has not changed is not told; beyond twenty the rest are told in one.
    """
    found = [letter(step, event, at, urls or {}) for step in decisions if (event := event_of(step))]
    if len(found) <= MOST_LETTERS:
        return tuple(found)
    rest = found[MOST_LETTERS - 1 :]
    words = "\n".join(f"{one.event}: {one.title}" for one in rest[: 10 * LINES_SHOWN])
    hosts = tuple(sorted({host for one in rest for host in one.hosts}))
    return (*found[: MOST_LETTERS - 1], sealed(at, "changed", f"{len(rest)} more changes", words, "", hosts, ""))


def event_of(decision: Decision) -> str:
    """The transition that a decision is, "" for none."""
    if decision.quiet:
        return ""
    if decision.move in (Move.OPEN, Move.REOPEN):
        return "opened"
    if decision.move is Move.LIST and decision.cause:
        return "changed" if decision.changed else "opened"
    if decision.move is Move.CLOSE:
        return "closed"
    return "changed" if decision.move is Move.UPDATE and (decision.joined or decision.changed) else ""


def letter(decision: Decision, event: str, at: datetime, urls: Mapping[str, str]) -> Letter:
    """One transition in plain text."""
    memory, cause = decision.memory, decision.cause
    hosts = cause.hosts if cause else tuple(sorted(decision.fates))
    name = title(cause) if cause else memory.title if memory else ""
    lines = [line for variant in cause.variants[:LINES_SHOWN] for line in plain(cause, variant)] if cause else []
    lines = lines or [f"{named(hosts)}: over"]
    return sealed(at, event, name, "\n".join(lines), decision.fingerprint, hosts, urls.get(decision.fingerprint, ""))


def plain(cause: Cause, variant: Variant) -> list[str]:
    """One variant in plain text."""
    where = named(variant.hosts)
    changes = [clean(f"{where}: {c.resource}.{c.attribute} {transition(c)} ({c.place.short})") for c in variant.changes]
    said = (
        []
        if cause.why is Why.FLAPPING
        else [clean(f"{where}: {r}")[:REASON_LENGTH] for r in variant.reasons[:LINES_SHOWN]]
    )
    return [*changes, *said]


def sealed(
    at: datetime, event: str, name: str, words: str, fingerprint: str, hosts: tuple[str, ...], url: str
) -> Letter:
    """A letter with its id: the same transition has the same one."""
    time = at.isoformat(timespec="seconds")
    key = sha256(repr((time, event, fingerprint, name, words, hosts)).encode()).hexdigest()[:24]
    return Letter(key, time, event, clean(name), words, fingerprint, hosts, url)
