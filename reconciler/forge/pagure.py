"""Pagure, whose API answers reads without paging comments and has neither approvals nor a call to edit a comment.

``open_forge`` makes it; the shell knows it as a Forge. The token has to be one of the project's own: Pagure lets no
other change an issue. A comment can only be edited as a person does it, so that needs a ``Login``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from reconciler.errors import ForgeAway, ForgeError, ForgeRefused
from reconciler.forge.addresses import as_path, in_path
from reconciler.forge.answers import read, read_all, shortened
from reconciler.forge.evidence import OURS, deciding, newest_by_name, together
from reconciler.forge.pagure_answers import Commit, Flag, Issue, NewIssue, Project, Pull, Remark, Whoami
from reconciler.forge.pagure_login import Login
from reconciler.markdown import Lines
from reconciler.talk import Check, Comment, CommitStatus, Evidence, PullRequest, Review, Standing, Ticket
from reconciler.wire import Reply, Wire

BODY_LIMIT = 60_000
"""Pagure's own limit is 4 MiB for a whole request; this is more than anybody reads."""
PER_PAGE = 100
RECENT = 200
"""So many merged pull requests are searched for the one that brought a commit in; there is no index to ask."""
_UID_LENGTH = 32
_YES, _NO = ("+1", ":thumbsup:"), ("-1", ":thumbsdown:")
"""What Pagure itself counts as votes when a project asks for a score before a merge."""
_VOTE, _NO_VOTE = re.compile(r"(?<=[+-])1"), "\u20601"
"""A one after a sign, and one that a character without width keeps apart from it."""
_LINKED = re.compile(r"(?<=\]\()[^)\s]+")
"""The address of a link, in which nothing may be put."""


