"""``python -m tests.bench``: measure, print a table, exit 1 if a target is missed; ``make bench`` does the set-up.

A part can be named, to run it alone: ``python -m tests.bench scale idle``. Writes nothing but temporary folders.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests.bench import fleet, idle, recording, scale, sweep, table
from tests.bench.measure import BenchFailed
from tests.bench.table import Row

TITLES = {
    "sweep": "A no-op sweep of five real hosts with fifty resources each",
    "scale": "Compile and compare fifty resources a host from stored facts",
    "recording": "Recording a thousand hosts that converge at once",
    "idle": "A hundred idle cycles",
}


def say(text: str) -> None:
    """Tell the person who waits what is being measured."""
    print(f"  … {text}", file=sys.stderr, flush=True)


def sweep_part(folder: Path) -> list[Row]:
    """Five real hosts."""
    with fleet.booted(folder, sweep.HOSTS) as hosts:
        return table.sweep_rows(sweep.measure(folder, hosts, say))


def scale_part(folder: Path) -> list[Row]:
    """A hundred to a thousand hosts that are only data."""
    return table.scale_rows(scale.measure(folder, say))


def recording_part(_folder: Path) -> list[Row]:
    """A thousand hosts, three stories."""
    say("recording")
    return table.recording_rows({case: recording.measure(case) for case in recording.CASES})


def idle_part(_folder: Path) -> list[Row]:
    """The daemon with nothing to do."""
    say("idle cycles")
    return table.idle_rows({kind: idle.measure(kind) for kind in ("polls", "sweeps")})


PARTS: dict[str, Callable[[Path], list[Row]]] = {
    "sweep": sweep_part,
    "scale": scale_part,
    "recording": recording_part,
    "idle": idle_part,
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


def measured(name: str) -> list[Row]:
    """The rows of one part; what fails is a missed target, and the other parts go on."""
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            return PARTS[name](Path(folder))
    except BenchFailed as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        return [Row(f"{name} did not do what it was measured for", "", "", met=False)]


def main(names: list[str]) -> int:
    """Run the parts named, or all; 0 if every target is met."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"the parts are {', '.join(PARTS)}, not {', '.join(unknown)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    print(machine(), flush=True)
    rows: list[Row] = []
    for name in names or list(PARTS):
        found = measured(name)
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
