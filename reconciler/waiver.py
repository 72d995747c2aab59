"""Waivers: which differences they spare on a day, and the edit of ``reconciler.yml`` that adds one.

``plan`` asks what is spared; the shell asks for the edit that a prepared branch holds. Pure. An edit adds lines
and leaves every other byte as it is; it is read again before anybody sees it, and refused if it says anything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from reconciler.errors import Refused
from reconciler.inventory import Inventory, PatternMistake
from reconciler.inventory import load as load_inventory
from reconciler.model import Change, Mode, Tree, Verdict, Waiver
from reconciler.policy import FILE, load_policy
from reconciler.wording import clean
from reconciler.yamlfile import Document, load

PATTERN_LENGTH = 160
"""The hosts of one waiver are named one by one up to this length (a pattern may have 200); the rest get another."""
REASON_LENGTH = 200


def in_force(waivers: Iterable[Waiver], today: date | None) -> Mapping[str, tuple[Waiver, ...]]:
    """Host → the waivers that spare it something on the day *today*; all of them where nobody says which day it is."""
    found: dict[str, tuple[Waiver, ...]] = {}
    for waiver in waivers:
        if today is None or today <= waiver.until:
            for host in waiver.hosts:
                found[host] = (*found.get(host, ()), waiver)
    return found


def spare(changes: tuple[Change, ...], waivers: Iterable[Waiver]) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """The changes of one host with what *waivers* spare suspended, and the reasons why.

    A resource is converged whole, so nothing of one is while a part of it is waived: its other
    differences are only observed then, and still told to people.
    """
    waived = {
        (change.resource, change.attribute): waiver
        for waiver in sorted(waivers, key=lambda waiver: waiver.until)
        for change in changes
        if waives(waiver, change)
    }
    touched = {resource for resource, _ in waived}
    reasons = {f"{name}: waived until {waiver.until}: {waiver.reason}": None for (name, _), waiver in waived.items()}
    spared = tuple(
        replace(change, mode=Mode.SUSPENDED)
        if (change.resource, change.attribute) in waived
        else replace(change, mode=Mode.OBSERVE)
        if change.resource in touched and change.mode is Mode.ENFORCE
        else change
        for change in changes
    )
    return spared, tuple(sorted(reasons))


def waives(waiver: Waiver, change: Change) -> bool:
    """Whether a difference is one that the waiver is about."""
    alike = waiver.resource == change.resource and waiver.attribute in ("", change.attribute)
    return alike and change.verdict is not Verdict.AHEAD


def waive(
    tree: Tree, resource: str, hosts: Sequence[str], until: date, reason: str, attribute: str = ""
) -> Mapping[str, bytes]:
    """The file that changes in *tree* when a resource is waived on *hosts*: ``reconciler.yml``, made if need be.

    Raises Refused where the file is written in a way that cannot be added to without touching the rest.
    """
    inventory, _ = load_inventory(tree, allow_local=True)
    why = clean(reason)[:REASON_LENGTH] or "not now"
    if inventory is None or not hosts:
        raise Refused("there is no host to waive anything on")
    common = {"resource": resource, "attribute": attribute, "until": until.isoformat(), "reason": why}
    entries = [{"hosts": pattern, **common} for pattern in patterns(sorted(set(hosts)), inventory)]
    rows = [{key: entry[key] for key in ORDER if entry[key]} for entry in entries]
    edited = insert(tree.get(FILE, b""), rows)
    prove({**tree, FILE: edited}, tree, rows, inventory)
    return {FILE: edited}


ORDER = ("resource", "attribute", "hosts", "until", "reason")


def patterns(hosts: Sequence[str], inventory: Inventory) -> list[str]:
    """The hosts as host patterns: a group that holds exactly these, or their names, in as many as it takes."""
    groups = sorted(name for name, members in inventory.groups.items() if set(members) == set(hosts))
    if groups and len(hosts) > 1:
        return [next((name for name in groups if name != "all"), "all")]
    found = [hosts[0]]
    for host in hosts[1:]:
        if len(found[-1]) + len(host) < PATTERN_LENGTH:
            found[-1] += f",{host}"
        else:
            found.append(host)
    return found


def insert(text: bytes, rows: Sequence[Mapping[str, str]]) -> bytes:
    """The text of a policy with *rows* added to its ``waivers``."""
    document, mistakes = load(FILE, text)
    if document is None or mistakes:
        raise refusal(rows, "it has mistakes")
    decoded = text.decode("utf-8-sig")
    mark = text[: len(text) - len(decoded.encode())]
    lines = decoded.splitlines(keepends=True)
    end = "\r\n" if any(line.endswith("\r\n") for line in lines) else "\n"
    return mark + "".join(inserted(document, lines, rows, end)).encode()


def inserted(document: Document, lines: list[str], rows: Sequence[Mapping[str, str]], end: str) -> list[str]:
    """The lines with the rows where they belong: into a list, after a list, or below a new key."""
    root = document.value
    if isinstance(root, Mapping) and "waivers" in root:
        start = document.place(("waivers",))
        opened = lines[start.line - 1][start.column - 1 :]
        if opened.startswith("["):
            return in_brackets(lines, start.line, start.column, flow(rows), more=bool(root["waivers"]))
        at = end_of_block(lines, start.line, start.column - 1)
        return spliced(lines, at, block(rows, start.column - 1, end), end)
    if root is not None and (opening := document.place(())) and lines[opening.line - 1][opening.column - 1] == "{":
        return in_brackets(lines, opening.line, opening.column, f"waivers: [{flow(rows)}]", more=bool(root))
    return spliced(lines, len(lines), [f"waivers:{end}", *block(rows, 2, end)], end)


def spliced(lines: list[str], at: int, more: list[str], end: str) -> list[str]:
    """The lines with *more* before line *at* (from 0); a last line without an end gets one."""
    before = lines[:at]
    if before and not before[-1].endswith(("\n", "\r")):
        before[-1] += end
    return [*before, *more, *lines[at:]]


def in_brackets(lines: list[str], line: int, column: int, words: str, *, more: bool) -> list[str]:
    """The lines with *words* put first into the brackets that open at a place (from 1)."""
    old = lines[line - 1]
    return [*lines[: line - 1], f"{old[:column]}{words}{', ' if more else ''}{old[column:]}", *lines[line:]]


def end_of_block(lines: list[str], line: int, indent: int) -> int:
    """After which line (counted from 1) the list ends whose first dash is on *line*, *indent* columns in."""
    last = line
    for number, text in enumerate(lines[line:], line + 1):
        depth = len(text) - len(text.lstrip(" "))
        dash = depth == indent and text[depth:].startswith("-")
        if not text.strip() or (text.lstrip().startswith("#") and depth <= indent):
            continue
        if depth <= indent and not dash:
            break
        last = number
    return last


def block(rows: Sequence[Mapping[str, str]], indent: int, end: str) -> list[str]:
    """The rows as items of a list, a line for each field."""
    return [
        f"{' ' * indent}{'  ' if number else '- '}{key}: {scalar(key, value)}{end}"
        for row in rows
        for number, (key, value) in enumerate(row.items())
    ]


def flow(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as they stand between brackets."""
    items = (", ".join(f"{key}: {scalar(key, value)}" for key, value in row.items()) for row in rows)
    return ", ".join(f"{{{item}}}" for item in items)


