"""The port to a forge: what the shell may ask of one, whichever it is.

Each adapter speaks with one kind of forge over ``wire`` and returns the nouns of ``talk``. Every call raises
ForgeAway where a later try may succeed (not reached, 5xx, rate limit: ``wait`` seconds at least), and ForgeRefused
where it will not (a right that is missing, a thing that is not there). Lists are complete: every page is read.
"""

from __future__ import annotations

from typing import Protocol

from reconciler.markdown import Lines
from reconciler.talk import Comment, CommitStatus, Evidence, PullRequest, Ticket


class Forge(Protocol):
    """One repository on one forge."""

    body_limit: int
    """Characters that a comment or a ticket may have; ours keep below it."""

    folds: bool
    """Whether its pages know ``<details>``."""

    def whoami(self) -> str:
        """The login that the token belongs to; asked once, then remembered."""
        ...

    def pull_requests(self, base: str) -> list[PullRequest]:
        """The open pull requests into the branch *base*."""
        ...

    def pull_request(self, number: int) -> PullRequest:
        """One pull request as it is now, open or not."""
        ...

    def open_pull_request(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Propose *branch* of this very repository; the one that is open already, if there is one."""
        ...

    def close_pull_request(self, number: int) -> None:
        """Close it without merging."""
        ...

    def comments(self, number: int) -> list[Comment]:
        """Every comment on a pull request, oldest first."""
        ...

    def add_comment(self, number: int, body: str) -> Comment:
        """Comment on a pull request."""
        ...

    def edit_comment(self, number: int, comment: str, body: str) -> None:
        """Replace the text of our own *comment* (its id) on a pull request."""
        ...

    def status(self, sha: str, context: str) -> CommitStatus | None:
        """The newest status of a commit in one context, None where there is none."""
        ...

    def set_status(self, status: CommitStatus) -> None:
        """Say how far a commit got."""
        ...

    def own_tickets(self) -> list[Ticket]:
        """Every ticket that we opened ourselves, open and closed, newest first."""
        ...

    def ticket(self, number: int) -> Ticket:
        """One ticket as it is now."""
        ...

    def open_ticket(self, title: str, body: str) -> Ticket:
        """Open a ticket."""
        ...

    def edit_ticket(self, number: int, title: str, body: str, *, open: bool) -> None:  # noqa: A002 - the field's word
        """Make a ticket read like this, and be open or closed."""
        ...

    def ticket_comments(self, number: int) -> list[Comment]:
        """Every comment on a ticket, oldest first."""
        ...

    def comment_ticket(self, number: int, body: str) -> Comment:
        """Add a comment to a ticket: a transition that people following it are to hear of."""
        ...

    def evidence(self, sha: str) -> Evidence:
        """Who approved the change that brought *sha* in, and how its checks stand."""
        ...

    def commit_url(self, sha: str) -> str:
        """Where people see a commit; made, not asked."""
        ...

    def lines(self, sha: str) -> Lines:
        """Where people see the lines of a commit's files; made, not asked."""
        ...

    def pull_url(self, number: int) -> str:
        """Where people see a pull request; made, not asked."""
        ...

    def compare_url(self, base: str, branch: str) -> str:
        """Where people propose *branch* with one click; made, not asked."""
        ...
