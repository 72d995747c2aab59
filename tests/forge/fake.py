"""A forge in memory: what people and the daemon did, how it misbehaves, and a diary of every request.

``fake_github.FakeGitHub`` and ``fake_forgejo.FakeForgejo`` are its two faces. Each is spoken with over HTTP::

    clock = Clock()
    fake = FakeGitHub(clock)
    with open_forge(*fake.address, TokenFile(path_with(fake.token)), **fake.wiring) as forge: ...

People's side: ``add_pull_request``, ``push``, ``merge``, ``close``, ``review``, ``report_check``,
``strangers_comment``, ``strangers_status``, ``strangers_issue``. What is there: ``pulls`` and ``issues`` (by number),
``comments``, ``statuses`` (lists, oldest first); all of them plain objects that a test may change, as a person would.

Faults: ``fail_next(fault, times=1)`` for the next requests, ``outage(seconds, fault)`` for all within a window of the
clock. A Fault has an HTTP ``status`` or is a ``timeout``; ``applied`` means that the request was carried out
before; ``only`` names methods. ``writes_per_minute`` and ``writes_per_hour`` are limits that the forge enforces itself:
``breaches`` counts how often it had to.

``journal`` holds every request in order, with monotonic time, method, path, body, the status answered and whether it
was carried out (``writes`` are those that were). Requests and responses are held to the official description: a
misfit is raised, and kept in ``misfits``; ``check`` at the end of a test raises it again.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlencode

import httpx2

from tests.forge.description import Description, Misfit, Operation

START = datetime(2026, 11, 22, 19, 41, 7, tzinfo=UTC)
WRITES = ("POST", "PATCH", "PUT", "DELETE")


@dataclass
class Clock:
    """Both clocks of a test; they stand still until somebody sleeps."""

    elapsed: float = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.elapsed

    def now(self) -> datetime:
        """The time of day that goes with it."""
        return START + timedelta(seconds=self.elapsed)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.elapsed += seconds


@dataclass(frozen=True)
class Fault:
    """How a request fails: an HTTP *status* with *headers*, or no answer at all; perhaps after it was carried out."""

    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: bool = False
    applied: bool = False
    only: tuple[str, ...] = ("GET", *WRITES)


DOWN = Fault(503)
UNSURE = Fault(502, applied=True, only=WRITES)
"""Bad gateway, though the write was done."""
SILENT = Fault(timeout=True, applied=True, only=WRITES)
"""The write was done and the answer never came."""
TOO_MANY = Fault(429, {"retry-after": "30"})


@dataclass(frozen=True)
class Entry:
    """One request, and what became of it; ``status`` is 0 where no answer was given."""

    at: float
    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    status: int
    applied: bool


@dataclass
class Pull:
    """A pull request; ``fork`` is the repository it comes from ("" for this one), None for one that was deleted."""

    number: int
    branch: str
    head: str
    title: str
    author: str
    base: str
    body: str = ""
    fork: str | None = ""
    state: str = "open"
    merged_as: str | None = None
    reviews: list[Reviewed] = field(default_factory=list)
    created: datetime = START


@dataclass
class Reviewed:
    """One review; ``state`` is in the forge's own word."""

    id: int
    author: str
    state: str
    commit: str
    dismissed: bool = False


@dataclass
class Issue:
    """An issue."""

    number: int
    title: str
    body: str
    author: str
    state: str = "open"
    created: datetime = START
    updated: datetime = START


@dataclass
class Said:
    """A comment on the pull request or issue *number*; ``edits`` counts how often it was changed."""

    id: int
    number: int
    author: str
    body: str
    created: datetime = START
    edits: int = 0


@dataclass
class Status:
    """A status of a commit."""

    id: int
    sha: str
    context: str
    state: str
    description: str
    url: str
    author: str
    created: datetime = START


@dataclass
class Run:
    """A check of a commit that is no status."""

    id: int
    sha: str
    name: str
    status: str
    conclusion: str | None


@dataclass
class Call:
    """One request as a handler sees it: what the path held, query, body, and who asks."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    login: str


class No(Exception):
    """The forge says no, with an HTTP status and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


Handler = Callable[[Call], Any]
Answered = tuple[int, Any, dict[str, str]]


