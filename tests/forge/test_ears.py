"""The ears, heard from the other side: real receivers of HTTP and mail on this machine."""

from __future__ import annotations

import email
import email.policy
import hmac
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config import read_secret
from reconciler.ears import AppriseEar, WebhookEar, open_ears
from reconciler.ears.chat import LONGEST_TEXT, one_line, plain
from reconciler.ears.webhook import signature
from reconciler.errors import ConfigError, ForgeAway, ForgeRefused
from reconciler.talk import Letter

# Apprise's support of PGP imports what Python 3.13 no longer has, and does without it there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

LETTER = Letter(
    id="4f0c/opened/1",
    at="2026-11-23T02:00:00Z",
    event="opened",
    title="drift of service[nginx] on 2 hosts",
    text="web1: running → stopped\nweb2: running → stopped",
    fingerprint="0123456789ab",
    hosts=("web1", "web2"),
    url="https://git.example.org/ops/fleet/issues/7",
)
NASTY = replace(
    LETTER,
    title="drift of file[@everyone <b>x</b>]\r\nBcc: all@example.org",
    text="@here @channel <!channel> <@U123> <@&9> <#C1> <b>bold</b> <a href='https://evil.example'>x</a> "
    "https://evil.example [click](https://evil.example) <https://evil.example|x> www.evil.example "
    "\x1b[31mred \u202egpj.exe",
)


@dataclass
class Receiver:
    """An HTTP server that keeps what it gets and answers as it is told."""

    port: int = 0
    status: int = 204
    headers: dict = field(default_factory=dict)
    got: list = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hunter2?x=1"


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((self.path, dict(self.headers.items()), body))
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def webhook(receiver):
    ear = WebhookEar(receiver.url, "a secret", now=time.time)
    yield ear
    ear.close()


def test_a_webhook_is_signed_json(receiver, webhook):
    webhook.hear(LETTER)
    ((path, headers, body),) = receiver.got
    assert path == "/hunter2?x=1"
    assert json.loads(body) == asdict(LETTER) | {"hosts": ["web1", "web2"]}
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Reconciler-Event"] == "opened"
    assert headers["X-Reconciler-Delivery"] == "4f0c/opened/1"
    assert headers["X-Reconciler-Timestamp"] == LETTER.at
    wanted = hmac.new(b"a secret", LETTER.at.encode() + b"." + body, sha256).hexdigest()
    assert headers["X-Reconciler-Signature-256"] == f"sha256={wanted}"


def test_a_signature_that_others_can_check():
    """Made with ``printf '%s' '2026-11-23T02:00:00Z.{}' | openssl dgst -sha256 -hmac 'a secret'``."""
    known = "51700e492fdb2e195052f9c9db2364280589cc0741f65dcc01fb5c6d2fc9b63c"
    assert signature(b"a secret", LETTER.at, b"{}") == f"sha256={known}"


def test_the_same_letter_is_the_same_twice(receiver, webhook):
    webhook.hear(LETTER)
    webhook.hear(LETTER)
    (_, first, body), (_, second, again) = receiver.got
    assert body == again
    assert {k: v for k, v in first.items() if k.startswith("X-")} == {
        k: v for k, v in second.items() if k.startswith("X-")
    }


def test_hostile_words_reach_a_program_as_they_are(receiver, webhook):
    webhook.hear(NASTY)
    ((_, headers, body),) = receiver.got
    assert json.loads(body)["text"] == NASTY.text
    assert json.loads(body)["title"] == NASTY.title
    assert "Bcc" not in headers


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_counts_as_heard(receiver, webhook, status):
    receiver.status = status
    webhook.hear(LETTER)
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 301, 307])
def test_what_is_refused_for_good(receiver, webhook, status):
    receiver.status, receiver.headers = status, {"Location": "http://127.0.0.1:1/"}
    with pytest.raises(ForgeRefused) as caught:
        webhook.hear(LETTER)
    assert caught.value.status == status
    assert "hunter2" not in str(caught.value)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(("status", "wait"), [(429, 7), (500, 0), (502, 0), (503, 7)])
def test_what_is_tried_again(receiver, webhook, status, wait):
    receiver.status, receiver.headers = status, {"Retry-After": "7"}
    with pytest.raises(ForgeAway) as caught:
        webhook.hear(LETTER)
    assert caught.value.wait == wait
    assert "hunter2" not in str(caught.value)
    assert len(receiver.got) == 1, "once: when it is said again is decided elsewhere"


def nobody() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_webhook_that_is_not_there():
    ear = WebhookEar(f"http://127.0.0.1:{nobody()}/hunter2", "a secret", now=time.time)
    with pytest.raises(ForgeAway) as caught:
        ear.hear(LETTER)
    ear.close()
    assert "hunter2" not in str(caught.value)
    assert "a secret" not in str(caught.value) + repr(ear.__dict__["name"])


