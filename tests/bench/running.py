"""The real daemon as it runs for its users: the command in a process of its own, a git server over SSH, real hosts.

Called by the parts that measure how soon something happens. When an audit commit came is seen on the refs themselves,
in the daemon's clone and on the server; what it tells is read with git.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bed import gitserver, hosts, image
from tests.bed.gitserver import Clone
from tests.bench.fleet import Fleet
from tests.bench.ground import run, write_config
from tests.bench.measure import ROOT, BenchFailed
from tests.bench.witness import Witness, witness_on

BRANCH = "refs/heads/audit/main"
LATEST = 60.0
"""Seconds in which everything happens that is measured; else the part fails."""
FIRST = 600.0
"""Seconds for the first convergence, which installs and enables things on every host at once."""
END_SECONDS = 60
TRAILERS = ("Outcome", "Host", "Desired-Revision")


@dataclass(frozen=True, slots=True)
class Story:
    """One audit commit; ``text`` is its whole message."""

    sha: str
    outcome: str
    hosts: frozenset[str]
    revision: str
    text: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """When audit commits were there, in seconds of the clock, and what they tell."""

    in_clone: float
    on_server: float
    stories: tuple[Story, ...]


@dataclass(slots=True)
class Record:
    """The audit branch as it grows: ``seen`` is the last commit of it that was read. No sight is looked at twice."""

    clone: Path
    local: Witness
    server: Witness
    seen: str = ""
    looked: int = 0
    looked_locally: int = 0

    def await_stories(self, enough: Callable[[list[Story]], bool], what: str, seconds: float = LATEST) -> Recorded:
        """Wait until the stories that are new on the server are *enough*; raises BenchFailed where they never are."""
        stories: list[Story] = []

        def arrived() -> float | None:
            while self.looked < len(self.server.sights):
                sight = self.server.sights[self.looked]
                self.looked += 1
                if sight.text and sight.text != self.seen:
                    stories.extend(self.stories(self.seen, sight.text))
                    self.seen = sight.text
                    if enough(stories):
                        return sight.at
            return None

        at = self.server.await_sight(arrived, seconds, what)
        return Recorded(self.came(self.seen), at, tuple(stories))

    def await_converged(
        self, names: frozenset[str], what: str, seconds: float = LATEST, revision: str = ""
    ) -> Recorded:
        """Wait until it is recorded that all these hosts were converged, to one *revision* where it is given."""

        def enough(stories: list[Story]) -> bool:
            ours = [story for story in stories if story.outcome == "converged" and revision in ("", story.revision)]
            return names <= {host for story in ours for host in story.hosts}

        return self.await_stories(enough, what, seconds)

    def came(self, sha: str) -> float:
        """When a commit that is on the server was first in the daemon's clone."""

        def there() -> float | None:
            for at, sight in enumerate(self.local.sights[self.looked_locally :], self.looked_locally):
                if sight.text == sha or (sight.text and sha in self.history(sight.text)):
                    self.looked_locally = at
                    return sight.at
            return None

        return self.local.await_sight(there, LATEST, f"{sha} in the clone")

    def history(self, sha: str) -> list[str]:
        """The last commits up to one."""
        return run("git", "-C", str(self.clone), "rev-list", "-50", sha).split()

    def stories(self, since: str, until: str) -> list[Story]:
        """The stories after one commit, up to another, oldest first."""
        trailers = "%x00".join(f"%(trailers:key={name},valueonly,separator=%x2C)" for name in TRAILERS)
        span = f"{since}..{until}" if since else until
        text = run("git", "-C", str(self.clone), "log", "--reverse", f"--format=%H%x00{trailers}%x00%B%x01", span)
        entries = (entry.strip("\n").split("\0", 4) for entry in text.split("\x01"))
        return [
            Story(sha, outcome, frozenset(names.split(",")), revision, words)
            for sha, outcome, names, revision, words in (entry for entry in entries if len(entry) == 5)
        ]


@dataclass(slots=True)
class Site:
    """A fleet, its git server, a person's clone, and the configuration of the daemon."""

    folder: Path
    fleet: Fleet
    desk: Clone
    config: Path

    @property
    def log(self) -> str:
        """The last words of the daemon."""
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def push(self, message: str, files: Mapping[str, str]) -> str:
        """Commit files below ``desired-state/`` and push them; the commit."""
        return self.desk.save(message, {f"desired-state/{name}": content for name, content in files.items()})

    @contextmanager
    def daemon(self, trace: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """The command ``reconciler run``, until the block ends; *trace* is where its phases are written."""
        module = ["reconciler.cli"] if trace is None else ["tests.bench.phases", str(trace)]
        command = [sys.executable, "-m", *module, "-c", str(self.config), "run"]
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)
        try:
            yield process
        except BenchFailed as failure:
            state = "runs" if process.poll() is None else f"ended with {process.returncode}"
            raise BenchFailed(f"{failure}; the daemon {state}:\n{self.log}") from failure
        finally:
            end(process)

    @contextmanager
    def record(self) -> Iterator[Record]:
        """What the daemon writes down, from now on."""
        clone, server = self.folder / "state/repo.git", self.desk.server
        seen = run("git", "-C", str(clone), "for-each-ref", "--format=%(objectname)", BRANCH) if clone.exists() else ""
        local = Witness([str(clone / BRANCH)])
        with closing(local), closing(witness_on(server.host, [f"{server.path}/{BRANCH}"])) as remote:
            yield Record(clone, local, remote, seen)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the daemon as systemd does."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise BenchFailed(f"the daemon did not end within {END_SECONDS} s of SIGTERM") from None


@contextmanager
def opened(folder: Path, fleet: Fleet, files: Mapping[str, str]) -> Iterator[Site]:
    """A site whose repository holds *files* below ``desired-state/``; the git server goes at the end."""
    [host] = hosts.boot(image.ensure(), ["git"])
    try:
        server = gitserver.serve(host, fleet.key, folder / "git_known_hosts")
        desk = server.clone(folder / "desk")
        repository = {"url": server.url, "ssh_key": str(server.key), "known_hosts": str(server.known_hosts)}
        ssh = {"key": str(fleet.key), "known_hosts": str(fleet.known_hosts)}
        pace = {"interval": "60s", "sweep_interval": "10m"}
        config = write_config(folder, desk.path, repository=repository, ssh=ssh, **pace)
        site = Site(folder, fleet, desk, config)
        site.push("the desired state of the bench", files)
        yield site
    finally:
        host.remove()
