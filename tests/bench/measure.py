"""How anything is measured here: in a process of its own, CPU apart from wall time, medians and spread.

``timed`` measures inside a process; ``tree`` measures a whole one with all that it started. Every module uses these.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHILD_SECONDS = 900
"""No single measurement takes nearly as long; a hung one must not hang the bench."""


class BenchFailed(RuntimeError):
    """Something did not do what it was measured for, so its time would mean nothing."""


@dataclass(slots=True)
class Cost:
    """Seconds of wall time and of CPU, user and system, all descendants that were waited for included."""

    wall: float = 0.0
    cpu: float = 0.0

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.cpu:.1f} s CPU)"


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended, with what it printed and what it cost."""

    code: int
    output: str
    cost: Cost


def cpu_seconds() -> float:
    """What this process and its ended children have used so far."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_megabytes() -> float:
    """The largest resident size this process has had since its program was started; Linux gives it in KiB.

    ``getrusage`` would count what the parent held when it started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def resident_megabytes() -> float:
    """The resident size of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


@contextmanager
def timed() -> Iterator[Cost]:
    """The cost of a block, known once it ends."""
    cost, began, used = Cost(), time.perf_counter(), cpu_seconds()
    try:
        yield cost
    finally:
        cost.wall, cost.cpu = time.perf_counter() - began, cpu_seconds() - used


def run_child(module: str, *arguments: str) -> Any:
    """Run ``python -m tests.bench.<module>`` and return the JSON it prints last; raises BenchFailed where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=CHILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BenchFailed(f"{module} {' '.join(arguments[1:])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer | {"log_lines": len(done.stderr.splitlines())}


def spread(values: Sequence[float], unit: str = "s") -> str:
    """``2.31 s (2.28 to 2.40, 3 runs)``: the median, and the range that the runs were in."""
    middle = f"{median(values):.2f} {unit}"
    return f"{middle} ({min(values):.2f} to {max(values):.2f}, {len(values)} runs)" if len(values) > 1 else middle
