"""Whether an edited tree says what was wished and nothing else; called by ``adopt`` with two compiled trees. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.adopt.splices import read_text
from reconciler.adopt.spots import Unable, remarks
from reconciler.model import Desired, HostDesired, Mistake, Resource, Tree, Value
from reconciler.talk import Wish

YAML_FILES = (".yml", ".yaml", ".json")
_LINES = re.compile(r":\d+(:\d+)?\b")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wished of one resource of one host."""

    wanted: Mapping[str, Value]
    content: bytes | None = None


def asked_of(wishes: Iterable[Wish]) -> dict[tuple[str, str], Asked]:
    """The wishes of each resource of each host, together."""
    found: dict[tuple[str, str], Asked] = {}
    for wish in wishes:
        known = found.get((wish.host, wish.resource), Asked({}))
        content = wish.content if wish.attribute == "content" else known.content
        found[wish.host, wish.resource] = Asked({**known.wanted, wish.attribute: wish.value}, content)
    return found


def prove(
    before: Desired,
    after: Desired,
    asked: Mapping[tuple[str, str], Asked],
    edited: frozenset[str] = frozenset(),
    where: str = "a file",
) -> None:
    """Raise Unable, with what is wrong, unless *after* is *before* with exactly what is asked.

    ``edited`` are the fields that say what is asked, and may differ; ``where`` names the files that were edited.
    """
    _prove_no_mistake(before.mistakes, after.mistakes)
    if before.held.keys() != after.held.keys() or before.hosts.keys() != after.hosts.keys():
        raise Unable("other hosts would be held or freed by the edit")
    if before.limits != after.limits:
        raise Unable("the limits of reconciler.yml would change")
    for name, host in before.hosts.items():
        _prove_host(host, after.hosts[name], asked, edited, where)


def _prove_no_mistake(before: tuple[Mistake, ...], after: tuple[Mistake, ...]) -> None:
    """Lines may have moved, so only what is said is compared."""
    known = Counter(_LINES.sub("", mistake.message) for mistake in before)
    new = [mistake for mistake in after if not known[_LINES.sub("", mistake.message)]]
    if new:
        raise Unable(f"it cannot be declared: {new[0].message}")
    if len(after) != len(before):
        raise Unable("the edit would make or mend a mistake elsewhere")


def _prove_host(
    before: HostDesired, after: HostDesired, asked: Mapping[tuple[str, str], Asked], edited: frozenset[str], where: str
) -> None:
    if before.mode != after.mode or before.connection != after.connection:
        raise Unable(f"how {before.host} is reached, or what may be done there, would change")
    if [r.identity for r in before.resources] != [r.identity for r in after.resources]:
        raise Unable(f"what is declared for {before.host} would have other names")
    for old, new in zip(before.resources, after.resources, strict=True):
        wish = asked.get((before.host, old.identity))
        if old is new or (wish is None and _same(old, new)):
            continue
        if wish is None:
            raise Unable(f"an edit of {where} would also change {old.identity} on {before.host}; change it by hand")
        _prove_resource(before.host, old, new, wish, edited)


def _same(old: Resource, new: Resource, edited: frozenset[str] = frozenset()) -> bool:
    """Whether two resources are the same but for the lines they stand on and the fields named."""
    rest = old.mode == new.mode and old.notify == new.notify and old.hosts == new.hosts
    if edited:
        return rest and _dump(old, edited) == _dump(new, edited)
    return rest and old.wanted == new.wanted and old.fields == new.fields and old.content == new.content


def _dump(resource: Resource, without: frozenset[str]) -> dict[str, object]:
    found = resource.fields.model_dump(by_alias=True)
    return {name: value for name, value in found.items() if name not in without}


def _prove_resource(host: str, old: Resource, new: Resource, wish: Asked, edited: frozenset[str]) -> None:
    expected = {**old.wanted, **wish.wanted}
    if wish.wanted.get("state") == "absent":
        expected = {name: value for name, value in expected.items() if name in new.wanted}
    content = wish.content if "content" in wish.wanted else old.content
    if new.wanted != expected or not wish.wanted.keys() <= new.wanted.keys() or new.content != content:
        raise Unable(_difference(host, old, new, wish))
    if not _same(old, new, edited | {"state"}):
        raise Unable(f"other fields of {old.identity} on {host} would change too")


def _difference(host: str, old: Resource, new: Resource, wish: Asked) -> str:
    """What an edit would do to a wished resource that was not wished, in words."""
    for name in sorted(old.wanted.keys() | new.wanted.keys()):
        if name in wish.wanted and new.wanted.get(name) != wish.wanted[name]:
            return f"no edit of its declaration was found that gives {host} this {name}"
        if name not in wish.wanted and old.wanted.get(name) != new.wanted.get(name):
            return f"its {name} on {host} would change with it, which is not live"
    return f"no edit of its declaration was found that gives {host} this"


def prove_remarks(before: Tree, edited: Mapping[str, bytes]) -> None:
    """Raise Unable if a comment or an empty line of a YAML file would be lost, or a file of another kind is broken."""
    for name, data in edited.items():
        if name in before and name.endswith(YAML_FILES) and not name.startswith(("files/", "templates/")):
            old, new = remarks(read_text(before[name])[1]), remarks(read_text(data)[1])
            if not _is_within(old, new):
                raise Unable(f"a comment of {name} would be lost; change it by hand")


def _is_within(old: list[str], new: list[str]) -> bool:
    rest = iter(new)
    return all(line in rest for line in old)
