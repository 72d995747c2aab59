"""From an edit by hand to its detection in git, and to its repair: fifty edits each, one after another.

``reconciler run`` keeps three real hosts with fifty resources each. Between two edits lie one to three seconds, chosen
by a seed, as are the host, the file and the way of editing. Every edit has to be found, or the part fails. A last few
repairs by a daemon with clocks inside say where the time goes; they count nowhere else.
"""

from __future__ import annotations

import random
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from tests.bed.hosts import Host
from tests.bench import phases, workload
from tests.bench.fleet import Fleet
from tests.bench.measure import BenchFailed
from tests.bench.running import FIRST, LATEST, Record, Recorded, Site, Story, opened
from tests.bench.table import Row
from tests.bench.witness import Sight, Witness, witness_on
from tests.bench.workload import Resources

HOSTS = 3
EDITS = 50
TRACED = 10
SEED = 20261123
PAUSE = (1.0, 3.0)
"""Seconds between what an edit led to and the next edit."""
KEPT = "/root/kept"
WAYS = ("echo '# by hand' >>{}", "sed -i '2s/$/0/' {}", "sed -i 1d {}")
"""Added to in place; or written anew and renamed, as most editors do."""
DETECTED_SECONDS = 1.0
PUSHED_SECONDS = 3.0
PUSHED_MOST = 5.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Edits:
    """Seconds from the end of each edit. ``shares``: phase → its seconds in each traced repair."""

    detected: list[float] = field(default_factory=list)
    detected_on_server: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    converged: list[float] = field(default_factory=list)
    pushed: list[float] = field(default_factory=list)
    shares: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit that was made: where, when it ended (seconds of the clock), and how the file was before."""

    host: Host
    path: str
    ended: float
    before: Sight

    def told_by(self, outcome: str) -> Callable[[list[Story]], bool]:
        """Whether stories tell what became of this edit."""

        def enough(stories: list[Story]) -> bool:
            return any(story.outcome == outcome and self.host.name in story.hosts for story in stories)

        return enough


@dataclass(slots=True)
class Bench:
    """A site with witnesses on its hosts, the declared files that are edited there, and the dice."""

    site: Site
    resources: Resources
    record: Record
    witnesses: dict[str, Witness]
    dice: random.Random

    def converge(self) -> None:
        """Wait until every host has been put right, and keep the files as they are then."""
        names = frozenset(host.name for host in self.site.fleet.hosts)
        self.record.await_converged(names, "the first convergence", FIRST)
        kept = f"mkdir -p {KEPT} && cp -p --parents {shlex.join(files_of(self.resources))} {KEPT}"
        for host in self.site.fleet.hosts:
            host.exec(kept)

    def declare(self, mode: str) -> str:
        """Push the same desired state in a mode; the commit."""
        files = workload.desired_state(self.site.fleet.inventory, resources=self.resources, mode=mode)
        return self.site.push(f"{mode} from now on", files)

    def await_accepted(self, sha: str) -> None:
        """Wait until it is recorded that a commit has been accepted, so that every host has been looked at."""
        self.record.await_stories(lambda told: any(story.revision == sha for story in told), f"commit {sha[:7]}")

    def switch(self, daemon: subprocess.Popen[bytes], mode: str) -> None:
        """Have a daemon that runs go on in another mode."""
        sha = self.declare(mode)
        daemon.send_signal(signal.SIGHUP)
        self.await_accepted(sha)

    def edit(self) -> Edit:
        """Wait for a moment, then edit one declared file on one host by hand."""
        time.sleep(self.dice.uniform(*PAUSE))
        host, path = self.dice.choice(self.site.fleet.hosts), self.dice.choice(files_of(self.resources))
        command = self.dice.choice(WAYS).format(shlex.quote(path))
        before = self.witnesses[host.name].last(path)
        said = host.exec(f'set -e; {command}; echo "$EPOCHREALTIME"')
        return Edit(host, path, float(said.replace(",", ".")), before)

    def undo(self, edit: Edit) -> None:
        """Put the file back by hand, and wait until that is recorded."""
        edit.host.exec(f"cp -p {KEPT}{edit.path} {edit.path}")
        self.record.await_stories(edit.told_by("recovered"), f"the recovery of {edit.path}")

    def outcome(self, edit: Edit, outcome: str) -> Recorded:
        """What was recorded of an edit, which has to be about its file and about no other host."""
        found = self.record.await_stories(edit.told_by(outcome), f"{edit.path} on {edit.host.name} being {outcome}")
        wrong = [story for story in found.stories if story.hosts != {edit.host.name} or edit.path not in story.text]
        if wrong:
            raise BenchFailed(f"besides {edit.path} on {edit.host.name} was recorded: {wrong[0].text}")
        return found

    def back(self, edit: Edit) -> float:
        """When a file was first again what it had been."""
        witness = self.witnesses[edit.host.name]

        def restored() -> float | None:
            since = [sight for sight in witness.sights if sight.path == edit.path and sight.at > edit.before.at]
            differed = next((at for at, sight in enumerate(since) if sight.state != edit.before.state), len(since))
            return next((sight.at for sight in since[differed:] if sight.state == edit.before.state), None)

        return witness.await_sight(restored, LATEST, f"{edit.path} on {edit.host.name} being put back")


def files_of(resources: Resources) -> list[str]:
    """The files whose content is declared."""
    return [str(fields["dest"]) for kind in ("copy", "template") for fields in resources[kind]]


def measure(
    folder: Path,
    fleet: Fleet,
    say: Say,
    count: int = EDITS,
    traced: int = TRACED,
    resources: Resources = workload.RESOURCES,
) -> Edits:
    """Converge the hosts, then edit by hand: first where only detection is asked for, then where repair is."""
    found, files = Edits(), workload.desired_state(fleet.inventory, resources=resources)
    with opened(folder, fleet, files) as site:
        with bench_on(site, resources) as bench, site.daemon() as daemon:
            say(f"first convergence of {len(fleet.hosts)} hosts")
            bench.converge()
            bench.switch(daemon, "observe")
            detect(bench, found, say, count)
            bench.switch(daemon, "enforce")
            repair(bench, found, say, count)
        found.shares = trace(site, resources, folder / "trace", traced)
    return found


@contextmanager
def bench_on(site: Site, resources: Resources) -> Iterator[Bench]:
    """Witnesses on every host and on the record."""
    with site.record() as record, ExitStack() as witnesses:
        on_hosts = {
            host.name: witnesses.enter_context(closing(witness_on(host, files_of(resources))))
            for host in site.fleet.hosts
        }
        yield Bench(site, resources, record, on_hosts, random.Random(SEED))


def detect(bench: Bench, found: Edits, say: Say, count: int) -> None:
    """Edits that are only to be seen, each undone by hand."""
    for number in range(count):
        edit = bench.edit()
        recorded = bench.outcome(edit, "detected")
        found.detected.append(recorded.in_clone - edit.ended)
        found.detected_on_server.append(recorded.on_server - edit.ended)
        bench.undo(edit)
        if number % 10 == 9:
            say(f"{number + 1} of {count} edits detected, {median(found.detected):.2f} s")


def repair(bench: Bench, found: Edits, say: Say, count: int) -> None:
    """Edits that are to be put right."""
    for number in range(count):
        edit = bench.edit()
        recorded = bench.outcome(edit, "converged")
        found.back.append(bench.back(edit) - edit.ended)
        found.converged.append(recorded.in_clone - edit.ended)
        found.pushed.append(recorded.on_server - edit.ended)
        if number % 10 == 9:
            say(f"{number + 1} of {count} edits repaired, {median(found.pushed):.2f} s")


def trace(site: Site, resources: Resources, path: Path, count: int) -> dict[str, list[float]]:
    """A few more repairs, by another daemon."""
    with bench_on(site, resources) as bench:
        sha = bench.declare("enforce")
        with site.daemon(path):
            bench.await_accepted(sha)
            windows = [trace_one(bench) for _ in range(count)]
    return phases.shares(phases.spans_of(path), windows)


def trace_one(bench: Bench) -> tuple[float, float]:
    """One repair: from when to when."""
    edit = bench.edit()
    return edit.ended, bench.outcome(edit, "converged").on_server


def edit_rows(found: Edits) -> list[Row]:
    """The times with their targets, and where they went."""
    detected, pushed, most = median(found.detected), median(found.pushed), percentile(found.pushed)
    return [
        row("edit by hand → detection in the audit branch", found.detected, DETECTED_SECONDS, detected),
        row("  the same on the git server", found.detected_on_server),
        row("edit by hand → the file is back", found.back),
        row("  proved, and converged in the audit branch", found.converged),
        row("  the same on the git server, median", found.pushed, PUSHED_SECONDS, pushed),
        row("  the same on the git server, 95th percentile", found.pushed, PUSHED_MOST, most),
        *(Row(f"    {name}", words) for name, words in phases.told(found.shares)),
    ]


def row(name: str, values: Sequence[float], target: float | None = None, seen: float = 0.0) -> Row:
    """One measure: median, 95th percentile and the worst."""
    words = f"{median(values):.2f} s, p95 {percentile(values):.2f}, worst {max(values):.2f}, {len(values)} edits"
    return Row(name, words) if target is None else Row(name, words, f"< {target:.0f} s", seen < target)


def percentile(values: Sequence[float]) -> float:
    """The 95th percentile, no larger than the largest."""
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
