"""What every section of the configuration has in common, and how one section is found inside another."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A section: every key is known, every value has its type, and nothing changes after loading."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, validate_default=True
    )


def section(annotation: Any) -> type[BaseModel] | None:
    """Return the section in a field's *annotation*, be it optional or a list of them; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := section(part))), None)
