"""Which hosts a host pattern means, with Ansible's own semantics; called by `inventory.Inventory.select`.

Source: docs.ansible.com, "Patterns: targeting hosts and groups", and the behaviour of ansible-core where the page
is silent (``a*`` matches the group ``all`` too). In one thing it is stricter: a part that names nothing is an error
that says which, where Ansible warns and goes on, because a typo must not mean "no hosts, nothing to do".
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from reconciler.inventory import hostnames

MAX_LENGTH = 200
MAX_WORK = 50_000_000
"""Bound on the ways in which a regex can try all names, which is what it can cost at worst: about a second."""

MAX_CANDIDATES = 5_000
"""How many names are compared to suggest the one that was meant."""

_SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]{1,9})|([0-9]{1,9})[:-]([0-9]{0,9}))\]")
_PIECE = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
_GLOB = frozenset("?*[")


class PatternMistake(ValueError):
    """A pattern that cannot be meant; ``part`` is the piece that is wrong or names nothing, ``message`` says which.

    As text it also says what was meant. That is looked for among all names, so only where somebody reads it.
    """

    def __init__(self, pattern: str, part: str, message: str, meant: Callable[[], str] = str) -> None:
        super().__init__(message)
        self.pattern = pattern
        self.part = part
        self.message = message
        self._meant = meant

    def __str__(self) -> str:
        return f"{self.message}{self._meant()}"


@dataclass(frozen=True, slots=True)
class Names:
    """What a pattern is matched against: hosts in the order of their definition, groups with all their hosts."""

    hosts: Collection[str]
    groups: Mapping[str, tuple[str, ...]]


def select(pattern: str, names: Names) -> list[str]:
    """The hosts that *pattern* means, each once, in Ansible's order; PatternMistake says what is wrong.

    An exclusion that names nothing is refused too, where Ansible only warns: it would widen the selection unseen.
    """
    parts = split(pattern)
    positive = [part for part in parts if part[0] not in "!&"] or ["all"]
    chosen = dict.fromkeys(host for part in positive for host in _match(pattern, part, names))
    for part in (part for part in parts if part[0] == "&"):
        wanted = set(_match(pattern, part[1:], names))
        chosen = {host: None for host in chosen if host in wanted}
    for part in (part for part in parts if part[0] == "!"):
        unwanted = set(_match(pattern, part[1:], names))
        chosen = {host: None for host in chosen if host not in unwanted}
    return list(chosen)


def split(pattern: str) -> list[str]:
    """The parts of *pattern*: separated by commas or, where there is none, by colons."""
    if len(pattern) > MAX_LENGTH:
        raise PatternMistake(pattern, pattern[:20], f"a host pattern has at most {MAX_LENGTH} characters")
    if "," in pattern:
        parts = pattern.split(",")
    elif hostnames.is_address(pattern):
        parts = [pattern]
    else:
        parts = _pieces(pattern)
    parts = [part.strip() for part in parts if part.strip()]
    if not parts:
        raise PatternMistake(pattern, pattern, "a host pattern is empty; write all for every host")
    return parts


def _pieces(pattern: str) -> list[str]:
    if re.search(r"[\[\]]", _PIECE.sub("", pattern)):
        raise PatternMistake(pattern, pattern, f"the brackets of the host pattern {pattern!r} do not match")
    return _PIECE.findall(pattern)


def _match(pattern: str, part: str, names: Names) -> list[str]:
    if not part:
        raise PatternMistake(pattern, part, f"the host pattern {pattern!r} has a '!' or '&' with nothing after it")
    if part in names.hosts:
        return [part]
    expression, first, last = _subscript(part)
    groups, hosts = _enumerate(pattern, expression, names)
    if not groups and not hosts:
        raise PatternMistake(
            pattern, part, f"no host or group is called {part!r}", partial(_nearest, expression, names)
        )
    found = [host for group in groups for host in names.groups[group]] + hosts
    return _slice(pattern, part, found, first, last)


def _subscript(part: str) -> tuple[str, int | None, int | None]:
    found = None if part[0] == "~" else _SUBSCRIPT.fullmatch(part)
    if found is None:
        return part, None, None
    if found[2]:
        return found[1], int(found[2]), None
    return found[1], int(found[3]), int(found[4]) if found[4] else -1


def _slice(pattern: str, part: str, hosts: list[str], first: int | None, last: int | None) -> list[str]:
    if first is None or not hosts:
        return hosts
    if last is not None:
        return hosts[first : len(hosts) if last == -1 else last + 1]
    if not -len(hosts) <= first < len(hosts):
        raise PatternMistake(pattern, part, f"{part!r} asks for a host beyond the {len(hosts)} that there are")
    return [hosts[first]]


def _enumerate(pattern: str, expression: str, names: Names) -> tuple[list[str], list[str]]:
    """The groups, and the hosts, whose names match; hosts only count if no group does or it is a glob or regex."""
    matches = _matcher(pattern, expression, names)
    groups = [group for group in names.groups if matches(group)]
    if groups and expression[0] != "~" and _GLOB.isdisjoint(expression):
        return groups, []
    return groups, [host for host in names.hosts if matches(host)]


def _matcher(pattern: str, expression: str, names: Names) -> Callable[[str], object]:
    if expression[0] == "~":
        _check_cost(pattern, expression[1:], names)
        return _compiled(pattern, expression, expression[1:]).match
    if _GLOB.isdisjoint(expression):
        return expression.__eq__
    return _compiled(pattern, expression, fnmatch.translate(expression)).match


def _compiled(pattern: str, part: str, source: str) -> re.Pattern[str]:
    try:
        return re.compile(source)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternMistake(pattern, part, f"{part!r} is not a regular expression: {error}") from None


def _check_cost(pattern: str, source: str, names: Names) -> None:
    """Refuse what could backtrack without end: repeated groups, and more repetitions than the names allow for."""
    bare = _ATOM.sub("a", source)
    if re.search(r"\(\?(?!:)|\)[*+{]", bare) or re.search(r"\\[0-9]", source):
        message = f"'~{source}' repeats a group, looks around or refers back, which can take for ever; write it without"
        raise PatternMistake(pattern, "~" + source, message)
    repetitions = sum(bare.count(sign) for sign in "*+{")
    choices = 2 ** sum(bare.count(sign) for sign in "|?")
    if choices * sum((len(name) + 1) ** repetitions for name in _all(names)) > MAX_WORK:
        raise PatternMistake(pattern, "~" + source, f"'~{source}' repeats too much for so many names")


def _all(names: Names) -> Iterable[str]:
    yield from names.groups
    yield from names.hosts


def _nearest(name: str, names: Names) -> str:
    if len(names.groups) + len(names.hosts) > MAX_CANDIDATES:
        return ""
    near = difflib.get_close_matches(name, list(_all(names)), n=1)
    return f"; did you mean {near[0]}?" if near else ""
