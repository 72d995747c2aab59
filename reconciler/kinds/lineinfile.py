"""One line of a file that is otherwise not ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from reconciler.kinds.base import Fields, HostPath, OneLine, take
from reconciler.kinds.paths import hidden
from reconciler.model import Ask, Value


def compiles(value: str) -> str:
    """Refuse what the host could not compile; Ansible matches bytes, where ``\\u`` and ``\\N`` are unknown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            re.compile(value.encode())
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            raise ValueError(f"not a regular expression: {error}") from error
    return value


Pattern = Annotated[str, Field(min_length=1), AfterValidator(compiles)]


class LineInFile(Fields):
    """``ansible.builtin.lineinfile``: one line is there, or none that matches is."""

    kind: ClassVar[str] = "lineinfile"
    collector: ClassVar[str] = "lineinfile"
    order: ClassVar[int] = 60

    path: HostPath
    """The file. A link is followed, as Ansible does."""
    line: Annotated[OneLine, Field(max_length=4096)] | None = None
    """The whole line. May be left out only where ``state`` is absent and ``regexp`` says what has to go."""
    regexp: Pattern | None = None
    """A Python regular expression: the last line in which it is found is replaced, or every such line is removed."""
    state: Literal["present", "absent"] = "present"
    """Whether the line is there."""
    create: bool = False
    """Make the file where there is none; without it a missing file is a failure."""
    insertafter: Pattern | None = None
    """Put a new line after the last line in which this expression is found, or at ``EOF``."""
    insertbefore: Pattern | None = None
    """Put a new line before the last line in which this expression is found, or at ``BOF``."""

    @model_validator(mode="after")
    def says_which_line(self) -> Self:
        """Refuse what names no line, or two places for it."""
        if self.line is None and (self.state == "present" or self.regexp is None):
            raise ValueError("line is required, unless state is absent and regexp says which lines go")
        if self.insertafter is not None and self.insertbefore is not None:
            raise ValueError("insertafter and insertbefore exclude each other")
        if self.no_log and self.regexp is None:
            raise ValueError("no_log needs regexp: without one the line is part of the resource's name, which is shown")
        return self

    @property
    def which(self) -> str:
        """What finds the line: the expression, or the line itself."""
        return self.regexp or self.line or ""

    def key(self) -> str:
        return f"{self.path}: {self.which}"

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        return {"line": self.line if self.state == "present" else None}

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        return {"line": take(fact, "line", (str, type(None)))}

    def ask(self, content: bytes | None = None) -> Ask:
        asked = {"path": self.path, "line": self.line, "regexp": self.regexp, "state": self.state}
        return Ask(self.collector, self.key(), {name: value for name, value in asked.items() if value is not None})

    def irreversible(self, before: Fields | None = None) -> bool:
        """An expression removes lines that nobody has written down; a whole line is known from its own declaration."""
        known = isinstance(before, LineInFile) and before.state == "present"
        return self.state == "absent" and self.regexp is not None and not known

    def args(self) -> dict[str, Any]:
        return super().args() | hidden(self)

    def claims(self) -> frozenset[str]:
        return frozenset({f"line:{self.path}:{self.which}"})

    def shares(self) -> frozenset[str]:
        return frozenset({f"content:{self.path}"})
