"""Record: what a cycle did, told as stories, each of which becomes one audit commit.

Called by ``cycle``. Pure: plans, attempts and memories in, new memories and events out. Hosts with
the same changes and the same outcome share a story, as a person would tell it; transitions are
told, not samples: a cycle with nothing to say gives nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from reconciler.memory import failed_handlers, host_file, key_of
from reconciler.model import (
    Attempt,
    Change,
    Event,
    HostMemory,
    HostPlan,
    Mode,
    Outcome,
    State,
    Verdict,
)
from reconciler.wording import message, subject

MOST_COMMITS = 50
"""More stories than this in one cycle are told in one summary."""
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Told:
    """One host's part of a story. ``converged`` are the changes put right, ``left`` what still differs."""

    host: str
    outcome: Outcome
    mode: Mode
    converged: tuple[Change, ...]
    left: tuple[Change, ...]
    reasons: tuple[str, ...]
    handlers: tuple[str, ...]
    memory: HostMemory
    clean_at: str | None = None
    interrupted: bool = False

    @property
    def changes(self) -> tuple[Change, ...]:
        """Everything the story is about."""
        return (*self.converged, *self.left)

    def likeness(self) -> str:
        """Equal for hosts whose stories are told alike. Content is compared by the lines that differ."""
        parts = [
            (c.resource, c.attribute, c.diff or (c.wanted, c.seen), c.verdict, c in self.converged)
            for c in self.changes
        ]
        return key_of([*parts, self.outcome, self.reasons, self.handlers, self.interrupted])


def tell(
    before: HostPlan,
    final: HostPlan,
    attempt: Attempt | None,
    old: HostMemory,
    new: HostMemory,
    resumed: tuple[Change, ...] | None = None,
    swept_at: str | None = None,
) -> Told | None:
    """What there is to say about one host after a cycle; None where nothing changed.

    *resumed* are the changes that an interrupted cycle had set out to make, None where there was none;
    *swept_at* is when the fleet was looked at before.
    """
    left = tuple(c for c in final.changes if c.verdict is not Verdict.AHEAD)
    done = done_by(before, final, attempt, resumed or ())
    ran = tuple(sorted(attempt.handlers)) if attempt else ()
    failed = failed_handlers(attempt)
    interrupted = resumed is not None
    news = new.story != old.story or done or len(ran) > len(failed)
    if not news and (not interrupted or final.state is State.BLIND):
        return None
    outcome = outcome_of(final, new, acted=bool(done or attempt or interrupted))
    reasons = reasons_of(final, attempt)
    clean_at = swept_at if old.state == State.IN_SYNC else old.clean_at
    return Told(before.host, outcome, before.mode, done, left, reasons, ran, new, clean_at, interrupted)


def done_by(
    before: HostPlan, final: HostPlan, attempt: Attempt | None, resumed: tuple[Change, ...]
) -> tuple[Change, ...]:
    """The changes that are no more: made in this cycle, by an interrupted one, or by hand before the commit came.

    What an interrupted cycle had set out to do and this one had to do is told once.
    """
    if final.state is State.BLIND:
        return ()
    remaining = {(c.resource, c.attribute) for c in final.changes if c.verdict is not Verdict.AHEAD}
    earlier = {(c.resource, c.attribute) for c in resumed}
    touched = {step.id for step in before.steps} if attempt else set()
    made = [c for c in before.changes if c.resource in touched and c.verdict is not Verdict.AHEAD]
    ahead = [c for c in before.changes if c.verdict is Verdict.AHEAD and (c.resource, c.attribute) not in earlier]
    again = {(c.resource, c.attribute) for c in made}
    before_us = [c for c in resumed if (c.resource, c.attribute) not in again]
    return tuple(c for c in (*before_us, *made, *ahead) if (c.resource, c.attribute) not in remaining)


def outcome_of(final: HostPlan, new: HostMemory, *, acted: bool) -> Outcome:
    """How the story ended, the gravest word first."""
    if final.state is State.BLIND:
        return Outcome.HELD if final.held else Outcome.BLIND
    if new.story.startswith("failed:"):
        return Outcome.FAILED
    if acted:
        return Outcome.CONVERGED
    if final.state is State.DIFFERS:
        return Outcome.HELD if final.held else Outcome.DETECTED
    return Outcome.RECOVERED


