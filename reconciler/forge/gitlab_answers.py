"""What GitLab's API answers, as far as it is used: shapes that are checked before anything is made of them."""

from __future__ import annotations

from typing import Literal

from reconciler.forge.answers import Answer, Number, Sha


class User(Answer):
    """Somebody."""

    username: str


class Merge(Answer):
    """A merge request."""

    iid: Number
    title: str
    author: User
    state: Literal["opened", "closed", "merged", "locked"]
    sha: Sha | None = None
    source_branch: str
    target_branch: str
    source_project_id: int | None = None
    target_project_id: int


class Note(Answer):
    """A comment, or (``system``) a note of what happened."""

    id: Number
    author: User
    body: str
    system: bool = False


class Issue(Answer):
    """An issue."""

    iid: Number
    title: str
    author: User
    description: str | None = None
    state: Literal["opened", "closed"]


class Status(Answer):
    """A status of a commit."""

    id: int
    name: str
    status: str
    description: str | None = None
    target_url: str | None = None


class Approval(Answer):
    """Somebody's approval."""

    user: User


class Approvals(Answer):
    """The approvals of a merge request."""

    approved_by: list[Approval]
