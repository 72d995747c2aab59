"""Sees when files change, on this machine or in a container, to within a few milliseconds.

Called by the parts that measure how soon something happens. The clock is the kernel's, which containers share, so
moments of different witnesses can be compared. It only reads: whoever is watched is not disturbed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import TypeVar

from tests.bed.hosts import Host
from tests.bench.measure import BenchFailed

PROGRAM = """\
import hashlib, json, os, select, sys, time

def look(path):
    try:
        with open(path, "rb") as file:
            content, at = file.read(), time.time()
            found = os.fstat(file.fileno())
    except OSError:
        return {"at": time.time(), "state": "", "text": ""}
    digest = hashlib.sha256(content).hexdigest()
    state = "%o %d %d %s" % (found.st_mode, found.st_uid, found.st_gid, digest)
    return {"at": at, "state": state, "text": content[:64].decode("ascii", "replace").strip()}

def signature(path):
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, found.st_ctime_ns

known = {}
while not select.select([0], [], [], 0.004)[0]:
    for path in sys.argv[1:]:
        now = signature(path)
        if path not in known or known[path] != now:
            known[path] = now
            print(json.dumps(dict(look(path), path=path)), flush=True)
"""
"""Prints a line for each change of the files that it is given, and ends with its input."""

START_SECONDS = 30.0

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Sight:
    """A file as it was from a moment on (seconds of the clock); ``state`` is empty where there was none."""

    at: float
    path: str
    state: str
    text: str


class Witness:
    """What was seen of some files so far, oldest first. ``words`` are what comes before the name of the program."""

    def __init__(self, paths: Sequence[str], words: Sequence[str] = (sys.executable,)) -> None:
        self.sights: list[Sight] = []
        self.news = Condition()
        self.process = subprocess.Popen(
            [*words, "-u", "-c", PROGRAM, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.thread = Thread(target=self.listen, daemon=True)
        self.thread.start()
        self.await_sight(lambda: {sight.path for sight in self.sights} >= set(paths) or None, START_SECONDS, "files")

    def listen(self) -> None:
        """Take the lines as they come."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.news:
                self.sights.append(Sight(**json.loads(line)))
                self.news.notify_all()

    def last(self, path: str) -> Sight:
        """How a file was seen last."""
        with self.news:
            return next(sight for sight in reversed(self.sights) if sight.path == path)

    def await_sight(self, find: Callable[[], Found | None], seconds: float, what: str) -> Found:
        """Look after each change until *find* finds something in ``sights``; raises BenchFailed where it never does."""
        deadline = monotonic() + seconds
        with self.news:
            while (found := find()) is None:
                if monotonic() > deadline:
                    raise BenchFailed(f"nothing was seen of {what} in {seconds:.0f} s")
                self.news.wait(0.5)
            return found

    def close(self) -> None:
        """Let it end, and wait for that."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def witness_on(host: Host, paths: Sequence[str]) -> Witness:
    """A witness inside of a container."""
    container = host.container.get_wrapped_container().id
    return Witness(paths, ["docker", "exec", "-i", str(container), "python3"])
