"""``python -m tests.bench``: measure, print a table, exit 1 if a target is missed; ``make bench`` does the set-up.

A part can be named, to run it alone: ``python -m tests.bench scale idle``. Writes temporary folders, environments of
peers below ``.cache``, and with ``--plot FILE`` a picture of the part ``peers``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests.bench import edits, fleet, idle, peers, push, recording, scale, sessions, simulated, table
from tests.bench.measure import BenchFailed
from tests.bench.peers import ROUNDS
from tests.bench.table import Row

TITLES = {
    "peers": "A look at five real hosts with fifty resources each, by us and by others: medians",
    "edits": "From an edit by hand on a real host to its detection and its repair in git",
    "push": "A push that changes one file on five real hosts with fifty resources each",
    "scale": "Compile and compare fifty resources a host from stored facts",
    "recording": "Recording a thousand hosts that converge at once",
    "idle": "A hundred idle cycles",
    "simulated": "The daemon's whole cycle on a simulated fleet, fifty resources on each host: medians",
    "sessions": "Two hundred real SSH sessions, held open for ten minutes, a sweep every ten seconds",
}


def say(text: str) -> None:
    """Tell the person who waits what is being measured."""
    print(f"  … {text}", file=sys.stderr, flush=True)


def peers_part(folder: Path, options: Namespace) -> list[Row]:
    """The same hosts for everybody."""
    with fleet.booted(folder, peers.HOSTS) as hosts:
        standings, sizes = peers.measure(folder, hosts, say, options.rounds, frozenset(options.peer))
        if options.plot:
            options.plot.parent.mkdir(parents=True, exist_ok=True)
            options.plot.write_text(peers.draw(standings), encoding="utf-8")
        return peers.peer_rows(standings, sizes, hosts)


def edits_part(folder: Path, _options: Namespace) -> list[Row]:
    """Three real hosts, a git server, and the real daemon."""
    with fleet.booted(folder, edits.HOSTS) as hosts:
        return edits.edit_rows(edits.measure(folder, hosts, say))


def push_part(folder: Path, _options: Namespace) -> list[Row]:
    """Five real hosts, a git server, and the real daemon."""
    with fleet.booted(folder, push.HOSTS) as hosts:
        return push.push_rows(push.measure(folder, hosts, say))


def scale_part(folder: Path, _options: Namespace) -> list[Row]:
    """A hundred to a thousand hosts that are only data."""
    return table.scale_rows(scale.measure(folder, say))


def recording_part(_folder: Path, _options: Namespace) -> list[Row]:
    """A thousand hosts, three stories."""
    say("recording")
    return table.recording_rows({case: recording.measure(case) for case in recording.CASES})


def idle_part(_folder: Path, _options: Namespace) -> list[Row]:
    """The daemon with nothing to do."""
    say("idle cycles")
    return table.idle_rows({kind: idle.measure(kind) for kind in ("polls", "sweeps")})


def simulated_part(folder: Path, _options: Namespace) -> list[Row]:
    """Far ends that answer from memory."""
    return simulated.simulated_rows(simulated.measure(folder, say))


def sessions_part(folder: Path, options: Namespace) -> list[Row]:
    """Four hosts under fifty names each."""
    with fleet.booted(folder, sessions.CONTAINERS) as hosts:
        return sessions.session_rows(sessions.measure(folder, hosts, say, options.seconds))


PARTS: dict[str, Callable[[Path, Namespace], list[Row]]] = {
    "peers": peers_part,
    "edits": edits_part,
    "push": push_part,
    "scale": scale_part,
    "recording": recording_part,
    "idle": idle_part,
    "simulated": simulated_part,
    "sessions": sessions_part,
}


def machine() -> str:
    """What it ran on: cores, load and versions, no names."""
    programs = [("git", "--version"), ("ssh", "-V"), ("docker", "--version")]
    said = [subprocess.run(p, capture_output=True, text=True, check=False) for p in programs if shutil.which(p[0])]
    numbers = [re.sub(r"[\s,].*", "", re.sub(r"^\D*(?=\d)|^OpenSSH_", "", d.stdout or d.stderr)) for d in said]
    tools = ", ".join(f"{p[0]} {n}" for p, n in zip([p for p in programs if shutil.which(p[0])], numbers, strict=True))
    ours = ", ".join(f"{name} {version(name)}" for name in ("reconciler", "ansible-core", "ansible-runner"))
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f} at the start\n"
        f"Python {platform.python_version()}, {ours}, {tools}"
    )


def measured(name: str, options: Namespace) -> list[Row]:
    """The rows of one part; what fails is a missed target, and the other parts go on."""
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            return PARTS[name](Path(folder), options)
    except BenchFailed as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        return [Row(f"{name} did not do what it was measured for", "", "", met=False)]


def arguments(words: list[str]) -> Namespace:
    """What to measure, and how."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--plot", type=Path, help="where the picture of the part peers goes, as SVG")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often every peer is asked (%(default)s)")
    parser.add_argument("--peer", action="append", default=[], help="only this peer, as check or pyinfra; repeatable")
    held = "how long the part sessions holds its sessions open (%(default)s)"
    parser.add_argument("--seconds", type=float, default=sessions.SECONDS, help=held)
    options = parser.parse_args(words)
    if unknown := [name for name in options.part if name not in PARTS]:
        parser.error(f"the parts are {', '.join(PARTS)}, not {', '.join(unknown)}")
    return options


def main(words: list[str]) -> int:
    """Run the parts named, or all; 0 if every target is met."""
    options = arguments(words)
    began = time.monotonic()
    print(machine(), flush=True)
    rows: list[Row] = []
    for name in options.part or PARTS:
        found = measured(name, options)
        rows += found
        print("\n".join(["", TITLES[name], *(f"  {row.text()}" for row in found)]), flush=True)
    missed = [row.name.strip() for row in rows if row.met is False]
    print(
        f"\n{time.monotonic() - began:.0f} s. " + (f"Missed: {'; '.join(missed)}" if missed else "Every target is met.")
    )
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
