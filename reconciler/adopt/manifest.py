"""The declaring fields of one resource changed in its manifest, or turned over to a variable.

Called by ``adopt``. It says what would be edited; whether that is right is proven by compiling. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reconciler.adopt import splices
from reconciler.adopt.declared import Gone, Target, default_of, field_names
from reconciler.adopt.expressions import Expression, literal, natural, parse, variable_name
from reconciler.adopt.spots import Unable, find_spots
from reconciler.adopt.variables import Setting
from reconciler.adopt.world import Item, World
from reconciler.templates import has_template


@dataclass(slots=True)
class Draft:
    """Files that would be written, and the variables that would have to be set beside them."""

    files: dict[str, bytes] = field(default_factory=dict)
    settings: list[Setting] = field(default_factory=list)
    fields: frozenset[str] = frozenset()


def edit_fields(world: World, item: Item, targets: list[Target], hosts: frozenset[str], *, block: bool = True) -> Draft:
    """What has to be written so that the fields of one declaration say this for *hosts*; raises Unable."""
    file = item.declaration.place.file
    bom, text = splices.read_text(world.tree[file])
    draft = Draft(fields=frozenset(target.field for target in targets))
    spot = find_spots(text).find(item.declaration.path)
    taken = "" if item.reach <= hosts else "\n".join(each.decode(errors="replace") for each in world.tree.values())
    order = field_names(item.resource.fields)
    found: list[splices.Splice] = []
    for target in targets:
        values = _new_values(world, item, target, hosts, taken, draft)
        for value in values:
            if isinstance(value, Gone):
                found += splices.drop(text, spot, target.field)
            else:
                found += splices.put(text, spot, target.field, value, order, block=block)
    if found:
        draft.files[file] = (bom + splices.apply(text, found)).encode()
    return draft


def _new_values(world: World, item: Item, target: Target, hosts: frozenset[str], taken: str, draft: Draft) -> list[Any]:
    """What is to be written in a field, if anything; adds the variables that are to be set."""
    raw = item.declaration.raw
    everywhere = item.reach <= hosts
    if isinstance(target.value, Gone):
        if target.field in raw and not everywhere:
            raise Unable(f"'{target.field}' would have to go, and {others(item, hosts)} still needs it")
        return [target.value] if target.field in raw else []
    old = raw.get(target.field, default_of(item.resource.fields, target.field))
    if _is_expression(old):
        return _turn_round(world, item, target, hosts, draft)
    refuse_template(target.value)
    if everywhere:
        return [target.prefix + target.value if target.prefix else natural(target.value, old)]
    return [_hand_over(item, target, hosts, old, taken, draft)]


def _is_expression(old: Any) -> bool:
    if isinstance(old, list):
        return any(_is_expression(each) for each in old)
    return isinstance(old, str) and has_template(old)


def refuse_template(value: Any) -> None:
    """Live text that would be rendered when it is read again cannot be written down as it is."""
    if any(isinstance(each, str) and has_template(each) for each in (value if isinstance(value, list) else [value])):
        raise Unable("what is live holds '{{' or '{%', which would be read as a template")


def others(item: Item, hosts: frozenset[str]) -> str:
    """A host that shares the declaration and is not meant."""
    return min(item.reach - hosts)


def _hand_over(item: Item, target: Target, hosts: frozenset[str], old: Any, taken: str, draft: Draft) -> str:
    """Turn a literal that some hosts keep into a variable with that default."""
    word = target.field
    if target.prefix:
        old, word = str(old).removeprefix(target.prefix), "version"
    if isinstance(old, str) and "\n" in old:
        raise Unable(f"its text is shared with {others(item, hosts)}, where nothing is to change; change it by hand")
    if old is None:
        raise Unable(f"'{target.field}' is not written, and {others(item, hosts)} is to stay without it")
    name = variable_name(item.resource.fields.key(), "" if word == "value" else word, taken)
    draft.settings.append(Setting((name,), natural(target.value, old), hosts))
    return f"{target.prefix}{{{{ {name} | default({literal(old)}) }}}}"


def _turn_round(world: World, item: Item, target: Target, hosts: frozenset[str], draft: Draft) -> list[str]:
    """Set the variable behind a field; its default, where that is what all the hosts without it are to have."""
    raw = str(item.declaration.raw[target.field])
    inner = target.prefix if target.prefix and raw.startswith(target.prefix) else ""
    expression = parse(raw.removeprefix(inner))
    value = target.value if inner or not target.prefix else target.prefix + target.value
    if expression is None:
        place = item.declaration.place_of(target.field).short
        raise Unable(f"the value comes from an expression at {place}; change that by hand")
    refuse_template(value)
    without = frozenset(host for host in item.reach if expression.path[0] not in world.variables(host))
    if expression.span is None or not without or not without <= hosts:
        draft.settings.append(_setting(expression, value, hosts))
        return []
    if hosts - without:
        draft.settings.append(_setting(expression, value, hosts - without))
    return [inner + expression.with_default(natural(value, expression.default))]


def _setting(expression: Expression, value: Any, hosts: frozenset[str]) -> Setting:
    """The variable of an expression; typed as its default is, which the reader of a new definition will look for."""
    return Setting(expression.path, natural(value, expression.default) if expression.span else value, hosts)
