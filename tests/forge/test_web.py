"""The door, from outside: a real server in its thread, and callers of every sort over real sockets."""

from __future__ import annotations

import hmac
import http.client
import logging
import os
import signal
import socket
import stat
import threading
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha1, sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import ConfigError
from reconciler.web import LARGEST, Door, server
from reconciler.web.dialects import DIALECTS

SECRET = "It's a Secret to Everybody"
BODY = b'{"clone_url": "https://far.example.org/x.git"}'
EVENT = {
    "github": ("X-GitHub-Event", "push"),
    "gitlab": ("X-Gitlab-Event", "Push Hook"),
    "forgejo": ("X-Forgejo-Event", "push"),
    "gitea": ("X-Gitea-Event", "push"),
    "pagure": ("X-Pagure-Topic", "git.receive"),
}


def mac(body=BODY, secret=SECRET, digest=sha256):
    return hmac.new(secret.encode(), body, digest).hexdigest()


def signed(kind, body=BODY, event=None, secret=SECRET):
    """What the forge itself would send."""
    signature = {
        "github": {"X-Hub-Signature-256": f"sha256={mac(body, secret)}"},
        "gitlab": {"X-Gitlab-Token": secret},
        "forgejo": {"X-Forgejo-Signature": mac(body, secret), "X-Gitea-Signature": mac(body, secret)},
        "gitea": {"X-Gitea-Signature": mac(body, secret), "X-Hub-Signature-256": f"sha256={mac(body, secret)}"},
        "pagure": {"X-Pagure-Signature": mac(body, secret, sha1), "X-Pagure-Signature-256": mac(body, secret)},
    }[kind]
    name, usual = EVENT[kind]
    return {**signature, name: event or usual, "Content-Type": "application/json"}


class Bell:
    """Counts, in place of the daemon's."""

    def __init__(self):
        self.rung = 0

    def ring(self):
        self.rung += 1


@contextmanager
def opened(kind="github", listen="127.0.0.1:0"):
    bell = Bell()
    with Door(listen, SECRET, kind, bell.ring) as door:
        yield door, bell


@pytest.fixture(scope="module")
def doors():
    """One open door for each kind of forge."""
    with ExitStack() as stack:
        yield {kind: stack.enter_context(opened(kind)) for kind in EVENT}


def port(door):
    return int(door.address.rpartition(":")[2])


def ask(door, method="POST", path="/hooks/github", body=BODY, headers=None):
    line = http.client.HTTPConnection("127.0.0.1", port(door), timeout=30)
    try:
        line.request(method, path, body=body, headers=headers or {})
        answer = line.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        line.close()


def status(*args, **kwargs):
    return ask(*args, **kwargs)[0]


def raw(door, *parts, finish=False):
    """Send bytes as they are, and read until the other side closes."""
    with socket.create_connection(("127.0.0.1", port(door)), timeout=30) as line:
        with suppress(OSError):  # the other side may have heard enough
            for part in parts:
                line.sendall(part)
            if finish:
                line.shutdown(socket.SHUT_WR)
        return everything(line)


def everything(line):
    found = b""
    with suppress(ConnectionResetError):
        while part := line.recv(65536):
            found += part
    return found


