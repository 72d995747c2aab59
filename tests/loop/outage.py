"""What the tests of outages stand on: a way to the fake forge that fails and kills, much to say, and its judges."""

from __future__ import annotations

import os
import re
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from reconciler.markdown import find_marker, marker
from reconciler.repo import Draft, Repository
from reconciler.state import Slot, State
from reconciler.talk import Letter
from tests.forge.fake import DOWN, SILENT, START, TOO_MANY, UNSURE, Entry, FakeForge, Fault

LOST = Fault(timeout=True)
"""No answer, and nothing was done."""
CUT = Fault(0)
"""The connection is refused: the forge hears nothing of it."""
FAULTS = (DOWN, LOST, CUT, UNSURE, SILENT, TOO_MANY)
LATENCY, TIMEOUT = 0.05, 10.0
"""Seconds that a call takes, and one without an answer."""


@contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """A folder in memory where there is such a place, else *folder*: thousands of transactions wait for a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield folder
        return
    with TemporaryDirectory(dir=memory, prefix="reconciler-") as name:
        yield Path(name)


class Killed(BaseException):
    """The daemon dies here; nothing catches this."""


@dataclass
class Fate:
    """Kills the daemon at one of the next calls, again and again; ``deaths`` counts at which."""

    random: Random
    every: int
    left: int = 0
    deaths: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.left = self.random.randint(1, self.every)

    def pass_by(self, where: str) -> None:
        """Die here, if it is time."""
        self.left -= 1
        if self.left <= 0:
            self.left = self.random.randint(1, self.every)
            self.deaths[where] += 1
            raise Killed(where)

    def around(self, thing: object, *names: str) -> None:
        """Let the daemon die before or after these calls of *thing*."""
        for name in names:
            setattr(thing, name, self._wrapped(name, getattr(thing, name)))

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.pass_by(f"before {name}")
            result = call(*arguments, **options)
            self.pass_by(f"after {name}")
            return result

        return wrapped


@dataclass
class Weather(httpx2.BaseTransport):
    """The way to the fake: takes time, and fails as often as ``badness`` (of the clock) says, in any of FAULTS."""

    fake: FakeForge
    random: Random
    badness: Callable[[float], float]
    fate: Fate | None = None
    failed: int = 0
    asked: int = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """One call."""
        self.asked += 1
        if self.fate:
            self.fate.pass_by(f"before {request.method}")
        response = self._answer(request)
        if self.fate:
            self.fate.pass_by(f"after {request.method}")
        return response

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.fake.clock.sleep(LATENCY)
        if self.random.random() < self.badness(self.fake.clock.monotonic()):
            self.failed += 1
            fault = self.random.choice([fault for fault in FAULTS if request.method in fault.only])
            self.fake.clock.sleep(TIMEOUT if fault.timeout else 0)
            if fault is CUT:
                raise httpx2.ConnectError("connection refused", request=request)
            self.fake.fail_next(fault)
        return self.fake.transport.handle_request(request)


@dataclass
class Speech:
    """Everything that is to be said, in versions. ``wanted`` holds, by slot, each version that was ever wished for."""

    random: Random
    fake: FakeForge
    repository: Repository
    base: str
    wanted: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    notes: int = 0
    letters: int = 0

    def begin(
        self, comments: int, statuses: int, tickets: int, branches: int
    ) -> Iterator[dict[str, Mapping[str, Any]]]:
        """The first version of everything, a slot at a time, in an order of no order."""
        heads = [sha1(b"%d" % number).hexdigest() for number in range(statuses)]
        pulls = [self.fake.add_pull_request(f"topic{n}", heads[n % len(heads)]).number for n in range(comments)]
        half = branches // 2
        names = [
            *(f"comment/{number}" for number in pulls),
            *(f"status/{head}/reconciler/plan" for head in heads),
            *(f"ticket/{number:012x}" for number in range(tickets)),
            *(f"pull/{number:012x}" for number in range(half)),
            *(f"branch/{number:012x}" for number in range(half, branches)),
        ]
        self.random.shuffle(names)
        return (self.wish(name) for name in names)

    def change(self, most: int) -> Iterator[dict[str, Mapping[str, Any]]]:
        """A newer version of some of it."""
        names = [name for name in self.wanted if not name.startswith("note/")]
        return (self.wish(name) for name in self.random.sample(names, min(most, len(names))))

    def wish(self, name: str) -> dict[str, Mapping[str, Any]]:
        """The next version of a slot; of a ticket mostly with a note that tells people of it."""
        kind, _, key = name.partition("/")
        said = self.wanted.setdefault(name, [])
        slots = {name: getattr(self, f"_{kind}")(key, len(said))}
        said.append(slots[name])
        if kind == "ticket" and len(said) > 1 and self.random.random() < 0.7:
            self.notes += 1
            note = f"note/{key}/{self.notes}"
            slots[note] = {"body": f"{marker('note', f'main/{key}/{self.notes}')}\nnews {self.notes}", "ticket": name}
            self.wanted[note] = [slots[note]]
        return slots

    def _comment(self, key: str, version: int) -> Mapping[str, Any]:
        body = f"{marker('plan', f'main/{key}')}\nversion {version}\n"
        return {"body": body, "digest": f"{version}"}

    def _status(self, key: str, version: int) -> Mapping[str, Any]:
        standing = ("pending", "success", "failure", "error")[version % 4]
        return {"standing": standing, "description": f"version {version}", "url": f"https://git.test/{key[:7]}"}

    def _ticket(self, key: str, version: int) -> Mapping[str, Any]:
        body = f"{marker('ticket', f'main/{key}')}\nversion {version}\n"
        there = any(issue.title == f"drift {key}" for issue in self.fake.issues.values())
        return {"title": f"drift {key}", "body": body, "open": version % 3 != 2 or not there}

    def _pull(self, key: str, version: int) -> Mapping[str, Any]:
        words = {"base": "main", "title": f"adopt {key}", "body": "what is live"}
        return {**self._branch(key, version, "adopt"), **words}

    def _branch(self, key: str, version: int, folder: str = "waive") -> Mapping[str, Any]:
        branch = f"reconciler/{folder}/{key}"
        if version % 3 == 2:
            return {"branch": branch, "sha": None, "key": ""}
        draft = Draft(
            f"version {version} of {key}", START + timedelta(minutes=version), {f"{key}.yml": b"%d" % version}
        )
        (sha,) = self.repository.write(self.base, [draft])
        local = f"refs/reconciler/own/{branch}"
        self.repository.point(local, sha, self.repository.ref(local))
        return {"branch": branch, "sha": sha, "key": sha}

    def write(self, many: int) -> list[Letter]:
        """The next letters."""
        first, self.letters = self.letters, self.letters + many
        return [
            Letter(f"letter-{n}", "2026-11-22T19:41:07Z", "opened", f"title {n}", "text")
            for n in range(first, first + many)
        ]


def slot_of(fake: FakeForge, entry: Entry) -> str:
    """The slot that a write on the forge was for."""
    if found := re.fullmatch(r".*/statuses/(\w+)", entry.path):
        return f"status/{found[1]}/{entry.body['context']}"
    kind, key = find_marker(entry.body.get("body") or "") or ("pull", "")
    if kind == "pull":
        number = entry.path.rpartition("/")[2]
        branch = entry.body.get("head") or fake.pulls[int(number)].branch
        return f"pull/{branch.rpartition('/')[2]}"
    return f"{ {'plan': 'comment'}.get(kind, kind) }/{key.partition('/')[2]}"


def version_of(entry: Entry) -> int:
    """Which version of its slot a write holds, -1 where it holds none."""
    found = re.search(r"version (\d+)", f"{entry.body.get('body')} {entry.body.get('description')}")
    return int(found[1]) if found else -1


def check_budget(writes: list[Entry]) -> tuple[int, int]:
    """No window holds more than the forge allows; gives the fullest minute and the fullest hour."""
    times = [entry.at for entry in writes]
    fullest = [
        max(n + 1 - bisect_left(times, at - length + 1e-6) for n, at in enumerate(times)) for length in (60.0, 3600.0)
    ]
    assert fullest[0] <= 80, f"{fullest[0]} writes in a minute"
    assert fullest[1] <= 500, f"{fullest[1]} writes in an hour"
    return fullest[0], fullest[1]


def check_order(fake: FakeForge) -> None:
    """What was carried out for each slot never went back to an older wish, and no status was said twice in a row."""
    last: dict[str, Entry] = {}
    for entry in fake.writes:
        name = slot_of(fake, entry)
        if name in last:
            assert version_of(entry) >= version_of(last[name]), f"{name} went back"
            assert not name.startswith("status/") or version_of(entry) > version_of(last[name]), f"{name} twice"
        last[name] = entry


def check_all_said(speech: Speech, state: State, fake: FakeForge, remote: Callable[[], Mapping[str, str]]) -> None:
    """Every slot holds what was wanted last, and nothing is there twice."""
    assert state.waiting() == []
    comments = Counter(find_marker(said.body) for said in fake.comments)
    tickets = {find_marker(issue.body): issue for issue in fake.issues.values()}
    assert set(comments.values()) == {1}, "a comment is there twice"
    assert len(tickets) == len(fake.issues), "a ticket is there twice"
    open_pulls = Counter(pull.branch for pull in fake.pulls.values() if pull.state == "open")
    assert set(open_pulls.values()) == {1}, "a pull request is there twice"
    bodies = {find_marker(said.body): said for said in fake.comments}
    statuses = {(status.sha, status.context): status for status in fake.statuses}
    heads = remote()
    expected: set[Any] = set()
    for name, wishes in speech.wanted.items():
        kind, wanted, slot = name.partition("/")[0], wishes[-1], state.slot(name)
        assert slot is not None
        mark = find_marker(str(wanted.get("body", "")))
        if kind == "comment":
            assert bodies[mark].body == wanted["body"], name
            expected.add(mark)
        elif kind == "note":
            assert bodies[mark].number == tickets["ticket", f"main/{wanted['ticket'][7:]}"].number, name
            expected.add(mark)
        elif kind == "status":
            found = statuses[tuple(name.split("/", 2)[1:])]
            assert (found.state, found.description) == (wanted["standing"], wanted["description"]), name
        elif kind == "ticket":
            issue = tickets[mark]
            assert (issue.body, issue.state == "open", slot.ref) == (wanted["body"], wanted["open"], issue.number), name
        else:
            check_branch(name, slot, wanted, heads, open_pulls)
    assert set(bodies) == expected, "something is there that was not wanted"


def check_branch(
    name: str, slot: Slot, wanted: Mapping[str, Any], heads: Mapping[str, str], open_pulls: Mapping[str, int]
) -> None:
    """A branch is where it is to be, never taken for a person's, and proposed where it is to be."""
    assert "left" not in slot.ref, f"{name} was taken for somebody else's"
    assert heads.get(wanted["branch"]) == wanted["sha"], name
    if name.startswith("pull/"):
        assert open_pulls.get(wanted["branch"], 0) == (wanted["sha"] is not None), name


