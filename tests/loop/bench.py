"""What the tests of the loop stand on: a remote, a person who pushes to it, a daemon's configuration, and its hosts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from reconciler.config import load
from reconciler.cycle import Report, cycle
from reconciler.opening import open_world
from reconciler.world import World
from tests.loop.fakehosts import FakeHosts

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
PATIENCE = 60.0
"""Seconds that a daemon of a test gets for what it should do in two."""
GIT = {
    **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}

INVENTORY = """
web:
  hosts:
    web1:
    web2:
db:
  hosts:
    db1:
"""
SITE = """
- name: web tier
  hosts: web
  file:
    - path: /srv/site
      state: directory
      mode: "0755"
  template:
    - src: site.j2
      dest: /srv/site/site.conf
      mode: "0644"
      notify: reload nginx
"""
MOTD = """
- name: every host
  hosts: all
  copy:
    - content: hello
      dest: /etc/motd
      mode: "0644"
"""
SMALL: Mapping[str, str] = {
    "inventory/hosts.yml": INVENTORY,
    "inventory/group_vars/web.yml": "connections: 1024\n",
    "templates/site.j2": "# {{ inventory_hostname }}\nconnections {{ connections }};\n",
    "web.yml": SITE,
    "all.yml": MOTD,
    "reconciler.yml": "mode: enforce\n",
}
"""Two web servers and a database: five resources, of which two have a template that differs from host to host."""


def git(*arguments: str | Path, at: Path) -> str:
    """git as a person runs it."""
    done = subprocess.run(["git", *map(str, arguments)], cwd=at, env=GIT, capture_output=True, text=True)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Story:
    """One commit of the audit branch."""

    subject: str
    body: str
    trailers: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.trailers if key == name]

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value


@dataclass
class Bench:
    """One folder with everything. ``now`` is the wall clock of the worlds it opens, in seconds after noon."""

    folder: Path
    now: float = 0.0
    said: list[str] = field(default_factory=list)

    @property
    def remote(self) -> Path:
        return self.folder / "remote.git"

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def config(self) -> Path:
        return self.folder / "reconciler.yml"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def hosts(self) -> FakeHosts:
        return FakeHosts(self.folder / "hosts.json")

    def build(self, files: Mapping[str, str | None] = SMALL, **settings: object) -> Bench:
        """The repositories, the first commit and the configuration."""
        git("init", "-q", "--bare", "-b", "main", self.remote, at=self.folder)
        git("init", "-q", "-b", "main", self.clone, at=self.folder)
        self.configure(**settings)
        self.push(files, "the beginning")
        return self

    def configure(self, **settings: object) -> None:
        """Write the configuration; *settings* go over the defaults."""
        plain: dict[str, object] = {
            "repository": {"url": str(self.remote)},
            "state_dir": str(self.state_dir),
            "interval": 1,
            "sweep_interval": 3600,
            "stream": {"sessions": 0},  # these hosts are on no network
            "allow_local_connection": True,
        }
        self.config.write_text(yaml.safe_dump({**plain, **settings}))

    def push(self, files: Mapping[str, str | None], message: str = "a change") -> str:
        """Commit files of the desired state and push them; the new commit."""
        for name, text in files.items():
            path = self.clone / "desired-state" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if text is None else path.write_text(text)
        git("add", "-A", at=self.clone)
        git("commit", "-q", "--allow-empty", "-m", message, at=self.clone)
        git("push", "-q", self.remote, "HEAD:main", at=self.clone)
        return self.head()

    def rewrite(self, files: Mapping[str, str | None] = SMALL) -> str:
        """Replace the history of the branch by another one."""
        git("checkout", "-q", "--orphan", "other", at=self.clone)
        for name, text in files.items():
            (self.clone / "desired-state" / name).write_text(text or "")
        git("add", "-A", at=self.clone)
        git("commit", "-q", "-m", "another beginning", at=self.clone)
        git("push", "-q", "-f", self.remote, "HEAD:main", at=self.clone)
        git("branch", "-M", "main", at=self.clone)
        return self.head()

    def head(self) -> str:
        return git("rev-parse", "HEAD", at=self.clone)

    @contextmanager
    def world(self, fake: FakeHosts | None = None) -> Iterator[World]:
        """The real world of this configuration, with the fake hosts in the place of Ansible."""
        with open_world(
            load(self.config),
            clock=self.clock,
            monotonic=time.monotonic,
            say=self.said.append,
            progress=lambda _text: None,
        ) as world:
            world.ansible = fake or self.hosts
            yield world

    def clock(self) -> datetime:
        """A second later each time, so that no two stories are told at once."""
        self.now += 1
        return NOON + timedelta(seconds=self.now)

    def cycle(self, fake: FakeHosts | None = None, *, sweep: bool = True) -> Report:
        """A daemon that starts, runs one cycle and ends."""
        with self.world(fake) as world:
            return cycle(world, sweep=sweep)

    def stories(self, branch: str = "audit/main") -> list[Story]:
        """What the remote's audit branch tells, oldest first."""
        if not git("for-each-ref", f"refs/heads/{branch}", at=self.remote):
            return []
        form = "--format=%s%x00%b%x00%(trailers:only,unfold)%x01"
        out = git("log", "--reverse", form, branch, at=self.remote)
        return [read_story(one) for one in out.split("\x01") if one.strip()]

    def outcomes(self) -> list[str]:
        """``converged db1 web1`` for each story, oldest first."""
        return [" ".join([story["Outcome"], *sorted(story.all("Host"))]) for story in self.stories()]

    def record(self, host: str) -> dict[str, object]:
        """``hosts/<host>.yml`` of the audit branch."""
        return yaml.safe_load(git("show", f"audit/main:hosts/{host}.yml", at=self.remote))

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """The real command, as a process."""
        command = [sys.executable, "-m", "reconciler.cli", "-c", str(self.config), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180)

    def copy(self, to: Path) -> Bench:
        """The whole bench once more, elsewhere; its daemon's state and its hosts included."""
        shutil.copytree(self.folder, to, symlinks=True)
        other = Bench(to, self.now)
        other.configure()
        return other


def read_story(text: str) -> Story:
    """One commit as git prints it above."""
    subject, body, block = text.lstrip("\n").split("\0")
    pairs = [line.partition(": ") for line in block.splitlines() if ": " in line]
    return Story(subject, body, tuple((key, value) for key, _, value in pairs))


def check_chain(stories: list[Story]) -> None:
    """No event is missing and none is there twice."""
    assert [int(story["Seq"]) for story in stories] == list(range(1, len(stories) + 1))
    ids = [story["Event-Id"] for story in stories]
    assert len(set(ids)) == len(ids)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A tmpfs at *folder*, for as long as it is needed; only root may."""
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=0700", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def await_true(what: Callable[[], object], why: str) -> None:
    """Wait for something that a daemon should bring about."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, f"waited in vain for {why}"
        time.sleep(0.05)


def place(text: str) -> str:
    """``file:line:column`` at the beginning of a message."""
    found = re.match(r"[^:]+:\d+:\d+", text)
    assert found, text
    return found[0]
