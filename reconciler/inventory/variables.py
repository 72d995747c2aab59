"""Which variables an inventory may set, and to what; called by the readers of inventory files.

A variable of the user's is data for templates. A variable of Ansible's decides how the controller itself behaves,
so only the few of the list below pass, with values that cannot be options, paths of the controller or templates.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.model import Place

PRIORITY = "ansible_group_priority"

MAX_SHOWN = 60
"""How many characters of a wrong value a message repeats."""

_IDENTIFIER = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\$?")
_PATH = re.compile(r"(/(?!\.\.?(/|$))[A-Za-z0-9._+-]+)+")
_MAGIC = frozenset(
    {
        "group_names",
        "groups",
        "hostvars",
        "inventory_dir",
        "inventory_file",
        "inventory_hostname",
        "inventory_hostname_short",
        "omit",
        "vars",
    }
)
_KEYWORDS = frozenset({"true", "false", "none", "True", "False", "None", "not"})
_TRUE = frozenset({"true", "yes"})
_FALSE = frozenset({"false", "no"})


@dataclass(frozen=True, slots=True)
class Variable:
    """A value of an inventory, and where it is set."""

    value: Any
    place: Place


def checked(name: str, value: Any, *, allow_local: bool, in_group: bool) -> Any:
    """*value* in its proper type, as *name* may have it; ValueError says in one sentence why it may not."""
    if _IDENTIFIER.fullmatch(name) is None or name in _KEYWORDS:
        raise ValueError(
            f"{name[:MAX_SHOWN]!r} is not a variable name: letters, digits and '_', and no word of Jinja2's"
        )
    if name in _MAGIC:
        raise ValueError(f"{name} is set by Ansible itself and cannot be set here")
    if name.startswith("ansible_") and has_template(value):
        raise ValueError(f"{name} holds a template; what decides how a host is reached is written out")
    if name == PRIORITY:
        return _priority(value, in_group)
    if name.startswith("ansible_"):
        return _connection(name, value, allow_local)
    return value


def has_template(value: Any) -> bool:
    """Whether any text in *value* would be a template to Ansible."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            if "{{" in item or "{%" in item:
                return True
        elif isinstance(item, Mapping):
            left.extend(item)
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    return False


def _connection(name: str, value: Any, allow_local: bool) -> Any:
    check = CONNECTION.get(name)
    if check is None:
        # Compared without what all have in common, which would make any two of them look alike.
        own = [allowed.removeprefix("ansible_") for allowed in CONNECTION]
        near = difflib.get_close_matches(name[8:100], own, n=1, cutoff=0.6)
        hint = f"; did you mean ansible_{near[0]}?" if near else f"; allowed are {', '.join(CONNECTION)}"
        raise ValueError(f"{name[:100]} is not allowed in an inventory{hint}")
    result = check(value)
    if result is None:
        raise ValueError(f"{name} {_WANTED[name]}, not {_shown(value)}")
    if result == "local" and name == "ansible_connection" and not allow_local:
        raise ValueError(
            "ansible_connection: local would work on the daemon's own machine; "
            "allow it with allow_local_connection in the daemon's configuration"
        )
    return result


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def _priority(value: Any, in_group: bool) -> int:
    if not in_group:
        raise ValueError(f"{PRIORITY} works only among the variables of a group in an inventory file")
    if isinstance(value, bool) or re.fullmatch("-?[0-9]{1,9}", str(value)) is None:
        raise ValueError(f"{PRIORITY} must be a whole number, not {_shown(value)}")
    return int(value)


def _host(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    if _ADDRESS.fullmatch(value):
        return value
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        return None
    zone = address.scope_id
    return value if zone is None or re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*", zone) else None


def _port(value: Any) -> int | None:
    if isinstance(value, bool) or re.fullmatch("[0-9]{1,5}", str(value)) is None:
        return None
    return int(value) if 1 <= int(value) <= 65535 else None


def _user(value: Any) -> str | None:
    return value if isinstance(value, str) and _USER.fullmatch(value) else None


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def _interpreter(value: Any) -> str | None:
    plain = (
        isinstance(value, str) and len(value) <= 200 and (_PATH.fullmatch(value) or value in ("auto", "auto_silent"))
    )
    return value if plain else None


def _one_of(*words: str) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, str) and value in words else None


CONNECTION: Mapping[str, Callable[[Any], Any]] = {
    "ansible_host": _host,
    "ansible_port": _port,
    "ansible_user": _user,
    "ansible_connection": _one_of("ssh", "local"),
    "ansible_become": _truth,
    "ansible_become_user": _user,
    "ansible_become_method": _one_of("sudo"),
    "ansible_python_interpreter": _interpreter,
}
"""Every variable of Ansible's that may be set, and what makes its value proper: None means it is not."""

_WANTED = {
    "ansible_host": "must be a host name or an IP address",
    "ansible_port": "must be a number from 1 to 65535",
    "ansible_user": "must be a user name",
    "ansible_connection": "must be ssh or local",
    "ansible_become": "must be true or false",
    "ansible_become_user": "must be a user name",
    "ansible_become_method": "must be sudo",
    "ansible_python_interpreter": "must be the absolute path of an interpreter, or auto or auto_silent",
}
