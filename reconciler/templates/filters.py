"""The filters and tests a template may use: Jinja's own that cannot grow, and Ansible's common ones.

``sandbox`` wraps each: arguments arrive evaluated and weighed, generators leave counted. A filter
here only bounds what its result can outgrow its arguments by. None reads a file, a clock or chance.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import shlex
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from jinja2 import pass_environment
from jinja2.exceptions import FilterArgumentError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.tests import TESTS as JINJA_TESTS
from markupsafe import escape

from reconciler.templates.data import (
    combine,
    dict_items,
    difference,
    flatten,
    from_json,
    intersect,
    items_dict,
    no_more,
    to_json,
    to_nice_json,
    to_nice_yaml,
    to_yaml,
    union,
    zipped,
    zipped_longest,
)
from reconciler.templates.limits import check_text, check_width, joined, listed, operate
from reconciler.templates.mistakes import Missing
from reconciler.templates.regex import matches, regex_escape, regex_findall, regex_replace, regex_search, searches


def _words(text: str) -> list[str]:
    return text.split()


_JINJA = _words(
    "abs capitalize count d default dictsort first float groupby items last length lower map max min reject "
    "rejectattr reverse select selectattr sort string title trim truncate unique upper urlencode wordcount "
    "filesizeformat"
)
_TESTS = _words(
    "odd even divisibleby defined undefined none boolean false true integer float lower upper string mapping number "
    "sequence iterable sameas in == eq equalto != ne > gt greaterthan ge >= < lt lessthan <= le"
)
_KNOWN_FILTERS: dict[str, Any] = JINJA_FILTERS
_KNOWN_TESTS: dict[str, Any] = JINJA_TESTS
_TRUE, _FALSE = frozenset({"yes", "on", "true", "1"}), frozenset({"no", "off", "false", "0"})
_HASHES = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})


def as_bool(value: Any) -> bool:
    """``bool``: yes, on, true, 1 and their opposites."""
    if value is None:
        return False
    word = str(value).lower()
    if word not in _TRUE | _FALSE:
        raise FilterArgumentError("The filter 'bool' takes yes, no, on, off, true, false, 1 or 0")
    return word in _TRUE


def as_int(value: Any, default: int = 0, base: int = 10) -> int:
    """``int``: the whole number a text spells, or *default*."""
    if isinstance(value, str) and len(value) > 1000:
        raise FilterArgumentError("The filter 'int' takes a text of 1,000 characters at most")
    number: int = JINJA_FILTERS["int"](value, default, base)
    return number


def rounded(value: Any, precision: int = 0, method: str = "common") -> Any:
    """``round``: to *precision* digits, which common, ceil or floor."""
    if abs(int(precision)) > 100:
        raise FilterArgumentError("The filter 'round' takes 100 digits at most")
    return JINJA_FILTERS["round"](value, precision, method)


def as_list(value: Any) -> list[Any]:
    """``list``: the items of anything that has some."""
    return listed(value)


def batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Iterator[list[Any]]:
    """``batch``: lists of *linecount* items, the last one filled up."""
    found: Iterator[list[Any]] = JINJA_FILTERS["batch"](value, max(1, check_width(linecount)), fill_with)
    return found


def indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """``indent``: every line but the first by *width* spaces or a text."""
    columns = len(width) if isinstance(width, str) else check_width(width)
    check_text(len(text) + (text.count("\n") + 1) * columns)
    made: str = JINJA_FILTERS["indent"](text, width, first, blank)
    return made


def center(text: str, width: int = 80) -> str:
    """``center``: spaces on both sides."""
    return str(text).center(check_width(width))


def wordwrap(environment: Any, text: str, width: int = 79, break_long_words: bool = True) -> str:
    """``wordwrap``: lines of *width* columns at most."""
    made: str = JINJA_FILTERS["wordwrap"](environment, str(text), max(1, check_width(width)), break_long_words)
    return made


def format_text(text: str, *args: Any, **kwargs: Any) -> Any:
    """``format``: C-style, ``"%02d" | format(number)``."""
    if args and kwargs:
        raise FilterArgumentError("The filter 'format' takes values or names, not both")
    return operate("%", str(text), kwargs or args)


def check_replace(text: str, old: str, new: str) -> None:
    """Refuse a replacement whose result would be too long."""
    check_text(len(text) + text.count(old) * len(new))


def replace(text: Any, old: Any, new: Any, count: int = -1) -> str:
    """``replace``: *new* for every *old*."""
    check_replace(str(text), str(old), str(new))
    return str(text).replace(str(old), str(new), -1 if count is None else count)


def join(environment: Any, value: Iterable[Any], separator: Any = "", attribute: Any = None) -> str:
    """``join``: the texts of the items, or of one attribute of theirs."""
    items = _attributes(environment, value, attribute)
    return joined((environment.text_of(item) for item in items), str(separator))


def total(environment: Any, value: Iterable[Any], attribute: Any = None, start: Any = 0) -> Any:
    """``sum``: of numbers, or of lists where *start* is one."""
    items = _attributes(environment, value, attribute)
    if isinstance(start, list | tuple):
        return listed(chain(start, chain.from_iterable(items)))
    for item in items:
        start = operate("+", start, item)
    return start


def _attributes(environment: Any, value: Iterable[Any], attribute: Any) -> Iterator[Any]:
    if attribute is None:
        return iter(value)
    steps = [int(step) if step.isdigit() else step for step in str(attribute).split(".")]
    return (_reach(environment, item, steps) for item in value)


def _reach(environment: Any, item: Any, steps: list[Any]) -> Any:
    for step in steps:
        item = environment.getitem(item, step)
    return item


def quote(value: Any) -> str:
    """``quote``: one word for a shell."""
    text = shlex.quote("" if value is None else str(value))
    check_text(len(text))
    return text


def b64encode(value: Any) -> str:
    """``b64encode``: of the text's UTF-8 bytes."""
    return base64.b64encode(str(value).encode()).decode()


