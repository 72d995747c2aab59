"""How much of a preview is shown, and how places become links: short for a comment, in full for the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.markdown import code, html_code, link
from reconciler.model import Place

UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Frame:
    """The most that is shown of each thing before the rest is counted: names, items of a list, rows, lines of a diff.

    ``room`` is the most characters of one list. ``folds`` says whether the reader can open and close a section;
    ``line_url`` makes the address of a line.
    """

    names: int = 12
    items: int = 20
    rows: int = 20
    lines: int = 60
    room: int = 8000
    folds: bool = True
    line_url: Callable[[Place], str] | None = None

    def quote(self, name: str) -> str:
        """A name as code in the title of a section."""
        return html_code(name) if self.folds else code(name)

    def cite(self, place: Place) -> str:
        """``web.yml:9`` as a link, or as code where there is nothing to link to."""
        return link(code(place.short), self.line_url(place) if self.line_url else "")


FULL = Frame(names=UNLIMITED, items=UNLIMITED, rows=UNLIMITED, lines=UNLIMITED, room=UNLIMITED, folds=False)