class FakeForge(ABC):
    """What both faces share. *repository* is ``owner/name``; *web* is where people would see it."""

    kind: str
    page_size: tuple[str, int]
    """The parameter that asks for a page's size, and what it is at most."""
    writes_per_minute: int | None = None
    writes_per_hour: int | None = None
    etags = False

    def __init__(
        self, clock: Clock, *, repository: str = "ops/fleet", web: str = "", login: str = "reconciler-bot"
    ) -> None:
        self.clock, self.repository, self.login = clock, repository, login
        self.web = web or self.default_web
        self.token = "token-of-the-bot"
        self.logins = {self.token: login}
        self.journal: list[Entry] = []
        self.misfits: list[AssertionError] = []
        self.breaches = 0
        self.pulls: dict[int, Pull] = {}
        self.issues: dict[int, Issue] = {}
        self.comments: list[Said] = []
        self.statuses: list[Status] = []
        self.runs: list[Run] = []
        self.transport = httpx2.MockTransport(self._handle)
        self._ids = 1000
        self._next: list[Fault] = []
        self._outages: list[tuple[float, float, Fault]] = []
        self._handlers = self.handlers()

    # What a test does with it.

    @property
    def address(self) -> tuple[str, str, str]:
        """Kind, web root and repository, as ``open_forge`` takes them."""
        return self.kind, self.web, self.repository

    @property
    def wiring(self) -> dict[str, Any]:
        """What else ``open_forge`` takes: the clocks, and the fake in place of the network."""
        return {"monotonic": self.clock.monotonic, "now": self.clock.now, "transport": self.transport}

    @property
    def writes(self) -> list[Entry]:
        """Every write of content that was carried out; asking for a token makes none."""
        done = [entry for entry in self.journal if entry.method in WRITES and entry.applied]
        return [entry for entry in done if self.unread(entry.method, entry.path) is None]

    def check(self) -> None:
        """Raise the first misfit again, in case somebody caught it."""
        if self.misfits:
            raise self.misfits[0]

    def fail_next(self, fault: Fault = DOWN, *, times: int = 1) -> None:
        """Let the next requests that *fault* is for fail."""
        self._next += [fault] * times

    def outage(self, seconds: float, fault: Fault = DOWN, *, after: float = 0.0) -> None:
        """Let every request that *fault* is for fail, from *after* seconds from now on and for so many seconds."""
        start = self.clock.monotonic() + after
        self._outages.append((start, start + seconds, fault))

    def add_pull_request(
        self,
        branch: str,
        head: str,
        *,
        title: str = "more connections",
        author: str = "ann",
        base: str = "main",
        body: str = "",
        fork: str | None = "",
    ) -> Pull:
        """Somebody proposes a branch, of this repository or of a *fork* (``owner/name``)."""
        pull = Pull(self._number(), branch, head, title, author, base, body, fork, created=self.clock.now())
        self.pulls[pull.number] = pull
        return pull

    def push(self, number: int, head: str) -> None:
        """Somebody pushes to the branch of a pull request."""
        self.pulls[number].head = head

    def merge(self, number: int, sha: str) -> None:
        """Somebody merges a pull request, which makes the commit *sha*."""
        pull = self.pulls[number]
        pull.state, pull.merged_as = "closed", sha

    def close(self, number: int) -> None:
        """Somebody closes a pull request or an issue."""
        (self.pulls.get(number) or self.issues[number]).state = "closed"

    def review(self, number: int, author: str, state: str, *, dismissed: bool = False) -> Reviewed:
        """Somebody reviews a pull request; *state* is in the forge's own word."""
        pull = self.pulls[number]
        pull.reviews.append(Reviewed(self._id(), author, state, pull.head, dismissed))
        return pull.reviews[-1]

    def strangers_comment(self, number: int, body: str, *, author: str = "mallory") -> Said:
        """Somebody else comments."""
        said = Said(self._id(), number, author, body, self.clock.now())
        self.comments.append(said)
        return said

    def strangers_status(self, sha: str, context: str, state: str, *, author: str = "ci") -> Status:
        """Somebody else says how a commit does."""
        status = Status(self._id(), sha, context, state, "", "", author, self.clock.now())
        self.statuses.append(status)
        return status

    def strangers_issue(self, title: str, body: str, *, author: str = "mallory") -> Issue:
        """Somebody else opens an issue."""
        now = self.clock.now()
        issue = Issue(self._number(), title, body, author, created=now, updated=now)
        self.issues[issue.number] = issue
        return issue

    @abstractmethod
    def report_check(self, sha: str, name: str, result: str) -> None:
        """CI says how a check of a commit ended, in the forge's own word."""

    # What a face brings.

    default_web: str
    description: Description

    @property
    @abstractmethod
    def root(self) -> str:
        """The root of the API."""

    @abstractmethod
    def handlers(self) -> Mapping[str, Handler]:
        """Who answers which call, by ``METHOD /path/{template}``."""

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """Headers of every answer."""

    @abstractmethod
    def caller(self, header: str) -> str | None:
        """Who asks, by the Authorization header; None for nobody known."""

    def canonical(self, path: str) -> str:
        """The path as it is described, where the forge knows another for it."""
        return path

    def unread(self, method: str, path: str) -> Handler | None:
        """Who answers a call that the description leaves out."""
        return None

    # How a request is answered.

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return self._answer(request)
        except AssertionError as misfit:
            self.misfits.append(misfit)
            raise

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        address = str(request.url).partition("?")[0]
        if not address.startswith(f"{self.root}/"):
            raise Misfit(f"a request went to {address}, which is not below {self.root}")
        path, params = address.removeprefix(self.root), dict(request.url.params)
        body = json.loads(request.content) if request.content else None
        fault = self._fault(request.method)
        applied, status, answer, extra = False, 0, None, {}
        if fault is None or fault.applied:
            status, answer, extra = self._carry_out(request, path, params, body)
            applied = status < 300
        if fault is not None:
            status, answer, extra = 0 if fault.timeout else fault.status, {"message": "no"}, dict(fault.headers)
        response = self._response(request, status or 504, answer, extra)
        status = response.status_code if status else 0
        self.journal.append(Entry(self.clock.monotonic(), request.method, path, params, body, status, applied))
        if fault is not None and fault.timeout:
            raise httpx2.ReadTimeout("the read operation timed out", request=request)
        return response

    def _fault(self, method: str) -> Fault | None:
        now = self.clock.monotonic()
        for start, end, fault in self._outages:
            if start <= now < end and method in fault.only:
                return fault
        return next((self._next.pop(i) for i, fault in enumerate(self._next) if method in fault.only), None)

    def _carry_out(self, request: httpx2.Request, path: str, query: dict[str, str], body: Any) -> Answered:
        login = self.caller(request.headers.get("authorization", ""))
        if login is None:
            return 401, {"message": "Bad credentials"}, {}
        if request.method in WRITES and (wait := self._limited()):
            self.breaches += 1
            return 403, {"message": "You have exceeded a secondary rate limit."}, {"retry-after": str(wait)}
        if special := self.unread(request.method, path):
            call, operation = Call({}, query, body, login), None
        else:
            operation = self.description.operation(request.method, self.canonical(path))
            self.description.check_request(operation, query, body)
            params = {name: unquote(value) for name, value in operation.params.items()}
            call, special = Call(params, query, body, login), self._handlers[operation.name]
        return self._held(operation, *self._said(special, call, path))

    def _said(self, handler: Handler, call: Call, path: str) -> Answered:
        try:
            status, answer = self._repository_of(call) or handler(call)
        except No as no:
            return no.status, self.refusal(no), {}
        if isinstance(answer, Listed):
            page, extra = self._page(answer.items, call.query, path)
            return status, answer.wrap(page), extra
        return status, answer, {}

    def _held(self, operation: Operation | None, status: int, answer: Any, extra: dict[str, str]) -> Answered:
        if operation is not None:
            self.description.check_response(operation, status, answer)
        return status, answer, extra

    def refusal(self, no: No) -> dict[str, Any]:
        """How the forge words a no."""
        return {"message": no.message, "documentation_url": "https://example.org/docs"}

    def _repository_of(self, call: Call) -> None:
        asked = "/".join((call.params.get("owner", ""), call.params.get("repo", "")))
        if asked not in {"/", self.repository}:
            raise No(404, "Not Found")

    def _page(self, items: list[Any], query: Mapping[str, str], path: str) -> tuple[list[Any], dict[str, str]]:
        """One page, and the Link header to the next; GitHub and Forgejo number pages from 1."""
        name, most = self.page_size
        size, page = min(int(query.get(name, 30)), most), int(query.get("page", 1))
        part = items[(page - 1) * size : page * size]
        if page * size >= len(items):
            return part, {}
        following = urlencode({**query, "page": page + 1})
        return part, {"link": f'<{self.link(path)}?{following}>; rel="next", <{self.link(path)}?page=9>; rel="last"'}

    def link(self, path: str) -> str:
        """How the forge writes the address of *path* in a Link header."""
        return f"{self.root}{path}"

    def _limited(self) -> int:
        """Seconds to wait, where too much has been written already."""
        now = self.clock.monotonic()
        for length, most in ((60, self.writes_per_minute), (3600, self.writes_per_hour)):
            recent = [entry for entry in self.writes if entry.at > now - length]
            if most is not None and len(recent) >= most:
                return int(recent[-most].at + length - now) + 1
        return 0

    def _response(self, request: httpx2.Request, status: int, answer: Any, extra: dict[str, str]) -> httpx2.Response:
        headers = {**self.headers(), **extra, "content-type": "application/json; charset=utf-8"}
        content = json.dumps(answer, ensure_ascii=False).encode() if answer is not None else b""
        if self.etags and request.method == "GET" and status == 200:
            headers["etag"] = f'W/"{hashlib.sha256(content).hexdigest()}"'
            if request.headers.get("if-none-match") == headers["etag"]:
                status, content = 304, b""
        return httpx2.Response(status, headers=headers, content=content)

    # What handlers of both faces need.

    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _number(self) -> int:
        return max((0, *self.pulls, *self.issues)) + 1

    def pull(self, number: str) -> Pull:
        """The pull request of that number, or 404."""
        if int(number) not in self.pulls:
            raise No(404, "Not Found")
        return self.pulls[int(number)]

    def issue(self, number: str) -> Issue:
        """The issue of that number, or 404."""
        if int(number) not in self.issues:
            raise No(404, "Not Found")
        return self.issues[int(number)]

    def comments_on(self, number: str) -> list[Said]:
        """The comments on a pull request or issue, or 404."""
        if int(number) not in self.pulls and int(number) not in self.issues:
            raise No(404, "Not Found")
        return [said for said in self.comments if said.number == int(number)]

    def commented(self, call: Call, number: str) -> Said:
        """A new comment by the caller."""
        self.comments_on(number)
        return self.strangers_comment(int(number), call.body["body"], author=call.login)

    def edited(self, call: Call, comment: str) -> Said:
        """A comment changed by the caller; only their own may be."""
        said = next((said for said in self.comments if said.id == int(comment)), None)
        if said is None:
            raise No(404, "Not Found")
        if said.author != call.login:
            raise No(403, "Must have admin rights to Repository.")
        said.body, said.edits = call.body["body"], said.edits + 1
        return said

    def open_pull(self, call: Call, refused: No) -> Pull:
        """A pull request opened by the caller."""
        branch, base = call.body["head"], call.body["base"]
        if any((p.branch, p.base, p.state, p.fork) == (branch, base, "open", "") for p in self.pulls.values()):
            raise refused
        head = hashlib.sha1(branch.encode()).hexdigest()
        body = call.body.get("body", "")
        return self.add_pull_request(branch, head, title=call.body["title"], author=call.login, base=base, body=body)

    def changed_pull(self, call: Call, number: str) -> Pull:
        """A pull request changed by the caller."""
        pull = self.pull(number)
        for name in ("title", "body", "state"):
            setattr(pull, name, call.body.get(name, getattr(pull, name)))
        return pull

    def changed_issue(self, call: Call, number: str) -> Issue:
        """An issue changed by the caller."""
        issue = self.issue(number)
        for name in ("title", "body", "state"):
            setattr(issue, name, call.body.get(name, getattr(issue, name)))
        issue.updated = self.clock.now()
        return issue

    def new_status(self, call: Call, sha: str) -> Status:
        """A status set by the caller."""
        status = self.strangers_status(sha, call.body.get("context", "default"), call.body["state"], author=call.login)
        status.description, status.url = call.body.get("description") or "", call.body.get("target_url") or ""
        return status


@dataclass
class Listed:
    """A list to be given page by page; *wrap* makes the answer of a page's items."""

    items: list[Any]
    wrap: Callable[[list[Any]], Any] = list


def stamp(at: datetime) -> str:
    """A time as forges write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
