"""GitHub, github.com and Enterprise Server alike, over its REST API.

``open_forge`` makes it; the shell knows it as a Forge. What comes back is read by ``shapes``; what it means is
decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from reconciler.errors import ForgeRefused
from reconciler.forge.addresses import as_path, in_path
from reconciler.forge.alike import Alike
from reconciler.forge.answers import Answer, read_all
from reconciler.forge.evidence import OURS, newest_by_name
from reconciler.forge.shapes import Pull
from reconciler.markdown import Lines
from reconciler.talk import Check, CommitStatus, PullRequest, Standing, Ticket
from reconciler.wire import Wire, identity

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
FORBIDDEN = 403
"""Fine-grained tokens can be given no right to read check runs, only Apps can; reviews and statuses are told still."""


class _Status(Answer):
    id: int
    context: str
    state: Literal["pending", "success", "failure", "error"]
    description: str | None = None
    target_url: str | None = None


class _Run(Answer):
    id: int
    name: str
    status: str
    conclusion: str | None = None


class GitHub(Alike):
    """One repository on GitHub. *login* names an App, whose tokens are not allowed to ask who they are."""

    pull_page = "pull"
    verdicts: ClassVar[Mapping[str, str]] = {
        "APPROVED": "approved",
        "CHANGES_REQUESTED": "rejected",
        "DISMISSED": "dismissed",
        "COMMENTED": "commented",
    }
    # Twenty texts of 65,536 characters, each escaped to six bytes, are as much as ``wire`` reads of one answer.
    with_texts: ClassVar[Mapping[str, str]] = {"per_page": "20"}

    def __init__(self, wire: Wire, repository: str, web: str, *, login: Callable[[], str] | None = None) -> None:
        super().__init__(wire, repository, web)
        self._app_login = login

    def pull_requests(self, base: str) -> list[PullRequest]:
        """The open pull requests into *base*."""
        return [pull for pull in self._pulls({"base": base}) if pull.base == base]

    def status(self, sha: str, context: str) -> CommitStatus | None:
        """The newest status in *context*; GitHub lists the newest first, and compares contexts without case."""
        for answer in self._list(f"/commits/{in_path(sha)}/statuses", {}):
            (status,) = read_all(_Status, [answer], f"the statuses of {sha[:7]}")
            if status.context.lower() == context.lower():
                said, url = status.description or "", status.target_url or ""
                return CommitStatus(sha, context, Standing(status.state), said, url)
        return None

    def own_tickets(self) -> list[Ticket]:
        """Every ticket that we opened, newest first."""
        return self._own({"creator": self.whoami(), "sort": "created", "direction": "desc"})

    def lines(self, sha: str) -> Lines:
        """Where people see the lines of a commit's files; as source, for Markdown has no lines otherwise."""
        return Lines(f"{self._web}/blob/{in_path(sha)}/", "?plain=1#L")

    def compare_url(self, base: str, branch: str) -> str:
        """Where people propose *branch* with one click."""
        return f"{self._web}/compare/{as_path(base)}...{as_path(branch)}?expand=1"

    def _ask_login(self) -> str:
        return self._app_login() if self._app_login else super()._ask_login()

    def _list(self, path: str, params: Mapping[str, str], items: Callable[[Any], Any] = identity) -> Iterator[Any]:
        return self._wire.pages(f"{self._path}{path}", {"per_page": "100", **params}, items=items)

    def _proposed(self, branch: str, base: str) -> PullRequest | None:
        owner = self._repository.partition("/")[0]
        found = self._pulls({"head": f"{owner}:{branch}", "base": base})
        return next((pull for pull in found if (pull.fork, pull.branch, pull.base) == (False, branch, base)), None)

    def _brought_by(self, sha: str) -> Pull | None:
        """Of the merged pull requests of this very repository the one that made *sha*, else the newest that has it."""
        found = self._list(f"/commits/{in_path(sha)}/pulls", self.with_texts)
        pulls = read_all(Pull, found, f"the pull requests of {sha[:7]}")
        merged = [pull for pull in pulls if pull.merged_at and self._is_ours(pull)]
        return max(merged, key=lambda pull: (pull.merge_commit_sha == sha, pull.number), default=None)

    def _is_ours(self, pull: Pull) -> bool:
        return pull.base.repo.full_name.lower() == self._repository.lower()

    def _checks(self, sha: str) -> tuple[Check, ...]:
        """The newest result of each check run and each status."""
        return newest_by_name([*self._runs(sha), *self._statuses(sha)])

    def _runs(self, sha: str) -> Iterator[tuple[int, Check]]:
        # Their texts are as long as a comment's, and each has two.
        found = self._list(f"/commits/{in_path(sha)}/check-runs", {"per_page": "10"}, _within("check_runs"))
        try:
            runs = read_all(_Run, found, f"the check runs of {sha[:7]}")
        except ForgeRefused as refused:
            if refused.status != FORBIDDEN:
                raise
            yield 0, Check("check-runs", "not-readable")
            return
        for run in runs:
            yield run.id, Check(run.name, run.conclusion or run.status)

    def _statuses(self, sha: str) -> Iterator[tuple[int, Check]]:
        found = self._list(f"/commits/{in_path(sha)}/status", {}, _within("statuses"))
        for status in read_all(_Status, found, f"the statuses of {sha[:7]}"):
            if not status.context.startswith(OURS):
                yield status.id, Check(status.context, status.state)


def _within(key: str) -> Callable[[Any], Any]:
    """Where a page keeps its items, for lists that come wrapped in an object."""
    return lambda page: page.get(key) if isinstance(page, dict) else None
