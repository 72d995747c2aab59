"""How memories and events are written as JSON in the state file, and read back as equal values.

``state`` alone calls it.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from reconciler.model import Event, HostMemory, Value

_REMEMBERED = [each.name for each in fields(HostMemory) if each.name != "host"]


def to_json(value: Any) -> str:
    """Return *value* on one line; mappings of any kind are objects, tuples are arrays."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_as_object)


def _as_object(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot be remembered")


def memory_json(memory: HostMemory) -> str:
    """Return what is remembered of one host, without its name."""
    return to_json({name: getattr(memory, name) for name in _REMEMBERED})


def read_memory(host: str, text: str, shared: dict[Any, Any]) -> HostMemory:
    """Return the memory that ``memory_json`` wrote, equal to what it was.

    Hosts are much alike, so what is equal in two of them is one object; *shared* holds what was read before, by how
    it is written.
    """
    stored: dict[str, Any] = json.loads(text)
    stored["applied"] = {
        shared.setdefault(identity, identity): _attributes(attributes, shared)
        for identity, attributes in stored["applied"].items()
    }
    stored["changes"], stored["owed"] = tuple(stored["changes"]), tuple(stored["owed"])
    alike = {name: shared.setdefault(each, each) if isinstance(each, str) else each for name, each in stored.items()}
    return HostMemory(host=host, **alike)


def _attributes(attributes: dict[str, Any], shared: dict[Any, Any]) -> Mapping[str, Value]:
    """The attributes of one resource. What they are told apart by is their written form, for 1 equals true.

    It is never the key of a text, or a host could choose its words so that they are read as something else.
    """
    written = (repr(attributes),)
    known: Mapping[str, Value] | None = shared.get(written)
    if known is None:
        known = shared[written] = {name: _value(value) for name, value in attributes.items()}
    return known


def _value(value: Any) -> Value:
    """A canonical value is never a list: JSON's arrays were tuples."""
    known: Value = tuple(value) if isinstance(value, list) else value
    return known


def event_json(event: Event) -> str:
    """Return an event with its files in base64: their bytes need not be text."""
    files = {path: None if each is None else b64encode(each).decode() for path, each in event.files.items()}
    return to_json(
        {
            "id": event.id,
            "at": event.at.isoformat(),
            "message": event.message,
            "trailers": event.trailers,
            "files": files,
        }
    )


def read_event(text: str) -> Event:
    """Return the event that ``event_json`` wrote, equal to what it was."""
    stored: dict[str, Any] = json.loads(text)
    return Event(
        id=stored["id"],
        at=datetime.fromisoformat(stored["at"]),
        message=stored["message"],
        trailers=tuple((name, value) for name, value in stored["trailers"]),
        files={path: None if each is None else b64decode(each) for path, each in stored["files"].items()},
    )
