"""What a host says, made fit to be believed as far as it goes: bounded, printable, and about what was asked.

Called by the edges that hear hosts. Pure. Everything here may be a lie; who said it is known from the connection alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from reconciler.model import Ask

MESSAGE_CAP = 500
DEEPEST = 12
"""Levels of one fact; collectors use three."""
MOST_VALUES = 200_000
"""Values in one answer: a thousand resources use a tenth of it."""
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
FAREWELL = re.compile(r"(?:Shared connection to|Connection to) \S+ closed\.?$")


class Rubbish(Exception):
    """An answer that cannot be used; its message is the reason."""


def printable(text: str) -> str:
    """*text* without terminal escapes, control and direction characters; lone surrogates replaced."""
    return CONTROL.sub("", text.encode("utf-8", "replace").decode("utf-8")).strip()


def clip(text: str) -> str:
    """*text* printable and at most MESSAGE_CAP characters long."""
    clean = printable(text)
    return clean if len(clean) <= MESSAGE_CAP else clean[: MESSAGE_CAP - 1] + "…"


def last_said(text: str) -> str:
    """The last line that says something, without the farewell that ssh may add; "" where there is none."""
    words = [printable(line) for line in text.splitlines()]
    said = [line for line in words if line and not FAREWELL.search(line)]
    return clip(said[-1]) if said else ""


def facts_asked(observed: Any, asks: Iterable[Ask]) -> dict[str, dict[str, Any]]:
    """The facts that were asked for and nothing else; raises Rubbish where they are not all there."""
    if not isinstance(observed, dict):
        raise Rubbish("the answer holds no facts")
    budget = [MOST_VALUES]
    facts: dict[str, dict[str, Any]] = {}
    for ask in asks:
        given = observed.get(ask.collector)
        if not isinstance(given, dict) or ask.key not in given:
            raise Rubbish(f"the answer leaves out {clip(ask.collector)} {clip(ask.key)}")
        facts.setdefault(ask.collector, {})[ask.key] = clean(given[ask.key], budget)
    return facts


def clean(value: Any, budget: list[int], depth: int = 0) -> Any:
    """A copy of *value* whose strings can be written as UTF-8; raises Rubbish where it is too deep or too much."""
    budget[0] -= 1
    if depth > DEEPEST or budget[0] < 0:
        raise Rubbish("the answer is nested too deeply" if depth > DEEPEST else "the answer holds too many values")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [clean(item, budget, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean(key, budget, depth): clean(item, budget, depth + 1) for key, item in value.items()}
    return value
