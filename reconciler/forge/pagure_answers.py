"""What Pagure's API answers, as far as it is used: shapes that are checked before anything is made of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reconciler.forge.answers import Answer, Number, Sha


class User(Answer):
    """Somebody."""

    name: str


class Whoami(Answer):
    """Whom a token belongs to."""

    username: str


class Project(Answer):
    """A project, and the words with which its issues may be closed."""

    id: int
    close_status: list[str] = Field(default_factory=list)


class Remark(Answer):
    """A comment, or (``notification``) a note of what happened."""

    id: Number
    user: User
    comment: str
    notification: bool = False


class Pull(Answer):
    """A pull request with its comments."""

    id: Number
    title: str
    user: User
    status: Literal["Open", "Merged", "Closed"]
    branch: str
    branch_from: str | None = None
    commit_stop: Sha | None = None
    project: Project
    repo_from: Project | None = None
    closed_by: User | None = None
    comments: list[Remark] = Field(default_factory=list)


class Issue(Answer):
    """An issue with its comments."""

    id: Number
    title: str
    user: User
    content: str | None = None
    status: str
    comments: list[Remark] = Field(default_factory=list)


class NewIssue(Answer):
    """What making an issue answers."""

    issue: Issue


class Flag(Answer):
    """A flag of a commit."""

    username: str
    user: User
    status: str
    comment: str
    url: str
    date_updated: str


class Commit(Answer):
    """A commit."""

    parent_ids: list[Sha]
