"""What GitHub and Forgejo have in common, which is most of it; each adapter adds where they part.

Only ``github`` and ``forgejo`` stand on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from reconciler.errors import ForgeRefused
from reconciler.forge.addresses import as_path, in_path
from reconciler.forge.answers import read, read_all, shortened
from reconciler.forge.evidence import deciding, together
from reconciler.forge.shapes import Issue, Pull, Reviewed, Said, User
from reconciler.talk import Check, Comment, CommitStatus, Evidence, PullRequest, Review, Ticket
from reconciler.wire import Wire

_THERE_ALREADY = {409, 422}
"""How GitHub (422) and Forgejo (409) answer who proposes a branch twice, among other mistakes."""


class Alike(ABC):
    """One repository (``owner/name``) on a forge of GitHub's kind; *web* is where people see the forge."""

    body_limit = 60_000
    folds = True
    """GitHub takes 65,536 characters, Forgejo more; the rest is room for whatever they count differently."""
    pull_page: ClassVar[str]
    verdicts: ClassVar[Mapping[str, str]]
    with_texts: ClassVar[Mapping[str, str]]
    """How many items a page may have where each holds a text of a stranger's choosing."""

    def __init__(self, wire: Wire, repository: str, web: str) -> None:
        self._wire = wire
        self._repository = repository
        self._path = f"/repos/{as_path(repository)}"
        self._web = f"{web.rstrip('/')}/{as_path(repository)}"
        self._login = ""

    def whoami(self) -> str:
        """The login that we write under, asked once."""
        self._login = self._login or self._ask_login()
        return self._login

    def pull_request(self, number: int) -> PullRequest:
        """One pull request."""
        return self._described(self._wire.get(f"{self._path}/pulls/{number}").json, f"pull request {number}")

    def open_pull_request(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Propose *branch*; the pull request that does so already, if there is one."""
        if there := self._proposed(branch, base):
            return there
        wanted = {"head": branch, "base": base, "title": title, "body": body}
        try:
            answer = self._wire.send("POST", f"{self._path}/pulls", wanted).json
        except ForgeRefused as refused:
            # Somebody was faster, or an earlier request of ours came through after all.
            there = self._proposed(branch, base) if refused.status in _THERE_ALREADY else None
            if there is None:
                raise
            return there
        return self._described(answer, "the new pull request")

    def close_pull_request(self, number: int) -> None:
        """Close it without merging."""
        self._wire.send("PATCH", f"{self._path}/pulls/{number}", {"state": "closed"})

    def comments(self, number: int) -> list[Comment]:
        """Every comment on a pull request or ticket, oldest first."""
        found = self._list(f"/issues/{number}/comments", self.with_texts)
        return [comment.described() for comment in read_all(Said, found, f"the comments on {number}")]

    def add_comment(self, number: int, body: str) -> Comment:
        """Comment on a pull request."""
        answer = self._wire.send("POST", f"{self._path}/issues/{number}/comments", {"body": body}).json
        return read(Said, answer, f"the new comment on {number}").described()

    def edit_comment(self, number: int, comment: str, body: str) -> None:  # noqa: ARG002 - here ids are the repository's
        """Replace the text of our own comment."""
        self._wire.send("PATCH", f"{self._path}/issues/comments/{in_path(comment)}", {"body": body})

    def set_status(self, status: CommitStatus) -> None:
        """Say how far a commit got."""
        said = shortened(status.description)
        wanted = {"state": status.standing.value, "context": status.context, "description": said}
        if status.url:
            wanted["target_url"] = status.url
        self._wire.send("POST", f"{self._path}/statuses/{in_path(status.sha)}", wanted)

    def ticket(self, number: int) -> Ticket:
        """One ticket."""
        answer = self._wire.get(f"{self._path}/issues/{number}").json
        return read(Issue, answer, f"issue {number}").described(self._issues)

    def open_ticket(self, title: str, body: str) -> Ticket:
        """Open a ticket."""
        answer = self._wire.send("POST", f"{self._path}/issues", {"title": title, "body": body}).json
        return read(Issue, answer, "the new issue").described(self._issues)

    def edit_ticket(self, number: int, title: str, body: str, *, open: bool) -> None:  # noqa: A002 - the port's word
        """Make a ticket read like this, and be open or closed."""
        wanted = {"title": title, "body": body, "state": "open" if open else "closed"}
        self._wire.send("PATCH", f"{self._path}/issues/{number}", wanted)

    def ticket_comments(self, number: int) -> list[Comment]:
        """Every comment on a ticket, oldest first; they are kept like those on pull requests."""
        return self.comments(number)

    def comment_ticket(self, number: int, body: str) -> Comment:
        """Comment on a ticket."""
        return self.add_comment(number, body)

    def evidence(self, sha: str) -> Evidence:
        """Who approved the pull request that brought *sha* in, and how its checks and those of *sha* stand."""
        pull = self._brought_by(sha)
        if pull is None:
            return Evidence(checks=self._checks(sha))
        found = self._list(f"/pulls/{pull.number}/reviews", self.with_texts)
        reviews = [self._review(review) for review in read_all(Reviewed, found, f"the reviews of {pull.number}")]
        checks = self._checks(pull.head.sha)
        if sha != pull.head.sha:
            checks = together(checks, self._checks(sha))
        return Evidence(f"#{pull.number}", pull.author, deciding(reviews), checks)

    def commit_url(self, sha: str) -> str:
        """Where people see a commit."""
        return f"{self._web}/commit/{in_path(sha)}"

    def pull_url(self, number: int) -> str:
        """Where people see a pull request."""
        return f"{self._web}/{self.pull_page}/{number}"

    @property
    def _issues(self) -> str:
        return f"{self._web}/issues"

    def _ask_login(self) -> str:
        return read(User, self._wire.get("/user").json, "our own account").login

    def _described(self, answer: Any, what: str) -> PullRequest:
        return read(Pull, answer, what).described(f"{self._web}/{self.pull_page}")

    def _pulls(self, params: Mapping[str, str]) -> list[PullRequest]:
        """The open pull requests that *params* ask for, but for those that have no head to speak of."""
        found = self._list("/pulls", {"state": "open", **params, **self.with_texts})
        return [self._described(answer, "the pull requests") for answer in found if not _is_headless(answer)]

    def _own(self, params: Mapping[str, str]) -> list[Ticket]:
        """The tickets of ours among those that *params* ask for, newest first."""
        login = self.whoami().lower()
        issues = read_all(Issue, self._list("/issues", {"state": "all", **params}), "the issues")
        tickets = [issue.described(self._issues) for issue in issues if issue.pull_request is None]
        ours = [ticket for ticket in tickets if ticket.author.lower() == login]
        return sorted(ours, key=lambda ticket: -ticket.number)

    def _review(self, review: Reviewed) -> Review:
        verdict = self.verdicts.get(review.state, "")
        weighs = verdict not in {"", "commented"}
        return Review(review.author, "dismissed" if review.dismissed and weighs else verdict, str(review.id))

    @abstractmethod
    def _list(self, path: str, params: Mapping[str, str]) -> Iterator[Any]:
        """Every item of a list of the repository's."""

    @abstractmethod
    def _proposed(self, branch: str, base: str) -> PullRequest | None:
        """The open pull request of *branch*, a branch of this very repository, into *base*."""

    @abstractmethod
    def _brought_by(self, sha: str) -> Pull | None:
        """The merged pull request that *sha* came with."""

    @abstractmethod
    def _checks(self, sha: str) -> tuple[Check, ...]:
        """The newest result of each check of one commit, ours left out."""


def _is_headless(answer: Any) -> bool:
    """Whether Forgejo could not make sense of a pull request itself, as when its branch is broken.

    It lists null, or no commit, instead; nobody who opens such a one may keep us from the others.
    """
    head = answer.get("head") if isinstance(answer, dict) else None
    return answer is None or (isinstance(head, dict) and head.get("sha") == "")
