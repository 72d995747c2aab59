"""What is remembered of a host after a cycle, and how that is written down for git.

Called by ``cycle`` through ``record``. Pure: plans and the old memory in, the new memory out. The
memory can be made again from the audit branch: ``hosts/<host>.yml`` and the revision it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import yaml

from reconciler.model import (
    Applied,
    Attempt,
    Change,
    Handler,
    HostDesired,
    HostMemory,
    HostPlan,
    Mode,
    Place,
    State,
    StepResult,
    Value,
    Verdict,
)

SECRET = "(secret)"  # noqa: S105 - what is shown instead of one


def shown(value: Value, *, secret: bool = False) -> Value:
    """A value as it may be written down."""
    return SECRET if secret and value is not None else value


def change_values(change: Change) -> dict[str, Any]:
    """What a change is about and its three values as plain data, secrets left out."""
    values = {name: shown(getattr(change, name), secret=change.secret) for name in ("wanted", "seen", "last_applied")}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return {"resource": change.resource, "attribute": change.attribute, **plain, "verdict": str(change.verdict)}


def change_record(change: Change, since: str) -> dict[str, Any]:
    """One difference as a host's record has it."""
    return {
        **change_values(change),
        "declared": change.place.short,
        "since": since,
    }


def intent_of(plan: HostPlan, earlier: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is about to be done to a host, as JSON: enough to tell the story if the daemon dies on the way.

    *earlier* is an intent that was interrupted before; what it names is still to be told.
    """
    due = {step.id for step in plan.steps}
    changes = [change_record(change, "") for change in plan.changes if change.resource in due]
    told = {(change["resource"], change["attribute"]) for change in changes}
    old = [c for c in (earlier or {}).get("changes", ()) if (c["resource"], c["attribute"]) not in told]
    handlers = {str(handler.notify) for handler in plan.handlers} | set((earlier or {}).get("handlers", ()))
    return {"changes": [*changes, *old], "handlers": sorted(handlers)}


def resumed_changes(intent: Mapping[str, Any], mode: Mode) -> tuple[Change, ...]:
    """The changes of an intent that has no outcome."""
    return tuple(
        Change(
            resource=record["resource"],
            attribute=record["attribute"],
            wanted=as_value(record["wanted"]),
            seen=as_value(record["seen"]),
            last_applied=as_value(record["last_applied"]),
            verdict=Verdict(record["verdict"]),
            mode=mode,
            place=Place(record["declared"].rpartition(":")[0], int(record["declared"].rpartition(":")[2])),
        )
        for record in intent["changes"]
    )


def as_value(value: Any) -> Value:
    """A value as it comes back from JSON or YAML, where tuples are lists."""
    return tuple(value) if isinstance(value, list) else value


def change_records(changes: Iterable[Change], memory: HostMemory, now: str) -> tuple[Mapping[str, Any], ...]:
    """The differences that are left, each with the time it was first seen."""
    known = {(old["resource"], old["attribute"]): old["since"] for old in memory.changes}
    left = (change for change in changes if change.verdict is not Verdict.AHEAD)
    return tuple(change_record(c, known.get((c.resource, c.attribute), now)) for c in left)


def fingerprint(final: HostPlan, attempt: Attempt | None) -> str:
    """What is recorded of a host's present state, as a short key: "" where all is well.

    The same key as last time means that there is nothing new to tell.
    """
    if final.state is State.BLIND:
        return f"held:{key_of(final.held)}" if final.held else "blind"
    left = [c for c in final.changes if c.verdict is not Verdict.AHEAD]
    missed = failed_handlers(attempt)
    if not left:
        return f"failed:{key_of(missed)}" if missed else ""
    # What is only observed, or suspended, was not tried: it is no failure that it is still there.
    tried = attempt is not None and any(change.mode is Mode.ENFORCE for change in left)
    word = "failed" if tried or missed else "held" if final.held else "differs"
    # That one begins to be waived, or suspended, is told even where another difference goes on as before.
    spared = [(c.resource, c.attribute) for c in left if c.mode is Mode.SUSPENDED]
    told = [(c.resource, c.attribute, c.wanted, c.seen, c.verdict) for c in left]
    return f"{word}:{key_of([*told, *missed, *spared])}"


def failed_handlers(attempt: Attempt | None) -> list[str]:
    """The restarts and reloads that were tried and failed."""
    results = attempt.handlers.items() if attempt else ()
    return sorted(name for name, result in results if result.status == "failed")


def key_of(values: Iterable[object]) -> str:
    """A short key of values; the same for the same values."""
    return sha256(repr(sorted(map(repr, values))).encode()).hexdigest()[:12]


def applied_after(desired: HostDesired, final: HostPlan, before: Applied) -> Applied:
    """L after a look: what is live as wanted has reached the host; what differs keeps its old L."""
    left = {(c.resource, c.attribute) for c in final.changes if c.verdict is not Verdict.AHEAD}
    after: dict[str, Mapping[str, Value]] = {r.identity: r.wanted for r in desired.resources}
    for identity in {resource for resource, _ in left}:
        old = before.get(identity, {})
        reached = {n: v for n, v in after[identity].items() if (identity, n) not in left}
        after[identity] = reached | {n: old[n] for r, n in left if r == identity and n in old}
    return after


def remember(
    memory: HostMemory,
    desired: HostDesired | None,
    before: HostPlan,
    final: HostPlan,
    attempt: Attempt | None,
    revision: str,
    times: tuple[str, str | None],
) -> HostMemory:
    """The memory of a host after a cycle: planned as *before*, found as *final* by the last look.

    *times*: this look, and the sweep before it (ISO 8601). A clean host that stays clean is remembered
    unchanged, so that an idle sweep writes nothing.
    """
    now, last_sweep = times
    was_clean, was_seen = memory.state == State.IN_SYNC, memory.state not in ("", State.BLIND)
    story = fingerprint(final, attempt)
    known = replace(
        memory,
        host=final.host,
        state=str(final.state),
        story=story,
        reason=final.reason,
        since=memory.since if memory.since and memory.story == story else now,
        owed=owed_after(memory.owed, before, attempt),
    )
    if final.state is State.BLIND or desired is None:
        seen_at = last_sweep if was_seen else memory.seen_at
        return replace(known, seen_at=seen_at, clean_at=last_sweep if was_clean else memory.clean_at)
    clean = final.state is State.IN_SYNC
    return replace(
        known,
        applied=applied_after(desired, final, memory.applied),
        revision=revision if settled(memory, final, attempt, revision) else memory.revision,
        seen_at=None,
        clean_at=None if clean else last_sweep if was_clean else memory.clean_at,
        changes=change_records(final.changes, memory, now),
    )


def settled(memory: HostMemory, final: HostPlan, attempt: Attempt | None, revision: str) -> bool:
    """Whether *revision* is now the one last applied: it was applied, or the host is as it says.

    A clean host keeps the revision it was brought to; a later one that changes nothing there is no news.
    """
    if attempt is not None:
        return True
    clean = final.state is State.IN_SYNC
    return clean and (memory.revision is None or bool(memory.changes) or bool(final.changes)) and bool(revision)


def owed_after(owed: tuple[str, ...], planned: HostPlan, attempt: Attempt | None) -> tuple[str, ...]:
    """The restarts and reloads still owed: those that failed, and those that an early end left undone."""
    if attempt is None:
        return owed
    done = {name for name, result in attempt.handlers.items() if result.status != "failed"}
    undone = {str(handler.notify) for handler in planned.handlers if attempt.reason and may_be_due(handler, attempt)}
    return tuple(sorted((set(owed) | undone | set(failed_handlers(attempt))) - done))


def may_be_due(handler: Handler, attempt: Attempt) -> bool:
    """Whether a step that asked for it changed something, or may have before the attempt was cut off."""
    unknown = StepResult("changed")
    return handler.owed or any(attempt.steps.get(step, unknown).status == "changed" for step in handler.because)


def host_file(memory: HostMemory, mode: str, last: Mapping[str, str]) -> bytes:
    """``hosts/<host>.yml``: a host's record, as people read and ``git log -p`` shows it.

    *last* is the story told last; it makes every story of the host a change of its file, and so of its log.
    """
    record: dict[str, Any] = {
        "host": memory.host,
        "mode": mode,
        "state": memory.state,
        "since": memory.since,
        "revision": memory.revision,
    }
    if memory.reason:
        record["reason"] = memory.reason
    if memory.clean_at:
        record["clean_at"] = memory.clean_at
    if memory.owed:
        record["owed"] = list(memory.owed)
    record["differs"] = [dict(change) for change in memory.changes]
    record["last"] = dict(last)
    if memory.story:
        record["told"] = memory.story
    return yaml.dump(record, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120).encode()


def from_host_file(record: Mapping[str, Any], desired: HostDesired | None) -> HostMemory:
    """The memory that a host's record and the compiled revision it names amount to.

    What is uncertain is left out: an attribute without a last value is one that was never applied.
    """
    changes = tuple(c for c in record.get("differs") or () if isinstance(c, Mapping))
    applied: dict[str, dict[str, Value]] = {r.identity: dict(r.wanted) for r in (desired.resources if desired else ())}
    for change in changes:
        attributes = applied.setdefault(str(change.get("resource")), {})
        last = change.get("last_applied")
        attributes.pop(str(change.get("attribute")), None)
        if last is not None and last != SECRET:
            attributes[str(change.get("attribute"))] = as_value(last)
    return HostMemory(
        host=str(record.get("host")),
        applied=applied,
        revision=record.get("revision"),
        state=str(record.get("state") or ""),
        story=str(record.get("told") or ""),
        since=record.get("since"),
        clean_at=record.get("clean_at"),
        changes=changes,
        owed=tuple(record.get("owed") or ()),
        reason=str(record.get("reason") or ""),
    )