def head(headers, *more, path="/hooks/github", method="POST"):
    lines = [f"{method} {path} HTTP/1.1", "Host: h", *(f"{k}: {v}" for k, v in headers.items()), *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@pytest.mark.parametrize("kind", EVENT)
def test_a_push_wakes_and_says_no_more(doors, kind):
    door, bell = doors[kind]
    before = bell.rung
    code, text, headers = ask(door, path=f"/hooks/{kind}", headers=signed(kind))
    assert (code, text, bell.rung) == (202, "a look now\n", before + 1)
    assert {name.lower() for name in headers} == {"content-length", "content-type", "connection"}


def test_githubs_own_example(doors):
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    door, bell = doors["github"]
    before, body = bell.rung, b"Hello, World!"
    known = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": f"sha256={known}", "X-GitHub-Event": "push"}
    assert status(door, body=body, headers=headers) == 202
    assert status(door, body=body + b"!", headers=headers) == 401
    assert bell.rung == before + 1


@pytest.mark.parametrize(
    ("kind", "event", "code", "wakes"),
    [
        ("github", "pull_request", 202, True),
        ("github", "ping", 200, False),
        ("github", "issue_comment", 200, False),
        ("github", "status", 200, False),
        ("github", "PUSH", 200, False),
        ("gitlab", "Merge Request Hook", 202, True),
        ("gitlab", "Note Hook", 200, False),
        ("forgejo", "pull_request", 202, True),
        ("gitea", "issue_comment", 200, False),
        ("pagure", "pull-request.new", 202, True),
        ("pagure", "pull-request.updated", 202, True),
        ("pagure", "pull-request.comment.added", 200, False),
        ("pagure", "issue.new", 200, False),
    ],
)
def test_what_wakes_and_what_does_not(doors, kind, event, code, wakes):
    door, bell = doors[kind]
    before = bell.rung
    assert status(door, path=f"/hooks/{kind}", headers=signed(kind, event=event)) == code
    assert bell.rung - before == int(wakes)


@pytest.mark.parametrize("kind", EVENT)
def test_only_who_holds_the_secret_wakes(doors, kind):
    door, bell = doors[kind]
    before, path, right = bell.rung, f"/hooks/{kind}", signed(kind)
    signature = next(iter(right))
    event = {EVENT[kind][0]: EVENT[kind][1]}
    bare = "X-Gitlab-Token" if kind == "gitlab" else signature
    wrong = [
        event,
        {**event, bare: ""},
        {**event, bare: right[bare][:-1]},
        {**event, bare: right[bare] + "0"},
        {**event, bare: "sha256="},
        {**event, bare: "\xff\xe9"},
        {**event, **signed(kind, secret="another")},
        {**event, "X-Hub-Signature": f"sha1={mac(digest=sha1)}", "Authorization": SECRET},
    ]
    if kind != "gitlab":
        wrong += [{**event, **signed(kind, body=BODY + b" ")}, {**event, bare: SECRET}]
    answers = {ask(door, path=path, headers=headers)[:2] for headers in wrong}
    assert answers == {(401, "bad signature\n")}
    assert bell.rung == before


def test_a_webhook_that_comes_again_only_wakes_again(doors):
    door, bell = doors["github"]
    before = bell.rung
    assert {status(door, headers=signed("github")) for _ in range(5)} == {202}
    assert bell.rung == before + 5


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/hooks/github", 405),
        ("HEAD", "/hooks/github", 405),
        ("PUT", "/hooks/github", 405),
        ("DELETE", "/hooks/github", 405),
        ("OPTIONS", "/hooks/github", 405),
        ("BREW", "/hooks/github", 405),
        ("POST", "/hooks/gitlab", 404),
        ("POST", "/hooks/github/", 404),
        ("POST", "/hooks", 404),
        ("POST", "//hooks/github", 404),
        ("POST", "/", 404),
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("POST", "/hooks/%67ithub", 202),
        ("POST", "/hooks/github?x=1", 202),
        ("POST", "/hooks/../hooks/github", 404),
    ],
)
def test_there_is_one_way_in(doors, method, path, code):
    door, _bell = doors["github"]
    found, text, headers = ask(door, method, path, headers=signed("github"))
    assert found == code
    assert "location" not in {name.lower() for name in headers}
    assert SECRET not in text


def test_the_largest_that_is_taken(doors):
    door, bell = doors["github"]
    before, body = bell.rung, b"x" * LARGEST
    assert status(door, body=body, headers=signed("github", body)) == 202
    too_large = body + b"x"
    assert status(door, body=too_large, headers=signed("github", too_large)) == 413
    assert bell.rung == before + 1


