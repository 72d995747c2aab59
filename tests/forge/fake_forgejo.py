"""Forgejo's (and Gitea's) face of the fake forge; ``fake`` tells what can be done with it.

Its own: pages of 50 at most, but all comments at once; Link headers with a root that was set up wrong; statuses of the
same second in no useful order; pull requests known by their merge commit only; no limits of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.forge.description import description
from tests.forge.fake import Call, FakeForge, Handler, Issue, Listed, No, Pull, Reviewed, Said, Status, stamp

REPOSITORY_ID, FORK_ID = 7, 9
R = "/repos/{owner}/{repo}"


class FakeForgejo(FakeForge):
    """A repository on a Forgejo server."""

    kind = "forgejo"
    default_web = "https://git.example.org/forge"
    page_size = ("limit", 50)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.description = description("forgejo")
        super().__init__(*args, **kwargs)

    def report_check(self, sha: str, name: str, result: str) -> None:
        """A status by CI; there is nothing else."""
        self.strangers_status(sha, name, result)

    @property
    def root(self) -> str:
        """The API's root."""
        return f"{self.web}/api/v1"

    def headers(self) -> dict[str, str]:
        """Nothing worth a word."""
        return {}

    def caller(self, header: str) -> str | None:
        """Its own word for a token."""
        return self.logins.get(header.removeprefix("token "))

    def link(self, path: str) -> str:
        """With a ROOT_URL that nobody set: common, and wrong."""
        return f"http://localhost:3000/api/v1{path}"

    def refusal(self, no: No) -> dict[str, Any]:
        """As Forgejo words it."""
        return {"message": no.message, "url": f"{self.web}/api/swagger"}

    def handlers(self) -> Mapping[str, Handler]:
        """The calls that are known."""
        return {
            "GET /user": lambda c: (200, self._person(c.login)),
            f"GET {R}/pulls": self._list_pulls,
            f"POST {R}/pulls": self._open_pull,
            f"GET {R}/pulls/{{index}}": lambda c: (200, self._pull(self.pull(c.params["index"]))),
            f"PATCH {R}/pulls/{{index}}": lambda c: (201, self._pull(self.changed_pull(c, c.params["index"]))),
            f"GET {R}/pulls/{{index}}/reviews": self._reviews,
            f"GET {R}/issues": self._list_issues,
            f"POST {R}/issues": self._open_issue,
            f"GET {R}/issues/{{index}}": lambda c: (200, self._issue(self.issue(c.params["index"]))),
            f"PATCH {R}/issues/{{index}}": lambda c: (201, self._issue(self.changed_issue(c, c.params["index"]))),
            f"GET {R}/issues/{{index}}/comments": self._list_comments,
            f"POST {R}/issues/{{index}}/comments": lambda c: (201, self._comment(self.commented(c, c.params["index"]))),
            f"PATCH {R}/issues/comments/{{id}}": lambda c: (200, self._comment(self.edited(c, c.params["id"]))),
            f"POST {R}/statuses/{{sha}}": lambda c: (201, self._status(self.new_status(c, c.params["sha"]))),
            f"GET {R}/commits/{{ref}}/statuses": self._list_statuses,
            f"GET {R}/commits/{{sha}}/pull": self._pull_of,
        }

    def _list_pulls(self, call: Call) -> tuple[int, Any]:
        pulls = sorted(self.pulls.values(), key=lambda pull: -pull.number)
        return 200, Listed([self._pull(pull) for pull in pulls if pull.state == call.query.get("state", "open")])

    def _open_pull(self, call: Call) -> tuple[int, Any]:
        refused = No(409, "pull request already exists for these targets [id: 3, issue_id: 3, head_repo_id: 7]")
        return 201, self._pull(self.open_pull(call, refused))

    def _reviews(self, call: Call) -> tuple[int, Any]:
        return 200, Listed([self._review(review) for review in self.pull(call.params["index"]).reviews])

    def _list_issues(self, call: Call) -> tuple[int, Any]:
        creator = call.query.get("created_by")
        found = [
            self._issue(issue)
            for issue in sorted(self.issues.values(), key=lambda issue: -issue.number)
            if creator in {None, issue.author} and call.query.get("state") in {"all", issue.state}
        ]
        return 200, Listed(found)

    def _open_issue(self, call: Call) -> tuple[int, Any]:
        return 201, self._issue(self.strangers_issue(call.body["title"], call.body.get("body", ""), author=call.login))

    def _list_comments(self, call: Call) -> tuple[int, Any]:
        return 200, [self._comment(said) for said in self.comments_on(call.params["index"])]

    def _list_statuses(self, call: Call) -> tuple[int, Any]:
        """Newest second first; within one, oldest first: the database's order, which nobody promised."""
        found = [status for status in self.statuses if status.sha == call.params["ref"]]
        found.sort(key=lambda status: -int(status.created.timestamp()))
        return 200, Listed([self._status(status) for status in found])

    def _pull_of(self, call: Call) -> tuple[int, Any]:
        found = [pull for pull in self.pulls.values() if pull.merged_as == call.params["sha"]]
        if not found:
            raise No(404, "The target couldn't be found.")
        return 200, self._pull(found[0])

    # What it shows of things.

    def _person(self, login: str) -> Any:
        return {"id": len(login), "login": login, "full_name": "", "email": f"{login}@noreply.example.org"}

    def _place(self, name: str, number: int) -> Any:
        owner, _, own = name.partition("/")
        return {"id": number, "full_name": name, "name": own, "owner": self._person(owner)}

    def _pull(self, pull: Pull) -> Any:
        here = self._place(self.repository, REPOSITORY_ID)
        there = None if pull.fork is None else self._place(pull.fork, FORK_ID) if pull.fork else here
        ref = pull.branch if there else f"refs/pull/{pull.number}/head"
        head_id = there["id"] if there else -1
        return {
            "id": 100 + pull.number,
            "number": pull.number,
            "title": pull.title,
            "body": pull.body,
            "user": self._person(pull.author),
            "state": pull.state,
            "merged": pull.merged_as is not None,
            "merged_at": stamp(self.clock.now()) if pull.merged_as else None,
            "merge_commit_sha": pull.merged_as,
            "head": {"label": pull.branch, "ref": ref, "sha": pull.head, "repo_id": head_id, "repo": there},
            "base": {"label": pull.base, "ref": pull.base, "sha": "", "repo_id": REPOSITORY_ID, "repo": here},
            "html_url": f"http://localhost:3000/{self.repository}/pulls/{pull.number}",
        }

    def _issue(self, issue: Issue) -> Any:
        return {
            "id": 100 + issue.number,
            "number": issue.number,
            "title": issue.title,
            "body": issue.body,
            "user": self._person(issue.author),
            "state": issue.state,
            "pull_request": None,
            "created_at": stamp(issue.created),
            "updated_at": stamp(issue.updated),
        }

    def _comment(self, said: Said) -> Any:
        return {"id": said.id, "body": said.body, "user": self._person(said.author), "created_at": stamp(said.created)}

    def _status(self, status: Status) -> Any:
        return {
            "id": status.id,
            "context": status.context,
            "status": status.state,
            "description": status.description,
            "target_url": status.url,
            "creator": self._person(status.author),
            "created_at": stamp(status.created),
        }

    def _review(self, review: Reviewed) -> Any:
        return {
            "id": review.id,
            "user": self._person(review.author),
            "state": review.state,
            "commit_id": review.commit,
            "dismissed": review.dismissed,
            "stale": False,
            "official": True,
        }
