"""Which fields of a declaration say what is live; called by ``manifest`` of this room.

It knows of each kind only what its attributes and its fields do not share by name. Whether the fields may have these
values is the kind's own judgement, when the result is compiled. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from reconciler.adopt.spots import Unable
from reconciler.kinds import Fields
from reconciler.model import Value

CRON_TIMES = ("minute", "hour", "day", "month", "weekday")
ONLY_PRESENT = {
    "file": ("mode", "owner", "group", "src"),
    "user": ("uid", "group", "groups", "append", "shell", "home", "comment", "password"),
}
"""Fields that have no meaning where nothing is to be."""
SHOWN = 60


class Gone:
    """Stands for a field that is to be written no longer."""


GONE = Gone()


@dataclass(frozen=True, slots=True)
class Target:
    """A field and what it is to say: ``prefix`` and then ``value``; only the value may come from a variable."""

    field: str
    value: Any
    prefix: str = ""


def targets_of(fields: Fields, wished: Mapping[str, Value]) -> list[Target]:
    """The fields that say what is wished of one resource; raises Unable."""
    if fields.no_log or fields.secret_attributes & wished.keys():
        raise Unable("it is secret, and what is secret is never copied into git")
    special = _SPECIAL.get(fields.kind)
    found = special(fields, wished) if special else None
    targets = found if found is not None else [_plain_target(fields, *pair) for pair in wished.items()]
    _refuse_impossible(fields, wished, targets)
    return targets


def _refuse_impossible(fields: Fields, wished: Mapping[str, Value], targets: list[Target]) -> None:
    """Ask the kind itself, before anything is edited, whether it can be declared so."""
    said = {target.field: target for target in targets}
    kept = fields.model_dump(by_alias=True, exclude_unset=True)
    values = {name: value for name, value in kept.items() if name not in said}
    values |= {n: t.prefix + t.value if t.prefix else t.value for n, t in said.items() if not isinstance(t.value, Gone)}
    try:
        type(fields).model_validate(values)
    except ValidationError:
        raise Unable(cannot(fields, *next(iter(wished.items())))) from None


def _plain_target(fields: Fields, attribute: str, value: Value) -> Target:
    name = fields.declared_by.get(attribute, attribute)
    name = attribute if attribute in field_names(fields) else name
    if value is None or name not in field_names(fields) or name != attribute:
        raise Unable(cannot(fields, attribute, value))
    return Target(name, list(value) if isinstance(value, tuple) else value)


def cannot(fields: Fields, attribute: str, value: Value) -> str:
    """The reason why a live value has no words in a manifest."""
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"
    return f"{attribute} {shown} cannot be declared of this {fields.kind}"


def field_names(fields: Fields) -> list[str]:
    """The fields of a kind as they are written."""
    return [field.alias or name for name, field in type(fields).model_fields.items()]


def default_of(fields: Fields, name: str) -> Any:
    """What a field means that is not written."""
    field = next((f for n, f in type(fields).model_fields.items() if (f.alias or n) == name), None)
    return None if field is None or field.is_required() else field.default


def _absent(fields: Fields, wished: Mapping[str, Value]) -> list[Target] | None:
    if wished.get("state") != "absent":
        return None
    gone = [name for name in ONLY_PRESENT.get(fields.kind, ()) if name in fields.model_fields_set]
    return [Target("state", "absent"), *(Target(name, GONE) for name in gone)]


def _package(fields: Fields, wished: Mapping[str, Value]) -> list[Target] | None:
    targets = [Target("state", wished["state"])] if "state" in wished else []
    if wished.get("state") == "absent" and "=" in getattr(fields, "name", ""):
        return [*targets, Target("name", fields.key())]
    if isinstance(version := wished.get("version"), str):
        return [*targets, Target("name", version, f"{fields.key()}=")]
    return targets if "version" not in wished else None


def _sysctl(_fields: Fields, wished: Mapping[str, Value]) -> list[Target] | None:
    values = {wished[name] for name in ("value", "persisted") if name in wished}
    if len(values) > 1:
        raise Unable("the running value and the one in the file differ, and one field declares both")
    if not values or None in values:
        return None
    return [Target("value", values.pop())]


def _cron(fields: Fields, wished: Mapping[str, Value]) -> list[Target] | None:
    schedule = wished.get("schedule")
    if not isinstance(schedule, str):
        return _absent(fields, wished)
    rest = {name: value for name, value in wished.items() if name != "schedule"}
    others = [_plain_target(fields, *pair) for pair in rest.items()]
    if schedule.startswith("@"):
        return [*(Target(name, GONE) for name in CRON_TIMES), Target("special_time", schedule[1:]), *others]
    words = schedule.split()
    if len(words) != len(CRON_TIMES):
        raise Unable(cannot(fields, "schedule", schedule))
    changed = [Target(n, w) for n, w in zip(CRON_TIMES, words, strict=True) if getattr(fields, n) != w]
    return [Target("special_time", GONE), *changed, *others]


def _lineinfile(fields: Fields, wished: Mapping[str, Value]) -> list[Target] | None:
    line = wished.get("line")
    if line is None:
        return [Target("state", "absent")]
    state = [Target("state", "present")] if getattr(fields, "state", "") == "absent" else []
    return [Target("line", line), *state]


_SPECIAL = {
    "package": _package,
    "sysctl": _sysctl,
    "cron": _cron,
    "lineinfile": _lineinfile,
    "file": _absent,
    "user": _absent,
    "group": _absent,
    "authorized_key": _absent,
}
