"""Forgejo and Gitea, whose REST API is one and the same here.

``open_forge`` makes it; the shell knows it as a Forge. What comes back is read by ``shapes``; what it means is
decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from reconciler.errors import ForgeRefused
from reconciler.forge.addresses import as_path, in_path
from reconciler.forge.alike import Alike
from reconciler.forge.answers import Answer, read, read_all
from reconciler.forge.evidence import OURS, newest_by_name
from reconciler.forge.shapes import Pull, Said
from reconciler.markdown import Lines
from reconciler.talk import Check, Comment, CommitStatus, PullRequest, Standing, Ticket
from reconciler.wire import Reply, by_link_header


class _Status(Answer):
    id: int
    context: str
    status: Literal["pending", "success", "failure", "error", "warning"]
    description: str = ""
    target_url: str = ""

    @property
    def standing(self) -> Standing:
        """In our words; a warning is nothing that we say, and no success."""
        return Standing.FAILURE if self.status == "warning" else Standing(self.status)


class Forgejo(Alike):
    """One repository on a Forgejo or Gitea server."""

    pull_page = "pulls"
    verdicts: ClassVar[Mapping[str, str]] = {
        "APPROVED": "approved",
        "REQUEST_CHANGES": "rejected",
        "COMMENT": "commented",
    }
    with_texts: ClassVar[Mapping[str, str]] = {"limit": "20"}

    def pull_requests(self, base: str) -> list[PullRequest]:
        """The open pull requests into *base*; the server cannot be asked for those alone."""
        return [pull for pull in self._pulls({}) if pull.base == base]

    def comments(self, number: int) -> list[Comment]:
        """Every comment on a pull request or ticket, oldest first; the server gives them all at once."""
        found = self._wire.pages(f"{self._path}/issues/{number}/comments")
        return [comment.described() for comment in read_all(Said, found, f"the comments on {number}")]

    def status(self, sha: str, context: str) -> CommitStatus | None:
        """The newest status in *context*, that is the one with the highest id: times are whole seconds."""
        found = [status for status in self._statuses(sha) if status.context == context]
        if not found:
            return None
        newest = max(found, key=lambda status: status.id)
        return CommitStatus(sha, context, newest.standing, newest.description, newest.target_url)

    def own_tickets(self) -> list[Ticket]:
        """Every ticket that we opened, newest first."""
        return self._own({"created_by": self.whoami(), "type": "issues"})

    def lines(self, sha: str) -> Lines:
        """Where people see the lines of a commit's files; as source, for Markdown has no lines otherwise."""
        return Lines(f"{self._web}/src/commit/{in_path(sha)}/", "?display=source#L")

    def compare_url(self, base: str, branch: str) -> str:
        """Where people propose *branch* with one click."""
        return f"{self._web}/compare/{as_path(base)}...{as_path(branch)}"

    def _list(self, path: str, params: Mapping[str, str]) -> Iterator[Any]:
        path = f"{self._path}{path}"
        return self._wire.pages(path, {"limit": "50", **params}, next_of=lambda reply: _next(path, reply))

    def _proposed(self, branch: str, base: str) -> PullRequest | None:
        return next((pull for pull in self.pull_requests(base) if (pull.fork, pull.branch) == (False, branch)), None)

    def _brought_by(self, sha: str) -> Pull | None:
        """The server knows the pull request of a commit by its merge commit only, and answers 404 for others."""
        try:
            answer = self._wire.get(f"{self._path}/commits/{in_path(sha)}/pull").json
        except ForgeRefused as refused:
            if refused.status == 404:
                return None
            raise
        pull = read(Pull, answer, f"the pull request of {sha[:7]}")
        return pull if pull.merged_at else None

    def _checks(self, sha: str) -> tuple[Check, ...]:
        """The newest status of each context."""
        statuses = [status for status in self._statuses(sha) if not status.context.startswith(OURS)]
        return newest_by_name((status.id, Check(status.context, status.status)) for status in statuses)

    def _statuses(self, sha: str) -> list[_Status]:
        return read_all(_Status, self._list(f"/commits/{in_path(sha)}/statuses", {}), f"the statuses of {sha[:7]}")


def _next(path: str, reply: Reply) -> str | None:
    """The next page, asked where this one was: the server writes addresses with a root that is often set up wrong."""
    address = by_link_header(reply)
    return f"{path}?{urlsplit(address).query}" if address else None
