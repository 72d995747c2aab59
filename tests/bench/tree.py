"""The CPU of a whole process tree, also of what left its parent: ``python -m tests.bench.tree OUTPUT COMMAND…``.

ssh's control masters go into the background and outlive the program that started them; here they still count, because
this process adopts orphans. Printed is what the command took, in wall time until it ended and in CPU until every one
of its descendants had ended. Linux only.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.measure import ROOT, BenchFailed, Cost, Ended

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
TREE_SECONDS = 1200
"""The slowest check of the slowest peer takes a quarter of it on a busy machine."""


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "orphans cannot be adopted")


@contextmanager
def timed_tree() -> Iterator[Cost]:
    """The cost of a block, known once it ends: this process, its ended children and its living descendants.

    Looking for the descendants takes milliseconds, so that is done outside of what is counted.
    """
    cost, below = Cost(), below_cpu()
    own, began = time.process_time(), time.perf_counter()
    try:
        yield cost
    finally:
        cost.wall, own = time.perf_counter() - began, time.process_time() - own
        cost.cpu = own + below_cpu() - below


def below_cpu() -> float:
    """Seconds of CPU that ended children and living descendants of this process have used so far."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + sum(map(process_cpu, descendants(os.getpid())))


def process_cpu(pid: int) -> float:
    """Seconds of CPU of one living process and of the children that it has waited for; 0.0 once it is gone.

    ``schedstat`` counts nanoseconds, but only of living threads; ``stat`` counts hundredths of a second of all.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except OSError:
        return 0.0
    own, waited_for = (sum(map(int, fields[at : at + 2])) / TICKS for at in (11, 13))
    fine = sum(int(thread.split()[0]) for thread in threads) / 1e9
    return (fine if abs(fine - own) < 3 / TICKS else max(fine, own)) + waited_for


def descendants(root: int) -> Iterator[int]:
    """The living processes below *root*."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    waiting = children.get(root, [])
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        yield pid


def end_descendants() -> None:
    """End what is left below this process and wait for it, so that its CPU is counted."""
    while left := list(descendants(os.getpid())):
        for pid in left:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
        reap()
        time.sleep(0.01)


def reap() -> None:
    """Wait for every child that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def run_tree(
    command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> Ended:
    """Run one program to its end in *folder*; its cost is that of its whole tree, its output is both its streams."""
    wrapped = [sys.executable, "-m", "tests.bench.tree", str(output), str(folder), *command]
    done = subprocess.run(
        wrapped,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=TREE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BenchFailed(f"{command[0]} could not be measured: {done.stderr.strip()[-1000:]}")
    answer = json.loads(done.stdout)
    said = output.read_text(encoding="utf-8", errors="replace")
    return Ended(answer["code"], said, Cost(answer["wall"], answer["cpu"]))


def main(output: str, folder: str, *command: str) -> None:
    """Run the command and print what its tree took."""
    adopt_orphans()
    with Path(output).open("wb") as sink, timed_tree() as whole:
        with timed_tree() as alone:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, cwd=folder
            )
            code = process.wait()
        end_descendants()
    print(json.dumps({"code": code, "wall": alone.wall, "cpu": whole.cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
