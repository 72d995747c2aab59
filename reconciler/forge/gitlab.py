"""GitLab: merge requests, notes, commit statuses and issues over its REST API, version 4.

``open_forge`` makes it; the shell knows it as a Forge. What comes back is read by ``answers``; what it means is
decided elsewhere. Numbers are GitLab's ``iid``, those that people see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from reconciler.errors import ForgeAway, ForgeError, ForgeRefused
from reconciler.forge.addresses import as_path, in_path
from reconciler.forge.answers import read, read_all, shortened
from reconciler.forge.evidence import OURS, newest_by_name, together
from reconciler.forge.gitlab_answers import Approvals, Issue, Merge, Note, Status, User
from reconciler.markdown import Lines
from reconciler.talk import Check, Comment, CommitStatus, Evidence, PullRequest, Review, Standing, Ticket
from reconciler.wire import Reply, Wire, by_link_header

BODY_LIMIT = 200_000
"""GitLab takes 1,000,000 characters; nobody reads this many either."""
PER_PAGE = 100
MOST_URL = 255
"""Characters of an address that GitLab takes with a status; without one the status is said all the same."""
LOCKED_WAIT = 5.0
"""Seconds until a status is tried again whose pipeline somebody else is changing."""

_STATES = {
    Standing.PENDING: "pending",
    Standing.SUCCESS: "success",
    Standing.FAILURE: "failed",
    # GitLab has no word for a check that could not be made; its description says so.
    Standing.ERROR: "failed",
}
_STANDINGS = {"success": Standing.SUCCESS, "failed": Standing.FAILURE, "canceled": Standing.ERROR}
_COMMAND = re.compile(r"^(?=[ \t]*/[A-Za-z])", re.MULTILINE)
"""Where a line would be a quick action: GitLab runs `/merge` or `/close` in a text with the rights of its author."""
_INVISIBLE = "\u200b"


class GitLab:
    """One project on a GitLab; *web* is where people see the server, *repository* the path of the project there."""

    body_limit = BODY_LIMIT
    folds = True

    def __init__(self, wire: Wire, repository: str, web: str) -> None:
        self._wire = wire
        self._path = f"/projects/{in_path(repository)}"
        self._web = f"{web.rstrip('/')}/{as_path(repository)}"
        self._login = ""

    def whoami(self) -> str:
        """The login that the token belongs to, asked once; for a project's token it is a bot of the project's own."""
        self._login = self._login or read(User, self._wire.get("/user").json, "our own account").username
        return self._login

    def pull_requests(self, base: str) -> list[PullRequest]:
        """The open merge requests into *base*, but for those whose head GitLab has not looked at yet."""
        found = self._merges("/merge_requests", {"state": "opened", "target_branch": base})
        return [self._pull_request(merge) for merge in found if merge.sha and merge.target_branch == base]

    def pull_request(self, number: int) -> PullRequest:
        """One merge request."""
        answer = self._wire.get(f"{self._path}/merge_requests/{number}").json
        return self._pull_request(read(Merge, answer, f"merge request {number}"))

    def open_pull_request(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Propose *branch*; the merge request that does so already, if there is one."""
        if there := self._proposed(branch, base):
            return there
        wanted = {"source_branch": branch, "target_branch": base, "title": title, "description": _inert(body)}
        try:
            answer = self._wire.send("POST", f"{self._path}/merge_requests", wanted).json
        except ForgeRefused as refused:
            # Somebody was faster, or an earlier request of ours came through after all.
            there = self._proposed(branch, base) if refused.status == 409 else None
            if there is None:
                raise
            return there
        return self._pull_request(read(Merge, answer, "the new merge request"))

    def close_pull_request(self, number: int) -> None:
        """Close it without merging."""
        self._wire.send("PUT", f"{self._path}/merge_requests/{number}", {"state_event": "close"})

    def comments(self, number: int) -> list[Comment]:
        """Every note on a merge request, oldest first; GitLab's own notes of what happened are none."""
        return self._notes(f"/merge_requests/{number}/notes")

    def add_comment(self, number: int, body: str) -> Comment:
        """Add a note to a merge request."""
        return self._say(f"/merge_requests/{number}/notes", body)

    def edit_comment(self, number: int, comment: str, body: str) -> None:
        """Replace the text of our own note."""
        path = f"{self._path}/merge_requests/{number}/notes/{in_path(comment)}"
        self._wire.send("PUT", path, {"body": _inert(body)})

    def status(self, sha: str, context: str) -> CommitStatus | None:
        """The newest status of a commit in one context; GitLab cannot tell our error from our failure."""
        found = [status for status in self._statuses(sha, {"name": context}) if status.name == context]
        newest = max(found, key=lambda status: status.id, default=None)
        if newest is None:
            return None
        standing = _STANDINGS.get(newest.status, Standing.PENDING)
        return CommitStatus(sha, context, standing, newest.description or "", newest.target_url or "")

    def set_status(self, status: CommitStatus) -> None:
        """Say how far a commit got.

        GitLab wants to know on which branch. Left alone it takes one that holds the commit, which there is not for
        the head of a fork: then it is told the ref of the merge request.
        """
        try:
            self._set_status(status, {})
        except ForgeRefused as refused:
            ref = self._ref(status.sha) if refused.status == 404 else ""
            if not ref:
                raise
            self._set_status(status, {"ref": ref})

    def own_tickets(self) -> list[Ticket]:
        """Every ticket that we opened, newest first."""
        wanted = {"author_username": self.whoami(), "scope": "all", "order_by": "created_at", "sort": "desc"}
        issues = read_all(Issue, self._list("/issues", wanted), "our own tickets")
        mine = [self._ticket(issue) for issue in issues if issue.author.username == self.whoami()]
        return sorted(mine, key=lambda ticket: ticket.number, reverse=True)

    def ticket(self, number: int) -> Ticket:
        """One ticket."""
        return self._ticket(read(Issue, self._wire.get(f"{self._path}/issues/{number}").json, f"ticket {number}"))

    def open_ticket(self, title: str, body: str) -> Ticket:
        """Open a ticket."""
        wanted = {"title": title, "description": _inert(body)}
        return self._ticket(read(Issue, self._wire.send("POST", f"{self._path}/issues", wanted).json, "the new ticket"))

    def edit_ticket(self, number: int, title: str, body: str, *, open: bool) -> None:  # noqa: A002 - the field's word
        """Make a ticket read like this, and be open or closed."""
        wanted = {"title": title, "description": _inert(body)}
        if self.ticket(number).open != open:
            wanted["state_event"] = "reopen" if open else "close"
        self._wire.send("PUT", f"{self._path}/issues/{number}", wanted)

    def ticket_comments(self, number: int) -> list[Comment]:
        """Every note on a ticket, oldest first; GitLab's own notes of what happened are none."""
        return self._notes(f"/issues/{number}/notes")

    def comment_ticket(self, number: int, body: str) -> Comment:
        """Add a note to a ticket."""
        return self._say(f"/issues/{number}/notes", body)

    def evidence(self, sha: str) -> Evidence:
        """Who approved the merge request that brought *sha* in, and how its jobs and statuses stand."""
        path = f"/repository/commits/{in_path(sha)}/merge_requests"
        merge = next((merge for merge in self._merges(path, {}) if merge.state == "merged"), None)
        checks = self._checks(sha)
        if merge is None:
            return Evidence(checks=checks)
        if merge.sha and merge.sha != sha:
            checks = together(self._checks(merge.sha), checks)
        return Evidence(f"!{merge.iid}", merge.author.username, self._reviews(merge.iid), checks)

    def commit_url(self, sha: str) -> str:
        """Where people see a commit."""
        return f"{self._web}/-/commit/{in_path(sha)}"

    def lines(self, sha: str) -> Lines:
        """Where people see the lines of a commit's files; as source, for Markdown has no lines otherwise."""
        return Lines(f"{self._web}/-/blob/{in_path(sha)}/", "?plain=1#L")

    def pull_url(self, number: int) -> str:
        """Where people see a merge request."""
        return f"{self._web}/-/merge_requests/{number}"

    def compare_url(self, base: str, branch: str) -> str:
        """Where people propose *branch* with one click."""
        wanted = {"merge_request[source_branch]": branch, "merge_request[target_branch]": base}
        return f"{self._web}/-/merge_requests/new?{urlencode(wanted)}"

    def _list(self, path: str, params: Mapping[str, str]) -> Iterator[Any]:
        wanted, path = {**params, "per_page": str(PER_PAGE)}, f"{self._path}{path}"

        def following(reply: Reply) -> str | None:
            if "x-next-page" not in reply.headers:
                return by_link_header(reply)
            # The number is better than the address: that is the server's own idea of where it is.
            page = reply.headers["x-next-page"].strip()
            return f"{path}?{urlencode({**wanted, 'page': page})}" if page else None

        return self._wire.pages(path, wanted, next_of=following)

    def _notes(self, path: str) -> list[Comment]:
        found = self._list(path, {"sort": "asc", "order_by": "created_at"})
        notes = read_all(Note, found, "the notes on it")
        return [_comment(note) for note in sorted(notes, key=lambda note: note.id) if not note.system]

    def _say(self, path: str, body: str) -> Comment:
        answer = self._wire.send("POST", f"{self._path}{path}", {"body": _inert(body)}).json
        return _comment(read(Note, answer, "the new note"))

    def _merges(self, path: str, params: Mapping[str, str]) -> Iterator[Merge]:
        for found in self._list(path, params):
            # One that cannot be understood does not hide the others.
            with suppress(ForgeError):
                yield read(Merge, found, "a merge request")

    def _proposed(self, branch: str, base: str) -> PullRequest | None:
        found = self._merges("/merge_requests", {"state": "opened", "source_branch": branch, "target_branch": base})
        ours = (self._pull_request(merge) for merge in found if merge.sha and merge.source_branch == branch)
        return next((pull for pull in ours if not pull.fork and pull.base == base), None)

    def _pull_request(self, merge: Merge) -> PullRequest:
        """In our words. GitLab keeps the head in the project itself, whichever fork it comes from."""
        if merge.sha is None:
            raise ForgeAway(f"GitLab has not looked at the head of merge request {merge.iid} yet.", wait=1.0)
        return PullRequest(
            number=merge.iid,
            title=merge.title,
            author=merge.author.username,
            head=merge.sha,
            ref=f"refs/merge-requests/{merge.iid}/head",
            base=merge.target_branch,
            branch=merge.source_branch,
            fork=merge.source_project_id != merge.target_project_id,
            # Locked is what it is for the moment in which it is being merged.
            state="open" if merge.state in {"opened", "locked"} else merge.state,
            url=self.pull_url(merge.iid),
        )

    def _statuses(self, sha: str, params: Mapping[str, str]) -> list[Status]:
        path = f"/repository/commits/{in_path(sha)}/statuses"
        return read_all(Status, self._list(path, params), "the statuses of a commit")

    def _checks(self, sha: str) -> tuple[Check, ...]:
        others = (status for status in self._statuses(sha, {}) if not status.name.startswith(OURS))
        return newest_by_name((status.id, Check(status.name, status.status)) for status in others)

    def _set_status(self, status: CommitStatus, where: Mapping[str, str]) -> None:
        wanted = {
            "state": _STATES[status.standing],
            "name": status.context,
            "description": shortened(status.description),
            **({"target_url": status.url} if 0 < len(status.url) <= MOST_URL else {}),
            **where,
        }
        try:
            self._wire.send("POST", f"{self._path}/statuses/{in_path(status.sha)}", wanted)
        except ForgeRefused as refused:
            if refused.status == 409:
                raise ForgeAway("GitLab is busy with the pipeline of that commit.", wait=LOCKED_WAIT) from None
            # It is in that state already. GitLab counts that as a mistake, and keeps the words it had before.
            if "Cannot transition status" not in str(refused):
                raise

    def _ref(self, sha: str) -> str:
        """The ref of an open merge request with this head, or nothing."""
        found = self._merges(f"/repository/commits/{in_path(sha)}/merge_requests", {})
        heads = (f"refs/merge-requests/{merge.iid}/head" for merge in found if merge.sha == sha)
        return next(heads, "")

    def _reviews(self, number: int) -> tuple[Review, ...]:
        answer = self._wire.get(f"{self._path}/merge_requests/{number}/approvals").json
        approvals = read(Approvals, answer, f"the approvals of merge request {number}").approved_by
        return tuple(Review(approval.user.username, "approved") for approval in approvals)

    def _ticket(self, issue: Issue) -> Ticket:
        address = f"{self._web}/-/issues/{issue.iid}"
        body = issue.description or ""
        return Ticket(issue.iid, issue.title, issue.author.username, body, issue.state == "opened", address)


def _comment(note: Note) -> Comment:
    return Comment(str(note.id), note.author.username, note.body)


def _inert(body: str) -> str:
    """*body* without a line that GitLab would take for a command."""
    return _COMMAND.sub(_INVISIBLE, body)
