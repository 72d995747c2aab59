"""From a push that changes one file on five hosts until all five have it, proved and recorded; beside Ansible's way.

The daemon is told by SIGHUP, as a webhook would tell it. In turns with it ``ansible-playbook``, tuned, applies the same
fifty resources with that one file changed to the same hosts; what it leaves, the daemon puts back before its own turn.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench import phases, workload
from tests.bench.fleet import Fleet
from tests.bench.measure import BenchFailed, spread
from tests.bench.peers.playbook import Playbook
from tests.bench.running import FIRST, Record, Site, opened
from tests.bench.table import Row

HOSTS = 5
REPEATS = 5
NUMBER = 3
SOURCE = f"files/plain-{NUMBER}.conf"
TARGET = f"/etc/bench-{NUMBER}.conf"
TASK = f"copy {NUMBER}"
QUIET = 5.0
"""Seconds in which a daemon that has just started comes to rest."""
TIMES_SOONER = 10.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Pushes:
    """Seconds of each repeat. ``shares``: phase → its seconds in one more repeat, by a daemon with clocks inside."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    shares: dict[str, list[float]] = field(default_factory=dict)

    @property
    def times(self) -> float:
        """How many times sooner we are, by medians."""
        return median(self.theirs) / median(self.ours)


class Applied(Playbook):
    """A playbook that is applied, not checked."""

    def arguments(self) -> list[str]:
        """Its arguments."""
        return ["-i", str(self.folder / "inventory"), str(self.folder / "site.yml")]

    def apply(self, content: str) -> float:
        """Give one file another content on every host; seconds until it ended. Nothing else may change."""
        (self.folder / SOURCE).write_text(content, encoding="utf-8")
        look = self.look_once()
        if look.found != {(host.name, TASK) for host in self.fleet.hosts}:
            raise BenchFailed(f"the playbook changed {sorted(look.found or ())}")
        return look.cost.wall


def measure(folder: Path, fleet: Fleet, say: Say, repeats: int = REPEATS) -> Pushes:
    """Converge the hosts, then both ways in turns."""
    found, names = Pushes(), frozenset(host.name for host in fleet.hosts)
    playbook = Applied(folder / "apply", fleet, "ansible-playbook, tuned")
    playbook.install()
    with opened(folder, fleet, workload.desired_state(fleet.inventory)) as site, site.record() as record:
        with site.daemon():
            say(f"first convergence of {len(fleet.hosts)} hosts")
            record.await_converged(names, "the first convergence", FIRST)
        for number in range(repeats):
            found.theirs.append(playbook.apply(f"by the playbook = {number}\n"))
            with site.daemon() as daemon:
                record.await_converged(names, "what the playbook changed", FIRST)
                began, ended = push(site, record, daemon, f"by a push = {number}\n")
            found.ours.append(ended - began)
            say(f"push {number + 1} of {repeats}: ours {found.ours[-1]:.2f} s, theirs {found.theirs[-1]:.2f} s")
        found.shares = trace(site, record, folder / "trace", names)
    return found


def push(site: Site, record: Record, daemon: subprocess.Popen[bytes], content: str) -> tuple[float, float]:
    """Push another content of the file and tell the daemon; from when until when it took, in seconds of the clock."""
    time.sleep(QUIET)
    names = frozenset(host.name for host in site.fleet.hosts)
    sha = site.push(f"change {SOURCE}", {SOURCE: content})
    began = time.time()
    daemon.send_signal(signal.SIGHUP)
    recorded = record.await_converged(names, f"the push of {sha[:7]}", revision=sha)
    wrong = [host.name for host in site.fleet.hosts if host.read(TARGET) != content]
    if wrong:
        raise BenchFailed(f"recorded as converged, and not what was pushed: {', '.join(wrong)}")
    return began, recorded.on_server


def trace(site: Site, record: Record, path: Path, names: frozenset[str]) -> dict[str, list[float]]:
    """One more push, to see where its time goes."""
    for host in site.fleet.hosts:
        host.exec(f"echo '# by hand' >>{TARGET}")
    with site.daemon(path) as daemon:
        record.await_converged(names, "the edits before the last push", FIRST)
        window = push(site, record, daemon, "by the last push = 1\n")
    return phases.shares(phases.spans_of(path), [window])


def push_rows(found: Pushes) -> list[Row]:
    """Both ways with the target, and where our time goes."""
    return [
        Row(
            "ansible-playbook ÷ our push",
            f"{found.times:.1f} times",
            f"≥ {TIMES_SOONER:.0f}",
            found.times >= TIMES_SOONER,
        ),
        Row("push → five hosts converged, proved and recorded", spread(found.ours)),
        Row("ansible-playbook of the same state, tuned", spread(found.theirs)),
        *(Row(f"    {name}", words) for name, words in phases.told(found.shares)),
    ]
