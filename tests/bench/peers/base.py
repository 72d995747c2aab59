"""What every contender of the comparison has in common: how it is installed, asked, and what it found.

A contender is measured on the controller by its process tree; what it costs the hosts is read outside of it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bed.hosts import Host
from tests.bench.fleet import Fleet
from tests.bench.measure import ROOT, Cost

CACHE = ROOT / ".cache" / "bench"
"""Environments of peers that come from PyPI; kept, so that the next run need not fetch them again."""
INSTALL_SECONDS = 600
"""The largest peer has no wheel and is built, which takes two minutes on a quiet machine."""

Found = frozenset[tuple[str, str]]
"""Pairs of host and resource (``copy 3``) that a tool says are not as declared."""


class CannotInstall(RuntimeError):
    """A peer that is not to be had on this machine or its hosts; the words say why."""


@dataclass(frozen=True, slots=True)
class Look:
    """One dry run of the whole fleet: what it cost the controller, and what it found; None where it looks for none."""

    cost: Cost
    found: Found | None


class Contender(Protocol):
    """One way to ask five hosts whether they are as declared. ``name`` is its row, ``looks`` how often a round asks."""

    @property
    def name(self) -> str: ...

    @property
    def looks(self) -> int: ...

    def install(self) -> str:
        """Fetch it, write its project, make what it says of the hosts true; its version. Raises CannotInstall."""
        ...

    def look(self, count: int) -> list[Look]:
        """Ask *count* times; raises BenchFailed where a host was not asked everything."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


def environment(name: str, *requirements: str) -> Path:
    """The ``bin`` folder of a virtual environment with the newest of these from PyPI, made where it is missing."""
    folder = CACHE / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != " ".join(requirements):
        CACHE.mkdir(parents=True, exist_ok=True)
        fetch([sys.executable, "-m", "venv", "--clear", str(folder)])
        fetch([str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *requirements])
        ready.write_text(" ".join(requirements))
    return folder / "bin"


def fetch(command: Sequence[str]) -> str:
    """Run one command of an installation, bounded in time; its output. Raises CannotInstall with its last line."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise CannotInstall(f"not installed within {INSTALL_SECONDS} s") from late
    if done.returncode != 0:
        raise CannotInstall(last_line(done.stderr or done.stdout))
    return done.stdout.strip()


def packages(hosts: Iterable[Host], *names: str) -> None:
    """Install Debian packages on the hosts, all hosts at once; raises CannotInstall."""
    command = (
        f"export DEBIAN_FRONTEND=noninteractive; timeout {INSTALL_SECONDS} sh -c 'apt-get update -qq &&"
        f" apt-get install -y -qq --no-install-recommends {' '.join(names)}' 2>&1"
    )
    for status, output in on_all(hosts, command):
        if status != 0:
            raise CannotInstall(last_line(output))


def on_all(hosts: Iterable[Host], command: str) -> list[tuple[int, str]]:
    """Run one command on every host, past SSH, all at once; exit statuses and outputs in the order of the hosts."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda host: host.attempt(command), hosts))


def last_line(text: str) -> str:
    """The last line of an output that speaks of an error, or the very last: the one that says why."""
    lines = text.strip().splitlines() or ["no answer"]
    return next((line for line in reversed(lines) if "rror" in line), lines[-1])[:120]


def ssh_options(fleet: Fleet) -> dict[str, str]:
    """Who the hosts are and who we are, the same for every contender that runs OpenSSH."""
    return {
        "UserKnownHostsFile": str(fleet.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "IdentityFile": str(fleet.key),
        "BatchMode": "yes",
    }