def scalar(key: str, value: str) -> str:
    """A value in quotes that YAML and JSON share; a day needs none."""
    return value if key == "until" else json.dumps(value, ensure_ascii=False)


def prove(new: Tree, old: Tree, rows: Sequence[Mapping[str, str]], inventory: Inventory) -> None:
    """Raise Refused unless the edited file says what the old one said, and the new waivers beside it."""
    before, after = plain(old.get(FILE, b"")), plain(new[FILE])
    waivers = after.pop("waivers", [])
    known = before.pop("waivers", None) or []
    kept = waivers in ([*known, *rows], [*rows, *known])
    if before != after or not kept or load_policy(new, inventory).mistakes:
        raise refusal(rows, "it is written in a way that cannot be added to")
    for row in rows:
        if not matches(row["hosts"], inventory):
            raise refusal(rows, f"the pattern {row['hosts']} means other hosts")


def plain(text: bytes) -> dict[str, Any]:
    """The policy's own keys and values; empty where it cannot be read."""
    document, _ = load(FILE, text)
    return dict(document.value) if document and isinstance(document.value, Mapping) else {}


def matches(pattern: str, inventory: Inventory) -> bool:
    """Whether a pattern that was made means the hosts or the group it names, and no others."""
    try:
        found = set(inventory.select(pattern))
    except PatternMistake:
        return False
    named = inventory.groups.get(pattern, pattern.split(","))
    return found == set(named)


def refusal(rows: Sequence[Mapping[str, str]], why: str) -> Refused:
    """Why the edit was not made, and what to write by hand."""
    return Refused(f"{FILE} was not edited: {why}", hint=f"add to its waivers: [{flow(rows)}]")
