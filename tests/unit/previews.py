"""Previews for tests: hosts as they are remembered, and a preview as a text that people can read and diff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from reconciler.model import Desired, HostMemory, Value
from reconciler.preview import preview
from reconciler.talk import Foreseen, HostPreview, Preview

BASE, HEAD, SEEN = "3f2c1ab" + "0" * 33, "91bd002" + "0" * 33, "2026-11-22T12:00:00+00:00"


def in_sync(desired: Desired) -> dict[str, HostMemory]:
    """Hosts that were last seen exactly as they are declared."""
    return {
        name: HostMemory(name, {r.identity: r.wanted for r in host.resources}, BASE, "in-sync")
        for name, host in desired.hosts.items()
    }


def with_drift(memory: HostMemory, resource: str, attribute: str, seen: Value) -> HostMemory:
    """The host with one difference that the last look found."""
    wanted = memory.applied.get(resource, {}).get(attribute)
    record = {"resource": resource, "attribute": attribute, "wanted": wanted, "seen": seen, "last_applied": wanted}
    record |= {"verdict": "drift", "declared": "all.yml:3", "since": SEEN}
    return replace(memory, state="differs", changes=(*memory.changes, record))


def foretold(base: Desired, head: Desired, memories: Mapping[str, HostMemory] | None = None, **more: Any) -> Preview:
    """The preview of *head*, on hosts that are as *base* says where nothing else is given."""
    known = in_sync(base) if memories is None else memories
    ordinary = {"base_sha": BASE, "head_sha": HEAD, "seen_at": SEEN, "limits": base.limits}
    return preview(base, head, known, **{**ordinary, **more})


def text_of(told: Preview) -> str:
    """The whole preview, a line for each thing in it."""
    return "".join(f"{line.rstrip()}\n" for line in lines_of(told))


def lines_of(told: Preview) -> Iterator[str]:
    yield f"{len(told.hosts)} of {told.fleet} hosts, plan {'yes' if told.plan else 'none'}"
    yield from (f"arriving {host}" for host in told.arriving)
    yield from (f"leaving {host}" for host in told.leaving)
    yield from (f"mistake {mistake}" for mistake in told.mistakes)
    for host in told.hosts:
        yield from host_lines(host)


def host_lines(host: HostPreview) -> Iterator[str]:
    was = f", was {host.mode_before}" if host.mode_before else ""
    yield f"{host.host} {host.mode}{was}{f', {host.blind}' if host.blind else ''}"
    for one in host.foreseen:
        yield from foreseen_lines(one)
    yield from (f"  then {handler}" for handler in host.handlers)
    yield from (f"  held: {reason}" for reason in host.held)
    yield from (f"  left: {kept.resource}: {kept.reason}" for kept in host.held_in_part)
    yield from (f"  turn {turn.resource} {turn.before} → {turn.after}" for turn in host.turns)
    yield from (f"  orphan {name}" for name in host.orphans)
    yield from (f"  drift {name}" for name in host.drift)


def foreseen_lines(one: Foreseen) -> Iterator[str]:
    live = f", live {short(one.live[0])}" if one.live else ""
    marks = "".join(f", {mark}" for mark in ("unseen", "irreversible", "secret") if getattr(one, mark))
    values = f"{short(one.before)} → {short(one.after)}"
    yield f"  {one.action} {one.resource} {one.attribute} {values}{live}{marks}  ({one.place.short})"
    yield from (f"    {line}" for line in one.diff)


def short(value: Value) -> str:
    """A value with no more of a digest than tells it apart."""
    return str(value)[:12] if str(value).startswith("sha256:") else str(value)
