"""The few expressions of Jinja2 that can be turned round: a variable alone, perhaps with a default.

Called by the other parts of ``adopt``, to find the variable behind a value and to write one in its place. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from reconciler.templates import has_template

_NAME = r"[A-Za-z_]\w*"
_WHOLE = re.compile(
    rf"\{{\{{-?\s*(?P<path>{_NAME}(?:\.{_NAME})*)\s*"
    rf"(?:\|\s*(?:default|d)\(\s*(?P<default>.*?)\s*\)\s*)?-?\}}\}}",
    re.DOTALL,
)
_LITERAL = re.compile(r"""'[^'\\]*'|"[^"\\]*"|-?[0-9]+|[Tt]rue|[Ff]alse""")
_ANY = re.compile(r"\{\{.*?\}\}")
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
MAX_NAME = 60
MAX_LINE = 300
MAX_EXPRESSIONS = 3
"""Finding what each expression of a line stood for takes time that grows with its length to this power."""


@dataclass(frozen=True, slots=True)
class Expression:
    """``{{ path }}`` or ``{{ path | default(…) }}``; ``span`` is where the default's literal is, if it is one."""

    path: tuple[str, ...]
    text: str
    span: tuple[int, int] | None = None

    @property
    def default(self) -> Any:
        """The value of the literal default; only where there is a span."""
        written = self.text[self.span[0] : self.span[1]] if self.span else "''"
        if written[0] in "'\"":
            return written[1:-1]
        return written.lower() == "true" if written[0] in "TtFf" else int(written)

    def with_default(self, value: Any) -> str:
        """The expression with another default."""
        start, end = self.span or (0, 0)
        return self.text[:start] + literal(value) + self.text[end:]


def parse(text: Any) -> Expression | None:
    """The expression that *text* is, if it is one that can be turned round."""
    found = _WHOLE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    written = found["default"]
    span = found.span("default") if written is not None and _LITERAL.fullmatch(written) else None
    return Expression(tuple(found["path"].split(".")), text, span)


def literal(value: Any) -> str:
    """*value* as Jinja2 writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, str):
        return "'" + "".join(_ESCAPES.get(char, char) for char in value) + "'"
    return str(value)


def natural(value: Any, old: Any) -> Any:
    """*value* in the type in which *old* was written: a number where it was one."""
    if isinstance(old, bool):
        return {"True": True, "true": True, "False": False, "false": False}.get(str(value), value)
    number = isinstance(old, int) and isinstance(value, str) and re.fullmatch("0|-?[1-9][0-9]{0,17}", value)
    return int(value) if number else value


def variable_name(about: str, field: str, taken: str) -> str:
    """A name for a variable, as ``nginx_state``, that stands nowhere in *taken*, the text of the whole tree."""
    words = re.sub(r"[^a-z0-9]+", "_", f"{about}_{field}".lower()).strip("_")[-MAX_NAME:].strip("_")
    base = words if re.match(r"(?!ansible_)[a-z]", words) else f"host_{words}"
    name, number = base, 1
    while re.search(rf"\b{name}\b", taken):
        number += 1
        name = f"{base}_{number}"
    return name


def turned_round(line: str, was: str, live: str) -> list[tuple[Expression, str]]:
    """What the variables in one line of a template would have to be for it to read *live*; empty where nobody knows."""
    expressions = _ANY.findall(line)
    if len(expressions) > MAX_EXPRESSIONS or max(len(was), len(live)) > MAX_LINE:
        return []
    texts = [re.escape(part) for part in _ANY.split(line)]
    pattern = re.compile("(.*?)".join(texts), re.DOTALL)
    before, after = pattern.fullmatch(was), pattern.fullmatch(live)
    if before is None or after is None:
        return []
    found = []
    for text, old, new in zip(expressions, before.groups(), after.groups(), strict=True):
        if old != new:
            expression = parse(text)
            if expression is None or has_template(new):
                return []
            found.append((expression, new))
    return found
