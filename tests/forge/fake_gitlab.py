"""GitLab's face of the fake forge; ``fake`` tells what can be done with it.

There is no description that a machine could hold it to: GitLab's own leaves notes out. It is built from the pages
``doc/api/{commits,notes,merge_requests,merge_request_approvals,issues,users}.md`` of GitLab's repository (calls, their
attributes, the shape of answers, paging by ``X-Next-Page``, 409 for a pipeline that is being changed), from GitLab's
own test of commit statuses (400 and its words for a step from a state to itself, which keeps the old description),
and from what clients report of it (a new record after a finished one). ``CALLS`` is that knowledge as a table: any
call, parameter or field that is not in it is a Misfit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httpx2

from tests.forge.description import Misfit, Operation
from tests.forge.fake import WRITES, Answered, Call, FakeForge, Handler, Issue, Listed, No, Pull, Said, Status, stamp

PROJECT_ID, FORK_ID = 7, 9
P = "/projects/{id}"
PAGED = {"page", "per_page"}

CALLS: Mapping[str, tuple[set[str], set[str]]] = {
    "GET /user": (set(), set()),
    f"GET {P}/merge_requests": (set(), {"state", "source_branch", "target_branch", *PAGED}),
    f"POST {P}/merge_requests": ({"source_branch", "target_branch", "title"}, {"description"}),
    f"GET {P}/merge_requests/{{iid}}": (set(), set()),
    f"PUT {P}/merge_requests/{{iid}}": (set(), {"state_event", "title", "description"}),
    f"GET {P}/merge_requests/{{iid}}/approvals": (set(), set()),
    f"GET {P}/merge_requests/{{iid}}/notes": (set(), {"sort", "order_by", *PAGED}),
    f"POST {P}/merge_requests/{{iid}}/notes": ({"body"}, set()),
    f"PUT {P}/merge_requests/{{iid}}/notes/{{note}}": ({"body"}, set()),
    f"GET {P}/issues": (set(), {"author_username", "scope", "state", "order_by", "sort", *PAGED}),
    f"POST {P}/issues": ({"title"}, {"description"}),
    f"GET {P}/issues/{{iid}}": (set(), set()),
    f"PUT {P}/issues/{{iid}}": (set(), {"title", "description", "state_event"}),
    f"GET {P}/issues/{{iid}}/notes": (set(), {"sort", "order_by", *PAGED}),
    f"POST {P}/issues/{{iid}}/notes": ({"body"}, set()),
    f"GET {P}/repository/commits/{{sha}}/statuses": (set(), {"name", "ref", "all", *PAGED}),
    f"GET {P}/repository/commits/{{sha}}/merge_requests": (set(), {"state", *PAGED}),
    f"POST {P}/statuses/{{sha}}": ({"state"}, {"name", "description", "target_url", "ref", "pipeline_id"}),
}
"""What each call needs, and what it takes besides."""

MOST = {"body": 1_000_000, "description": 1_048_576, "title": 255, "target_url": 255, "name": 255, "ref": 255}
"""Characters of a field."""
STATES = {"pending", "running", "success", "failed", "canceled", "skipped"}
UNFINISHED = {"pending": "enqueue", "running": "run"}


class Documented:
    """The judge of requests, by the table above."""

    def operation(self, method: str, path: str) -> Operation:
        """The call that this is."""
        for name in CALLS:
            called, template = name.split(" ")
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
            if called == method and (found := re.fullmatch(pattern, path)):
                return Operation(name, found.groupdict(), {})
        raise Misfit(f"{method} {path} is no call that GitLab documents")

    def check_request(self, operation: Operation, query: Mapping[str, str], body: Any) -> None:
        """Whether everything needed is there, and nothing unknown."""
        given = query if operation.name.startswith("GET") else (body or {})
        needed, known = CALLS[operation.name]
        if (missing := needed - set(given)) or (unknown := set(given) - needed - known):
            raise Misfit(f"{operation.name}: {missing or unknown} is missing or unknown")
        if operation.name.startswith("PUT") and not given:
            raise Misfit(f"{operation.name}: nothing to change")
        for name, value in given.items():
            if not isinstance(value, str) or len(value) > MOST.get(name, 255):
                raise Misfit(f"{operation.name}: {name} is no text that fits")

    def check_response(self, *_: object) -> None:
        """Answers are written by hand from the documentation's examples; there is nothing to hold them to."""


