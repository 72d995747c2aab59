"""One fleet as a person and its daemon see it: a repository, a configuration, and the real command.

Nothing here looks inside the program. What it did is read where it is true: on the hosts through
`Host.exec`, and on the audit branch with git, in a clone of the server that the daemon never saw.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.bed.gitserver import Clone, GitServer
from tests.bed.hosts import Host, inventory_yaml, wait_until

Play = dict[str, Any]
Difference = tuple[str, str, str, str]
"""Host, resource, attribute and verdict of one change in a plan."""

PATIENCE = 60
"""Seconds in which a daemon that is told to stop has stopped."""

LONG = 180
"""Seconds after which a test gives up waiting for what the daemon does by itself."""


def play(hosts: str, **kinds: Any) -> Play:
    """One manifest for a pattern of hosts."""
    return {"name": f"for {hosts}", "hosts": hosts, **kinds}


@dataclass(frozen=True)
class Story:
    """One audit commit, as git tells it."""

    sha: str
    subject: str
    body: str
    trailers: tuple[tuple[str, str], ...]
    files: tuple[str, ...]

    def all(self, name: str) -> list[str]:
        """Every value of a trailer."""
        return [value for key, value in self.trailers if key == name]

    def one(self, name: str) -> str:
        """The value of a trailer that is there exactly once."""
        [value] = self.all(name)
        return value

    @property
    def told(self) -> tuple[str, list[str]]:
        """How it ended, and for whom."""
        return self.one("Outcome"), self.all("Host")

    @property
    def counts(self) -> dict[str, int]:
        """The verdicts that it counts, those at zero left out."""
        numbers = {name: int(self.one(name)) for name in ("Pending", "Drift", "Conflict", "Ahead")}
        return {name: number for name, number in numbers.items() if number}


@dataclass
class World:
    """One state directory on one repository and some hosts; `told` counts the stories that were read so far."""

    folder: Path
    desk: Clone
    hosts: list[Host]
    key: Path
    known_hosts: Path
    python: str = sys.executable
    told: int = 0

    @property
    def server(self) -> GitServer:
        """The git server."""
        return self.desk.server

    @cached_property
    def config(self) -> Path:
        """The configuration of the daemon, written when it is first asked for."""
        return self.configure()

    def configure(self, **more: Any) -> Path:
        """Write the configuration with these keys added, and make a key to sign with."""
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "reconciler", "-f", str(self.folder / "signing_key")],
            check=True,
        )
        (self.folder / "allowed").write_text("* " + (self.folder / "signing_key.pub").read_text())
        settings = {
            "repository": self.repository(),
            "state_dir": str(self.folder / "state"),
            "ssh": {"key": str(self.key), "known_hosts": str(self.known_hosts)},
            "signing_key": str(self.folder / "signing_key"),
            "timeouts": {"connect": "5s"},
        }
        config = self.folder / "reconciler.yml"
        config.write_text(yaml.safe_dump(settings | more))
        return config

    def repository(self) -> dict[str, str]:
        """How the daemon reaches the repository."""
        server = self.server
        return {"url": server.url, "ssh_key": str(server.key), "known_hosts": str(server.known_hosts)}

    # What a person does.

    def declare(self, message: str, *plays: Play, mode: str = "enforce", **files: str) -> str:
        """Push these manifests with the hosts, the fleet's mode and further *files*, where `__` may stand for a slash.

        Returns the commit.
        """
        tree = {
            "desired-state/inventory/hosts.yml": inventory_yaml(self.hosts),
            "desired-state/reconciler.yml": f"mode: {mode}\n",
            "desired-state/site.yml": yaml.safe_dump(list(plays), sort_keys=False),
            **{f"desired-state/{name.replace('__', '/')}": text for name, text in files.items()},
        }
        return self.desk.save(message, tree)

    # What the command does.

    def command(self, *arguments: str) -> list[str]:
        """The command line of the real program."""
        return [self.python, "-m", "reconciler.cli", "-c", str(self.config), *arguments]

    def run(self, *arguments: str, seconds: int = 240) -> subprocess.CompletedProcess[str]:
        """Run the program to its end; whatever happens, it never shows a traceback."""
        done = subprocess.run(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        print(f"\n$ reconciler {' '.join(arguments)}\n{done.stdout}{done.stderr}")  # seen where a test fails
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done

    def once(self, expect: int = 0) -> list[Story]:
        """Run one cycle that ends with this exit code; returns the stories it told."""
        done = self.run("once")
        assert done.returncode == expect, f"once ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return self.stories()

    def plan(self) -> dict[str, Any]:
        """The plan of this moment: host to what it says of it. The exit code has to fit."""
        done = self.run("plan", "-o", "json")
        assert done.returncode in (0, 1), f"plan ended with {done.returncode}\n{done.stdout}{done.stderr}"
        hosts = {host["host"]: host for host in json.loads(done.stdout)["hosts"]}
        assert done.returncode == any(host["state"] != "in-sync" for host in hosts.values())
        return hosts

    def differences(self) -> set[Difference]:
        """Everything that the plan of this moment says differs; no host may be blind."""
        plan = self.plan()
        assert {name: host for name, host in plan.items() if host["state"] == "blind"} == {}
        return {
            (name, change["resource"], change["attribute"], change["verdict"])
            for name, host in plan.items()
            for change in host["changes"]
        }

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon, as systemd runs it. What of it is left at the end is killed."""
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(self.command("run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def stop(self, daemon: subprocess.Popen[bytes]) -> int:
        """Send SIGTERM and wait for the end; returns the exit code."""
        daemon.send_signal(signal.SIGTERM)
        return daemon.wait(PATIENCE)

    @property
    def log(self) -> str:
        """What the daemon printed."""
        return (self.folder / "daemon.log").read_text()

    def launches_left(self) -> list[str]:
        """The command lines of this daemon's Ansible processes that are alive; masters of connections are none."""
        mark = f"{self.folder}/state/run".encode()
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                title, environment = read_bytes(process / "cmdline"), read_bytes(process / "environ")
                if b"RECONCILER_RUN=" in environment and mark in environment and b"[mux]" not in title:
                    found.append(title.replace(b"\0", b" ").decode(errors="replace"))
        return found

    # What git says.

    def stories(self) -> list[Story]:
        """The stories told since the last call, oldest first; each is signed, and numbered without a gap."""
        known = self.all_stories()
        assert [int(story.one("Seq")) for story in known] == list(range(1, len(known) + 1))
        keys = [story.one("Event-Id") for story in known]
        assert len(set(keys)) == len(keys)
        new, self.told = known[self.told :], len(known)
        return new

    def all_stories(self) -> list[Story]:
        """Every commit of the audit branch, oldest first."""
        git = self.audit()
        if not git("for-each-ref", "refs/heads/audit/main"):
            return []
        shape = "%x01%H%x02%G?%x02%s%x02%B%x02%(trailers:only,unfold)%x02"
        text = git("log", "--reverse", "--name-only", f"--format={shape}", "audit/main")
        return [story_of(entry) for entry in text.split("\x01")[1:]]

    def record(self, host: str) -> dict[str, Any]:
        """`hosts/<host>.yml` of the audit branch."""
        return yaml.safe_load(self.audit()("show", f"audit/main:hosts/{host}.yml"))  # type: ignore[no-any-return]

    def audit(self) -> Callable[..., str]:
        """git in a clone of the server, brought up to date just now; our key is the one allowed signer."""
        path = self.folder / "reader.git"
        if not path.exists():
            self.server.clone(path, "--bare")
        clone = Clone(path, self.server)
        clone.git("fetch", "-q", "--prune", "origin", "+refs/heads/*:refs/heads/*")
        return lambda *arguments: clone.git("-c", f"gpg.ssh.allowedSignersFile={self.folder / 'allowed'}", *arguments)


def story_of(entry: str) -> Story:
    """One entry of the log; a commit that nobody signed is a failure."""
    sha, signed, subject, body, trailers, files = entry.split("\x02")
    assert signed == "G", f"{sha} {subject}: %G? is {signed}"
    pairs = tuple((name, value) for name, _, value in (line.partition(": ") for line in trailers.strip().splitlines()))
    return Story(sha, subject, body, pairs, tuple(files.split()))


def read_bytes(path: Path) -> bytes:
    """A file of /proc, empty where the process has gone or is another user's."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def make(folder: Path, server: GitServer, hosts: list[Host], key: Path) -> World:
    """A world of its own for one test, on hosts that others use too."""
    known_hosts = folder / "known_hosts"
    known_hosts.write_text("".join(f"{host.known_host}\n" for host in hosts))
    return World(folder, server.clone(folder / "desk"), hosts, key, known_hosts)


def verdicts(differences: Iterable[Difference]) -> dict[str, str]:
    """Resource and attribute to verdict, for tests on one host."""
    return {f"{resource}.{attribute}": verdict for _, resource, attribute, verdict in differences}


def outcomes(stories: Iterable[Story]) -> Mapping[str, str]:
    """Host to how its story ended; a host that is told of twice is a failure."""
    pairs = [(host, story.one("Outcome")) for story in stories for host in story.all("Host")]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def counting_python(folder: Path) -> tuple[str, Path]:
    """A Python with everything ours has, whose `ansible-playbook` also writes a line for each start; both paths.

    Ansible is found beside the interpreter, so the wrapper needs an interpreter of its own to lie beside.
    """
    ours = Path(sys.executable).parent
    bin_folder, count = folder / "venv" / "bin", folder / "launches"
    bin_folder.mkdir(parents=True)
    shutil.copy(ours.parent / "pyvenv.cfg", folder / "venv")
    (folder / "venv" / "lib").symlink_to(ours.parent / "lib")
    (bin_folder / "python").symlink_to(Path(sys.executable).resolve())
    wrapper = bin_folder / "ansible-playbook"
    wrapper.write_text(f'#!/bin/sh\necho "$*" >>{count}\nexec {ours / "ansible-playbook"} "$@"\n')
    wrapper.chmod(0o755)
    count.touch()
    return str(bin_folder / "python"), count


def until(happens: Callable[[], bool], complaint: Callable[[], str]) -> None:
    """Wait for something that the daemon does by itself."""
    wait_until(happens, complaint, LONG)
