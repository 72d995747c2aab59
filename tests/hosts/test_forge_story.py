"""The story of a change and of a drift as people live it on a real forge, with the real daemon and real hosts.

The forge is Pagure, with its own git over HTTP and its own webhooks. What is believed is what the forge says to a
person, by its API and on its pages, and what git and the hosts say; nothing here looks inside the daemon.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.bed.gitserver import Clone, run_git
from tests.bed.hosts import Host, free_ports, inventory_yaml
from tests.bed.pagure import Pagure, Project
from tests.hosts.browser import Page, look
from tests.hosts.world import Story, World, until

EVIDENCE = "RECONCILER_EVIDENCE"
"""The variable that names a folder for the pictures and the logs, to be looked at after a run."""

MARKUP = ("<!--", "-->", "<details", "<summary", "<code>", "```", "**", "&#x", "|--")
"""What is on no page that is shown as it was meant."""

LIMITS, MOTD = "/etc/nginx/conf.d/limits.conf", "/etc/motd"
WELCOME, SUNDAY = "Welcome.\nBe careful.\n", "Down on Sunday.\n"

WEB = f"""# The web tier. Ask ops before you touch it.
- name: web tier
  hosts: web
  copy:
    - dest: {LIMITS}
      content: "client_max_body_size 10m;"  # uploads are small
      mode: "0644"
      notify: reload nginx
  service:
    - name: nginx
      state: started
"""
LOGIN = f"""- name: what people read when they log in
  hosts: web1
  mode: enforce

  copy:
    - dest: {MOTD}
      content: |  # keep it short
        Welcome.
        Be careful.
      mode: "0644"  # for everybody
"""


@dataclass
class ForgedWorld(World):
    """A world whose repository is a project on a forge: alice's clone is the desk, the daemon is the bot."""

    project: Project = field(kw_only=True)

    def configure(self, **more: Any) -> Path:
        """Write the configuration: git over HTTP, the forge, and a door that its webhooks find."""
        forge, port = self.project.forge, next(free_ports())
        key = self.project.hook(f"http://{forge.gateway}:{port}/hook")
        config = super().configure(
            **more,
            interval="15s",  # webhooks wake it; a forge in a container has better things to do than to be asked
            sweep_interval="5s",
            forge={
                "kind": "pagure",
                "url": forge.url,
                "repository": self.project.name,
                "token": str(self.secret("token", self.project.token)),
                "password": str(self.secret("password", forge.password("bot"))),
            },
            web={"listen": f"{forge.gateway}:{port}", "webhook_secret": str(self.secret("hook", key))},
        )
        config.chmod(0o600)
        return config

    def repository(self) -> dict[str, str]:
        """How the daemon reaches the repository: over HTTP, with its token as the password."""
        return {"url": self.project.git_url("bot")}

    def secret(self, name: str, value: str) -> Path:
        """A file that only its owner reads."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(f"{value}\n")
        return path

    def audit(self) -> Callable[..., str]:
        """git in a clone that anybody could make, brought up to date just now; our key is the one allowed signer."""
        path, environment = self.folder / "reader.git", self.project.environment
        if not path.exists():
            run_git(environment, "clone", "-q", "--bare", self.project.anonymous_url, str(path))
        reader = Clone(path, self.desk.server)
        reader.git("fetch", "-q", "--prune", "origin", "+refs/heads/*:refs/heads/*")
        return lambda *arguments: reader.git("-c", f"gpg.ssh.allowedSignersFile={self.folder / 'allowed'}", *arguments)

    # What the forge says to a person.

    def api(self, path: str, **query: Any) -> Any:
        """An answer of the forge's API about the project, as alice gets it."""
        return self.project.forge.call("alice", "GET", f"{self.project.name}/{path}", **query)

    def pull(self, number: int) -> dict[str, Any]:
        """One pull request."""
        return self.api(f"pull-request/{number}")  # type: ignore[no-any-return]

    def plans(self, number: int) -> list[dict[str, Any]]:
        """The comments on a pull request that the bot wrote."""
        return [c for c in self.pull(number)["comments"] if c["user"]["name"] == "bot" and not c["notification"]]

    def flags(self, sha: str) -> dict[str, tuple[str, str]]:
        """Context to standing and words, for a commit; none is there twice."""
        flags = self.api(f"c/{sha}/flag")["flags"]
        found = {flag["username"]: (flag["status"], flag["comment"]) for flag in flags}
        assert len(found) == len(flags), flags
        return found

    def issues(self) -> list[dict[str, Any]]:
        """Every issue, closed ones too."""
        return self.api("issues", status="all")["issues"]  # type: ignore[no-any-return]

    def waits(self, happens: Callable[[], bool]) -> None:
        """Wait for what the daemon does by itself. The forge is asked once a second, so that it has time for others."""

        def now() -> bool:
            time.sleep(1)
            return happens()

        until(now, lambda: f"{self.log[-4000:]}\n{self.issues()}")

    def notes(self, number: int) -> list[str]:
        """What the bot said below an issue."""
        comments = self.api(f"issue/{number}")["comments"]
        return [c["comment"] for c in comments if c["user"]["name"] == "bot" and not c["notification"]]

    def told_of(self, revision: str) -> list[Story]:
        """The stories of hosts that name a revision; that one was accepted is no story of a host."""
        return [
            story for story in self.all_stories() if story.one("Desired-Revision") == revision and story.all("Host")
        ]

    def evidence_of(self, revision: str) -> Story:
        """The story that says who approved a revision: that of its hosts, or a later one where git was told first."""

        def told() -> list[Story]:
            return [
                story
                for story in self.all_stories()
                if story.one("Desired-Revision") == revision and story.all("Change")
            ]

        self.waits(lambda: bool(told()))
        return told()[0]


