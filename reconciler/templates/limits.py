"""What a template may cost: steps, text, items, digits. Held by counting, never by a clock or a signal.

``sandbox`` and ``filters`` call it before every operation that can grow. It knows nothing of
hosts or files. The worst case of one rendering is about a second and some tens of megabytes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from jinja2.runtime import Undefined

MAX_STEPS = 1_000_000
"""Nodes of the template carried out, items passed, calls made: some 200,000 turns of a small loop."""
RENDERING = 100
"""Steps that a rendering counts for against a purse before it does anything."""
MAX_TEXT = 1024 * 1024
"""Characters of one text and bytes of one rendered file."""
MAX_ITEMS = 100_000
"""Items of one list, counted through everything it holds: nine lists of lists of lists cost nothing to write."""
MAX_DIGITS = 4096
"""Bits of a whole number."""
MAX_WIDTH = 10_000
"""Columns or items a caller may ask to be filled up to."""

Operation = Callable[[Any, Any], Any]


class Exceeded(Exception):
    """A template asked for more than it may have; the message is a sentence for its author."""


class Meter:
    """The steps one rendering has left, and the *purse* that all of them are paid from (None: it has no end)."""

    __slots__ = ("left", "purse")

    def __init__(self, purse: int | None = None) -> None:
        self.left = MAX_STEPS
        self.purse = purse

    def refill(self) -> None:
        """Begin another rendering; Exceeded where those before it have used everything up."""
        if self.purse is not None:
            self.purse -= MAX_STEPS - max(self.left, 0) + RENDERING
            if self.purse < 0:
                raise Exceeded("The templates of this revision do too much, all of them together.")
        self.left = MAX_STEPS

    def charge(self, steps: int) -> None:
        """Take *steps* (never give any), or raise Exceeded."""
        self.left -= max(steps, 0)
        if self.left < 0:
            raise Exceeded(f"The template does too much: more than {MAX_STEPS:,} steps.")

    def count(self, items: Iterable[Any], cost: int) -> Iterator[Any]:
        """Pass *items* on and take *cost* for each."""
        for item in items:
            self.charge(cost)
            yield item


_SEQUENCES: tuple[type[Collection[Any]], ...] = (
    list,
    tuple,
    range,
    set,
    frozenset,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)
_SCALARS = (str, int, float, Undefined, type(None))


def is_data(value: Any) -> bool:
    """Say whether *value* is of a kind that is shown, compared and stored: no macro, namespace or function."""
    return isinstance(value, (*_SCALARS, dict, *_SEQUENCES))


def weigh(value: Any) -> int:
    """Return how much *value* holds, in items and 64ths of characters; Exceeded if it is too much, or is no data."""
    if type(value) is str:
        return check_text(len(value)) >> 6
    if type(value) is int:
        check_number(value)
        return 0
    return 0 if value is None or type(value) is bool else _weigh_all([value])


def _weigh_all(pending: list[Any]) -> int:
    items = characters = 0
    while pending:
        value = pending.pop()
        items += 1
        if isinstance(value, str):
            characters += len(value)
        elif isinstance(value, dict):
            pending.extend(value.keys())
            pending.extend(value.values())
        elif isinstance(value, _SEQUENCES):
            check_items(len(value))
            pending.extend(value)
        elif not isinstance(value, _SCALARS):
            raise Exceeded(f"A {type(value).__name__} is no data; after a filter such as map, write | list.")
        check_items(items + len(pending))
        check_text(characters)
    return items + (characters >> 6)


def check_text(length: int) -> int:
    """Return *length* (characters), or raise Exceeded."""
    if length > MAX_TEXT:
        raise Exceeded(f"The template makes a text of more than {MAX_TEXT // 1024} KiB.")
    return length


def check_items(length: int) -> int:
    """Return *length* (items), or raise Exceeded."""
    if length > MAX_ITEMS:
        raise Exceeded(f"The template makes a list of more than {MAX_ITEMS:,} items.")
    return length


def check_number(value: int) -> int:
    """Return *value*, or raise Exceeded where it has too many digits."""
    if value.bit_length() > MAX_DIGITS:
        raise Exceeded("The template makes a number with more than 1,200 digits.")
    return value


def check_width(width: Any) -> int:
    """Return *width* as a whole number of columns or items, or raise Exceeded."""
    number = int(width)
    if abs(number) > MAX_WIDTH:
        raise Exceeded(f"A width may be {MAX_WIDTH:,} at most.")
    return number


def listed(items: Iterable[Any]) -> list[Any]:
    """Return *items* as a list that is not too long."""
    made: list[Any] = []
    for item in items:
        made.append(item)
        if len(made) > MAX_ITEMS:
            check_items(len(made))
    return made


def joined(parts: Iterable[str], separator: str = "") -> str:
    """Join *parts* into a text that is not too long."""
    kept: list[str] = []
    length = 0
    for part in parts:
        kept.append(part)
        length += len(part) + len(separator)
        if length > MAX_TEXT:
            check_text(length - len(separator))
    return separator.join(kept)


def add(left: Any, right: Any) -> Any:
    """``left + right``, neither too long nor too large."""
    if type(left) is str and type(right) is str:
        check_text(len(left) + len(right))
    elif type(left) in (list, tuple) and type(right) in (list, tuple):
        check_items(len(left) + len(right))
        return [*left, *right]
    return left + right


def multiply(left: Any, right: Any) -> Any:
    """``left * right``, neither too long nor too large."""
    for sized, times in ((left, right), (right, left)):
        if type(sized) is str and isinstance(times, int):
            check_text(len(sized) * max(times, 0))
        elif type(sized) in (list, tuple) and isinstance(times, int):
            check_items(len(sized) * max(times, 0))
    return left * right


def power(left: Any, right: Any) -> Any:
    """``left ** right`` of numbers, checked before it is worked out."""
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > MAX_DIGITS:
        raise Exceeded("The template makes a number with more than 1,200 digits.")
    return left**right


_FORMAT = re.compile(r"%(?:\(\w+\))?[-+ 0#]*(\d{0,4})(?:\.(\d{1,4}))?[diouxXeEfFgGcrsa%]")


def remainder(left: Any, right: Any) -> Any:
    """``left % right``: a remainder, or C-style formatting of a text with fixed widths."""
    if type(left) is not str:
        return left % right
    marks = _FORMAT.findall(left)
    if len(marks) != left.replace("%%", "").count("%") + left.count("%%"):
        raise Exceeded("A format may hold %s, %d and their like with a width of four digits at most, and no %*.")
    widest = max((max(check_width(width or 0), check_width(precision or 0)) for width, precision in marks), default=0)
    shown = widest + _longest(right)
    check_text(len(left) + len(marks) * shown)
    return left % right


def _longest(value: Any) -> int:
    """Return an upper bound of the characters any part of *value* is shown with."""
    weigh(value)
    return len(repr(value))


OPERATIONS: dict[str, Operation] = {
    "+": add,
    "-": operator.sub,
    "*": multiply,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": remainder,
    "**": power,
}
"""The binary operators of a template, bounded."""


def operate(symbol: str, left: Any, right: Any) -> Any:
    """Carry out ``left symbol right``; Exceeded where an operand or the result is too large."""
    for operand in (left, right):
        if isinstance(operand, int):
            check_number(operand)
    result = OPERATIONS[symbol](left, right)
    return check_number(result) if isinstance(result, int) else result
