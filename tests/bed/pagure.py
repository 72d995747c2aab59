"""A real forge: Pagure in a container, with a person, the daemon's own account, a stranger, and git over HTTP.

It is reached under one address by tests, git and browsers alike. The recipe of its image is the folder beside this
file, which says how it is set up and which users it has.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from testcontainers.core.container import DockerContainer

from tests.bed import engine
from tests.bed.gitserver import Clone, run_git
from tests.bed.hosts import ADDRESS, LABEL, free_ports, owner, wait_until

BOOT_SECONDS = 120

RIGHTS = ("commit", "commit_flag", "issue_assign", "issue_change_status", "issue_comment", "issue_create")
RIGHTS += ("issue_update", "pull_request_close", "pull_request_comment", "pull_request_create", "pull_request_flag")
"""What the daemon's token may do in its project: everything it needs and no merge."""


class PagureSaidNo(AssertionError):
    """A call of a test to Pagure failed; the message is Pagure's own."""


@dataclass
class Pagure:
    """A forge that is up. ``tokens`` are the users' own, by name; a password is `password-of-<name>`."""

    url: str
    container: DockerContainer = field(repr=False)
    tokens: dict[str, str] = field(repr=False)

    def password(self, user: str) -> str:
        """What *user* logs in with on the pages."""
        return f"password-of-{user}"

    def call(self, user: str, method: str, path: str, **fields: Any) -> Any:
        """Call the API as *user*, below `/api/0/`; returns the JSON, raises PagureSaidNo for any error."""
        query = f"?{urllib.parse.urlencode(fields)}" if method == "GET" and fields else ""
        content = urllib.parse.urlencode(fields, doseq=True).encode() if method != "GET" else None
        headers = {"Authorization": f"token {self.tokens[user]}"}
        request = urllib.request.Request(f"{self.url}/api/0/{path}{query}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise PagureSaidNo(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from None

    def project(self, name: str) -> Project:
        """Make an empty project of alice's with `main` as its branch, in which the bot may push."""
        self.call("alice", "POST", "new", name=name, description="A fleet", wait="true", default_branch="main")
        # Only who is an admin makes a token of the project, and no other kind may edit an issue.
        self.call("alice", "POST", f"{name}/git/modifyacls", user_type="user", name="bot", acl="admin")
        end = (datetime.now(UTC) + timedelta(days=300)).date().isoformat()
        made = self.call("bot", "POST", f"{name}/token/new", description="bot", acls=RIGHTS, expiration_date=end)
        self.call("alice", "POST", f"{name}/git/modifyacls", user_type="user", name="bot", acl="commit")
        return Project(self, name, made["token"]["id"])

    @property
    def gateway(self) -> str:
        """The address of this machine as Pagure sees it; a webhook can reach us there."""
        container = self.container.get_wrapped_container()
        # What was known of it when it was created holds no address yet.
        container.reload()
        return str(container.attrs["NetworkSettings"]["Networks"]["bridge"]["Gateway"])

    def log(self) -> str:
        """What Pagure's processes wrote."""
        return self.exec("tail -n 40 /var/lib/pagure/*.log")

    def exec(self, command: str) -> str:
        """Run a shell command in the container as root; returns its output."""
        return engine.run_inside(str(self.container.get_wrapped_container().id), command)[1]

    def remove(self) -> None:
        """Take the container away."""
        self.container.stop()


@dataclass
class Project:
    """One project. ``token`` is the project's own, made by the bot: what the daemon is configured with."""

    forge: Pagure
    name: str
    token: str = field(repr=False)

    @property
    def web(self) -> str:
        """Where people see it."""
        return f"{self.forge.url}/{self.name}"

    def git_url(self, user: str, *, fork: bool = False) -> str:
        """Where *user* clones from and pushes to, with the token in it: the project itself, or the user's fork."""
        token = self.token if user == "bot" else self.forge.tokens[user]
        return self._address(f"{user}:{token}@", f"forks/{user}/" if fork else "")

    @property
    def anonymous_url(self) -> str:
        """Where anybody clones from."""
        return self._address("", "")

    def _address(self, credentials: str, folder: str) -> str:
        scheme, _, host = self.forge.url.partition("://")
        return f"{scheme}://{credentials}{host}/{folder}{self.name}.git"

    def clone(self, into: Path, user: str = "alice", *, fork: bool = False) -> Clone:
        """Clone the project as *user*, or the fork of *user*, with a name to commit under."""
        run_git(self.environment, "clone", "-q", self.git_url(user, fork=fork), str(into))
        clone = Clone(into, self)
        clone.git("config", "user.name", user.title())
        clone.git("config", "user.email", f"{user}@example.org")
        clone.git("symbolic-ref", "HEAD", "refs/heads/main")
        return clone

    @property
    def environment(self) -> dict[str, str]:
        """git with nothing of this machine's settings, and never a question."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return {
            **kept,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }

    def refs(self) -> dict[str, str]:
        """Every ref that anybody sees over HTTP, with its commit."""
        lines = run_git(self.environment, "ls-remote", self.anonymous_url).splitlines()
        return {name: sha for sha, _, name in (line.partition("\t") for line in lines)}

    def fork(self, user: str) -> None:
        """Let *user* make a fork of it."""
        self.forge.call(user, "POST", "fork", repo=self.name, wait="true")

    def propose(self, user: str, title: str, branch: str, *, fork: bool = False, text: str = "Please look.") -> int:
        """Open a pull request of *branch* into main as *user*; returns its number once Pagure shows its head."""
        source = {"repo_from": self.name, "repo_from_username": user} if fork else {}
        path = f"{self.name}/pull-request/new"
        wanted = {"title": title, "branch_from": branch, "branch_to": "main", "initial_comment": text, **source}
        number = int(self.forge.call(user, "POST", path, **wanted)["id"])
        wait_until(lambda: f"refs/pull/{number}/head" in self.refs(), self.forge.log)
        return number

    def shows(self, number: int, sha: str) -> None:
        """Wait until a pull request's head is *sha*, by the API and by git: Pagure takes a moment after a push."""
        path = f"{self.name}/pull-request/{number}"
        wait_until(
            lambda: (
                self.forge.call("alice", "GET", path)["commit_stop"] == sha
                and self.refs().get(f"refs/pull/{number}/head") == sha
            ),
            self.forge.log,
        )

    def merge(self, user: str, number: int) -> None:
        """Merge a pull request as *user*."""
        self.forge.call(user, "POST", f"{self.name}/pull-request/{number}/merge", wait="true")

    def hook(self, url: str) -> str:
        """Let Pagure tell *url* of everything that happens; returns the key that it signs with."""
        self.forge.call("alice", "POST", f"{self.name}/options/update", **{"Web-hooks": url})
        return str(self.forge.call("alice", "GET", f"{self.name}/webhook/token")["webhook"]["token"])


def boot(image: str) -> Pagure:
    """Start a container on a free loopback port and wait until Pagure answers."""
    port = next(free_ports())
    url = f"http://{ADDRESS}:{port}"
    container = DockerContainer(image).with_env("PAGURE_URL", url)
    container = container.with_kwargs(hostname="pagure", labels={LABEL: owner(os.getpid())})
    # testcontainers has no words for the address that a port is bound to; docker-py takes this pair.
    container.ports["5000/tcp"] = (ADDRESS, port)  # type: ignore[assignment]
    forge = Pagure(url, container.start(), {})
    wait_until(lambda: answers(url), forge.log, BOOT_SECONDS)
    lines = forge.exec("cat /var/lib/pagure/tokens").splitlines()
    forge.tokens.update(dict(line.split() for line in lines))
    return forge


def answers(url: str) -> bool:
    """Whether the API is there."""
    try:
        with urllib.request.urlopen(f"{url}/api/0/version", timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False