@dataclass
class Album:
    """Pictures of the forge's pages, in the order in which they were taken."""

    folder: Path
    taken: list[Path] = field(default_factory=list)

    def look(self, name: str, url: str, *expected: str) -> Page:
        """Take a picture of a page that has to say all of this, and nothing of how it was written."""
        path = self.folder / f"{len(self.taken) + 1}-{name}.png"
        page = look(url, path)
        self.taken.append(path)
        missing = [one for one in expected if one not in page.words]
        assert not missing, f"{name} does not say {missing}:\n{page.words}"
        leaked = [sign for sign in MARKUP if sign in page.words]
        assert not leaked, f"{name} shows {leaked}:\n{page.words}"
        assert not re.search(r"reconciler:(plan|ticket|note)", page.words)
        return page


@pytest.fixture
def album(tmp_path: Path) -> Album:
    folder = tmp_path / "pages"
    folder.mkdir()
    return Album(folder)


@pytest.fixture
def world(
    pagure: Pagure, fleet: Callable[[int], list[Host]], ssh_key: Path, tmp_path: Path, album: Album
) -> Iterator[ForgedWorld]:
    """A project of alice's, two hosts, and the daemon's configuration."""
    hosts = fleet(2)
    before = [(host, host.read(MOTD)) for host in hosts]
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("".join(f"{host.known_host}\n" for host in hosts))
    project = pagure.project("story")
    # Every pull request gets a merge commit, as most forges do it, though it could be a fast-forward.
    pagure.call("alice", "POST", "story/options/update", always_merge="True")
    world = ForgedWorld(tmp_path, project.clone(tmp_path / "desk"), hosts, ssh_key, known_hosts, project=project)
    yield world
    keep(world, album)
    for host, text in before:
        host.write(MOTD, text)
        host.exec(f"rm -f {LIMITS}; systemctl reload nginx")


def keep(world: ForgedWorld, album: Album) -> None:
    """Leave what was seen where somebody asked for it, whether the story ended well or not."""
    if not os.environ.get(EVIDENCE):
        return
    folder = Path(os.environ[EVIDENCE])
    folder.mkdir(parents=True, exist_ok=True)
    for picture in album.taken:
        shutil.copy(picture, folder)
    git = world.audit()
    for branch in git("for-each-ref", "--format=%(refname:short)", "refs/heads").split():
        (folder / f"log-of-{branch.replace('/', '-')}.txt").write_text(git("log", "--stat", branch) + "\n")
    if (world.folder / "daemon.log").exists():
        shutil.copy(world.folder / "daemon.log", folder)


@pytest.mark.timeout(600)
def test_a_change_and_a_drift_from_the_pull_request_to_the_clean_plan(world: ForgedWorld, album: Album) -> None:
    begin(world)
    with world.daemon() as daemon:
        change(world, album)
        drift(world, album)
        assert world.stop(daemon) == 0
    assert "Traceback" not in world.log
    assert world.project.token not in world.log


def begin(world: ForgedWorld) -> None:
    """Alice pushes the first state."""
    tree = {"inventory/hosts.yml": inventory_yaml(world.hosts), "reconciler.yml": "mode: enforce\n"}
    files = {**tree, "web.yml": WEB, "login.yml": LOGIN}
    world.desk.save("The fleet as it is to be", {f"desired-state/{name}": text for name, text in files.items()})
    _ = world.config