def b64decode(value: Any) -> str:
    """``b64decode``: to a text, which has to be UTF-8."""
    return base64.b64decode(str(value)).decode()


def digest(value: Any, algorithm: str = "sha1") -> str:
    """``hash``: hexadecimal digest of the text's UTF-8 bytes."""
    if algorithm not in _HASHES:
        raise FilterArgumentError(f"The filter 'hash' knows {', '.join(sorted(_HASHES))}")
    return hashlib.new(algorithm, str(value).encode(), usedforsecurity=False).hexdigest()


def ternary(value: Any, yes: Any, no: Any, none: Any = None) -> Any:
    """``ternary``: *yes* or *no*, or *none* for an empty value."""
    if value is None and none is not None:
        return none
    return yes if value else no


def mandatory(value: Any, message: str = "") -> Any:
    """``mandatory``: the value, or a mistake where there is none."""
    if isinstance(value, Missing):
        if message:
            raise FilterArgumentError(str(message))
        str(value)  # raises what is missing
    return value


def comment(text: str, style: str = "plain", **options: Any) -> str:
    """``comment``: every line behind a mark, an empty comment line above and below."""
    marks = {"plain": "# ", "erlang": "% ", "c": "// "}
    no_more({name: value for name, value in options.items() if name != "decoration"}, "comment")
    mark = str(options.get("decoration", marks.get(style, "")))
    if not mark:
        raise FilterArgumentError(f"The filter 'comment' knows the styles {', '.join(marks)}")
    lines = str(text).split("\n")
    check_text(len(str(text)) + (len(lines) + 2) * len(mark))
    return joined([mark.rstrip(), *(f"{mark}{line}" for line in lines), mark.rstrip()], "\n")


def split(text: str, separator: str | None = None, limit: int = -1) -> list[str]:
    """``split``: the pieces of a text."""
    return listed(text.split(separator, limit))


def splitext(path: str) -> list[str]:
    """``splitext``: a path without its extension, and the extension."""
    return list(posixpath.splitext(path))


def escaped(value: Any) -> str:
    """``escape``: for XML and HTML."""
    text = str(escape(str(value)))
    check_text(len(text))
    return text


def contains(value: Any, item: Any) -> bool:
    """``contains``: *item* is in it."""
    return item in value


def subset(left: Iterable[Any], right: Iterable[Any]) -> bool:
    """``subset``: every item is in the other."""
    return set(left) <= set(right)


def superset(left: Iterable[Any], right: Iterable[Any]) -> bool:
    """``superset``: it has every item of the other."""
    return set(left) >= set(right)


_OWN_FILTERS: dict[str, Callable[..., Any]] = {
    "b64decode": b64decode,
    "b64encode": b64encode,
    "basename": posixpath.basename,
    "batch": batch,
    "bool": as_bool,
    "center": center,
    "checksum": digest,
    "combine": combine,
    "comment": comment,
    "dict2items": dict_items,
    "difference": difference,
    "dirname": posixpath.dirname,
    "e": escaped,
    "escape": escaped,
    "flatten": flatten,
    "format": format_text,
    "from_json": from_json,
    "hash": digest,
    "indent": indent,
    "int": as_int,
    "intersect": intersect,
    "items2dict": items_dict,
    "join": pass_environment(join),
    "list": as_list,
    "mandatory": mandatory,
    "quote": quote,
    "regex_escape": regex_escape,
    "regex_findall": regex_findall,
    "regex_replace": regex_replace,
    "regex_search": regex_search,
    "replace": replace,
    "round": rounded,
    "sha1": digest,
    "split": split,
    "splitext": splitext,
    "sum": pass_environment(total),
    "ternary": ternary,
    "to_json": to_json,
    "to_nice_json": to_nice_json,
    "to_nice_yaml": to_nice_yaml,
    "to_yaml": to_yaml,
    "union": union,
    "wordwrap": pass_environment(wordwrap),
    "zip": zipped,
    "zip_longest": zipped_longest,
}
FILTERS: dict[str, Callable[..., Any]] = {**{name: _KNOWN_FILTERS[name] for name in _JINJA}, **_OWN_FILTERS}
"""Every filter, by the name templates call it."""

_OWN_TESTS: dict[str, Callable[..., Any]] = {
    "contains": contains,
    "match": matches,
    "regex": searches,
    "search": searches,
    "subset": subset,
    "superset": superset,
}
TESTS: dict[str, Callable[..., Any]] = {**{name: _KNOWN_TESTS[name] for name in _TESTS}, **_OWN_TESTS}
"""Every test, by the name templates call it."""
