"""Regular expressions a template may use, refused where their backtracking could take for ever.

Python's engine cannot be interrupted, so the ways a pattern can try to match are counted before it runs: a
class is one way, a sequence the product of its parts, an alternative their sum, and a repeat every number of
times up to what the text has room for. ``(a+)+`` on 30 characters is refused, ``^(.*)-(.*)$`` is not.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from math import log2
from typing import Any

from jinja2 import pass_environment
from jinja2.exceptions import FilterArgumentError

from reconciler.templates.limits import Exceeded, check_text

MAX_PATTERN = 500
"""Characters of a pattern."""
MAX_WAYS = log2(10_000_000)
"""Ways to try, as a power of two: a fifth of a second or so at the engine's speed."""
MAX_SEARCHED = 100_000
"""Characters of the text searched."""

# The parsed form of a pattern has no public name; these two have been stable since Python 2.
_parser: Any = importlib.import_module("re._parser")
_codes: Any = importlib.import_module("re._constants")


@lru_cache(maxsize=256)
def _parsed(pattern: str, flags: int) -> tuple[re.Pattern[str], Any]:
    if len(pattern) > MAX_PATTERN:
        raise Exceeded(f"A regular expression may have {MAX_PATTERN} characters at most.")
    try:
        return re.compile(pattern, flags), _parser.parse(pattern, flags)
    except re.error as error:
        raise FilterArgumentError(f"This is not a regular expression: {error.msg}") from None


def compiled(
    environment: Any, pattern: str, text: str, *, ignorecase: bool = False, multiline: bool = False
) -> re.Pattern[str]:
    """Return *pattern* ready for *text*, for its price; Exceeded where trying it could take too long."""
    flags = (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)
    expression, tree = _parsed(str(pattern), flags)
    room = len(text)
    anchored = bool(tree) and tree[0] == (_codes.AT, _codes.AT_BEGINNING) and not expression.flags & re.MULTILINE
    # From each place the pattern may start at, each way goes through at least its shortest match.
    length = min(int(tree.getwidth()[0]), room) + 1
    steps = (0.0 if anchored else log2(room + 1)) + _ways(tree, room) + log2(length)
    if room > MAX_SEARCHED or steps > MAX_WAYS:
        raise Exceeded(f"This regular expression could take too long on a text of {room} characters.")
    environment.meter.charge(int(2**steps) >> 4)
    return expression


def _ways(tree: Any, room: int) -> float:
    """Return how many ways *tree* can try to match within *room* characters, as a power of two."""
    return sum((_ways_of(code, value, room) for code, value in tree), start=0.0)


def _ways_of(code: Any, value: Any, room: int) -> float:
    if code in (_codes.MAX_REPEAT, _codes.MIN_REPEAT, getattr(_codes, "POSSESSIVE_REPEAT", None)):
        return _ways_to_repeat(value, room)
    if code is _codes.BRANCH:
        return log2(sum(pow(2.0, min(_ways(branch, room), 64.0)) for branch in value[1]))
    if code is _codes.SUBPATTERN:
        return _ways(value[3], room)
    if code in (_codes.ASSERT, _codes.ASSERT_NOT):
        return _ways(value[1], room)
    if code is getattr(_codes, "ATOMIC_GROUP", None):
        return _ways(value, room)
    if code is _codes.GROUPREF:
        return log2(room + 1)
    if code is _codes.GROUPREF_EXISTS:
        return 1 + sum(_ways(branch, room) for branch in value[1:] if branch)
    return 0.0


def _ways_to_repeat(repeat: tuple[int, int, Any], room: int) -> float:
    least, most, body = repeat
    narrowest = int(body.getwidth()[0])
    if narrowest == 0 and most > 1:
        raise Exceeded("A regular expression may not repeat what can be empty.")
    most = min(int(most), room // max(narrowest, 1))
    each = _ways(body, room)
    counts = max(most - int(least), 0) + 1
    return log2(counts) + each * most


@pass_environment
def regex_replace(
    environment: Any,
    value: Any = "",
    pattern: str = "",
    replacement: str = "",
    ignorecase: bool = False,
    multiline: bool = False,
    count: int = 0,
) -> str:
    """``regex_replace``: *replacement*, with ``\\1`` for groups, for what the pattern matches."""
    text, length = str(value), 0

    def expanded(match: re.Match[str]) -> str:
        nonlocal length
        made = match.expand(str(replacement))
        length += len(made)
        check_text(length)
        return made

    check_text(len(str(replacement)) * 8)
    return compiled(environment, pattern, text, ignorecase=ignorecase, multiline=multiline).sub(
        expanded, text, count=count
    )


@pass_environment
def regex_search(
    environment: Any, value: Any, pattern: str, *groups: str, ignorecase: bool = False, multiline: bool = False
) -> Any:
    """``regex_search``: what matches first, or a list of the *groups* asked for (``'\\1'``), or None."""
    text = str(value)
    found = compiled(environment, pattern, text, ignorecase=ignorecase, multiline=multiline).search(text)
    if found is None:
        return None
    return [found.group(_group(asked)) for asked in groups] if groups else found.group()


def _group(asked: str) -> int | str:
    """``\\1`` → 1, ``\\g<name>`` → name."""
    named = re.fullmatch(r"\\g<(\w+)>|\\(\d{1,3})", asked)
    if named is None:
        raise FilterArgumentError("The filter 'regex_search' takes groups as '\\\\1' or '\\\\g<name>'")
    return named[1] or int(named[2])


@pass_environment
def regex_findall(
    environment: Any, value: Any, pattern: str, multiline: bool = False, ignorecase: bool = False
) -> list[Any]:
    """``regex_findall``: everything that matches, or its groups."""
    text = str(value)
    found = compiled(environment, pattern, text, ignorecase=ignorecase, multiline=multiline).findall(text)
    return [list(item) if isinstance(item, tuple) else item for item in found]


def regex_escape(value: Any) -> str:
    """``regex_escape``: a pattern that matches the text itself."""
    return re.escape(str(value))


@pass_environment
def matches(environment: Any, value: Any, pattern: str, ignorecase: bool = False, multiline: bool = False) -> bool:
    """``match``: the text begins like this."""
    text = str(value)
    return compiled(environment, pattern, text, ignorecase=ignorecase, multiline=multiline).match(text) is not None


@pass_environment
def searches(environment: Any, value: Any, pattern: str, ignorecase: bool = False, multiline: bool = False) -> bool:
    """``search``: the text has this somewhere."""
    text = str(value)
    return compiled(environment, pattern, text, ignorecase=ignorecase, multiline=multiline).search(text) is not None
