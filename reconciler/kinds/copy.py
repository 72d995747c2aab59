"""A file with the content of a file below ``files/``, or with content written in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import model_validator

from reconciler.kinds.paths import Source, Staged


class Copy(Staged):
    """``ansible.builtin.copy``: one file, byte for byte."""

    kind: ClassVar[str] = "copy"
    order: ClassVar[int] = 50
    content_from: ClassVar[str] = "files"
    declared_by: ClassVar[Mapping[str, str]] = {"content": "src", "state": "dest"}

    src: Source | None = None
    """The file of the revision, relative to ``files/``. Either this or ``content``."""
    content: str | None = None
    """The content itself, taken as it is, without a template. Either this or ``src``."""

    @model_validator(mode="after")
    def one_source(self) -> Self:
        """Refuse no content, and content from two sides."""
        if (self.src is None) == (self.content is None):
            raise ValueError("a copy has either src or content")
        return self

    def inline(self) -> bytes | None:
        return None if self.content is None else self.content.encode()