def change(world: ForgedWorld, album: Album) -> None:
    """A person proposes a change, pushes again, and merges it; the hosts follow, and everybody can see it."""
    project, desk = world.project, world.desk
    first = desk.git("rev-parse", "HEAD")
    world.waits(lambda: world.flags(first).get("reconciler/converge", ("",))[0] == "success")
    assert [host.read(LIMITS) for host in world.hosts] == ["client_max_body_size 10m;"] * 2
    assert {story.one("Change") for story in world.told_of(first)} == {"none; pushed without a pull request"}

    desk.git("checkout", "-q", "-b", "uploads")
    desk.write("desired-state/web.yml", WEB.replace("10m", "50m"))
    head = desk.commit("Allow larger uploads")
    desk.push(branch="uploads")
    number = project.propose("alice", "Allow larger uploads", "uploads", text="Customers ask for it.")
    world.waits(lambda: "reconciler/plan" in world.flags(head) and bool(world.plans(number)))
    assert world.flags(head)["reconciler/plan"] == ("success", "changes 2 of 2 hosts")
    [said] = world.plans(number)
    assert "**Changes 2 of 2 hosts**: 2 files, 2 reloads of `nginx`." in said["comment"]
    assert "login.yml" not in said["comment"]

    desk.write("desired-state/login.yml", LOGIN.replace("mode: enforce", "mode: observe"))
    second = desk.commit("Let ops write the greeting by hand")
    desk.push(branch="uploads")
    world.waits(lambda: second[:7] in world.plans(number)[0]["comment"] and "reconciler/plan" in world.flags(second))
    [edited] = world.plans(number)
    assert edited["id"] == said["id"]
    assert "client_max_body_size 50m;" in edited["comment"]
    album.look("the-plan", project.web + f"/pull-request/{number}", "Changes 2 of 2 hosts", "client_max_body_size 50m;")
    album.look("the-head", f"{project.web}/c/{second}", "reconciler/plan", "success", "changes 2 of 2 hosts")
    assert [host.read(LIMITS) for host in world.hosts] == ["client_max_body_size 10m;"] * 2

    lint = {"username": "lint", "comment": "Fine", "url": "https://example.org/1", "status": "success"}
    project.forge.call("alice", "POST", f"{project.name}/c/{second}/flag", **lint)
    vote = f"{project.name}/pull-request/{number}/comment"
    project.forge.call("mallory", "POST", vote, comment="Read it all, +1")
    project.merge("alice", number)
    merged = project.refs()["refs/heads/main"]
    assert merged not in (first, second)
    world.waits(lambda: world.flags(merged).get("reconciler/converge", ("",))[0] == "success")
    assert world.flags(merged)["reconciler/converge"] == ("success", "2 hosts as declared")
    assert [host.read(LIMITS) for host in world.hosts] == ["client_max_body_size 50m;"] * 2
    [story] = world.told_of(merged)
    assert story.told == ("converged", ["web1", "web2"])
    evidence = world.evidence_of(merged)
    assert evidence.one("Change") == f"#{number}"
    assert evidence.one("Change-Author") == "alice"
    assert re.fullmatch(r"mallory \(review \d+\)", evidence.one("Approved-By"))
    assert evidence.all("Rejected-By") == []
    assert evidence.one("Checks") == "lint=success"
    album.look("the-merge", f"{project.web}/c/{merged}", "reconciler/converge", "success", "2 hosts as declared")
    assert "in-sync" in world.run("status").stdout
    assert world.issues() == []


def drift(world: ForgedWorld, album: Album) -> None:
    """A person edits a file by hand where the daemon only looks; an issue asks, and a merge says: keep it."""
    project, [web1, _] = world.project, world.hosts
    web1.exec(f"echo '{SUNDAY.strip()}' >>{MOTD}")
    as_it_is = web1.exec(f"cat {MOTD}; stat -c '%i %y %z' {MOTD}")
    world.waits(lambda: any("/pull-request/" in issue["content"] for issue in world.issues()))
    [issue] = world.issues()
    assert (issue["status"], issue["user"]["name"]) == ("Open", "bot")
    assert f"copy[{MOTD}]" in issue["title"]
    [found] = re.findall(r"merge \[#(\d+)\]", issue["content"])
    adoption = int(found)
    world.waits(lambda: len(world.plans(adoption)) == 1)

    shown = world.pull(adoption)
    assert (shown["user"]["name"], shown["status"], shown["branch"]) == ("bot", "Open", "main")
    [plan] = world.plans(adoption)
    assert "**Changes nothing.**" in plan["comment"]
    issue_page = f"{project.web}/issue/{issue['id']}"
    album.look("the-issue", issue_page, f"copy[{MOTD}] is not as declared on web1", "Keep it", f"#{adoption}")
    album.look("the-adoption", f"{project.web}/pull-request/{adoption}", "Changes nothing", "login.yml")

    project.merge("alice", adoption)
    merged = project.refs()["refs/heads/main"]
    world.waits(lambda: world.issues()[0]["status"] == "Closed")
    [closed] = world.issues()
    assert closed["closed_by"]["name"] == "bot"
    assert closed["id"] == issue["id"]
    world.waits(lambda: world.flags(merged).get("reconciler/converge", ("",))[0] == "success")
    world.waits(lambda: bool(world.notes(issue["id"])))
    [note] = world.notes(issue["id"])
    assert "Clean again: `web1`." in note
    album.look("the-end", issue_page, "Closed", "Clean again: web1")
    git = world.audit()
    assert git("show", "main:desired-state/login.yml") + "\n" == LOGIN.replace("enforce", "observe").replace(
        "        Be careful.\n", "        Be careful.\n        Down on Sunday.\n"
    )
    assert {host["state"] for host in world.plan().values()} == {"in-sync"}
    assert web1.exec(f"cat {MOTD}; stat -c '%i %y %z' {MOTD}") == as_it_is
    [story] = world.told_of(merged)
    assert (story.told, story.counts) == (("converged", ["web1"]), {"Ahead": 1})
    evidence = world.evidence_of(merged)
    assert (evidence.one("Change"), evidence.one("Change-Author")) == (f"#{adoption}", "bot")
    world.waits(lambda: not [ref for ref in project.refs() if ref.startswith("refs/heads/reconciler/")])