def chunks(size, part=64 * 1024):
    for _ in range(size // part):
        yield b"%x\r\n" % part + b"x" * part + b"\r\n"
    yield b"0\r\n\r\n"


def test_a_body_in_chunks_is_measured_as_it_comes(doors):
    door, bell = doors["github"]
    before, chunked = bell.rung, "Transfer-Encoding: chunked"
    fine = head(signed("github", b"x" * LARGEST), chunked)
    assert raw(door, fine, *chunks(LARGEST)).startswith(b"HTTP/1.1 202 ")
    long = head(signed("github", b"x" * LARGEST * 2), chunked)
    assert raw(door, long, *chunks(LARGEST * 2)).startswith(b"HTTP/1.1 413 ")
    assert bell.rung == before + 1


def test_what_says_it_is_too_large_is_not_waited_for(doors):
    door, _bell = doors["github"]
    for length in (str(LARGEST + 1), "9" * 18, "00000000000000005"):
        found = raw(door, head(signed("github"), f"Content-Length: {length}"), finish=True)
        assert found.startswith(b"HTTP/1.1 413 "), length


@pytest.mark.parametrize("lines", [("Content-Length: -1",), ("Content-Length: 5", "Content-Length: 6")])
def test_lengths_that_are_none(doors, lines):
    door, bell = doors["github"]
    before = bell.rung
    assert raw(door, head(signed("github"), *lines), BODY).startswith(b"HTTP/1.1 400 ")
    assert bell.rung == before


def test_who_hangs_up_early_wakes_nobody(doors):
    door, bell = doors["github"]
    before = bell.rung
    request = head(signed("github"), f"Content-Length: {len(BODY)}")
    for stop in (5, len(request) - 3, len(request), len(request) + len(BODY) - 1):
        with socket.create_connection(("127.0.0.1", port(door)), timeout=30) as line:
            line.sendall((request + BODY)[:stop])
    assert status(door, headers=signed("github")) == 202, "and the door is still open"
    assert bell.rung == before + 1


def test_one_request_for_each_connection(doors):
    door, bell = doors["github"]
    before = bell.rung
    one = head(signed("github"), f"Content-Length: {len(BODY)}") + BODY
    found = raw(door, one * 3)
    assert found.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in found
    assert bell.rung == before + 1


def test_who_waits_for_leave_gets_it(doors):
    door, _bell = doors["github"]
    with socket.create_connection(("127.0.0.1", port(door)), timeout=30) as line:
        line.sendall(head(signed("github"), f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
        assert line.recv(4096).startswith(b"HTTP/1.1 100 ")
        line.sendall(BODY)
        assert everything(line).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"POST /hooks/github HTTP/1.1\r\nHost: h\r\nX-Slow: ",
        head({}, f"Content-Length: {len(BODY)}") + b"{",
        head({}, "Transfer-Encoding: chunked") + b"5\r\nab",
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk"],
)
def test_the_slow_are_cut_off(monkeypatch, said):
    monkeypatch.setattr(server, "LONGEST", 0.3)
    with opened() as (door, bell):
        assert raw(door, said) == b"", "it is the door that hangs up"
        assert status(door, headers=signed("github")) == 202
        assert bell.rung == 1


def test_who_drips_is_cut_off_as_well(monkeypatch):
    monkeypatch.setattr(server, "LONGEST", 0.5)
    with opened() as (door, bell), socket.create_connection(("127.0.0.1", port(door)), timeout=30) as line:
        line.sendall(head(signed("github"), "Content-Length: 100000"))
        line.settimeout(0.05)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            drip(line)
        assert bell.rung == 0


def drip(line):
    """Speak for longer than any test may take, a byte at a time."""
    for _ in range(100000):
        line.sendall(b"x")
        with suppress(TimeoutError):
            line.recv(1)


def test_a_crowd_is_closed_unheard(monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    with opened() as (door, bell):
        crowd = [socket.create_connection(("127.0.0.1", port(door)), timeout=30) for _ in range(3)]
        for line in crowd:  # each is known to the door once it has been given leave
            line.sendall(head({}, "Content-Length: 5", "Expect: 100-continue"))
            assert line.recv(100).startswith(b"HTTP/1.1 100 ")
        assert raw(door, head(signed("github"), f"Content-Length: {len(BODY)}") + BODY) == b""
        assert bell.rung == 0
        for line in crowd:
            line.sendall(b"12345")
            assert everything(line).startswith(b"HTTP/1.1 401 ")
            line.close()
        assert status(door, headers=signed("github")) == 202


def test_a_unix_socket(tmp_path):
    path = tmp_path / "web.sock"
    old = os.umask(0o077)
    try:
        with opened(listen=f"unix:{path}") as (door, bell):
            assert door.address == f"unix:{path}"
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(path))
                line.sendall(head(signed("github"), f"Content-Length: {len(BODY)}") + BODY)
                assert everything(line).startswith(b"HTTP/1.1 202 ")
            assert bell.rung == 1
            with pytest.raises(ConfigError, match="it is in use"):
                Door(f"unix:{path}", SECRET, "github", bell.ring).start()
            assert path.exists()
    finally:
        os.umask(old)
    assert not path.exists()


def test_a_unix_socket_that_was_left_behind(tmp_path):
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with opened(listen=f"unix:{path}"):
        assert path.is_socket()
    path.write_text("somebody's file")
    with pytest.raises(ConfigError, match="it is in use"):
        Door(f"unix:{path}", SECRET, "github", print).start()
    assert path.read_text() == "somebody's file"


def test_where_nothing_can_listen(tmp_path):
    with opened() as (door, _bell), pytest.raises(ConfigError, match=rf"{door.address} .* it is in use") as caught:
        Door(door.address, SECRET, "github", print).start()
    assert "web.listen" in caught.value.hint
    with pytest.raises(ConfigError, match="no such file or directory"):
        Door(f"unix:{tmp_path}/nowhere/web.sock", SECRET, "github", print).start()
    with pytest.raises(ConfigError, match="cannot assign requested address"):
        Door("192.0.2.1:8471", SECRET, "github", print).start()
    with pytest.raises(ConfigError, match="secret is empty"):
        Door("127.0.0.1:0", "", "github", print)


def test_ipv6():
    with opened(listen="[::1]:0") as (door, _bell):
        assert door.address.startswith("[::1]:")
        with socket.create_connection(("::1", port(door)), timeout=30) as line:
            line.sendall(head(signed("github"), f"Content-Length: {len(BODY)}") + BODY)
            assert everything(line).startswith(b"HTTP/1.1 202 ")


def test_a_closed_door(capfd, caplog):
    before, handlers = threading.active_count(), [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    door = Door("127.0.0.1:0", SECRET, "github", print)
    door.stop()  # one that was never opened
    door.start()
    here = port(door)
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == handlers
    with socket.create_connection(("127.0.0.1", here)) as idle, socket.create_connection(("127.0.0.1", here)) as slow:
        slow.sendall(head({}, "Content-Length: 5", "Expect: 100-continue"))
        assert slow.recv(100).startswith(b"HTTP/1.1 100 ")
        door.stop()
        assert everything(idle) == b""
        assert b" 202 " not in everything(slow)
    door.stop()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", here))
    again = Door(f"127.0.0.1:{here}", SECRET, "github", print)
    again.start()
    again.stop()
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_nothing_is_said_whatever_comes(capfd, caplog):
    caplog.set_level(logging.DEBUG)

    def broken():
        raise RuntimeError(SECRET)

    with Door("127.0.0.1:0", SECRET, "github", broken) as door:
        assert ask(door, headers=signed("github"))[:2] == (500, "Internal Server Error")
        assert raw(door, b"\x16\x03\x01\x02\x00\x01\xff\xff\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert raw(door, head({}, "Transfer-Encoding: chunked"), b"zz\r\n").startswith(b"HTTP/1.1 400 ")
        assert raw(door, head({"Upgrade": "websocket", "Connection": "upgrade"})).startswith(b"HTTP/1.1 401 ")
        status(door, headers=signed("github", secret="wrong"))
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "starlette"))] == []


NAMES = sorted({name.decode() for each in DIALECTS.values() for name in (*each.signatures, *each.events)})
TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=80)
VALUES = TEXT | st.sampled_from(["push", "ping", "sha256=", mac(), f"sha256={mac()}", mac(b""), f"sha256={mac(b'')}"])
LINES = st.lists(
    st.tuples(st.sampled_from(NAMES) | st.sampled_from(["Expect", "Connection", "TE"]), VALUES), max_size=6
)


