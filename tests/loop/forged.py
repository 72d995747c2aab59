"""A bench whose repository lies on a forge: the fake one in memory, over the real client, beside the real git."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from reconciler.cycle import Report, cycle
from reconciler.desk import Desk
from reconciler.ears import Ear
from reconciler.forge import TokenFile, open_forge
from reconciler.markdown import find_marker
from reconciler.world import World
from tests.forge.fake import Clock, FakeForge, Issue, Pull, Said, Status
from tests.forge.fake_forgejo import FakeForgejo
from tests.forge.fake_github import FakeGitHub
from tests.loop.bench import SMALL, Bench, git
from tests.loop.fakehosts import FakeHosts

FAKES: Mapping[str, type[FakeForge]] = {"github": FakeGitHub, "forgejo": FakeForgejo}
DAY = 24 * 3600.0


@dataclass(eq=False)
class Forged:
    """A bench and its forge. What people do with pull requests is done in git and on the forge alike.

    One world stays open over its cycles, as in a daemon, until ``stop``; with ``restarts`` each cycle is that of a
    daemon that has just started. ``alone``: the daemon knows of no forge at all.
    """

    bench: Bench
    fake: FakeForge
    restarts: bool = False
    ears: tuple[Ear, ...] = ()
    alone: bool = False
    hosts: FakeHosts = field(init=False)
    running: ClassVar[set[Forged]] = set()
    """Those whose daemon runs."""
    _running: ExitStack | None = None
    _world: World | None = None

    def __post_init__(self) -> None:
        self.hosts = self.bench.hosts

    @classmethod
    def on(cls, bench: Bench, kind: str = "github", *, restarts: bool = False, **settings: object) -> Forged:
        """The bench with a forge that knows nobody yet."""
        forged = cls(bench, FAKES[kind](Clock()), restarts)
        forged.configure(**settings)
        return forged

    def configure(self, **settings: object) -> None:
        """Write the configuration; *settings* are those of the forge."""
        token = self.bench.folder / "token"
        token.write_text(self.fake.token)
        token.chmod(0o600)
        kind, url, repository = self.fake.address
        self.bench.configure(
            forge={"kind": kind, "url": url, "repository": repository, "token": str(token), **settings}
        )

    # The daemon.

    @property
    def world(self) -> World:
        """The world of the daemon that runs; a daemon starts where none does."""
        if self._world is None:
            self._running = ExitStack()
            Forged.running.add(self)
            self._world = self._running.enter_context(self.opened())
        return self._world

    @contextmanager
    def opened(self) -> Iterator[World]:
        """The real world with fake hosts, speaking with the fake forge over the real client."""
        token = TokenFile(self.bench.folder / "token")
        forge_opened = open_forge(*self.fake.address, token, **self.fake.wiring)
        with self.bench.world(self.hosts) as world, forge_opened as forge:
            world.desk = Desk("main", None if self.alone else forge, self.ears)
            world.clock, world.monotonic = self.fake.clock.now, self.fake.clock.monotonic
            yield world

    def stop(self) -> None:
        """The daemon ends."""
        running, self._running, self._world = self._running, None, None
        if running:
            Forged.running.remove(self)
            running.close()

    def cycle(self, *, sweep: bool = True, after: float = 60.0) -> Report:
        """One cycle; *after* so many seconds the next may begin."""
        report = cycle(self.world, sweep=sweep)
        if self.restarts:
            self.stop()
        self.show_branches()
        self.fake.clock.sleep(after)
        self.fake.check()
        return report

    def poll(self) -> Report:
        """A cycle that was not woken to look at the hosts."""
        return self.cycle(sweep=False)

    def cycles(self, number: int) -> None:
        """Some cycles, one after another."""
        for _ in range(number):
            self.cycle()

    # People.

    def propose(
        self, files: Mapping[str, str | None], *, branch: str = "topic", author: str = "alice", fork: str | None = ""
    ) -> int:
        """A pull request of somebody, on top of main."""
        head = self.commit_aside(files, branch)
        number = self.fake.add_pull_request(branch, head, author=author, fork=fork).number
        self.push_head(number, head, branch if fork == "" else None)
        return number

    def push_again(self, number: int, files: Mapping[str, str | None], branch: str = "topic") -> str:
        """A second commit on a pull request's branch."""
        git("checkout", "-q", branch, at=self.bench.clone)
        head = self.commit_aside(files, branch, keep=True)
        self.fake.push(number, head)
        self.push_head(number, head, branch)
        return head

    def commit_aside(self, files: Mapping[str, str | None], branch: str, *, keep: bool = False) -> str:
        """A commit on a branch of the clone; the clone is on main afterwards."""
        clone = self.bench.clone
        git("checkout", "-q", *([] if keep else ["-B"]), branch, *([] if keep else ["main"]), at=clone)
        for name, text in files.items():
            path = clone / "desired-state" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if text is None else path.write_text(text)
        git("add", "-A", at=clone)
        git("commit", "-q", "--allow-empty", "-m", f"a change on {branch}", at=clone)
        head = self.bench.head()
        git("checkout", "-q", "main", at=clone)
        return head

    def push_head(self, number: int, head: str, branch: str | None) -> None:
        """What the forge keeps in its repository: the pull request's ref, and the branch where it is no fork's."""
        git("push", "-q", "-f", self.bench.remote, f"{head}:refs/pull/{number}/head", at=self.bench.clone)
        if branch:
            git("push", "-q", "-f", self.bench.remote, f"{head}:refs/heads/{branch}", at=self.bench.clone)

    def merge(self, number: int) -> str:
        """Merge a pull request as the forge does."""
        merged = self.merge_ref(f"refs/pull/{number}/head", f"Merge pull request #{number}")
        self.fake.merge(number, merged)
        return merged

    def merge_ref(self, ref: str, words: str = "Merge") -> str:
        """Merge something of the remote into its main branch."""
        clone = self.bench.clone
        git("fetch", "-q", self.bench.remote, f"+{ref}:refs/merging", at=clone)
        git("merge", "-q", "--no-ff", "-m", words, "refs/merging", at=clone)
        git("push", "-q", self.bench.remote, "HEAD:main", at=clone)
        return self.bench.head()

    def push_to(self, branch: str, files: Mapping[str, str]) -> str:
        """A person adds a commit to a branch of the remote."""
        clone = self.bench.clone
        git("fetch", "-q", self.bench.remote, f"+refs/heads/{branch}:refs/heads/{branch}", at=clone)
        git("checkout", "-q", branch, at=clone)
        head = self.commit_aside(files, branch, keep=True)
        git("push", "-q", self.bench.remote, f"{head}:refs/heads/{branch}", at=clone)
        self.show_branches()
        return head

    def show_branches(self) -> None:
        """What a forge does after each push: pull requests show the tips of their branches, and keep them."""
        tips = self.branches()
        for pull in self.fake.pulls.values():
            if pull.state == "open" and pull.fork == "" and pull.branch in tips:
                pull.head = tips[pull.branch]
                git("update-ref", f"refs/pull/{pull.number}/head", pull.head, at=self.bench.remote)

    # What there is to see.

    def branches(self) -> dict[str, str]:
        """Branch → tip, of the remote."""
        lines = git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads", at=self.bench.remote)
        return dict(line.split(" ") for line in lines.splitlines())

    def comments(self, number: int) -> list[Said]:
        """Our own comments on a pull request or ticket."""
        return [said for said in self.fake.comments if said.number == number and said.author == self.fake.login]

    def comment(self, number: int) -> str:
        """The body of the only comment of ours there."""
        (said,) = self.comments(number)
        return said.body

    def told(self, sha: str, context: str = "converge") -> list[tuple[str, str]]:
        """How one commit stood, one time after another."""
        return [(one.state, one.description) for one in self.statuses(sha, context)]

    def statuses(self, sha: str, context: str = "converge") -> list[Status]:
        """Every status that was set on one commit, oldest first."""
        return [one for one in self.fake.statuses if (one.sha, one.context) == (sha, f"reconciler/{context}")]

    @property
    def tickets(self) -> list[Issue]:
        """Our own tickets, oldest first; what says so is the marker."""
        mine = [issue for issue in self.fake.issues.values() if issue.author == self.fake.login]
        assert all((find_marker(issue.body) or ("",))[0] == "ticket" for issue in mine)
        return mine

    @property
    def ticket(self) -> Issue:
        """The only one."""
        (ticket,) = self.tickets
        return ticket

    @property
    def adoption(self) -> Pull:
        """The only pull request of ours."""
        (pull,) = [pull for pull in self.fake.pulls.values() if pull.author == self.fake.login]
        return pull

    def notes(self, number: int) -> list[str]:
        """What we said below a ticket, without the marker."""
        return [said.body.partition("\n\n")[2] for said in self.comments(number)]

    def on_disk(self) -> dict[str, tuple[int, int]]:
        """Every file of the state directory, when it was written and how long it is."""
        found = [path for path in self.bench.state_dir.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}

    def lose_state(self) -> None:
        """Somebody deletes the state directory."""
        self.stop()
        shutil.rmtree(self.bench.state_dir)

    def sleep(self, **time: float) -> None:
        """Let time go by."""
        self.fake.clock.sleep(timedelta(**time).total_seconds())


def settle(folder: Path, mode: str) -> Bench:
    """A bench whose hosts are as declared; no forge has been heard of, and from now on *mode* is in force."""
    bench = Bench(folder).build()
    bench.cycle()
    if mode != "enforce":
        bench.push({**SMALL, "reconciler.yml": f"mode: {mode}\n"})
        bench.cycle()
    return bench