def reasons_of(final: HostPlan, attempt: Attempt | None) -> tuple[str, ...]:
    """Why it ended so: what is held, why a host is blind, what failed steps and handlers said."""
    reasons = [*final.held] if final.held else [final.reason] if final.reason else []
    if attempt is not None:
        reasons += [attempt.reason] if attempt.reason else []
        results = {**attempt.steps, **attempt.handlers}
        reasons += [f"{name}: {result.message}" for name, result in results.items() if result.status == "failed"]
        reasons += ["it still differs after the second look"] if not reasons and final.state is State.DIFFERS else []
    return tuple(dict.fromkeys(reasons))


@dataclass(frozen=True, slots=True)
class Occasion:
    """What all stories of one cycle share. ``evidence`` are trailers that say who approved the revision."""

    shard: str
    at: datetime
    revision: str
    evidence: tuple[tuple[str, str], ...] = ()


def events_of(told: Sequence[Told], occasion: Occasion, files: Mapping[str, bytes | None]) -> list[Event]:
    """The audit commits of one cycle: one for each distinct story, at most 50, the rest in one summary.

    *files* (the accepted revision) go with the first.
    """
    groups: dict[str, list[Told]] = {}
    for one in told:
        groups.setdefault(one.likeness(), []).append(one)
    stories = sorted(groups.values(), key=lambda story: (-len(story), story[0].host))
    head, rest = stories[:MOST_COMMITS], stories[MOST_COMMITS:]
    if rest:
        head, rest = stories[: MOST_COMMITS - 1], stories[MOST_COMMITS - 1 :]
    events = [event_of(story, message(story, occasion), occasion) for story in head]
    events += [summary_of(rest, occasion)] if rest else []
    return [replace(events[0], files={**files, **events[0].files}), *events[1:]] if events else []


def event_of(story: Sequence[Told], text: str, occasion: Occasion, outcome: Outcome | None = None) -> Event:
    """One story as an event: message, trailers, and the records of its hosts."""
    counts = Counter(change.verdict for one in story for change in one.changes)
    trailers = (
        *(("Host", one.host) for one in story),
        ("Outcome", str(outcome or story[0].outcome)),
        ("Pending", str(counts[Verdict.PENDING])),
        ("Drift", str(counts[Verdict.DRIFT])),
        ("Conflict", str(counts[Verdict.CONFLICT])),
        ("Ahead", str(counts[Verdict.AHEAD])),
        ("Desired-Revision", occasion.revision),
        *occasion.evidence,
    )
    last = {"at": occasion.at.isoformat(timespec="milliseconds"), "outcome": str(outcome or story[0].outcome)}
    files = {f"hosts/{one.host}.yml": host_file(one.memory, str(one.mode), last) for one in story}
    return make_event(text, trailers, files, occasion)


def make_event(
    text: str, trailers: Iterable[tuple[str, str]], files: Mapping[str, bytes | None], occasion: Occasion
) -> Event:
    """An event with its key. The same story of the same cycle has the same key, so it is never there twice."""
    trailers = tuple(trailers)
    key = event_id(occasion.at, repr((occasion.shard, text, trailers)))
    return Event(key, occasion.at, text, (("Event-Id", key), *trailers), files)


def summary_of(stories: Sequence[Sequence[Told]], occasion: Occasion) -> Event:
    """Every story beyond the fiftieth, a line each, in one commit."""
    hosts = [one for story in stories for one in story]
    gravest = min((one.outcome for one in hosts), key=GRAVITY.index)
    lines = [subject(story, occasion) for story in stories]
    text = f"{len(stories)} more stories of {len(hosts)} hosts\n\n" + "\n".join(lines)
    return event_of(hosts, text, occasion, gravest)


GRAVITY = (Outcome.FAILED, Outcome.BLIND, Outcome.HELD, Outcome.DETECTED, Outcome.CONVERGED, Outcome.RECOVERED)


def revision_event(outcome: Outcome, text: str, occasion: Occasion, files: Mapping[str, bytes | None]) -> Event:
    """An event about a revision rather than about hosts: accepted with nothing to do, or refused."""
    zero = ((name, "0") for name in ("Pending", "Drift", "Conflict", "Ahead"))
    revision = (("Desired-Revision", occasion.revision), *occasion.evidence)
    return make_event(text, (("Outcome", str(outcome)), *zero, *revision), files, occasion)


def event_id(at: datetime, text: str) -> str:
    """26 letters in the form of a ULID: the time, then a hash of what is said instead of randomness."""
    number = int(at.timestamp() * 1000) << 80 | int.from_bytes(sha256(text.encode()).digest()[:10])
    letters = []
    for _ in range(26):
        number, rest = divmod(number, 32)
        letters.append(ALPHABET[rest])
    return "".join(reversed(letters))