@dataclass
class Listener:
    """A receiver of letters: what it got, and whether it said so. It answers *trouble* of the times with 503, or does
    what it is asked and says 502."""

    random: Random
    badness: Callable[[], float]
    port: int = 0
    got: list[tuple[str, bool]] = field(default_factory=list)

    def take(self, delivery: str) -> int:
        """Take a letter or do not; the HTTP status to answer with."""
        if self.random.random() >= self.badness():
            self.got.append((delivery, True))
            return 204
        if self.random.random() < 0.5:
            self.got.append((delivery, False))
            return 502
        return 503

    @property
    def kept(self) -> list[str]:
        """What a receiver that drops what it knows ends up with, in order."""
        return list(dict.fromkeys(delivery for delivery, _ in self.got))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let it listen on this machine."""

    def post(handler: BaseHTTPRequestHandler) -> tuple[int, Mapping[str, str], bytes]:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        return listener.take(handler.headers["X-Reconciler-Delivery"]), {}, b""

    with serving(post) as listener.port:
        yield


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], tuple[int, Mapping[str, str], bytes] | None]) -> Iterator[int]:
    """An HTTP server on this machine, and its port; *answer* gives status, headers and body, None to hang up."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            given = answer(self)
            if given is None:
                self.close_connection = True
                return
            status, headers, body = given
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # who asked was killed
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "POST", "PATCH"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
