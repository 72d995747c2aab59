"""What is wrong with a template, said at its own line, whatever the template did to fail.

``templates`` turns every exception of a rendering into one TemplateMistake here. A sentence never quotes a
variable's value: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import TracebackType
from typing import Any

from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import FilterArgumentError, SecurityError, TemplateRuntimeError
from jinja2.runtime import StrictUndefined
from jinja2.utils import missing

from reconciler.templates.limits import Exceeded


class TemplateMistake(Exception):
    """One thing wrong with a template or a templated value.

    ``file`` is ``templates/NAME``, or None for a value; ``line`` and ``column`` count from 1 within it.
    ``undefined`` is the top-level variable that is not there; ``variable`` the top-level variable whose own
    value holds the mistake, if it is not the text itself.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int = 1,
        column: int = 1,
        undefined: str | None = None,
        variable: str | None = None,
        seek: str | None = None,
        absent: bool = False,
        neutral: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file, self.line, self.column = file, line, column
        self.undefined, self.variable = undefined, variable
        # What to look for in the line, whether a `default` may stand in for it, and what to say where the author did
        # not write the word: then it is a value.
        self.seek, self.absent, self.neutral = seek, absent, neutral

    def within(self, variable: str, name: str) -> TemplateMistake:
        """Return the same mistake as seen from a text that uses *variable*; *name* is its full path."""
        message = self.message
        if self.variable is None:
            message = f"{message.removesuffix('.')} (in the value of '{name}')."
        return self._but(message=message, variable=self.variable or variable, seek=variable, file=None, neutral=None)

    def at(self, file: str | None, source: str, line: int) -> TemplateMistake:
        """Return the same mistake with its place: *line* of *source*, or wherever ``seek`` is used."""
        row, column = found = _find(source, line, self.seek)
        message = self.neutral if self.neutral and found == (line, 0) else self.message
        return self._but(message=message, file=file, line=row, column=max(column, 1))

    def _but(self, **other: Any) -> TemplateMistake:
        fields = {name: getattr(self, name) for name in _FIELDS} | other
        return TemplateMistake(**fields)


_FIELDS = ("message", "file", "line", "column", "undefined", "variable", "seek", "absent", "neutral")
NOT_HERE = frozenset({"lookup", "query", "q", "now", "hostvars", "groups", "vars", "omit", "undef"})
"""Names that Ansible gives templates besides the host's variables, and we do not: nothing runs here."""


class Absent(UndefinedError):
    """Something a template uses is not there."""

    def __init__(self, message: str, seek: str | None, undefined: str | None, neutral: str | None = None) -> None:
        super().__init__(message)
        self.seek, self.undefined, self.neutral = seek, undefined, neutral


class Missing(StrictUndefined):
    """Stands for what is not there; every use but ``is defined`` and ``default`` raises."""

    __slots__ = ("mistake",)

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
        mistake: TemplateMistake | None = None,
    ) -> None:
        super().__init__(hint, obj, name, exc)
        self.mistake = mistake
        if exc is UndefinedError:
            raiser: Any = self._absent
            self._undefined_exception = raiser

    def _absent(self, message: str) -> Exception:
        if self.mistake is not None:
            return self.mistake
        name = self._undefined_name
        if self._undefined_hint:
            return Absent(message, None, None)
        if self._undefined_obj is missing:
            return Absent(f"Variable '{name}' is not defined.", name, name)
        owner = self._undefined_obj
        return Absent(_no_key(owner, name), str(name), None, f"There is no such item in this {_kind(owner)}.")


def _no_key(owner: Any, name: Any) -> str:
    keys = [key for key in owner if isinstance(key, str)] if isinstance(owner, Mapping) else []
    if isinstance(owner, Missing):
        return "What is not defined has no keys."
    return f"There is no '{name}' in this {_kind(owner)}{_nearest(str(name), keys)}"


def _kind(value: Any) -> str:
    names = {dict: "mapping", list: "list", tuple: "list", str: "text", type(None): "empty value"}
    return names.get(type(value), "mapping" if hasattr(value, "keys") else "value")


def _nearest(name: str, names: list[str]) -> str:
    """Return the end of a sentence that asks whether the nearest of *names* was meant, or a full stop."""
    close = get_close_matches(name, names, n=1)
    return f"; did you mean '{close[0]}'?" if close else "."


def explain(error: Exception) -> TemplateMistake:
    """Return the mistake behind any exception of a rendering, without its place."""
    match error:
        case TemplateMistake():
            return error
        case Absent():
            return TemplateMistake(
                str(error), undefined=error.undefined, seek=error.seek, absent=True, neutral=error.neutral
            )
        case TemplateNotFound():
            gone = f"There is no file 'templates/{error.name}'."
            return TemplateMistake(gone, seek=str(error.name), neutral="There is no such file below templates/.")
        case TemplateSyntaxError():
            return TemplateMistake(_sentence(error.message or "This is not valid Jinja2"), seek=None)
        case _:
            return TemplateMistake(_told(error))


def _told(error: Exception) -> str:
    match error:
        case Exceeded() | FilterArgumentError():
            return _sentence(str(error))
        case SecurityError():
            return "Templates may not use this: " + _sentence(str(error))
        case TemplateRuntimeError() | TypeError():
            # Their messages name types and filters, not values.
            return _sentence(str(error) or "The template does something that cannot be done")
        case RecursionError() | MemoryError() | SyntaxError():
            return "The template nests too deeply."
        case ZeroDivisionError():
            return "The template divides by zero."
        case UnicodeError():
            return "The template is not, or does not make, valid UTF-8 text."
        case _:
            return f"A value cannot be used like this ({type(error).__name__})."


def _sentence(message: str) -> str:
    line = " ".join(message.split())[:300].rstrip(".")
    return f"{line[:1].upper()}{line[1:]}."


def innermost(trace: TracebackType | None) -> tuple[Any, int]:
    """Return the template of the innermost frame of *trace* that runs one, and its line there; (None, 1) if none."""
    template, line = None, 1
    while trace is not None:
        found = trace.tb_frame.f_globals.get("__jinja_template__")
        if found is not None:
            template, line = found, found.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return template, line


def _find(source: str, line: int, seek: str | None) -> tuple[int, int]:
    """Return line and column (from 1) where *seek* is used, first from *line* on; column 0 if it is nowhere."""
    if seek is None:
        return line, 0
    word = re.compile(rf"(?<!\w){re.escape(seek)}(?!\w)")
    rows = source.split("\n")
    for row in (*range(line - 1, min(line + 20, len(rows))), *range(len(rows))):
        opened = re.search(r"\{[{%]", rows[row])
        # Plain text may hold the word too; an expression over several lines has braces in its first one only.
        found = word.search(rows[row], opened.end()) if opened else word.search(rows[row]) if row >= line else None
        if found:
            return row + 1, found.start() + 1
    return line, 0