def is_genuine(kind, lines, body):
    """The law, said once more and otherwise."""
    sent = {name.lower(): value for name, value in lines}
    mine = signed(kind, body)
    names = {"github": ["x-hub-signature-256"], "gitlab": ["x-gitlab-token"], "pagure": ["x-pagure-signature-256"]}
    names = names.get(kind, ["x-forgejo-signature", "x-gitea-signature"])
    given = next((sent[name] for name in names if name in sent), None)
    return given in {value for name, value in mine.items() if name.lower() in names}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(list(EVENT)), lines=LINES, body=st.binary(max_size=200) | st.just(BODY), chunked=st.booleans()
)
def test_no_header_opens_the_door_but_the_right_one(doors, kind, lines, body, chunked):
    door, bell = doors[kind]
    before = bell.rung
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sent = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n" if chunked else body
    request = head({}, *(f"{name}: {value}" for name, value in lines), length, path=f"/hooks/{kind}")
    code = raw(door, request + sent).split(b" ")[1]
    assert code in {b"200", b"202", b"400", b"401"}
    assert code not in {b"200", b"202"} or is_genuine(kind, lines, body)
    assert bell.rung - before == int(code == b"202")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    noise=st.binary(max_size=300), begin=st.sampled_from([b"", b"POST ", b"POST /hooks/github HTTP/1.1\r\nHost: h\r\n"])
)
def test_noise_opens_no_door(doors, noise, begin):
    door, bell = doors["github"]
    before = bell.rung
    found = raw(door, begin + noise, b"\r\n\r\n", finish=True)
    assert not found or found.split(b" ")[1] in {b"400", b"401", b"404", b"405", b"413"}
    assert bell.rung == before
