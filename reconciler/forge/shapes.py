"""The parts of GitHub's answers that we read. Forgejo and Gitea give the same, for theirs is made after GitHub's."""

from __future__ import annotations

from typing import Any, Literal

from reconciler.forge.answers import Answer, Number, Sha
from reconciler.forge.evidence import GHOST
from reconciler.talk import Comment, PullRequest, Ticket


class User(Answer):
    """An account."""

    login: str


class Written(Answer):
    """What somebody wrote, perhaps from an account that is gone."""

    user: User | None = None

    @property
    def author(self) -> str:
        """The login."""
        return self.user.login if self.user else GHOST


class Repository(Answer):
    """A repository."""

    id: int
    full_name: str


class Base(Answer):
    """The branch that a pull request goes into."""

    ref: str
    repo: Repository


class Head(Answer):
    """Where it comes from; there is no ``repo`` once the fork was deleted."""

    ref: str
    sha: Sha
    repo: Repository | None = None


class Pull(Written):
    """A pull request."""

    number: Number
    title: str
    state: Literal["open", "closed"]
    merged_at: str | None = None
    merge_commit_sha: str | None = None
    head: Head
    base: Base

    @property
    def fork(self) -> bool:
        """Whether its head is no branch of the repository: a fork's, or one that anybody pushed to ``refs/for``."""
        repo = self.head.repo
        return repo is None or repo.id != self.base.repo.id or self.head.ref.startswith("refs/pull/")

    def described(self, page: str) -> PullRequest:
        """As our noun; *page* is the address of the list that people find it in."""
        return PullRequest(
            number=self.number,
            title=self.title,
            author=self.author,
            head=self.head.sha,
            ref=f"refs/pull/{self.number}/head",
            base=self.base.ref,
            branch=self.head.ref,
            fork=self.fork,
            state="merged" if self.merged_at else self.state,
            url=f"{page}/{self.number}",
        )


class Said(Written):
    """A comment."""

    id: Number
    body: str | None = None

    def described(self) -> Comment:
        """As our noun."""
        return Comment(str(self.id), self.author, self.body or "")


class Issue(Written):
    """An issue; or a pull request, which GitHub lists as one."""

    number: Number
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    pull_request: dict[str, Any] | None = None

    def described(self, page: str) -> Ticket:
        """As our noun; *page* is the address of the list that people find it in."""
        url = f"{page}/{self.number}"
        return Ticket(self.number, self.title, self.author, self.body or "", self.state == "open", url)


class Reviewed(Written):
    """A review, in the forge's own words."""

    id: Number
    state: str
    dismissed: bool = False
