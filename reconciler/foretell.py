"""Foretell: a pull request's files in, what is to be said of it out.

Pure. ``foresee`` prepares the questions, and ``apart`` has them answered in a process that holds no keys: a stranger's
files are compiled nowhere else, and nothing but words comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from reconciler.comment import UNLIMITED, plan_comment, plan_record
from reconciler.desired import Bounds, Workshop
from reconciler.markdown import Lines
from reconciler.model import Desired, HostMemory, Mistake, Place, Tree
from reconciler.preview import preview
from reconciler.standing import plan_status
from reconciler.talk import Preview


@dataclass(frozen=True, slots=True)
class Files:
    """The desired state of the commit *sha*, and a mistake for each entry that is not used."""

    sha: str
    tree: Tree
    mistakes: Sequence[Mistake] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """How the forge shows what is said there: *limit* is in characters, *key* that of the comment's marker.

    ``record`` is where a plan that is too long would be kept in full; "" where none is kept.
    """

    key: str
    limit: int
    folds: bool
    lines: Lines
    record: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What merging *head* would do; its files are those of the merge. The fleet was last looked at *seen_at*."""

    head: Files
    page: Page
    bounds: Bounds
    seen_at: str | None
    today: date


@dataclass(frozen=True, slots=True)
class Words:
    """What is to be said of a pull request: the standing and description of its status, and its comment.

    A plan that is too long for the comment is *record* in full, and *linked* is the comment that leads there.
    """

    standing: str
    description: str
    comment: str
    linked: str = ""
    record: str = ""


class Foreteller:
    """Knows the revision in force, and tells what others would make of the fleet."""

    def __init__(self, base: Files, *, allow_local: bool) -> None:
        self._sha = base.sha
        self._workshop = Workshop(allow_local=allow_local)
        self._base = self._workshop.compile(base.tree, base.mistakes)

    def foretell(self, question: Question, memories: Mapping[str, HostMemory]) -> Words:
        """The answer to one question, with the hosts as they were last seen; answers after it may take less work."""
        head = question.head
        desired = self._workshop.compile(head.tree, head.mistakes, question.bounds)
        return words(self._compared(desired, question, memories), question.page)

    def _compared(self, desired: Desired, question: Question, memories: Mapping[str, HostMemory]) -> Preview:
        return preview(
            self._base,
            desired,
            memories,
            base_sha=self._sha,
            head_sha=question.head.sha,
            seen_at=question.seen_at,
            limits=self._base.limits,
            groups=desired.groups,
            today=question.today,
        )


def words(found: Preview, page: Page) -> Words:
    """What is said of a preview."""

    def comment(limit: int, record: str = "") -> str:
        return plan_comment(found, limit=limit, key=page.key, line_url=line_url, record_url=record, folds=page.folds)

    def line_url(place: Place) -> str:
        return page.lines.url(place.file, place.line)

    status, short = plan_status(found), comment(page.limit)
    if not page.record or short == comment(UNLIMITED):
        return Words(status.standing, status.description, short)
    return Words(status.standing, status.description, short, comment(page.limit, page.record), plan_record(found))