class Pagure:
    """One project on a Pagure; *web* is where people see the server, *repository* a name, namespaced or not."""

    body_limit = BODY_LIMIT
    folds = False

    def __init__(self, wire: Wire, repository: str, web: str, login: Login | None = None) -> None:
        self._wire = wire
        self._path = f"/{as_path(repository)}"
        self._web = f"{web.rstrip('/')}/{as_path(repository)}"
        self._page = login
        self._user = ""

    def whoami(self) -> str:
        """The login that the token belongs to, asked once; the call is a POST and writes nothing."""
        if not self._user:
            answer = self._wire.send("POST", "/-/whoami", {}, counts=False).json
            self._user = read(Whoami, answer, "our own account").username
        return self._user

    def pull_requests(self, base: str) -> list[PullRequest]:
        """The open pull requests into *base*, but for those whose head Pagure has not looked at yet."""
        return [self._pull_request(p) for p in self._pulls("Open") if p.branch == base and p.commit_stop]

    def pull_request(self, number: int) -> PullRequest:
        """One pull request."""
        return self._pull_request(self._pull(number))

    def open_pull_request(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Propose *branch*; the pull request that does so already, because Pagure would open a second one."""
        if there := self._proposed(branch, base):
            return there
        wanted = {"title": title, "branch_from": branch, "branch_to": base, "initial_comment": body}
        answer = self._wire.send("POST", f"{self._path}/pull-request/new", wanted).json
        return self._pull_request(read(Pull, answer, "the new pull request"))

    def close_pull_request(self, number: int) -> None:
        """Close it without merging."""
        self._wire.send("POST", f"{self._path}/pull-request/{number}/close", {})

    def comments(self, number: int) -> list[Comment]:
        """Every comment on a pull request, oldest first; Pagure's own notes of what happened are none."""
        return _told(self._pull(number).comments)

    def add_comment(self, number: int, body: str) -> Comment:
        """Comment on a pull request; Pagure does not say the new comment's id, so it is looked up."""
        self._wire.send("POST", f"{self._path}/pull-request/{number}/comment", {"comment": _voteless(body)})
        return self._ours(self.comments(number))

    def edit_comment(self, number: int, comment: str, body: str) -> None:
        """Replace the text of our own comment, as the login that was configured."""
        if self._page is None:
            raise ForgeRefused(
                "Pagure has no call that edits a comment; people do it on its pages.",
                hint="Give the daemon the password of its own account there, and it does as they do.",
            )
        place = f"{self._path}/pull-request/{number}/comment/{in_path(comment)}/edit"
        self._page.submit(self.whoami(), place, {"update_comment": _voteless(body)})

    def status(self, sha: str, context: str) -> CommitStatus | None:
        """The newest flag of ours on a commit in one context."""
        ours = [flag for flag in self._flags(sha) if (flag.username, flag.user.name) == (context, self.whoami())]
        newest = max(ours, key=_moment, default=None)
        if newest is None:
            return None
        return CommitStatus(sha, context, _standing(newest.status), newest.comment, newest.url)

    def set_status(self, status: CommitStatus) -> None:
        """Flag a commit; the same commit and context have the same uid, so it is one flag that changes."""
        uid = hashlib.sha256(f"{self._path} {status.sha} {status.context}".encode()).hexdigest()[:_UID_LENGTH]
        flag = {
            "username": status.context,
            "comment": shortened(status.description) or status.context,
            # Pagure wants an address, and one with a real name in it.
            "url": status.url or self.commit_url(status.sha),
            "status": str(status.standing),
            "uid": uid,
        }
        self._wire.send("POST", f"{self._path}/c/{in_path(status.sha)}/flag", flag)

    def own_tickets(self) -> list[Ticket]:
        """Every ticket that we opened, newest first."""
        found = self._list("/issues", {"author": self.whoami(), "status": "all"}, "issues")
        issues = read_all(Issue, found, "our own tickets")
        mine = [self._ticket(issue) for issue in issues if issue.user.name == self.whoami()]
        return sorted(mine, key=lambda ticket: ticket.number, reverse=True)

    def ticket(self, number: int) -> Ticket:
        """One ticket."""
        return self._ticket(read(Issue, self._wire.get(f"{self._path}/issue/{number}").json, f"ticket {number}"))

    def open_ticket(self, title: str, body: str) -> Ticket:
        """Open a ticket."""
        answer = self._wire.send("POST", f"{self._path}/new_issue", {"title": title, "issue_content": body}).json
        return self._ticket(read(NewIssue, answer, "the new ticket").issue)

    def edit_ticket(self, number: int, title: str, body: str, *, open: bool) -> None:  # noqa: A002 - the field's word
        """Make a ticket read like this, and be open or closed; what is so already is not sent."""
        there = self.ticket(number)
        if (there.title, there.body) != (title, body):
            self._wire.send("POST", f"{self._path}/issue/{number}", {"title": title, "issue_content": body})
        if there.open != open:
            wanted = {"status": "Open"} if open else {"status": "Closed", **self._fixed()}
            self._wire.send("POST", f"{self._path}/issue/{number}/status", wanted)

    def ticket_comments(self, number: int) -> list[Comment]:
        """Every comment on a ticket, oldest first; Pagure's own notes of what happened are none."""
        return _told(read(Issue, self._wire.get(f"{self._path}/issue/{number}").json, f"ticket {number}").comments)

    def comment_ticket(self, number: int, body: str) -> Comment:
        """Add a comment to a ticket."""
        self._wire.send("POST", f"{self._path}/issue/{number}/comment", {"comment": body})
        return self._ours(self.ticket_comments(number))

    def evidence(self, sha: str) -> Evidence:
        """Who voted for the change that brought *sha* in and who merged it, and how its flags stand.

        Pagure has no approvals. A vote is a word in a comment, which anybody may write: those are told as reviews,
        and the merge, which takes the right to push, as one more with the verdict ``merged``.
        """
        pull = self._merged(sha)
        checks = self._checks(sha)
        if pull is None or pull.commit_stop is None:
            self._refuse_too_early(sha)
            return Evidence(checks=checks)
        if pull.commit_stop != sha:
            checks = together(self._checks(pull.commit_stop), checks)
        return Evidence(f"#{pull.id}", pull.user.name, _reviews(pull, self.whoami()), checks)

    def commit_url(self, sha: str) -> str:
        """Where people see a commit."""
        return f"{self._web}/c/{in_path(sha)}"

    def lines(self, sha: str) -> Lines:
        """Where people see the lines of a commit's files."""
        return Lines(f"{self._web}/blob/{in_path(sha)}/f/", "#_")

    def pull_url(self, number: int) -> str:
        """Where people see a pull request."""
        return f"{self._web}/pull-request/{number}"

    def compare_url(self, base: str, branch: str) -> str:
        """Where people propose *branch* with one click."""
        return f"{self._web}/diff/{as_path(base)}..{as_path(branch)}"

    def _list(self, path: str, params: Mapping[str, str], name: str) -> Iterator[Any]:
        wanted, path = {**params, "per_page": str(PER_PAGE)}, f"{self._path}{path}"

        def following(reply: Reply) -> str | None:
            page = _page_after(reply.json)
            return f"{path}?{urlencode({**wanted, 'page': page})}" if page else None

        return self._wire.pages(path, wanted, items=lambda value: value[name], next_of=following)

    def _pulls(self, status: str) -> Iterator[Pull]:
        for found in self._list("/pull-requests", {"status": status}, "requests"):
            # One that cannot be understood, such as one without a head, does not hide the others.
            with suppress(ForgeError):
                yield read(Pull, found, "a pull request")

    def _pull_request(self, pull: Pull) -> PullRequest:
        """In our words. Pagure copies the head, of a fork too, into the project itself a moment after a push."""
        if pull.commit_stop is None:
            raise ForgeAway(f"Pagure has not looked at the head of pull request {pull.id} yet.", wait=1.0)
        fork = pull.repo_from is None or pull.repo_from.id != pull.project.id
        return PullRequest(
            number=pull.id,
            title=pull.title,
            author=pull.user.name,
            head=pull.commit_stop,
            ref=f"refs/pull/{pull.id}/head",
            base=pull.branch,
            branch=pull.branch_from or "",
            fork=fork,
            state=pull.status.lower(),
            url=self.pull_url(pull.id),
        )

    def _pull(self, number: int) -> Pull:
        answer = self._wire.get(f"{self._path}/pull-request/{number}").json
        return read(Pull, answer, f"pull request {number}")

    def _proposed(self, branch: str, base: str) -> PullRequest | None:
        found = (pull for pull in self.pull_requests(base) if pull.branch == branch and not pull.fork)
        return next(found, None)

    def _flags(self, sha: str) -> list[Flag]:
        path = f"{self._path}/c/{in_path(sha)}/flag"
        return read_all(Flag, self._wire.pages(path, items=lambda value: value["flags"]), "the flags of a commit")

    def _checks(self, sha: str) -> tuple[Check, ...]:
        flags = sorted((flag for flag in self._flags(sha) if not flag.username.startswith(OURS)), key=_moment)
        return newest_by_name((n, Check(flag.username, flag.status)) for n, flag in enumerate(flags))

    def _merged(self, sha: str) -> Pull | None:
        """The pull request whose head is *sha*, or one of the parents of that merge commit."""
        heads = self._heads(sha)
        recent = (pull for pull, _ in zip(self._pulls("Merged"), range(RECENT), strict=False))
        return next((pull for pull in recent if pull.commit_stop in heads), None)

    def _refuse_too_early(self, sha: str) -> None:
        """Raise ForgeAway where *sha* holds the head of a pull request that is open still.

        Pagure moves the branch first and says that it is merged a moment later. What is open is not believed: anybody
        may propose a head that is merged already.
        """
        heads = self._heads(sha)
        for pull in self._pulls("Open"):
            if pull.commit_stop in heads:
                raise ForgeAway(f"Pagure has not yet said that pull request {pull.id} is merged")

    def _heads(self, sha: str) -> set[str]:
        """The heads that a merge may have brought in with *sha*: itself, and the parents of a merge commit."""
        commit = read(Commit, self._wire.get(f"{self._path}/c/{in_path(sha)}/info").json, "a commit")
        return {sha, *(commit.parent_ids if len(commit.parent_ids) > 1 else ())}

    def _ours(self, comments: list[Comment]) -> Comment:
        """The newest comment of ours, which was just made."""
        ours = [comment for comment in comments if comment.author == self.whoami()]
        if not ours:
            raise ForgeAway("The comment that was just made is not there yet.", wait=5.0, unsure=True)
        return ours[-1]

    def _fixed(self) -> dict[str, str]:
        """How a ticket ends, where the project has words for that; Pagure refuses one it does not have."""
        project = read(Project, self._wire.get(self._path).json, "the project")
        return {"close_status": "Fixed"} if "Fixed" in project.close_status else {}

    def _ticket(self, issue: Issue) -> Ticket:
        address = f"{self._web}/issue/{issue.id}"
        return Ticket(issue.id, issue.title, issue.user.name, issue.content or "", issue.status == "Open", address)


def _spoken(comments: list[Remark]) -> list[Remark]:
    return sorted((c for c in comments if not c.notification), key=lambda comment: comment.id)


def _told(comments: list[Remark]) -> list[Comment]:
    return [Comment(str(c.id), c.user.name, c.comment.replace(_NO_VOTE, "1")) for c in _spoken(comments)]


def _voteless(body: str) -> str:
    """What we say, without what Pagure would count as our vote: a date, a version or a line of a diff may hold it."""
    body = _LINKED.sub(lambda found: found[0].replace("-1", "%2D1").replace("+1", "%2B1"), body)
    return _VOTE.sub(_NO_VOTE, body)


def _reviews(pull: Pull, me: str) -> tuple[Review, ...]:
    """The votes of others: in what we say ourselves, a date or a line of a diff would look like one."""
    merger = (Review(pull.closed_by.name, "merged"),) if pull.closed_by else ()
    others = (c for c in _spoken(pull.comments) if c.user.name != me)
    said = deciding(Review(c.user.name, _vote(c.comment), str(c.id)) for c in others)
    return said + merger


def _vote(text: str) -> str:
    """As Pagure counts: a no after a yes in the same comment is a no."""
    if any(word in text for word in _NO):
        return "rejected"
    return "approved" if any(word in text for word in _YES) else "commented"


def _standing(status: str) -> Standing:
    """In our words; canceled, which we never say, is no success."""
    return Standing(status) if status in Standing.__members__.values() else Standing.ERROR


def _moment(flag: Flag) -> float:
    try:
        return float(flag.date_updated)
    except ValueError:
        return 0.0


def _page_after(value: Any) -> int | None:
    """The number of the next page; the addresses in the answer are Pagure's own idea of where it is."""
    about = value.get("pagination") if isinstance(value, dict) else None
    page, pages = (about.get("page"), about.get("pages")) if isinstance(about, dict) else (None, None)
    return page + 1 if isinstance(page, int) and isinstance(pages, int) and page < pages else None
