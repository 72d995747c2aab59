"""The only attributes of Python objects that a template can reach, and what their methods may make.

``sandbox`` asks for every attribute and every call. By exact type: a subclass is something else.
"""

from __future__ import annotations

from typing import Any

from jinja2.filters import _GroupTuple as Group
from jinja2.runtime import BlockReference, LoopContext
from jinja2.utils import Cycler

from reconciler.templates.filters import check_replace
from reconciler.templates.limits import Exceeded, check_text, check_width
from reconciler.templates.scope import LazyDict, LazyList


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MAPPING = frozenset({"get", "items", "keys", "values"})
_LIST = frozenset({"count", "index"})
_TEXT = _words(
    "capitalize casefold center count endswith find index isalnum isalpha isdecimal isdigit islower isnumeric isspace "
    "istitle isupper join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition "
    "rsplit rstrip split splitlines startswith strip swapcase title upper zfill"
)
_LOOP = _words("changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0")
READABLE: dict[type, frozenset[str]] = {
    str: _TEXT,
    dict: _MAPPING,
    LazyDict: _MAPPING,
    list: _LIST,
    tuple: _LIST,
    LazyList: _LIST,
    LoopContext: _LOOP,
    Group: frozenset({"grouper", "list"}),
    BlockReference: frozenset({"super"}),
    Cycler: frozenset({"current", "next", "reset"}),
}
"""What can be read, by type."""


def check_method(method: Any, args: tuple[Any, ...]) -> None:
    """Refuse a method of a text whose result would be too long."""
    text = method.__self__
    if type(text) is not str:
        return
    if method.__name__ == "join":
        check_text(sum(len(part) + len(text) for part in args[0]))
    elif not all(isinstance(each, str | int | tuple) for each in args):
        raise Exceeded(f"The method '{method.__name__}' of a text takes texts and numbers.")
    elif method.__name__ in ("center", "ljust", "rjust", "zfill"):
        check_width(args[0])
    elif method.__name__ == "replace":
        check_replace(text, args[0], args[1])
