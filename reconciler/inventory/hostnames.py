"""Names of hosts and groups, and the ranges and ports that an inventory may write with them.

`roster` expands entries with it, `patterns` asks it whether a colon separates anything. The shapes are Ansible's
(docs.ansible.com, "How to build your inventory"), the characters fewer: a name ends up in paths, in trailers of
commits and on command lines.
"""

from __future__ import annotations

import ipaddress
import re
import string
from collections.abc import Iterator, Sequence
from itertools import product

MAX_HOSTS = 100_000
"""How many hosts the ranges of one inventory may stand for."""

MAX_NAME = 253
"""The longest name that DNS knows."""

_HOST = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")
_GROUP = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_BRACKETED = re.compile(r"\[(.+)\]:[0-9]+")
_PLAIN_RANGE = r"\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]"
_LABEL = rf"(?:\w|{_PLAIN_RANGE})(?:[\w-]|{_PLAIN_RANGE})*(?<![_-])"
_ADDRESS = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)


class TooMany(ValueError):
    """The ranges stand for more hosts than are allowed."""


def host_problem(name: str) -> str:
    """Why *name* cannot be a host, or nothing."""
    if _HOST.fullmatch(name) is None:
        return f"{name!r} is not a host name: letters, digits, '.', '_' and '-', beginning with a letter or digit"
    return f"the host name {name[:20]}… is longer than {MAX_NAME} characters" if len(name) > MAX_NAME else ""


def group_problem(name: str) -> str:
    """Why *name* cannot be a group, or nothing."""
    if _GROUP.fullmatch(name) and len(name) <= MAX_NAME:
        return ""
    safe = re.sub("[^A-Za-z0-9_]", "_", name)
    nearest = f"; write {safe}" if _GROUP.fullmatch(safe) else ""
    return f"{name[:60]!r} is not a group name: letters, digits and '_', not beginning with a digit{nearest}"


def is_address(text: str) -> bool:
    """Whether *text* is one host, with or without port and ranges, so that its colons separate nothing."""
    bracketed = _BRACKETED.fullmatch(text)
    port = _PORT.fullmatch(text)
    bare = bracketed[1] if bracketed else port[1] if port else text
    return _ADDRESS.fullmatch(bare) is not None or _is_ip(bare)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def split_port(entry: str) -> tuple[str, int | None]:
    """The host or range of an inventory entry, and the port after it, if there is one."""
    found = _PORT.fullmatch(entry)
    if found is None or _ADDRESS.fullmatch(found[1]) is None:
        return entry, None
    digits = found[2]
    return found[1], int(digits) if len(digits) <= 5 else 0


def expand(entry: str, limit: int = MAX_HOSTS) -> list[str]:
    """Every host that ``web[01:10]``, ``db[a:f]`` or ``x[1:9:2]y[1:2]`` stands for; ValueError says what is wrong."""
    if "[" not in entry and "]" not in entry:
        return [entry]
    texts = _RANGE.split(entry)
    if any("[" in text or "]" in text for text in texts):
        raise ValueError(f"the brackets of {entry!r} do not match")
    parts: list[Sequence[str]] = [_sequence(text, limit) if at % 2 else (text,) for at, text in enumerate(texts)]
    _check_size(parts, limit)
    return ["".join(name) for name in product(*parts)]


def _check_size(parts: list[Sequence[str]], limit: int) -> None:
    total = 1
    for part in parts:
        total *= len(part)
        if total > limit:
            raise TooMany(f"ranges stand for more than {MAX_HOSTS} hosts in this inventory")


def _sequence(bounds: str, limit: int) -> Sequence[str]:
    first, last, step = _bounds(bounds)
    if len(first) == len(last) == 1 and first in string.ascii_letters and last in string.ascii_letters:
        letters = string.ascii_letters
        chosen = letters[letters.index(first) : letters.index(last) + 1 : step]
        return list(_some(iter(chosen), bounds))
    if not (first.isdecimal() and last.isdecimal() and first.isascii() and last.isascii()):
        raise ValueError(f"the range [{bounds}] is not between two numbers or two letters")
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    if width and width != len(last):
        raise ValueError(f"the range [{bounds}] must have ends of equal length, as in [01:10]")
    numbers = range(int(first), int(last) + 1, step)
    if len(numbers) > limit:
        raise TooMany(f"ranges stand for more than {MAX_HOSTS} hosts in this inventory")
    return list(_some((str(number).zfill(width) for number in numbers), bounds))


def _bounds(bounds: str) -> tuple[str, str, int]:
    parts = bounds.split(":")
    if len(parts) not in (2, 3) or not parts[1] or len(bounds) > 40:
        raise ValueError(f"the range [{bounds[:40]}] must be [first:last] or [first:last:step]")
    step = parts[2] if len(parts) == 3 else "1"
    if not (step.isascii() and step.isdecimal() and int(step) > 0):
        raise ValueError(f"the step of the range [{bounds}] must be a number above 0")
    return parts[0] or "0", parts[1], int(step)


def _some(names: Iterator[str], bounds: str) -> Iterator[str]:
    first = next(names, None)
    if first is None:
        raise ValueError(f"the range [{bounds}] is empty: its first end is above its last")
    yield first
    yield from names
