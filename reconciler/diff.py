"""Compare: what a host should be with what it is, attribute by attribute.

Called by ``plan``. Pure. What cannot be read makes the host blind: blind is never clean.
"""

from __future__ import annotations

import base64
import binascii
import difflib
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from reconciler.kinds import Unreadable
from reconciler.model import Applied, Blind, Change, HostDesired, Observed, Resource, Value, Verdict
from reconciler.policy import effective_mode
from reconciler.verdict import judge

DIFF_LINES = 60
"""More lines of one file than this say no more to a reader; the rest is counted."""
LINE_LENGTH = 200
MATCHED_LINES = 1000
"""Matching lines up is quadratic at best, and whoever writes the files may choose them for the worst."""


def compare(desired: HostDesired, observed: Observed, applied: Applied) -> tuple[Change, ...] | Blind:
    """The attributes that differ (or are ahead) on one host, in the order of their resources."""
    changes: list[Change] = []
    for resource in desired.resources:
        try:
            fact = fact_of(observed, resource)
            seen = see(resource, fact)
        except Unreadable as error:
            return Blind(desired.host, f"cannot see {resource.identity}: {error}")
        if seen != resource.wanted or applied.get(resource.identity) != resource.wanted:
            changes += judge_resource(desired, resource, seen, fact, applied.get(resource.identity, {}))
    return tuple(changes)


def fact_of(observed: Observed, resource: Resource) -> Mapping[str, Any]:
    """The fact that the host's collector gave for a resource."""
    fact = observed.facts.get(resource.ask.collector, {}).get(resource.ask.key)
    if not isinstance(fact, Mapping):
        raise Unreadable("the host did not answer for it")
    if "error" in fact:
        raise Unreadable(str(fact["error"])[:LINE_LENGTH])
    return fact


def see(resource: Resource, fact: Mapping[str, Any]) -> dict[str, Value]:
    """The live values of the wanted attributes.

    One may be missing only where another one differs already: the mode of a file that is not there.
    """
    live = resource.fields.seen(fact)
    wanted = resource.wanted
    if live.keys() != wanted.keys():
        live = {name: value for name, value in live.items() if name in wanted}
        if len(live) < len(wanted) and all(value == wanted[name] for name, value in live.items()):
            raise Unreadable("the answer is incomplete")
    return live  # type: ignore[no-any-return]  # fields is Any to model, which knows no kinds


def judge_resource(
    desired: HostDesired,
    resource: Resource,
    seen: Mapping[str, Value],
    fact: Mapping[str, Any],
    applied: Mapping[str, Value],
) -> list[Change]:
    """One Change for each attribute of a resource that is not in sync."""
    changes = []
    for name, live in seen.items():
        wanted = resource.wanted[name]
        verdict = judge((applied[name],) if name in applied else None, wanted, live)
        if verdict is not Verdict.IN_SYNC:
            changes.append(
                Change(
                    resource=resource.identity,
                    attribute=name,
                    wanted=wanted,
                    seen=live,
                    last_applied=applied.get(name),
                    verdict=verdict,
                    mode=effective_mode(desired.mode, resource.mode),
                    place=resource.place_of(name),
                    diff=text_diff(resource, fact) if name == "content" else (),
                    secret=is_secret(resource, name),
                )
            )
    return changes


def is_secret(resource: Resource, attribute: str) -> bool:
    """Whether the values of an attribute are compared and never shown."""
    return bool(resource.fields.no_log or attribute in resource.fields.secret_attributes)


def text_diff(resource: Resource, fact: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines of a file that differ, as ``-live`` and ``+wanted``; empty where the content is secret or not text."""
    if resource.fields.no_log or resource.content is None or not isinstance(fact.get("content"), str):
        return ()
    try:
        live = base64.b64decode(fact["content"], validate=True)
    except binascii.Error:
        return ()
    return line_diff(live, resource.content)


def line_diff(before: bytes, after: bytes) -> tuple[str, ...]:
    """The lines that differ, as ``-before`` and ``+after``, capped; empty where either is not text."""
    try:
        old, new = before.decode().splitlines(), after.decode().splitlines()
    except UnicodeDecodeError:
        return ()
    start = common(zip(old, new, strict=False))
    end = common(zip(reversed(old[start:]), reversed(new[start:]), strict=False))
    shown = [line[:LINE_LENGTH] for line in unlike(old[start : len(old) - end], new[start : len(new) - end])]
    rest = len(shown) - DIFF_LINES
    return tuple(shown[:DIFF_LINES] + ([f"… and {rest} more lines"] if rest > 0 else []))


def common(pairs: Iterable[tuple[str, str]]) -> int:
    """How many pairs of lines are the same before the first that is not."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def unlike(old: list[str], new: list[str]) -> list[str]:
    """The lines taken away and added; all of them where matching them up could take somebody's files all day."""
    if len(old) * len(new) > MATCHED_LINES**2:
        return [f"-{line}" for line in old] + [f"+{line}" for line in new]
    lines = list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]
    return [line for line in lines if not line.startswith("@@")]


def orphans(desired: HostDesired, applied: Applied) -> tuple[str, ...]:
    """Resources that were applied once and are declared no longer: reported, never touched."""
    declared = {resource.identity for resource in desired.resources}
    return tuple(sorted(identity for identity in applied if identity not in declared))
