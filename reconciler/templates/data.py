"""Filters of Ansible's for data: JSON and YAML out of values, mappings and lists put together and apart.

``filters`` lists them; ``sandbox`` bounds what they are given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain, zip_longest
from typing import Any

import yaml
from jinja2 import pass_environment
from jinja2.exceptions import FilterArgumentError

from reconciler.templates.limits import check_text, check_width, joined, weigh
from reconciler.templates.mistakes import Missing


def _unserialisable(value: Any) -> Any:
    if isinstance(value, Missing):
        return str(value)  # raises what is missing
    if isinstance(value, set | frozenset | range) or hasattr(value, "mapping"):
        return list(value)
    raise FilterArgumentError(f"A {type(value).__name__} cannot be written as data")


def to_json(
    value: Any, *, indent: int | None = None, sort_keys: bool = False, ensure_ascii: bool = True, **other: Any
) -> str:
    """``to_json``: on one line unless *indent* is given."""
    separators = other.pop("separators", None)
    no_more(other, "to_json")
    encoder = json.JSONEncoder(
        indent=None if indent is None else min(check_width(indent), 16),
        sort_keys=sort_keys,
        ensure_ascii=ensure_ascii,
        separators=separators,
        default=_unserialisable,
    )
    return joined(encoder.iterencode(value))


def to_nice_json(value: Any, indent: int = 4, sort_keys: bool = True, ensure_ascii: bool = True) -> str:
    """``to_nice_json``: over several lines, with sorted keys."""
    return to_json(value, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii, separators=(",", ": "))


def from_json(text: str) -> Any:
    """``from_json``: the value that a JSON text spells."""
    return json.loads(text)


def _raise_missing(dumper: yaml.SafeDumper, value: Missing) -> yaml.Node:
    return dumper.represent_str(str(value))  # str raises what is missing


class _Dumper(yaml.SafeDumper):
    """Writes plain data; raises for what is missing."""


_Dumper.add_multi_representer(Missing, _raise_missing)
_Dumper.add_representer(tuple, _Dumper.represent_list)


class _Pages:
    """Takes what is dumped, as long as it is not too long."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.length = 0

    def write(self, part: str) -> None:
        self.parts.append(part)
        self.length = check_text(self.length + len(part))


_YAML_COST = 10
"""Steps of one item, next to what every filter pays: PyYAML's pure dumper is slow."""


@pass_environment
def to_yaml(
    environment: Any, value: Any, indent: int | None = None, *, default_flow_style: bool | None = None, **other: Any
) -> str:
    """``to_yaml``: short containers in flow style."""
    known = {key: other.pop(key) for key in ("width", "sort_keys", "explicit_start", "explicit_end") if key in other}
    no_more(other, "to_yaml")
    environment.meter.charge(weigh(value) * _YAML_COST)
    pages = _Pages()
    yaml.dump(
        value,
        pages,
        Dumper=_Dumper,
        allow_unicode=True,
        indent=None if indent is None else min(check_width(indent), 16),
        default_flow_style=default_flow_style,
        **known,
    )
    return "".join(pages.parts)


@pass_environment
def to_nice_yaml(environment: Any, value: Any, indent: int = 4, **other: Any) -> str:
    """``to_nice_yaml``: one line per value."""
    return to_yaml(environment, value, indent, **{"default_flow_style": False, **other})


def no_more(options: Mapping[str, Any], name: str) -> None:
    """Refuse options that the filter *name* does not know."""
    if options:
        raise FilterArgumentError(f"The filter '{name}' has no option '{next(iter(options))}'")


def combine(*values: Any, recursive: bool = False, list_merge: str = "replace") -> dict[Any, Any]:
    """``combine``: mappings, the later ones winning; *recursive* goes into mappings they share."""
    if list_merge != "replace":
        raise FilterArgumentError("The filter 'combine' knows list_merge='replace' only")
    made: dict[Any, Any] = {}
    for value in chain.from_iterable(each if isinstance(each, list | tuple) else (each,) for each in values):
        if not isinstance(value, dict):
            raise FilterArgumentError("The filter 'combine' takes mappings")
        made = _merged(made, value) if recursive else made | value
    return made


def _merged(left: dict[Any, Any], right: dict[Any, Any]) -> dict[Any, Any]:
    both = {
        key: _merged(left[key], value) if isinstance(left.get(key), dict) and isinstance(value, dict) else value
        for key, value in right.items()
    }
    return left | both


def dict_items(value: Mapping[Any, Any], key_name: str = "key", value_name: str = "value") -> list[dict[str, Any]]:
    """``dict2items``: one mapping of key and value per entry."""
    return [{key_name: key, value_name: item} for key, item in value.items()]


def items_dict(value: Iterable[Any], key_name: str = "key", value_name: str = "value") -> dict[Any, Any]:
    """``items2dict``: the opposite of dict2items."""
    return {item[key_name]: item[value_name] for item in value}


def flatten(value: Iterable[Any], levels: int | None = None, skip_nulls: bool = True) -> list[Any]:
    """``flatten``: the items of lists within lists."""
    made: list[Any] = []
    for item in value:
        if isinstance(item, list | tuple) and levels != 0:
            made.extend(flatten(item, None if levels is None else levels - 1, skip_nulls))
        elif item is not None or not skip_nulls:
            made.append(item)
    return made


def union(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """``union``: each item of either, once."""
    return _once(chain(left, right))


def intersect(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """``intersect``: each item of both, once."""
    kept = set(right)
    return [item for item in _once(left) if item in kept]


def difference(left: Iterable[Any], right: Iterable[Any]) -> list[Any]:
    """``difference``: each item of the first that the second has not, once."""
    gone = set(right)
    return [item for item in _once(left) if item not in gone]


def _once(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


def zipped(*lists: Iterable[Any]) -> list[list[Any]]:
    """``zip``: the first of each, the second of each, and so on."""
    return [list(items) for items in zip(*lists, strict=False)]


def zipped_longest(*lists: Iterable[Any], fillvalue: Any = None) -> list[list[Any]]:
    """``zip_longest``: as zip, the shorter filled up."""
    return [list(items) for items in zip_longest(*lists, fillvalue=fillvalue)]
