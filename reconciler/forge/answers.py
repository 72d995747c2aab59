"""What a forge answers, made sure of: every value in it was chosen by somebody else.

The adapters declare the few fields they need as models and read answers through ``read`` and ``read_all``; anything
else in an answer is ignored. What does not fit is a ForgeError that names the field and never repeats its value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.errors import ForgeError

DESCRIPTION_LIMIT = 140
"""Characters that a commit status may say on the strictest of forges, which is GitHub."""

Number = Annotated[int, Field(gt=0)]
"""The number of a pull request, ticket or comment."""
Sha = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]
"""A commit, in full."""


class Answer(BaseModel):
    """A part of an answer: types are as declared and never converted, fields we do not know are left out."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)


Part = TypeVar("Part", bound=Answer)


def read(shape: type[Part], value: Any, what: str) -> Part:
    """*value* as *shape*, or a ForgeError that says what is wrong with *what*."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "all of it"
        message = f"the forge's answer about {what} cannot be understood: {where}: {first['msg']}"
        raise ForgeError(message, hint="Is forge.kind right, and does forge.url lead to the forge itself?") from None


def read_all(shape: type[Part], values: Iterable[Any], what: str) -> list[Part]:
    """Each of *values* as *shape*."""
    return [read(shape, value, what) for value in values]


def shortened(description: str) -> str:
    """*description* as one line that fits into a commit status."""
    line = " ".join(description.split())
    return line if len(line) <= DESCRIPTION_LIMIT else line[: DESCRIPTION_LIMIT - 1].rstrip() + "…"