def test_apprise_sends_plain_text(receiver):
    ear = AppriseEar(f"json://127.0.0.1:{receiver.port}/hunter2", "file:1")
    assert ear.name == "apprise:json"
    receiver.status = 200
    ear.hear(LETTER)
    ear.close()
    ((_, _, body),) = receiver.got
    said = json.loads(body)
    assert (said["title"], said["attachments"]) == (LETTER.title, [])
    assert said["message"] == f"{LETTER.text}\n\n{LETTER.url}"


ALIVE = ("@everyone", "@here", "@channel", "<!", "<@", "<#", "<b", "<a", "<h", "](", "www.", "\x1b", "\u202e", "\r")


@pytest.mark.parametrize("service", ["json://", "mmost://", "ntfy://", "matrix://"])
def test_no_mention_link_or_markup_of_a_host_is_alive(receiver, service):
    receiver.status = 200
    rest = "?mode=matrix" if service.startswith("matrix") else ""
    ear = AppriseEar(f"{service}127.0.0.1:{receiver.port}/3ccdd113474722377935511fc85d3dd4{rest}", "file:1")
    ear.hear(NASTY)
    said = json.loads(receiver.got[0][2])
    title, text = said.get("title", ""), said.get("message") or said["text"]
    assert [each for each in ALIVE if each in title + text.replace("\r\n", "\n")] == []
    assert text.count("://") == 1, "that of our own link"
    assert "\n" not in title
    assert text.endswith(LETTER.url)
    assert "everyone" in title + text, "what it says can still be read"
    assert "github.com" not in json.dumps(said), "no picture is loaded from elsewhere"


@given(st.text(st.sampled_from("@<]([:/wW.\n\r\t\x00\u200b\u202e\u2028aé!") | st.characters(), max_size=80))
def test_nothing_is_alive_in_whatever_text(text):
    found = plain(text)
    assert [
        each
        for each in ("@e", "@h", "<!", "<@", "<b", "](", "://", "\x00", "\x1b", "\u202e", "\u2028")
        if each in found
    ] == []
    assert "www." not in found.lower()
    assert len(one_line(text).splitlines()) <= 1
    assert found.replace("\u200b", "") == plain(text.replace("\u200b", "\ufffd")).replace("\u200b", "")


def test_a_long_text_keeps_its_link(receiver):
    receiver.status = 200
    ear = AppriseEar(f"json://127.0.0.1:{receiver.port}/", "file:1")
    ear.hear(replace(LETTER, text="é" * 100_000, title="t" * 1000))
    said = json.loads(receiver.got[0][2])
    assert len(said["message"]) < LONGEST_TEXT + 100
    assert said["message"].endswith(LETTER.url)
    assert len(said["title"]) == 200


def test_a_service_of_few_words_gets_the_link_all_the_same(receiver):
    """Misskey takes 512 characters, title and all."""
    receiver.status = 200
    ear = AppriseEar(f"misskey://token@127.0.0.1:{receiver.port}", "file:1")
    ear.hear(replace(LETTER, text="é" * 100_000, title="t" * 1000))
    ear.hear(replace(LETTER, url="https://git.example.org/" + "x" * 1000))
    short, cut = (json.loads(body)["text"] for _, _, body in receiver.got)
    assert len(short) <= 512
    assert short.endswith(LETTER.url)
    assert short.count("é") > 200
    assert len(cut) <= 512, "rather than refused for ever"


@pytest.mark.parametrize("status", [400, 404, 500, 307])
def test_what_apprise_could_not_send(receiver, status, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.status, receiver.headers = status, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}
    ear = AppriseEar(f"json://user:hunter2@127.0.0.1:{receiver.port}/", "file:1")
    with pytest.raises(ForgeAway, match="apprise:json did not take the message") as caught:
        ear.hear(LETTER)
    assert "hunter2" not in str(caught.value)
    assert len(receiver.got) == 1, "no redirect is followed"
    assert [record for record in caplog.records if record.name == "apprise" or "hunter2" in record.getMessage()] == []
    assert capfd.readouterr() == ("", "")


def test_apprise_cannot_reach_it(capfd):
    ear = AppriseEar(f"json://user:hunter2@127.0.0.1:{nobody()}/", "file:1")
    with pytest.raises(ForgeAway):
        ear.hear(LETTER)
    assert capfd.readouterr() == ("", "")


