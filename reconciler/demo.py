"""``reconciler demo``: the whole loop on three hosts that are folders, as it happens, checked at every step.

Called by ``cli``. It makes a repository, starts the real daemon on it, pushes a change, edits a file by
hand, and believes nothing but what git and the files say. Touches nothing outside its own folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from reconciler.errors import ReconcilerError
from reconciler.places import desired_state_folder

PATIENCE = 90.0
"""Seconds that each act may take on a slow machine."""
MARK = ".reconciler-demo"


class DemoError(ReconcilerError):
    """Something of the demo did not happen."""


def show(folder: Path) -> None:
    """Play the demo in *folder*; raises DemoError if any of it did not really happen."""
    stage = Stage(folder)
    stage.build()
    with stage.daemon():
        stage.first_convergence()
        stage.pushed_change()
        stage.edit_by_hand()
    stage.curtain()


class Stage:
    """The folder of the demo: a remote, a clone to work in, three hosts, and the daemon's own things."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        self.clone = folder / "clone"
        self.hosts = folder / "hosts"
        self.config = folder / "reconciler.yml"
        self.log = folder / "daemon.log"

    def build(self) -> None:
        """A fresh folder, a key to sign with, a bare repository, and the shipped desired state pushed to it."""
        self.clear()
        say("A git repository with the desired state of three hosts: web1, web2, db1")
        run(
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "reconciler-demo",
            "-f",
            str(self.folder / "signing_key"),
        )
        run("git", "init", "-q", "--bare", "-b", "main", str(self.remote))
        run("git", "init", "-q", "-b", "main", str(self.clone))
        shutil.copytree(desired_state_folder(), self.clone / "desired-state")
        variables = self.clone / "desired-state/inventory/group_vars/all.yml"
        variables.write_text(variables.read_text().replace("/srv/reconciler-demo", str(self.hosts)))
        for host in ("web1", "web2", "db1"):
            (self.hosts / host).mkdir(parents=True)
        self.config.write_text(yaml.safe_dump(self.settings(), sort_keys=False))
        self.push("the desired state of three hosts")

    def clear(self) -> None:
        """Remove an earlier demo, and nothing that is not one."""
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / MARK).exists():
            raise DemoError(f"{self.folder} is there and is not a demo", hint="name another one with --directory")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / MARK).touch()

    def settings(self) -> dict[str, object]:
        """The daemon's configuration; its clocks run faster than they would in earnest."""
        return {
            "repository": {"url": str(self.remote)},
            "state_dir": str(self.folder / "state"),
            "interval": 2,
            "sweep_interval": 6,
            "signing_key": str(self.folder / "signing_key"),
            "allow_local_connection": True,
        }

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """The real daemon, as systemd would run it; stopped with SIGTERM."""
        command = [sys.executable, "-m", "reconciler.cli", "-c", str(self.config), "run"]
        say(f"The daemon: reconciler -c {self.config} run")
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
            process.send_signal(signal.SIGTERM)
            if process.wait(60) != 0:
                raise DemoError(f"the daemon ended with {process.returncode}", hint=f"its log is {self.log}")
        except subprocess.TimeoutExpired:
            raise DemoError("the daemon did not stop within 60 s", hint=f"its log is {self.log}") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def first_convergence(self) -> None:
        """Empty folders become what git says."""
        self.await_story("first convergence", Outcome="converged", Host="db1")
        self.await_story("first convergence", Outcome="converged", Host="web1")
        self.expect("web1/etc/motd", "{{ braces }}")
        self.expect("web2/etc/site.conf", "worker_connections 1024;")
        self.expect("db1/etc/current.conf", "shared_buffers = 256MB")
        done("converged: all three hosts are as git says")

    def pushed_change(self) -> None:
        """A commit is pushed, and the hosts it concerns follow."""
        say("A commit: worker_connections from 1024 to 4096, pushed")
        variables = self.clone / "desired-state/inventory/group_vars/web.yml"
        variables.write_text(variables.read_text().replace("1024", "4096"))
        sha = self.push("web: more connections")
        self.await_story("the push", Outcome="converged", Host="web2", Drift="0", **{"Desired-Revision": sha})
        for host in ("web1", "web2"):
            self.expect(f"{host}/etc/site.conf", "worker_connections 4096;")
        done("converged: web1 and web2 follow, db1 was left alone")

    def edit_by_hand(self) -> None:
        """A managed file is edited on a host: found, told from a commit, put right, written down."""
        path = self.hosts / "web1/etc/site.conf"
        say(f"Somebody edits {path} by hand")
        path.write_text(path.read_text().replace("4096", "10"))
        story = self.await_story("the edit", Outcome="converged", Host="web1", Drift="1", Pending="0")
        self.expect("web1/etc/site.conf", "worker_connections 4096;")
        done(f"detected as drift and repaired: {story}")

    def curtain(self) -> None:
        """The record: the log of the audit branch, every commit of it signed."""
        say("What git remembers of it: git -C .demo/remote.git log audit/main")
        print(self.git("log", "--format=%n%C(auto)%h %an, %ad%n%n%w(0,4,4)%B", "--date=iso", "audit/main"), flush=True)
        unsigned = [line for line in self.git("log", "--format=%H", "audit/main").split() if not self.is_signed(line)]
        if unsigned:
            raise DemoError(f"audit commits without a signature: {', '.join(unsigned)}")
        say(
            f"All of it happened. To go on: .venv/bin/reconciler -c {self.config} plan  (or once, status, history web1)"
        )

    def push(self, message: str) -> str:
        """Commit everything in the clone as a person would, and push it."""
        person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
        run("git", "-C", str(self.clone), "add", "-A")
        run("git", "-C", str(self.clone), *person, "commit", "-q", "-m", message)
        run("git", "-C", str(self.clone), "push", "-q", str(self.remote), "main")
        return run("git", "-C", str(self.clone), "rev-parse", "HEAD").strip()

    def await_story(self, what: str, **trailers: str) -> str:
        """The subject of an audit commit that has these trailers, waited for."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for sha in self.audit_commits():
                if self.matches(sha, trailers):
                    return self.git("log", "-1", "--format=%s", sha).strip()
            time.sleep(0.5)
        raise DemoError(f"{what} was not recorded within {PATIENCE:.0f} s", hint=f"the daemon's log is {self.log}")

    def audit_commits(self) -> list[str]:
        """The commits of the audit branch, newest first."""
        listed = subprocess.run(
            ["git", "-C", str(self.remote), "rev-list", "audit/main", "--"], capture_output=True, text=True, check=False
        )
        return listed.stdout.split() if listed.returncode == 0 else []

    def matches(self, sha: str, trailers: dict[str, str]) -> bool:
        """Whether an audit commit has all these trailers."""
        body = self.git("log", "-1", "--format=%(trailers:only,unfold)", sha).splitlines()
        return all(f"{name}: {value}" in body for name, value in trailers.items())

    def is_signed(self, sha: str) -> bool:
        """Whether git finds the demo's own key behind a commit."""
        allowed = self.folder / "allowed_signers"
        allowed.write_text("* " + (self.folder / "signing_key.pub").read_text())
        config = f"gpg.ssh.allowedSignersFile={allowed}"
        command = ["git", "-C", str(self.remote), "-c", config, "verify-commit", sha]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def expect(self, name: str, text: str) -> None:
        """The file on the host says what it should."""
        path = self.hosts / name
        if not path.exists() or text not in path.read_text():
            raise DemoError(f"{path} does not hold {text!r}", hint=f"the daemon's log is {self.log}")

    def git(self, *arguments: str) -> str:
        """git on the remote, as anybody with a clone could run it."""
        return run("git", "-C", str(self.remote), *arguments)


def run(*command: str) -> str:
    """Run a program without the user's own git settings; its words, if it fails."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_PAGER": "cat"}
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    except FileNotFoundError:
        package = {"ssh-keygen": "openssh-client"}.get(command[0], command[0])
        raise DemoError(f"{command[0]} is not installed", hint=f"apt install {package}") from None
    except subprocess.CalledProcessError as error:
        raise DemoError(f"{' '.join(command[:4])} failed: {error.stderr.strip()}") from None


def say(text: str) -> None:
    """What happens next."""
    print(f"\n\N{BULLET} {text}", flush=True)


def done(text: str) -> None:
    """What was seen to happen."""
    print(f"  \N{CHECK MARK} {text}", flush=True)
