"""GitHub's face of the fake forge; ``fake`` tells what can be done with it.

Its own: it limits writes as GitHub does (80 a minute, 500 an hour; ``breaches``), gives ETags, links pages by the
repository's number, refuses what is longer than GitHub takes, and may be asked by an App: ``install_app(public_key)``.
On an Enterprise server (``web=``) the API is below ``/api/v3``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt

from tests.forge.description import description
from tests.forge.fake import Call, FakeForge, Handler, Issue, Listed, No, Pull, Reviewed, Run, Said, Status, stamp

REPOSITORY_ID, FORK_ID = 4711, 815
R = "/repos/{owner}/{repo}"
LONGEST_BODY, LONGEST_DESCRIPTION = 65_536, 140


class FakeGitHub(FakeForge):
    """A repository on GitHub."""

    kind = "github"
    default_web = "https://github.com"
    page_size = ("per_page", 100)
    writes_per_minute = 80
    writes_per_hour = 500
    etags = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.description = description("github")
        super().__init__(*args, **kwargs)
        self.app_key: Any = None
        self.app_id, self.installation, self.slug = 12, 34, "fleet-reconciler"
        self.expiries: dict[str, datetime] = {}

    def install_app(self, public_key: Any) -> None:
        """Let the App ``app_id`` in, whose signatures *public_key* (PEM) proves; ``login`` becomes the App's."""
        self.app_key = public_key
        self.login = f"{self.slug}[bot]"

    def report_check(self, sha: str, name: str, result: str) -> None:
        """A check run that ended; a *result* that is a phase (queued, in_progress) did not yet."""
        done = result not in {"queued", "in_progress"}
        phase = ("completed", result) if done else (result, None)
        self.runs.append(Run(self._id(), sha, name, *phase))

    @property
    def root(self) -> str:
        """The API's root."""
        return "https://api.github.com" if self.web == self.default_web else f"{self.web}/api/v3"

    def headers(self) -> dict[str, str]:
        """What GitHub says of the allowance with every answer."""
        reset = str(int((self.clock.now() + timedelta(hours=1)).timestamp()))
        return {
            "x-ratelimit-limit": "5000",
            "x-ratelimit-remaining": "4900",
            "x-ratelimit-reset": reset,
            "x-ratelimit-resource": "core",
        }

    def caller(self, header: str) -> str | None:
        """Bearer tokens; those of an installation until they expire; and the App's own signature."""
        token = header.removeprefix("Bearer ")
        if token in self.expiries and self.clock.now() >= self.expiries[token]:
            return None
        return self.logins.get(token) or self._signed(token)

    def canonical(self, path: str) -> str:
        """Pages are linked by the repository's number."""
        return re.sub(rf"^/repositories/{REPOSITORY_ID}\b", f"/repos/{self.repository}", path)

    def link(self, path: str) -> str:
        """As GitHub links them."""
        return (
            f"{self.root}/repositories/{REPOSITORY_ID}{self.canonical(path).removeprefix(f'/repos/{self.repository}')}"
        )

    def refusal(self, no: No) -> dict[str, Any]:
        """GitHub's 422 has a list of errors."""
        answer = super().refusal(no)
        if no.status != 422:
            return answer
        error = {"resource": "PullRequest", "code": "custom", "message": no.message}
        return {**answer, "message": "Validation Failed", "errors": [error]}

    # An App. The description that we hold leaves these two calls out, so nothing judges them but this.

    def unread(self, method: str, path: str) -> Handler | None:
        """What an App asks for itself."""
        calls = {
            "GET /app": lambda _call: (200, {"id": self.app_id, "slug": self.slug, "name": "Fleet Reconciler"}),
            f"POST /app/installations/{self.installation}/access_tokens": self._install,
        }
        return calls.get(f"{method} {path}")

    def _signed(self, token: str) -> str | None:
        if self.app_key is None:
            return None
        try:
            claims = jwt.decode(
                token, self.app_key, algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
            )
        except jwt.PyJWTError:
            return None
        at = self.clock.now().timestamp()
        good = claims["iat"] <= at < claims["exp"] and claims["exp"] - at <= 600 and claims["iss"] == str(self.app_id)
        return "the app itself" if good else None

    def _install(self, call: Call) -> tuple[int, Any]:
        if call.login != "the app itself":
            raise No(401, "A JSON web token could not be decoded")
        token, expiry = f"ghs_{self._id()}", self.clock.now() + timedelta(hours=1)
        self.logins[token], self.expiries[token] = self.login, expiry
        return 201, {"token": token, "expires_at": stamp(expiry), "permissions": {"issues": "write"}}

    # Its calls.

    def handlers(self) -> Mapping[str, Handler]:
        """The calls that are known."""
        return {
            "GET /user": self._user,
            f"GET {R}/pulls": self._list_pulls,
            f"POST {R}/pulls": self._open_pull,
            f"GET {R}/pulls/{{pull_number}}": lambda c: (200, self._whole(self.pull(c.params["pull_number"]))),
            f"PATCH {R}/pulls/{{pull_number}}": lambda c: (
                200,
                self._whole(self.changed_pull(c, c.params["pull_number"])),
            ),
            f"GET {R}/pulls/{{pull_number}}/reviews": self._reviews,
            f"GET {R}/issues": self._list_issues,
            f"POST {R}/issues": self._open_issue,
            f"GET {R}/issues/{{issue_number}}": lambda c: (200, self._issue(self.issue(c.params["issue_number"]))),
            f"PATCH {R}/issues/{{issue_number}}": lambda c: (
                200,
                self._issue(self.changed_issue(_sized(c), c.params["issue_number"])),
            ),
            f"GET {R}/issues/{{issue_number}}/comments": self._list_comments,
            f"POST {R}/issues/{{issue_number}}/comments": lambda c: (
                201,
                self._comment(self.commented(_sized(c), c.params["issue_number"])),
            ),
            f"PATCH {R}/issues/comments/{{comment_id}}": lambda c: (
                200,
                self._comment(self.edited(_sized(c), c.params["comment_id"])),
            ),
            f"POST {R}/statuses/{{sha}}": self._set_status,
            f"GET {R}/commits/{{ref}}/statuses": self._list_statuses,
            f"GET {R}/commits/{{ref}}/status": self._combined,
            f"GET {R}/commits/{{ref}}/check-runs": self._check_runs,
            f"GET {R}/commits/{{commit_sha}}/pulls": self._pulls_of,
        }

    def _user(self, call: Call) -> tuple[int, Any]:
        if call.login.endswith("[bot]"):
            raise No(403, "Resource not accessible by integration")
        return 200, self.description.sample("private-user", login=call.login, user_view_type="private")

    def _list_pulls(self, call: Call) -> tuple[int, Any]:
        state, base, head = (call.query.get(name) for name in ("state", "base", "head"))
        found = [
            self._pull("pull-request-simple", pull)
            for pull in sorted(self.pulls.values(), key=lambda pull: -pull.number)
            if pull.state == (state or "open") and base in {None, pull.base} and head in {None, self._label(pull)}
        ]
        return 200, Listed(found)

    def _open_pull(self, call: Call) -> tuple[int, Any]:
        _sized(call)
        refused = No(422, f"A pull request already exists for {self.repository.split('/')[0]}:{call.body['head']}.")
        return 201, self._whole(self.open_pull(call, refused))

    def _reviews(self, call: Call) -> tuple[int, Any]:
        return 200, Listed([self._review(review) for review in self.pull(call.params["pull_number"]).reviews])

    def _list_issues(self, call: Call) -> tuple[int, Any]:
        creator = call.query.get("creator")
        everything: list[Issue | Pull] = [*self.issues.values(), *self.pulls.values()]
        found = [
            self._issue(item)
            for item in sorted(everything, key=lambda item: -item.number)
            if creator in {None, item.author} and call.query.get("state") in {"all", item.state}
        ]
        return 200, Listed(found)

    def _open_issue(self, call: Call) -> tuple[int, Any]:
        _sized(call)
        return 201, self._issue(self.strangers_issue(call.body["title"], call.body.get("body", ""), author=call.login))

    def _list_comments(self, call: Call) -> tuple[int, Any]:
        return 200, Listed([self._comment(said) for said in self.comments_on(call.params["issue_number"])])

    def _set_status(self, call: Call) -> tuple[int, Any]:
        if len(call.body.get("description") or "") > LONGEST_DESCRIPTION:
            raise No(422, "description is too long (maximum is 140 characters)")
        return 201, self._status("status", self.new_status(call, call.params["sha"]))

    def _list_statuses(self, call: Call) -> tuple[int, Any]:
        found = [status for status in reversed(self.statuses) if status.sha == call.params["ref"]]
        return 200, Listed([self._status("status", status) for status in found])

    def _combined(self, call: Call) -> tuple[int, Any]:
        newest = {status.context: status for status in self.statuses if status.sha == call.params["ref"]}
        found = [self._status("simple-commit-status", status) for status in newest.values()]

        def wrapped(page: list[Any]) -> Any:
            about = {"sha": call.params["ref"], "state": "pending", "total_count": len(found), "statuses": page}
            return self.description.sample("combined-commit-status", **about)

        return 200, Listed(found, wrapped)

    def _check_runs(self, call: Call) -> tuple[int, Any]:
        newest = {run.name: run for run in self.runs if run.sha == call.params["ref"]}
        found = [self._run(run) for run in newest.values()]
        return 200, Listed(found, lambda page: {"total_count": len(found), "check_runs": page})

    def _pulls_of(self, call: Call) -> tuple[int, Any]:
        sha = call.params["commit_sha"]
        found = [pull for pull in self.pulls.values() if sha in {pull.head, pull.merged_as}]
        return 200, Listed([self._pull("pull-request-simple", pull) for pull in found])

    # What it shows of things.

    def _person(self, login: str) -> Any:
        return self.description.sample("simple-user", login=login)

    def _place(self, name: str, number: int) -> Any:
        return self.description.sample("repository", id=number, full_name=name, name=name.split("/")[1])

    def _label(self, pull: Pull) -> str:
        return f"{(pull.fork or self.repository).split('/')[0]}:{pull.branch}"

    def _whole(self, pull: Pull) -> Any:
        return self._pull("pull-request", pull, merged=pull.merged_as is not None)

    def _pull(self, schema: str, pull: Pull, **more: Any) -> Any:
        here = self._place(self.repository, REPOSITORY_ID)
        there = None if pull.fork is None else self._place(pull.fork, FORK_ID) if pull.fork else here
        user = self._person(pull.author)
        head = {"label": self._label(pull), "ref": pull.branch, "sha": pull.head, "repo": there, "user": user}
        base = {"label": f"ops:{pull.base}", "ref": pull.base, "sha": "0" * 40, "repo": here, "user": user}
        return self.description.sample(
            schema,
            number=pull.number,
            title=pull.title,
            body=pull.body,
            user=user,
            state=pull.state,
            merged_at=stamp(self.clock.now()) if pull.merged_as else None,
            merge_commit_sha=pull.merged_as,
            head=head,
            base=base,
            html_url=f"https://elsewhere.example/{pull.number}",
            **more,
        )

    def _issue(self, item: Issue | Pull) -> Any:
        address = "https://api.github.com/x"
        links = dict.fromkeys(("diff_url", "html_url", "patch_url", "url"), address)
        return self.description.sample(
            "issue",
            number=item.number,
            title=item.title,
            body=item.body,
            state=item.state,
            user=self._person(item.author),
            created_at=stamp(item.created),
            **({"pull_request": links} if isinstance(item, Pull) else {}),
        )

    def _comment(self, said: Said) -> Any:
        return self.description.sample("issue-comment", id=said.id, body=said.body, user=self._person(said.author))

    def _status(self, schema: str, status: Status) -> Any:
        about = self.description.sample(
            schema, id=status.id, context=status.context, state=status.state, description=status.description or None
        )
        return {**about, "target_url": status.url or None, "created_at": stamp(status.created)}

    def _run(self, run: Run) -> Any:
        return self.description.sample(
            "check-run", id=run.id, name=run.name, head_sha=run.sha, status=run.status, conclusion=run.conclusion
        )

    def _review(self, review: Reviewed) -> Any:
        state = "DISMISSED" if review.dismissed else review.state
        about = {"id": review.id, "user": self._person(review.author), "state": state, "commit_id": review.commit}
        return self.description.sample("pull-request-review", **about)


def _sized(call: Call) -> Call:
    if len(call.body.get("body") or "") > LONGEST_BODY:
        raise No(422, "body is too long (maximum is 65536 characters)")
    return call
