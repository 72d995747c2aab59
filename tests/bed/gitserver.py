"""A git server over real SSH: one more host, with a user who can do nothing but git, and clones of it to push from.

Everything is done by the ordinary `git`, with host keys checked, as a person would.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.bed.hosts import Host

FOLDER = "/srv/git"


@dataclass
class GitServer:
    """A bare repository on a host of its own, reached as `url` with `key`, its host key in `known_hosts`."""

    host: Host
    url: str
    known_hosts: Path
    key: Path
    path: str

    @property
    def environment(self) -> dict[str, str]:
        """What git needs in its environment to reach this server and nothing else of the machine's settings."""
        ssh = [
            *("ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=10"),
            *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.known_hosts}", "-i", str(self.key)),
        ]
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_SSH_COMMAND": shlex.join(ssh),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }

    def git(self, *arguments: str) -> str:
        """Run git on the server, in the repository itself; returns its output, raises where it fails."""
        return self.host.exec(shlex.join(["git", "-C", self.path, *arguments]), user="git").strip()

    def head(self, branch: str = "main") -> str:
        """The commit that a branch is at."""
        return self.git("rev-parse", "--verify", f"refs/heads/{branch}")

    def delete_branch(self, branch: str) -> None:
        """Take a branch away, the current one too, which no push may."""
        self.git("update-ref", "-d", f"refs/heads/{branch}")

    def install_hook(self, name: str, script: str) -> None:
        """Install a server-side hook, such as `pre-receive`; an empty script takes it away."""
        hook = f"{self.path}/hooks/{name}"
        if script:
            self.host.write(hook, script, mode="0755")
        else:
            self.host.exec(f"rm -f {shlex.quote(hook)}")

    def stop(self) -> None:
        """Cut the server's power: connections are refused."""
        self.host.stop()

    def start(self) -> None:
        """Boot it again."""
        self.host.start()

    def clone(self, into: Path, *options: str) -> Clone:
        """Clone the repository, with a name to commit under; works on an empty one too."""
        run_git(self.environment, "clone", "-q", *options, self.url, str(into))
        clone = Clone(into, self)
        clone.git("config", "user.name", "Ada Tester")
        clone.git("config", "user.email", "ada@example.org")
        return clone


@dataclass
class Clone:
    """A person's clone of the repository: write, commit, push."""

    path: Path
    server: GitServer

    def git(self, *arguments: str) -> str:
        """Run git in this clone; returns its output, raises GitSaidNo with git's own words where it fails."""
        return run_git(self.server.environment, "-C", str(self.path), *arguments)

    def write(self, path: str, content: str) -> None:
        """Write one file of the work tree."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")

    def commit(self, message: str, *options: str) -> str:
        """Commit everything as it is now; returns the commit's sha."""
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", *options, "-m", message)
        return self.git("rev-parse", "HEAD")

    def push(self, *options: str, branch: str = "main") -> None:
        """Push HEAD to a branch, with options such as `--force`."""
        self.git("push", "-q", *options, "origin", f"HEAD:refs/heads/{branch}")

    def save(self, message: str, files: dict[str, str]) -> str:
        """Write files, commit and push them to main: one change, as a person makes it. Returns its sha."""
        for path, content in files.items():
            self.write(path, content)
        sha = self.commit(message)
        self.push()
        return sha


class GitSaidNo(AssertionError):
    """A git command failed; its message is git's own."""


def run_git(environment: dict[str, str], *arguments: str) -> str:
    """Run git on this machine; returns its output, raises GitSaidNo where it fails."""
    done = subprocess.run(
        ["git", *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise GitSaidNo(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def serve(host: Host, key: Path, known_hosts: Path, name: str = "fleet") -> GitServer:
    """Make an empty bare repository on *host*, reached over SSH by the holder of *key*."""
    path = f"{FOLDER}/{name}.git"
    host.trust(key.with_name(f"{key.name}.pub").read_text(), "git")
    host.exec(f"install -d -o git -g git {FOLDER}")
    host.exec(shlex.join(["git", "init", "-q", "--bare", "-b", "main", path]), user="git")
    known_hosts.write_text(f"{host.known_host}\n", encoding="utf-8")
    return GitServer(host, f"ssh://git@{host.address}:{host.port}{path}", known_hosts, key, path)