@contextmanager
def mailbox():
    """A mail server for one machine: it takes every message and keeps it."""
    mails: list[tuple[list[str], bytes]] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line, line.makefile("rwb") as talk:
                converse(talk, mails)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], mails
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def converse(talk, mails):
    def answer(text: str) -> None:
        talk.write(text.encode() + b"\r\n")
        talk.flush()

    answer("220 here")
    recipients = []
    while line := talk.readline().decode().strip():
        verb = line.partition(" ")[0].upper()
        if verb == "EHLO":
            answer("250-here\r\n250 AUTH PLAIN LOGIN")
        elif verb == "AUTH":
            answer("235 fine")
        elif verb == "RCPT":
            recipients.append(line)
            answer("250 fine")
        elif verb == "DATA":
            answer("354 go on")
            body = b""
            while not body.endswith(b"\r\n.\r\n"):
                body += talk.readline()
            mails.append((recipients, body.removesuffix(b".\r\n")))
            answer("250 taken")
        elif verb == "QUIT":
            answer("221 bye")
            return
        else:
            answer("250 fine")


def test_mail():
    with mailbox() as (port, mails):
        url = f"mailto://bot:hunter2@127.0.0.1:{port}/?mode=insecure&from=bot@example.org&to=ops@example.org"
        ear = AppriseEar(url, "file:1")
        ear.hear(NASTY)
    ((recipients, raw),) = mails
    assert len(recipients) == 1
    assert "ops@example.org" in recipients[0]
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["Bcc"] is None
    assert "drift of file[" in mail["Subject"]
    texts = {
        part.get_content_type(): part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"
    }
    assert set(texts) <= {"text/plain", "text/html"}
    for kind, text in texts.items():
        assert [
            each for each in ALIVE[:-1] if each in text.replace("<br", "").replace('<a href="https://git', "")
        ] == [], kind
        assert LETTER.url in text
    assert list(mail.iter_attachments()) == []


@dataclass
class Given:
    """An ear as the configuration has it."""

    webhook: str | None = None
    secret: Path | None = None
    apprise: Path | None = None


def test_every_ear_that_is_wanted(tmp_path, receiver):
    (tmp_path / "secret").write_text("a secret\n")
    (tmp_path / "urls").write_text(
        f"# ours\njson://127.0.0.1:{receiver.port}/\n\n form://127.0.0.1:{receiver.port}/ \n"
    )
    hook = Given(webhook=receiver.url, secret=tmp_path / "secret")
    ears = open_ears([hook, Given(apprise=tmp_path / "urls"), hook], read_secret, time.time)
    assert [ear.name for ear in ears] == ["webhook:127.0.0.1", "apprise:json", "apprise:form", "webhook:127.0.0.1 #2"]
    receiver.status = 200
    for ear in ears:
        ear.hear(LETTER)
        ear.close()
    assert len(receiver.got) == 4
    assert open_ears([], read_secret, time.time) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no URL"),
        ("# only words\n\n", "holds no URL"),
        ("json://h/\nhunter2\n", "urls:2 is no URL that Apprise can use"),
        ("hunter2://h/\n", "urls:1 is no URL that Apprise can use"),
        ("mailto://hunter2\n", "urls:1 is no URL that Apprise can use"),
    ],
)
def test_urls_that_are_none(tmp_path, text, words, capfd):
    (tmp_path / "urls").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        open_ears([Given(apprise=tmp_path / "urls")], read_secret, time.time)
    assert "hunter2" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_of_urls_that_cannot_be_read(tmp_path):
    (tmp_path / "urls").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "urls", tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="cannot be read"):
            open_ears([Given(apprise=path)], read_secret, time.time)


def test_apprise_is_imported_by_who_wants_it_only(tmp_path):
    (tmp_path / "apprise.py").write_text("raise ImportError('nobody asked for it')\n")
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from reconciler.ears import WebhookEar, open_ears\n"
        "WebhookEar('http://127.0.0.1:1/', 's', time.time).close()\n"
        "assert open_ears([], str, time.time) == () and 'apprise' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, cwd=Path(__file__).parents[2])


def test_no_home_directory_is_looked_into(tmp_path, receiver):
    """A plugin and a configuration of the user's are left alone."""
    for folder in (".apprise/plugins", ".config/apprise/plugins"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (tmp_path / ".apprise.yml").write_text("urls: ['json://127.0.0.1:1/']\n")
    program = (
        "import sys; from reconciler.ears import AppriseEar; from reconciler.talk import Letter\n"
        "AppriseEar(sys.argv[1], 'f:1').hear(Letter('i', 'a', 'opened', 't', 'x'))\n"
    )
    receiver.status = 200
    before = sorted(tmp_path.rglob("*"))
    command = [sys.executable, "-B", "-c", program, f"json://127.0.0.1:{receiver.port}/"]
    done = subprocess.run(
        command, check=True, cwd=Path(__file__).parents[2], env={"HOME": str(tmp_path)}, capture_output=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert sorted(tmp_path.rglob("*")) == before
    assert len(receiver.got) == 1