class FakeGitLab(FakeForge):
    """A project on a GitLab server, in a group of a group."""

    kind = "gitlab"
    default_web = "https://gitlab.example.org"
    page_size = ("per_page", 100)
    locked = False
    """Whether somebody else is changing the pipelines."""

    def __init__(self, *args: Any, repository: str = "ops/eu/fleet", **kwargs: Any) -> None:
        self.description = Documented()
        super().__init__(*args, repository=repository, **kwargs)

    @property
    def root(self) -> str:
        """The API's root."""
        return f"{self.web}/api/v4"

    def headers(self) -> dict[str, str]:
        """Nothing worth a word."""
        return {}

    def caller(self, header: str) -> str | None:
        """The token comes as it is."""
        return self.logins.get(header)

    def report_check(self, sha: str, name: str, result: str) -> None:
        """A job of a pipeline is a status too."""
        self.strangers_status(sha, name, result)

    def approve(self, number: int, author: str) -> None:
        """Somebody approves a merge request."""
        self.review(number, author, "approved")

    def system_note(self, number: int, body: str) -> None:
        """GitLab notes what happened."""
        self.strangers_comment(number, body, author="ann").edits = -1

    def _carry_out(self, request: httpx2.Request, path: str, query: dict[str, str], body: Any) -> Answered:
        request.headers["authorization"] = request.headers.get("private-token", "")
        return super()._carry_out(request, path, query, body)

    def _repository_of(self, call: Call) -> None:
        if unquote(call.params.get("id", self.repository)) != self.repository:
            raise No(404, "404 Project Not Found")

    def refusal(self, no: No) -> dict[str, Any]:
        """As GitLab words it."""
        return {"message": no.message}

    def _page(self, items: list[Any], query: Mapping[str, str], path: str) -> tuple[list[Any], dict[str, str]]:
        """One page, with the number of the next in a header, empty on the last, and no total."""
        size, page = min(int(query.get("per_page", 20)), 100), int(query.get("page", 1))
        following = str(page + 1) if page * size < len(items) else ""
        return items[(page - 1) * size : page * size], {"x-next-page": following, "x-page": str(page)}

    def handlers(self) -> Mapping[str, Handler]:
        """The calls that are known."""
        merge, issue = f"{P}/merge_requests/{{iid}}", f"{P}/issues/{{iid}}"
        return {
            "GET /user": lambda c: (200, self._person(c.login)),
            f"GET {P}/merge_requests": self._list_merges,
            f"POST {P}/merge_requests": self._open_merge,
            f"GET {merge}": lambda c: (200, self._merge(self.pull(c.params["iid"]))),
            f"PUT {merge}": lambda c: (200, self._merge(self._changed(c, self.pull(c.params["iid"])))),
            f"GET {merge}/approvals": self._approvals,
            f"GET {merge}/notes": self._list_notes,
            f"POST {merge}/notes": lambda c: (201, self._note(self.commented(c, c.params["iid"]))),
            f"PUT {merge}/notes/{{note}}": lambda c: (200, self._note(self.edited(c, c.params["note"]))),
            f"GET {P}/issues": self._list_issues,
            f"POST {P}/issues": self._open_issue,
            f"GET {issue}": lambda c: (200, self._issue(self.issue(c.params["iid"]))),
            f"PUT {issue}": lambda c: (200, self._issue(self._changed(c, self.issue(c.params["iid"])))),
            f"GET {issue}/notes": self._list_notes,
            f"POST {issue}/notes": lambda c: (201, self._note(self.commented(c, c.params["iid"]))),
            f"GET {P}/repository/commits/{{sha}}/statuses": self._list_statuses,
            f"GET {P}/repository/commits/{{sha}}/merge_requests": self._merges_of,
            f"POST {P}/statuses/{{sha}}": self._set_status,
        }

    def _list_merges(self, call: Call) -> tuple[int, Any]:
        wanted = call.query
        found = [
            self._merge(pull)
            for pull in sorted(self.pulls.values(), key=lambda pull: -pull.number)
            if self._state(pull) == wanted.get("state", self._state(pull))
            and pull.base == wanted.get("target_branch", pull.base)
            and pull.branch == wanted.get("source_branch", pull.branch)
        ]
        return 200, Listed(found)

    def _open_merge(self, call: Call) -> tuple[int, Any]:
        wanted = call.body
        renamed = {"head": wanted["source_branch"], "base": wanted["target_branch"], "title": wanted["title"]}
        refused = No(409, "Another open merge request already exists for this source branch: !3")
        body = {**renamed, "body": wanted.get("description", "")}
        return 201, self._merge(self.open_pull(Call(call.params, call.query, body, call.login), refused))

    def _changed(self, call: Call, thing: Any) -> Any:
        thing.title, thing.body = call.body.get("title", thing.title), call.body.get("description", thing.body)
        if event := call.body.get("state_event"):
            before, after = {"close": ("open", "closed"), "reopen": ("closed", "open")}[event]
            if thing.state != before:
                raise Misfit(f"state_event {event} for one that is {thing.state}")
            thing.state = after
        return thing

    def _approvals(self, call: Call) -> tuple[int, Any]:
        people = [self._person(review.author) for review in self.pull(call.params["iid"]).reviews]
        return 200, {"approved": bool(people), "approved_by": [{"user": person} for person in people]}

    def _list_notes(self, call: Call) -> tuple[int, Any]:
        """Newest first, unless asked otherwise."""
        notes = self.comments_on(call.params["iid"])
        ordered = notes if call.query.get("sort") == "asc" else notes[::-1]
        return 200, Listed([self._note(said) for said in ordered])

    def _list_issues(self, call: Call) -> tuple[int, Any]:
        """For some kinds of token the default is to show only what the caller opened, so the scope is to be said."""
        if call.query.get("scope") != "all":
            raise Misfit("issues are asked for without a scope")
        author = call.query.get("author_username")
        ordered = sorted(self.issues.values(), key=lambda issue: -issue.number)
        return 200, Listed([self._issue(issue) for issue in ordered if author in {None, issue.author}])

    def _open_issue(self, call: Call) -> tuple[int, Any]:
        made = self.strangers_issue(call.body["title"], call.body.get("description", ""), author=call.login)
        return 201, self._issue(made)

    def _list_statuses(self, call: Call) -> tuple[int, Any]:
        """The latest of each name, unless all are asked for."""
        name = call.query.get("name")
        latest = {s.context: s for s in self.statuses if s.sha == call.params["sha"] and name in {None, s.context}}
        return 200, Listed([self._status(status) for status in latest.values()])

    def _merges_of(self, call: Call) -> tuple[int, Any]:
        sha = call.params["sha"]
        return 200, Listed([self._merge(pull) for pull in self.pulls.values() if sha in {pull.head, pull.merged_as}])

    def _set_status(self, call: Call) -> tuple[int, Any]:
        sha, state, name = call.params["sha"], call.body["state"], call.body.get("name", "default")
        if state not in STATES:
            raise No(400, "state does not have a valid value")
        if self.locked:
            raise No(409, "409 Conflict")
        foreign = [pull for pull in self.pulls.values() if pull.head == sha and pull.fork != "" and not pull.merged_as]
        if foreign and "ref" not in call.body:
            raise No(404, "404 References for commit Not Found")
        active = [s for s in self.statuses if (s.sha, s.context) == (sha, name) and s.state in UNFINISHED]
        if not active:
            renamed = {**call.body, "context": name}
            return 201, self._status(self.new_status(Call(call.params, call.query, renamed, call.login), sha))
        if active[-1].state == state:
            step = UNFINISHED[state]
            words = (
                f'Cannot transition status via :{step} from :{state} (Reason(s): Status cannot transition via "{step}")'
            )
            raise No(400, words)
        active[-1].state, active[-1].description = state, call.body.get("description", "")
        return 201, self._status(active[-1])

    # What it shows of things.

    def _state(self, pull: Pull) -> str:
        return "merged" if pull.merged_as else {"open": "opened", "closed": "closed"}[pull.state]

    def _person(self, login: str) -> Any:
        return {"id": len(login), "username": login, "name": login.title(), "state": "active"}

    def _merge(self, pull: Pull) -> Any:
        source = None if pull.fork is None else FORK_ID if pull.fork else PROJECT_ID
        return {
            "id": 100 + pull.number,
            "iid": pull.number,
            "project_id": PROJECT_ID,
            "title": pull.title,
            "description": pull.body,
            "state": self._state(pull),
            "author": self._person(pull.author),
            "sha": pull.head or None,
            "source_branch": pull.branch,
            "target_branch": pull.base,
            "source_project_id": source,
            "target_project_id": PROJECT_ID,
            "merge_commit_sha": pull.merged_as,
            "web_url": f"http://localhost/{self.repository}/-/merge_requests/{pull.number}",
        }

    def _issue(self, issue: Issue) -> Any:
        return {
            "id": 100 + issue.number,
            "iid": issue.number,
            "title": issue.title,
            "description": issue.body or None,
            "state": "opened" if issue.state == "open" else "closed",
            "author": self._person(issue.author),
            "created_at": stamp(issue.created),
        }

    def _note(self, said: Said) -> Any:
        return {
            "id": said.id,
            "body": said.body,
            "author": self._person(said.author),
            "system": said.edits < 0,
            "created_at": stamp(said.created),
        }

    def _status(self, status: Status) -> Any:
        return {
            "id": status.id,
            "sha": status.sha,
            "ref": "main",
            "name": status.context,
            "status": status.state,
            "description": status.description or None,
            "target_url": status.url or None,
            "author": self._person(status.author),
        }


assert all(method.split(" ")[0] in {"GET", *WRITES} for method in CALLS)
