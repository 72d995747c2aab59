"""The line to a forge, against real servers on loopback; httpx2's MockTransport only where time must stand still."""

from __future__ import annotations

import gzip
import json
import logging
import re
import select
import socket
import ssl
import threading
import time
import traceback
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
import stamina
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import ConfigError, ForgeAway, ForgeError, ForgeRefused
from reconciler.wire import Hook, Reply, Wire, by_link_header
from reconciler.wire.answers import Answer
from reconciler.wire.budget import Budget
from reconciler.wire.etags import Etags
from reconciler.wire.line import _trust

TOKEN = "tkn-5f2c9a7e41"
NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
DATE = format_datetime(NOW, usegmt=True)
EPOCH = int(NOW.timestamp())


@dataclass
class Asked:
    """One request as a server saw it; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Says:
    """One answer of a scripted server."""

    status: int = 200
    value: object = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    @property
    def body(self) -> bytes:
        return self.raw if self.raw is not None else json.dumps(self.value).encode()


class Server:
    """An HTTP/1.1 server that answers by script: the last answer for a path stays."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: dict[str, list[Says | Callable[[Asked], Says]]] = {}
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append(Asked(self.command, self.path, headers, body))
                says = outer.next(outer.asked[-1])
                self.send_response_only(says.status)
                lengths = {} if says.status in {204, 304} else {"Content-Length": str(len(says.body))}
                for name, value in {"Date": DATE, **lengths, **says.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(says.body if lengths else b"")

            def log_message(self, *_) -> None: ...

        for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # a client that hangs up is part of these tests
        if tls:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def next(self, asked: Asked) -> Says:
        script = self.script.get(asked.path) or self.script.get(asked.path.partition("?")[0], [Says(404)])
        says = script.pop(0) if len(script) > 1 else script[0]
        return says if isinstance(says, Says) else says(asked)

    @property
    def root(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.http.server_port}/api"

    def on(self, path: str, *script: Says | Callable[[Asked], Says]) -> None:
        self.script[f"/api{path}"] = list(script)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


class RawServer:
    """Hands every connection's socket to *behave*, once the request's head has been read."""

    def __init__(self, behave: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.root = f"{'https' if tls else 'http'}://127.0.0.1:{self.listening.getsockname()[1]}/api"
        self.behave, self.tls, self.calls = behave, tls, 0
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            conn, _ = self.listening.accept()
            with conn:
                if not select.select([conn], [], [], 5)[0] or conn.recv(1, socket.MSG_PEEK) == b"\0":
                    return
                try:
                    self.converse(self.tls.wrap_socket(conn, server_side=True) if self.tls else conn)
                except OSError:
                    continue

    def converse(self, conn: socket.socket) -> None:
        head = b""
        with conn:
            while b"\r\n\r\n" not in head:
                head += conn.recv(65536) or b"\r\n\r\n"
            self.calls += 1
            self.behave(conn)

    def close(self) -> None:
        with socket.create_connection(self.listening.getsockname()) as last:
            last.sendall(b"\0")
        self.thread.join()
        self.listening.close()


@dataclass
class Clock:
    """A clock that goes only when it is told to."""

    at: float = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture(autouse=True)
def _alone(monkeypatch) -> Iterator[None]:
    """No proxy of this machine, and no waiting between tries."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def open_up() -> Iterator[Callable]:
    """Whatever is opened with this is closed in the end."""
    opened = []
    yield lambda thing: opened.append(thing) or thing
    for thing in reversed(opened):
        thing.close()


@pytest.fixture
def server(open_up) -> Server:
    return open_up(Server())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dial(open_up, clock) -> Callable[..., Wire]:
    def wire(root: str, **options) -> Wire:
        options.setdefault("headers", lambda: {"Authorization": f"Bearer {TOKEN}"})
        return open_up(Wire(root, monotonic=clock.monotonic, now=lambda: EPOCH, **options))

    return wire


@pytest.fixture
def wire(server, dial) -> Wire:
    return dial(server.root)


def refusal(call: Callable, kind: type[ForgeError] = ForgeError) -> ForgeError:
    with pytest.raises(kind) as caught:
        call()
    return caught.value


# Asking and reading


def test_a_call_carries_the_headers_the_query_and_the_body(server, wire) -> None:
    server.on("/pulls", Says(value=[{"number": 7}]))
    reply = wire.get("/pulls?state=open", {"base": "main", "page": 2})
    assert (reply.status, reply.json) == (200, [{"number": 7}])
    wire.send("POST", "pulls", {"title": "gr\u00fc\u00df \ud800", "draft": False})
    wire.send("PATCH", "/pulls", {"title": "a b", "draft": True, "number": 3}, form=True)
    wire.send("DELETE", "/pulls")
    read, written, form, deleted = server.asked
    assert read.path == "/api/pulls?state=open&base=main&page=2"
    assert read.headers["authorization"] == f"Bearer {TOKEN}"
    assert read.headers["user-agent"].startswith("reconciler/")
    assert (written.method, written.headers["content-type"]) == ("POST", "application/json")
    assert json.loads(written.body) == {"title": "gr\u00fc\u00df ?", "draft": False}
    assert form.body == b"title=a+b&draft=true&number=3"
    assert (deleted.method, deleted.body) == ("DELETE", b"")


def test_headers_are_asked_for_anew_and_in_any_case_in_a_reply(server, dial) -> None:
    tokens = iter(["first-token", "second-token"])
    server.on("/x", Says(204, headers={"X-Total": "3"}))
    wire = dial(server.root, headers=lambda: {"Private-Token": next(tokens)})
    reply = wire.get("/x")
    wire.get("/x")
    assert (reply.json, reply.headers["x-total"], reply.headers["X-TOTAL"]) == (None, "3", "3")
    assert [asked.headers["private-token"] for asked in server.asked] == ["first-token", "second-token"]


def test_an_encoded_slash_stays_one_name(server, wire) -> None:
    server.on("/projects/ops%2Ffleet", Says(value={}))
    assert wire.get("/projects/ops%2Ffleet").json == {}


def test_gzip_is_read(server, wire) -> None:
    server.on("/x", Says(raw=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"}))
    assert wire.get("/x").json == {"a": 1}


def test_half_a_surrogate_pair_becomes_a_question_mark(server, wire) -> None:
    server.on("/x", Says(raw=rb'{"title": "a\ud800b \ud83d\ude00"}'))
    assert wire.get("/x").json == {"title": "a?b \U0001f600"}


def test_cookies_are_not_kept(server, wire) -> None:
    server.on("/x", Says(headers={"Set-Cookie": "session=1; Path=/"}))
    wire.get("/x")
    wire.get("/x")
    assert "cookie" not in server.asked[1].headers


def test_netrc_adds_nothing(server, dial, monkeypatch, tmp_path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    server.on("/x", Says())
    dial(server.root.replace("://", "://user:word@"), headers=dict).get("/x")
    assert "authorization" not in server.asked[0].headers


# One place for the token


@pytest.fixture
def stranger(open_up) -> Server:
    """A second server, at another port of the same host."""
    found = open_up(Server())
    found.on("/x", Says(value=["theirs"]))
    return found


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_elsewhere_is_not_followed(server, stranger, wire, status) -> None:
    server.on("/x", Says(status, headers={"Location": f"{stranger.root}/x"}))
    assert refusal(lambda: wire.get("/x"), ForgeRefused)
    assert refusal(lambda: wire.send("POST", "/x", {}), ForgeRefused).status == status
    assert stranger.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "{stranger}/x",
        "{root}/../elsewhere",
        "/a/%2e%2E/elsewhere",
        "{other_scheme}/x",
        "{root}@{stranger_host}/api/x",
        "http://localhost:{port}/api/x",
        "{folder}/x",
        "/line\nbreak",
        "http://[broken/api/x",
    ],
)
def test_only_addresses_below_the_root_are_asked(server, stranger, wire, address) -> None:
    place = address.format(
        root=server.root,
        stranger=stranger.root,
        stranger_host=stranger.root.removeprefix("http://").removesuffix("/api"),
        other_scheme=server.root.replace("http:", "https:"),
        port=server.http.server_port,
        folder=server.root.removesuffix("/api"),
    )
    server.on("/pages", Says(value=[1], headers={"Link": f'<{place}>; rel="next"'}))
    refusal(lambda: wire.get(place), ForgeRefused)
    refusal(lambda: wire.send("POST", place), ForgeRefused)
    assert server.asked == []
    if "\n" not in place:
        refusal(lambda: list(wire.pages("/pages")), ForgeRefused)
    assert stranger.asked == []


def test_a_redirect_within_is_followed_twice_at_most_and_by_reads_only(server, wire) -> None:
    server.on("/old", Says(301, headers={"Location": "/api/newer?x=1"}))
    server.on("/newer", Says(307, headers={"Location": f"{server.root}/new"}))
    server.on("/new", Says(value="here"))
    server.on("/oldest", Says(301, headers={"Location": "/api/old"}))
    assert wire.get("/old").json == "here"
    assert refusal(lambda: wire.get("/oldest"), ForgeRefused).status == 307
    server.asked.clear()
    refused = refusal(lambda: wire.send("POST", "/old", {}), ForgeRefused)
    assert (refused.status, len(server.asked)) == (301, 1)
    assert "configuration" in refused.hint


def echo(asked: Asked) -> Says:
    token = asked.headers["authorization"].removeprefix("Bearer ")
    hidden = "\u200b".join(token)
    return Says(
        int(asked.path.rpartition("/")[2]), {"message": f"{token} {token.upper()} \x1b[31m{hidden}\u202e!\nend"}
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503])
def test_a_token_that_comes_back_is_not_said(server, wire, status, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(f"/{status}", echo)
    for call in (lambda: wire.get(f"/{status}", {"q": TOKEN}), lambda: wire.send("POST", f"/{status}", {"t": TOKEN})):
        error = refusal(call)
        said = f"{error} {error!r} {error.hint} {''.join(traceback.format_exception(error))} {caplog.text}"
        assert TOKEN.lower() not in said.lower()
        assert str(error).partition("\n")[0].isprintable()
    assert TOKEN not in repr(wire)


def test_a_token_that_cannot_be_a_header_is_not_said(server, dial) -> None:
    for token in (f"{TOKEN}\n", f"{TOKEN}\u00e9", ""):
        wire = dial(server.root, headers=lambda token=token: {"Authorization": f"Bearer {token}"})
        error = refusal(lambda wire=wire: wire.get("/x"), ForgeRefused)
        assert TOKEN not in "".join(traceback.format_exception(error))
    assert server.asked == []


def test_a_reply_shows_nothing_of_what_it_holds() -> None:
    assert TOKEN not in repr(Reply(201, {"token": TOKEN}, {"X-Token": TOKEN}))


def test_a_message_is_short_and_names_method_path_status_and_reason(server, wire) -> None:
    problem = {"message": "Validation Failed " + "x" * 5000, "errors": [{"message": "already exists"}]}
    server.on("/x", Says(422, problem))
    server.on("/y", Says(422, {"message": "Validation Failed", "errors": [{"message": "already exists"}, "b"]}))
    server.on("/z", Says(404, {"error": "Project not found"}))
    error = refusal(lambda: wire.send("PUT", "/x?secret=1", {}), ForgeRefused)
    assert error.status == 422
    assert str(error).startswith("PUT /x: the server answers 422 (Unprocessable")
    assert len(str(error)) < 300
    assert "Validation Failed: already exists: b" in str(refusal(lambda: wire.get("/y")))
    missing = refusal(lambda: wire.get("/z"), ForgeRefused)
    assert (missing.status, "Project not found" in str(missing), "may not see it" in missing.hint) == (404, True, True)


# Lists


def test_a_list_is_read_to_its_end(server, wire) -> None:
    server.on(
        "/list", Says(value=[1, 2], headers={"Link": f'<{server.root}/more?page=2>; rel="next", <x>; rel="last"'})
    )
    server.on(
        "/more?page=2", Says(value=[], headers={"Link": f'<x>; rel="prev", <{server.root}/more?page=3>; rel=next'})
    )
    server.on("/more?page=3", Says(value=[3], headers={"Link": '<x>; rel="first"'}))
    assert list(wire.pages("/list", {"per_page": 2})) == [1, 2, 3]
    assert [asked.path for asked in server.asked] == ["/api/list?per_page=2", "/api/more?page=2", "/api/more?page=3"]


def test_a_list_inside_an_answer_and_a_next_page_that_an_adapter_finds(server, wire) -> None:
    server.on("/x", Says(value={"requests": ["a"], "next": "/y"}))
    server.on("/y", Says(value={"requests": ["b"], "next": None}))
    found = wire.pages("/x", items=lambda value: value["requests"], next_of=lambda reply: reply.json["next"])
    assert list(found) == ["a", "b"]


@pytest.mark.parametrize("value", [{}, None, "text", 3, {"requests": {}}])
def test_what_should_be_a_list_and_is_none_is_said(server, wire, value) -> None:
    server.on("/x", Says(value=value))
    assert "not the list" in str(refusal(lambda: list(wire.pages("/x"))))
    assert "not the list" in str(refusal(lambda: list(wire.pages("/x", items=lambda value: value["requests"]))))


def test_a_list_without_an_end_ends(server, dial, wire) -> None:
    server.on("/round", Says(value=[1], headers={"Link": f'<{server.root}/round>; rel="next"'}))
    assert "no end" in str(refusal(lambda: list(wire.pages("/round"))))
    count = iter(range(2000))
    endless = httpx2.MockTransport(
        lambda _: httpx2.Response(200, json=[1], headers={"Link": f'<https://forge.test/{next(count)}>; rel="next"'})
    )
    assert "no end" in str(refusal(lambda: list(dial("https://forge.test", transport=endless).pages("/x"))))
    assert next(count) == 1000


def test_a_list_that_takes_minutes_is_given_up(dial, clock) -> None:
    def slow(request: httpx2.Request) -> httpx2.Response:
        clock.at += 29
        return httpx2.Response(200, json=[1], headers={"Link": f'<{request.url}1>; rel="next"'})

    wire = dial("https://forge.test", transport=httpx2.MockTransport(slow))
    assert "300 seconds" in str(refusal(lambda: list(wire.pages("/x")), ForgeAway))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('<https://a/2>; rel="next"', "https://a/2"),
        ('<https://a/1>; rel="prev", <https://a/3>; title="x"; rel="last next"', "https://a/3"),
        ("<https://a/2>;rel=next", "https://a/2"),
        ('<https://a/next>; rel="last"', None),
        ('<https://a/2>; rel="nextish"', None),
        ('<https://a/2>; title="rel=next"; rel="last"', None),
        ("", None),
        ("<" * 50_000, None),
        ('<a>; rel="' + "x" * 50_000, None),
        ("<a>" + "; rel=" * 20_000, None),
    ],
)
def test_the_next_page_in_a_link_header(header, expected) -> None:
    assert by_link_header(Reply(200, [], httpx2.Headers({"Link": header}))) == expected


# ETags


def etag(tag: str, says: Says) -> Callable[[Asked], Says]:
    says.headers["ETag"] = tag
    return lambda asked: Says(304) if asked.headers.get("if-none-match") == tag else says


def test_what_did_not_change_is_not_sent_again(server, wire) -> None:
    server.on("/x", etag('W/"1"', Says(value={"a": 1}, headers={"X-Total": "9"})))
    server.on("/x?page=2", etag('"other"', Says(value={"a": 2})))
    first, again, other = wire.get("/x"), wire.get("/x"), wire.get("/x", {"page": 2})
    assert (first.json, again.json, other.json) == ({"a": 1}, {"a": 1}, {"a": 2})
    assert (again.status, again.headers["x-total"]) == (200, "9")
    assert [asked.headers.get("if-none-match") for asked in server.asked] == [None, 'W/"1"', None]
    first.json["a"] = "changed by whoever got it"
    assert wire.get("/x").json == {"a": 1}
    server.on("/x", etag('"2"', Says(value={"a": 3})))
    assert (wire.get("/x").json, wire.get("/x").json) == ({"a": 3}, {"a": 3})


def test_304_for_what_was_not_asked_that_way_is_no_answer(server, wire) -> None:
    server.on("/x", Says(304))
    refusal(lambda: wire.get("/x"), ForgeAway)


def test_a_full_last_page_is_asked_for_in_full(server, wire) -> None:
    """A list that grows beyond it changes its Link header only, which 304 need not repeat."""
    ten = list(range(10))
    server.on("/list", etag('"same"', Says(value=ten)))
    assert list(wire.pages("/list")) == ten
    server.on("/list", etag('"same"', Says(value=ten, headers={"Link": f'<{server.root}/list?page=2>; rel="next"'})))
    server.on("/list?page=2", etag('"new"', Says(value=[10])))
    assert list(wire.pages("/list")) == [*ten, 10]
    assert list(wire.pages("/list")) == [*ten, 10]
    assert [asked.headers.get("if-none-match") for asked in server.asked[-2:]] == ['"same"', '"new"']


def test_the_cache_is_bounded_in_number_and_bytes() -> None:
    def answer(size: int, status: int = 200) -> Answer:
        return Answer(status, httpx2.Headers({"ETag": '"1"'}), b"x" * size)

    few, small = Etags(entries=2), Etags(entries=100, most_bytes=100)
    for name in ("a", "b"):
        few.settle(name, answer(1))
    few.settle("a", answer(0, 304))
    few.settle("c", answer(1))
    assert [name for name in "abc" if few.headers(name)] == ["a", "c"]
    for name in "abcdefghij":
        small.settle(name, answer(12))
    small.settle("large", answer(50))
    assert [name for name in "abcdefghij" if small.headers(name)] == list("cdefghij")
    assert not small.headers("large")


# What goes wrong


def test_a_read_is_tried_again(server, wire) -> None:
    server.on("/x", Says(502), Says(503), Says(value=1))
    assert wire.get("/x").json == 1
    server.on("/x", Says(504))
    server.asked.clear()
    error = refusal(lambda: wire.get("/x"), ForgeAway)
    assert (len(server.asked), error.unsure, error.wait) == (3, False, 0.0)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_write_is_sent_once_and_then_unsure(server, wire, status) -> None:
    server.on("/x", Says(status))
    assert refusal(lambda: wire.send("POST", "/x", {}), ForgeAway).unsure
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 418, 422, 451, 499])
def test_a_no_is_a_no(server, wire, status) -> None:
    server.on("/x", Says(status, raw=b"<html>not ours</html>"))
    assert refusal(lambda: wire.get("/x"), ForgeRefused).status == status
    assert refusal(lambda: wire.send("POST", "/x"), ForgeRefused).status == status
    assert len(server.asked) == 2


def reset(conn: socket.socket) -> None:
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def half(conn: socket.socket) -> None:
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1")


def noise(conn: socket.socket) -> None:
    conn.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")


@pytest.mark.parametrize("behave", [reset, half, noise, lambda conn: None])
def test_an_answer_that_is_lost_leaves_a_write_unsure(open_up, dial, behave) -> None:
    lossy = open_up(RawServer(behave))
    wire = dial(lossy.root)
    assert refusal(lambda: wire.send("POST", "/x", {"a": 1}), ForgeAway).unsure
    assert lossy.calls == 1
    assert not refusal(lambda: wire.get("/x"), ForgeAway).unsure
    assert lossy.calls == 4


def test_nobody_there_is_sure(dial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refusal(lambda: dial(f"http://127.0.0.1:{port}").send("POST", "/x", {}), ForgeAway)
    assert (error.unsure, error.wait) == (False, 0.0)
    assert "refused" in str(error)
    for host in ("nobody.invalid", "no..body"):
        assert not refusal(lambda host=host: dial(f"https://{host}").send("POST", "/x", {}), ForgeAway).unsure


def test_a_silent_server_is_left(open_up, dial) -> None:
    go = threading.Event()
    silent = open_up(RawServer(lambda conn: go.wait(5) and None))
    error = refusal(lambda: dial(silent.root, timeout=1).send("POST", "/x", {}), ForgeAway)
    go.set()
    assert (error.unsure, "too long" in str(error)) == (True, True)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.0 200 OK\r\n\r\n"], ids=["in the head", "in the body"]
)
def test_a_server_that_drips_cannot_hold_us(open_up, dial, authority, begin, secure) -> None:
    """Each byte comes well within the time-out; all of them would take 20 seconds."""
    finished = []

    def drip(conn: socket.socket) -> None:
        conn.sendall(begin)
        for _ in range(200):
            conn.sendall(b"1")
            time.sleep(0.1)
        finished.append(True)
        conn.sendall(b"\r\n\r\n")

    slow = open_up(RawServer(drip, authority.tls() if secure else None))
    wire = dial(slow.root, patience=2, ca=authority.file)
    assert "2 seconds" in str(refusal(lambda: wire.get("/x"), ForgeAway))
    assert slow.calls == 1
    assert refusal(lambda: wire.send("POST", "/x"), ForgeAway).unsure
    assert not finished, "the connection was shut while the server was still sending"


def test_after_a_call_that_was_cut_the_next_one_works(server, dial) -> None:
    go = threading.Event()
    server.on("/slow", lambda _: Says(200 if go.wait(30) else 500))
    server.on("/x", Says(value=1))
    wire = dial(server.root, patience=2)
    assert wire.get("/x").json == 1
    assert "2 seconds" in str(refusal(lambda: wire.get("/slow"), ForgeAway))
    go.set()
    assert wire.get("/x").json == 1


@pytest.mark.parametrize(
    ("raw", "headers", "words"),
    [
        (b"[" + b"1," * 5_000_000 + b"1]", {}, "larger than 8192 KiB"),
        (gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}, "larger than 8192 KiB"),
        (gzip.compress(b"1") + b"x" * 9_000_000, {"Content-Encoding": "gzip"}, "larger than 8192 KiB"),
        (gzip.compress(b'{"a": 1}', mtime=0)[:15], {"Content-Encoding": "gzip"}, "ends early"),
        (b"plain", {"Content-Encoding": "gzip"}, "cannot be decompressed"),
        (b"\x0b\x02\x80{}\x03", {"Content-Encoding": "br"}, "not asked for"),
        (b"<html>Sign in</html>", {"Content-Type": "text/html"}, "not JSON"),
        (b'{"a": 1', {}, "not JSON"),
        (b'{"a": NaN}', {}, "not JSON"),
        (b"[" * 200_000, {}, "not JSON"),
        (b"1" * 100_000, {}, "not JSON"),
        (b'"\xff\xfe"', {}, "not JSON"),
    ],
)
def test_an_answer_that_cannot_be_used(server, wire, raw, headers, words) -> None:
    server.on("/x", Says(raw=raw, headers=headers))
    assert words in str(refusal(lambda: wire.get("/x"), ForgeAway))
    written = refusal(lambda: wire.send("POST", "/x"), ForgeAway)
    assert written.unsure, "it may have been done all the same"
    assert len(server.asked) == 2


# Limits


@pytest.mark.parametrize(
    ("status", "headers", "message", "wait"),
    [
        (429, {}, "", 60),
        (429, {"Retry-After": "17"}, "", 17),
        (429, {"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, "", 90),
        (429, {"Retry-After": format_datetime(NOW - timedelta(days=1), usegmt=True)}, "", 1),
        (429, {"Retry-After": "999999999"}, "", 3600),
        (429, {"Retry-After": "soon"}, "", 60),
        (429, {"Retry-After": "inf"}, "", 60),
        (429, {"Retry-After": "-5"}, "", 1),
        (403, {"Retry-After": "30"}, "", 30),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH + 120)}, "", 120),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH + 120), "Retry-After": "5"}, "", 5),
        (403, {"X-RateLimit-Remaining": "0"}, "", 60),
        (403, {"X-RateLimit-Remaining": "4000"}, "You have exceeded a secondary rate limit.", 60),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": str(EPOCH + 44)}, "", 44),
        (429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "21"}, "", 21),
        (503, {"Retry-After": "9"}, "", 9),
    ],
)
def test_a_limit_says_how_long(server, dial, clock, status, headers, message, wait) -> None:
    server.on("/x", Says(status, {"message": message}, headers), Says(value="done"))
    server.on("/y", Says(value="read"))
    # Our own clock is a day off: what counts is the server's.
    wire = dial(server.root)
    wire._now = lambda: EPOCH + 86400
    error = refusal(lambda: wire.send("POST", "/x", {}), ForgeAway)
    assert (error.wait, error.unsure) == (wait, status == 503)
    clock.at += wait - 0.5
    for call in (
        lambda: wire.get("/y"),
        lambda: wire.send("POST", "/x", {}),
        lambda: wire.send("POST", "/x", counts=False),
    ):
        assert refusal(call, ForgeAway).wait == 0.5
    assert len(server.asked) == 1, "the server is left alone"
    clock.at += 0.5
    assert (wire.get("/y").json, wire.send("POST", "/x", {}).json) == ("read", "done")


def test_a_read_that_meets_a_limit_is_not_tried_again(server, wire) -> None:
    server.on("/x", Says(503, headers={"Retry-After": "2"}))
    assert refusal(lambda: wire.get("/x"), ForgeAway).wait == 2
    assert len(server.asked) == 1


def test_without_a_date_our_own_clock_counts(dial) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH + 300)}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(403, headers=headers))
    assert refusal(lambda: dial("https://forge.test", transport=transport).get("/x"), ForgeAway).wait == 300


def test_a_missing_right_is_no_limit(server, wire) -> None:
    server.on("/x", Says(403, {"message": "Resource not accessible"}, {"X-RateLimit-Remaining": "12"}))
    error = refusal(lambda: wire.send("POST", "/x", {}), ForgeRefused)
    assert (error.status, "lacks a right" in error.hint) == (403, True)


def allowance(remaining: int, limit: int, **more: str) -> dict[str, str]:
    return {
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Reset": str(EPOCH + 200),
        **more,
    }


def test_the_last_calls_are_kept_for_writes(server, wire, clock) -> None:
    server.on("/x", Says(value=1, headers=allowance(49, 5000)))
    wire.get("/x")
    assert refusal(lambda: wire.get("/x"), ForgeAway).wait == 200
    assert wire.send("POST", "/x").json == 1
    clock.at += 200
    assert wire.get("/x").json == 1


@pytest.mark.parametrize(
    "headers",
    [
        allowance(50, 5000),
        allowance(3, 60),
        {"X-RateLimit-Remaining": "1"},
        allowance(1, 5000, **{"X-RateLimit-Resource": "search"}),
    ],
)
def test_an_allowance_that_is_small_by_itself_stops_no_read(server, wire, headers) -> None:
    server.on("/x", Says(headers=headers))
    wire.get("/x")
    wire.get("/x")
    assert len(server.asked) == 2


def test_the_budget_of_writes(dial, clock) -> None:
    sent = []
    transport = httpx2.MockTransport(lambda request: sent.append(request) or httpx2.Response(201, json={}))
    wire = dial("https://forge.test", transport=transport, per_minute=3, per_hour=4)
    for _ in range(3):
        wire.send("POST", "/x", {})
        clock.at += 1
    assert refusal(lambda: wire.send("POST", "/x", {}), ForgeAway).wait == 57
    wire.send("POST", "/token", counts=False)
    wire.get("/x")
    clock.at += 57
    wire.send("POST", "/x", {})
    assert refusal(lambda: wire.send("POST", "/x", {}), ForgeAway).wait == 3540
    assert len(sent) == 6


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 130), st.integers(0, 8 * 400)), max_size=25))
def test_no_window_ever_holds_more(bursts) -> None:
    """Times are in eighths of a second, so that sums of them are exact."""
    budget, now, sent = Budget(80, 500), 0.0, list[float]()
    for writes, eighths in bursts:
        for _ in range(writes):
            wait = budget.wait(now)
            full = [(60.0, 80), (3600.0, 500)]
            # The oracle counts what lies within a window; the budget looks at one write only.
            spent = [most <= len(sent) - bisect_right(sent, now - length) for length, most in full]
            assert (wait > 0) == any(spent), "refused where and only where a window is full"
            if wait > 0:
                assert budget.wait(now + wait - 0.125) > 0
                now += wait
                assert budget.wait(now) == 0
            budget.spend(now)
            sent.append(now)
        now += eighths / 8
    for first, _ in enumerate(sent):
        assert first + 80 >= len(sent) or sent[first + 80] - sent[first] >= 60
        assert first + 500 >= len(sent) or sent[first + 500] - sent[first] >= 3600


# Certificates and proxies


class Authority:
    """A private certificate authority with one certificate for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.file, self.pair = folder / "ca.pem", folder / "server.pem"
        authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        usage = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        itself = self.sign(authority, authority, "authority", x509.BasicConstraints(ca=True, path_length=0))
        served = self.sign(authority, key, "server", usage)
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.file.write_bytes(itself.public_bytes(pem))
        self.pair.write_bytes(served.public_bytes(pem) + private)

    @staticmethod
    def sign(by, key, name: str, extension: x509.ExtensionType) -> x509.Certificate:
        def called(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        public, issuer = key.public_key(), by.public_key()
        today = datetime.now(UTC)
        return (
            x509.CertificateBuilder(called("authority"), called(name), public, x509.random_serial_number())
            .not_valid_before(today - timedelta(days=1))
            .not_valid_after(today + timedelta(days=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(by, hashes.SHA256())
        )

    def tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pair)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(open_up, authority) -> Server:
    found = open_up(Server(authority.tls()))
    found.on("/x", Says(value="safe"))
    return found


def test_a_private_authority_is_trusted_besides_the_systems(secure, dial, authority) -> None:
    assert dial(secure.root, ca=authority.file).get("/x").json == "safe"
    before = httpx2.create_ssl_context(trust_env=False).cert_store_stats()["x509_ca"]
    assert _trust(authority.file).cert_store_stats()["x509_ca"] == before + 1


def test_an_unknown_authority_is_not_and_the_environment_changes_nothing(secure, dial, authority, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    error = refusal(lambda: dial(secure.root).send("POST", "/x", {}), ForgeAway)
    assert (error.unsure, "`ca`" in error.hint) == (False, True)
    assert secure.asked == []


def test_a_file_without_certificates_is_said(tmp_path, dial) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=re.escape(name)):
            dial("https://forge.test", ca=tmp_path / name)


class Proxy:
    """A proxy that tunnels one connection after the other, and keeps what was said to it."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://me:password-of-mine@127.0.0.1:{self.listening.getsockname()[1]}"
        self.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            near, _ = self.listening.accept()
            with near:
                self.said.append(near.recv(65536))
                if not self.said[-1]:
                    return
                near.sendall(self.answer)
                if b" 200 " in self.answer:
                    self.tunnel(near, self.said[-1].split()[1].decode())

    def tunnel(self, near: socket.socket, place: str) -> None:
        host, _, port = place.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            while ready := select.select([near, far], [], [], 5)[0]:
                for one in ready:
                    if not (data := one.recv(65536)):
                        return
                    (far if one is near else near).sendall(data)

    def close(self) -> None:
        socket.create_connection(self.listening.getsockname()).close()
        self.thread.join()
        self.listening.close()


@pytest.fixture
def proxy(open_up) -> Proxy:
    return open_up(Proxy())


def test_a_proxy_of_the_configuration(secure, dial, authority, proxy) -> None:
    assert dial(secure.root, ca=authority.file, proxy=proxy.url).get("/x").json == "safe"
    assert proxy.said[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"Proxy-Authorization: Basic" in proxy.said[0]
    assert TOKEN.encode() not in proxy.said[0]


def test_a_proxy_of_the_environment(secure, dial, authority, proxy, monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    assert dial(secure.root, ca=authority.file).get("/x").json == "safe"
    assert len(proxy.said) == 1
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert dial(secure.root, ca=authority.file).get("/x").json == "safe"
    assert len(proxy.said) == 1


def test_clear_text_stays_on_this_machine(server, dial, proxy, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    server.on("/x", Says(value=1))
    assert dial(server.root).get("/x").json == 1
    assert proxy.said == []


def test_a_proxy_that_says_no(secure, dial, authority, proxy) -> None:
    proxy.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    error = refusal(lambda: dial(secure.root, ca=authority.file, proxy=proxy.url).send("POST", "/x", {}), ForgeAway)
    assert (error.unsure, "407" in str(error), "password-of-mine" in str(error)) == (False, True, False)
    assert secure.asked == []


@pytest.mark.parametrize(
    "bad", ["ftp://me:password-of-mine@proxy", "http://me:password-of-mine@proxy:port", "socks5://p:1"]
)
def test_a_proxy_that_cannot_be_one(dial, bad) -> None:
    with pytest.raises(ConfigError) as caught:
        dial("https://forge.test", proxy=bad)
    assert "password-of-mine" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "bad", ["", "forge.test", "ftp://forge.test", "https://", "https://forge.test:port", "file:///etc"]
)
def test_a_root_that_is_no_address(dial, bad) -> None:
    with pytest.raises(ConfigError):
        dial(bad)


# The other direction: somebody's webhook


@pytest.fixture
def hook(open_up, server) -> Hook:
    return open_up(Hook(f"{server.root}/services/path-is-password?key=1", now=lambda: EPOCH))


def test_a_hook_posts_the_very_bytes(server, hook) -> None:
    server.on("/services/path-is-password", Says(204))
    assert hook.post(b'{"a":  1}\n', {"Content-Type": "application/json", "X-Signature": "sha256=0123"}) is None
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/api/services/path-is-password?key=1")
    assert (asked.body, asked.headers["x-signature"]) == (b'{"a":  1}\n', "sha256=0123")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (Says(500), SimpleNamespace(wait=0.0, unsure=True)),
        (Says(429, headers={"Retry-After": "7"}), SimpleNamespace(wait=7.0, unsure=False)),
        (Says(404, {"message": "path-is-password"}), SimpleNamespace(status=404)),
        (Says(302, headers={"Location": "http://127.0.0.1:1/path-is-password"}), SimpleNamespace(status=302)),
        (Says(200, raw=b"x" * 100_000), SimpleNamespace(unsure=True)),
    ],
)
def test_a_hook_that_says_no(server, hook, says, expected, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    server.on("/services/path-is-password", says)
    error = refusal(lambda: hook.post(b"{}", {"X-Signature": "sha256=0123456789"}))
    assert {name: getattr(error, name) for name in vars(expected)} == vars(expected)
    assert "127.0.0.1" in str(error)
    assert "path-is-password" not in "".join(traceback.format_exception(error)) + caplog.text
    assert len(server.asked) == 1


def test_a_hook_that_is_no_address() -> None:
    with pytest.raises(ConfigError):
        Hook("mailto:ops@example.com", now=lambda: EPOCH)
