"""The words of audit commits: a sentence for the subject, a line for each change, the reasons.

Called by ``record``. Pure. Strings from hosts are data: control characters are taken out of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from reconciler.memory import shown
from reconciler.model import Change, Outcome, Value, Verdict

if TYPE_CHECKING:
    from reconciler.record import Occasion, Told

NAMES_SHOWN = 2
LINES_SHOWN = 200
VALUE_LENGTH = 80


def clean(text: str) -> str:
    """Text on one line without control or direction-changing characters, whoever wrote it."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def count(number: int, noun: str) -> str:
    """``1 host``, ``3 hosts``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str], noun: str) -> str:
    """``a and b``, or ``5 resources``."""
    if len(names) <= NAMES_SHOWN:
        return " and ".join(names)
    return f"{len(names)} {noun}"


def value_text(value: Value, *, secret: bool = False) -> str:
    """A value as people read it; absent for None; the first digits of a hash."""
    value = shown(value, secret=secret)
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    if text.startswith("sha256:"):
        return text[:14]
    return clean(text)[:VALUE_LENGTH] or "(empty)"


def transition(change: Change) -> str:
    """``stopped → started``; for content the number of lines that differ."""
    if change.attribute == "content" and change.diff:
        minus = sum(line.startswith("-") for line in change.diff)
        plus = sum(line.startswith("+") for line in change.diff)
        lines = max(minus, plus)
        return f"{lines} line{'s' if lines != 1 else ''}"
    before = change.last_applied if change.verdict is Verdict.AHEAD else change.seen
    seen = value_text(before, secret=change.secret)
    return f"{seen} → {value_text(change.wanted, secret=change.secret)}"


def citation(change: Change) -> str:
    """``web.yml:14  3f2c1ab #118``: where it is declared, and by which commit."""
    commit = change.commit
    if commit is None:
        return clean(change.place.short)
    return " ".join(part for part in (f"{change.place.short} ", commit.short, commit.pull_request) if part)


def subject(story: Sequence[Told], occasion: Occasion) -> str:
    """The story in one sentence: whom, what, and how it ended."""
    hosts = listed([one.host for one in story], "hosts")
    return clean(f"{hosts}: {fate(story[0], occasion)}")[:160]


def fate(one: Told, occasion: Occasion) -> str:
    """What happened to one host, in half a sentence."""
    revision = occasion.revision[:7]
    first = one.reasons[0].partition("\n")[0] if one.reasons else ""
    failed = resources(one.left) or "a restart"
    return {
        Outcome.CONVERGED: converged(one, revision),
        Outcome.DETECTED: f"{what(one.left, revision)}; observed, not repaired",
        Outcome.FAILED: f"{failed} could not be converged: {first.removeprefix(f'{failed}: ')}",
        Outcome.HELD: f"held back: {first}",
        Outcome.BLIND: f"not seen: {first}",
        Outcome.RECOVERED: "in sync again",
    }[one.outcome]


def converged(one: Told, revision: str) -> str:
    """What was put right, and how it had come to differ."""
    if not one.changes:
        handlers = " and ".join(one.handlers)
        return f"{handlers} made up for" if handlers else "found as declared after an interruption"
    end = "; put right" if any(c.verdict in (Verdict.DRIFT, Verdict.CONFLICT) for c in one.converged) else ""
    rest = f"; {what(one.left, revision)}, observed" if one.left else ""
    return f"{what(one.converged, revision, done=True)}{end}{rest}"


def what(changes: Iterable[Change], revision: str, *, done: bool = False) -> str:
    """The changes by verdict, as clauses."""
    kinds: dict[Verdict, list[Change]] = {}
    for change in changes:
        kinds.setdefault(change.verdict, []).append(change)
    verb = "brought to" if done else "waits for"
    clauses = {
        Verdict.DRIFT: "drifted",
        Verdict.CONFLICT: f"changed by hand and by {revision}",
        Verdict.PENDING: f"{verb} {revision}",
        Verdict.AHEAD: f"was already as {revision} says",
    }
    return ", ".join(f"{resources(kinds[verdict])} {words}" for verdict, words in clauses.items() if verdict in kinds)


def resources(changes: Iterable[Change]) -> str:
    """The resources of changes, named where they are few."""
    return listed(list(dict.fromkeys(change.resource for change in changes)), "resources")


def message(story: Sequence[Told], occasion: Occasion) -> str:
    """The whole message of an audit commit, without its trailers."""
    one = story[0]
    parts = [subject(story, occasion)]
    lines = change_lines(one.changes)
    if lines:
        parts.append("\n".join(lines))
    reasons = one.reasons if one.outcome not in (Outcome.CONVERGED, Outcome.RECOVERED) else ()
    if reasons:
        parts.append("\n".join(f"- {clean(reason)}" for reason in reasons[:LINES_SHOWN]))
    parts.append(" ".join(closing(one, occasion)))
    return "\n\n".join(part for part in parts if part)


def change_lines(changes: Sequence[Change]) -> list[str]:
    """A line for each change, in columns."""
    rows = [
        (clean(f"{c.resource}.{c.attribute}"), transition(c), f"{c.verdict}", citation(c))
        for c in changes[:LINES_SHOWN]
    ]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    lines = ["  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]) for row in rows]
    rest = len(changes) - LINES_SHOWN
    return [*lines, f"and {rest} more"] if rest > 0 else lines


def closing(one: Told, occasion: Occasion) -> list[str]:
    """When it was clean, when it was looked at, what was restarted, and whether that was interrupted."""
    clock = f"{occasion.at:%H:%M:%S}"
    sentences = []
    if one.clean_at and one.changes:
        sentences.append(f"Clean at {one.clean_at[11:19]}, looked at again at {clock}.")
    if one.outcome is Outcome.CONVERGED and any(c.verdict is not Verdict.AHEAD for c in one.converged):
        sentences.append("Proved by a second look.")
    if one.handlers:
        sentences.append(f"Ran: {', '.join(one.handlers)}.")
    if one.interrupted:
        sentences.append("Work on it was stopped before this was recorded; the host was looked at again.")
    return sentences
