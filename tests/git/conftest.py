"""Real git for the tests of git: a remote, a person who pushes to it, and servers over ssh and http."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reconciler.model import Event
from reconciler.repo import Repository
from reconciler.repo.remote import Remote, Signer

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
PERSON = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}


def sh(*command: str | Path, cwd: Path, stdin: bytes | None = None, ok: tuple[int, ...] = (0,)) -> str:
    """Run a command as a person would, and return what it printed."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, input=stdin, env=PERSON, capture_output=True)
    assert done.returncode in ok, f"{command}: {done.stderr.decode()}"
    return done.stdout.decode("utf-8", "replace").strip()


@dataclass
class Person:
    """Somebody with a work tree of the remote."""

    tree: Path
    remote: Path

    def git(self, *args: str | Path) -> str:
        return sh("git", *args, cwd=self.tree)

    def commit(self, files: Mapping[str, str | None], message: str = "change", push: bool = True) -> str:
        for name, content in files.items():
            path = self.tree / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        if push:
            self.push()
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def push(self, *args: str) -> None:
        self.git("push", "-q", *(args or ("origin", "HEAD")))


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    path = tmp_path / "remote.git"
    sh("git", "init", "-q", "--bare", "-b", "main", path, cwd=tmp_path)
    for rule in ("receive.denyNonFastForwards", "receive.denyDeletes"):
        sh("git", "config", rule, "true", cwd=path)
    return path


@pytest.fixture
def ann(tmp_path: Path, remote: Path) -> Person:
    sh("git", "clone", "-q", remote, tmp_path / "ann", cwd=tmp_path)
    sh("git", "checkout", "-q", "-B", "main", cwd=tmp_path / "ann")
    return Person(tmp_path / "ann", remote)


def clone_of(remote: Path | str, at: Path, key: Path | None = None, allowed: Path | None = None) -> Repository:
    """A healthy local clone of *remote* for a daemon whose state is in *at*."""
    url = str(remote) if "://" in str(remote) else f"file://{remote}"
    made = Repository(at / "repo.git", Remote(url, patience=30), Signer("reconciler", "bot@example.org", key, allowed))
    made.heal()
    return made


@pytest.fixture
def repository(tmp_path: Path, remote: Path) -> Repository:
    return clone_of(remote, tmp_path / "state")


def event(key: str, host: str = "web1", message: str = "", **files: bytes | None) -> Event:
    """An event with its trailers, which writes *host*'s record."""
    trailers = (("Event-Id", key), ("Host", host), ("Outcome", "converged"))
    content = files or {f"hosts/{host}.yml": f"last: {key}\n".encode()}
    return Event(key, NOON, message or f"converge: {host} {key}", trailers, content)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of fresh SSH keys: ``daemon``, ``stranger``, ``hostkey``, ``otherhost``."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("daemon", "stranger", "hostkey", "otherhost"):
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name, cwd=folder)
    (folder / "allowed").write_text('bot@example.org namespaces="git" ' + (folder / "daemon.pub").read_text())
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def sshd(keys: Path) -> Iterator[int]:
    """A real OpenSSH server on loopback that lets the daemon's key run git; its port."""
    port = free_port()
    shutil.copy(keys / "daemon.pub", keys / "authorized_keys")
    (keys / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys / 'hostkey'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {keys / 'authorized_keys'}\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = (keys / "sshd.log").open("wb")
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", keys / "sshd_config"], stderr=log)
    try:
        wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait()
        log.close()


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("sshd did not start")


def ssh_url(port: int, path: Path) -> str:
    return f"ssh://{getpass.getuser()}@127.0.0.1:{port}{path}"


def known_hosts(keys: Path, port: int, key: str) -> Path:
    path = keys / f"known_hosts-{key}"
    path.write_text(f"[127.0.0.1]:{port} {(keys / f'{key}.pub').read_text()}")
    return path


@dataclass
class Web:
    """A git server over HTTP that misbehaves as ``mode`` says."""

    root: Path
    url: str = ""
    mode: str = "good"
    user: str = ""
    requests: list[str] = field(default_factory=list)
    seen_secrets: list[str] = field(default_factory=list)


def arguments_with(secret: str) -> list[str]:
    """The argument lists of this machine that hold *secret*."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if secret.encode() in line:
            found.append(line.decode("utf-8", "replace"))
    return found


class Handler(BaseHTTPRequestHandler):
    """Smart HTTP by ``git http-backend``, or one of the faults of F4."""

    web: Web

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, body: bytes) -> None:
        web = self.web
        web.requests.append(f"{self.command} {self.path} {self.headers.get('Authorization', '')}")
        web.seen_secrets += arguments_with("s3cr3t")
        if web.mode in ("500", "401", "404"):
            self.whole(int(web.mode), b"no")
        elif web.mode == "redirect" and "127.0.0.1" in self.headers["Host"]:  # where it leads, all is well
            self.send_response(302)
            self.send_header("Location", web.url.replace("127.0.0.1", "localhost") + self.path)
            self.end_headers()
        elif web.mode == "garbage":
            self.whole(200, b"<html>Please log in to the hotel's network</html>", "text/html")
        elif web.user and not self.headers.get("Authorization"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
        else:
            self.backend(body)

    def backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = PERSON | {
            "GIT_PROJECT_ROOT": str(self.web.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "bot",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        kind = next(line[14:] for line in head.decode().split("\r\n") if line.lower().startswith("content-type: "))
        cut = self.web.mode == "truncated" and b"PACK" in content
        self.whole(200, content, kind, len(content) * 2 // 3 if cut else None)

    def whole(self, code: int, content: bytes, kind: str = "text/plain", only: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if only is None else only))
        self.end_headers()
        self.wfile.write(content[:only])


@contextmanager
def serving(root: Path) -> Iterator[Web]:
    web = Web(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"web": web}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web(tmp_path: Path, remote: Path) -> Iterator[Web]:
    with serving(tmp_path) as served:
        yield served
