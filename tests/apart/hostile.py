"""One fork of the process that previews pull requests, in which the compiler does what a stranger would have it do.

Run as a program of its own by ``test_apart.py``: ``python -m tests.apart.hostile WHAT STATE``; prints the answer.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from reconciler.apart import child
from reconciler.foretell import Words

_LIBC = ctypes.CDLL(None)
OPEN, SYSTEM, WRITE, KILL = _LIBC.open, _LIBC.system, _LIBC.write, _LIBC.kill


def unheard(reach: Callable[[], object]) -> Words:
    """What the kernel says to *reach*, which Python does not hear of."""
    child.REACHING = ("nothing",)
    try:
        return Words("success", f"it came out with {reach()!r}", "")
    except OSError as error:
        return Words("success", f"it met {type(error).__name__} {error.errno}", "")


def spin() -> None:
    while True:
        pass


def lie(text: bytes) -> None:
    """Write an answer past everybody, to wherever it would be read."""
    for pipe in range(3, 20):
        WRITE(pipe, text, len(text))
    os._exit(0)


WHATS: dict[str, Callable[[], Any]] = {
    "opens": lambda: Path("/etc/hostname").read_text(),
    "calls": lambda: socket.create_connection(("127.0.0.1", 9)),
    "starts": lambda: subprocess.run(["true"], check=False),
    "opens unheard": lambda: unheard(lambda: os.open("/etc/hostname", os.O_RDONLY)),
    "calls unheard": lambda: unheard(socket.socket),
    "opens by libc": lambda: Words("success", f"open says {OPEN(b'/etc/hostname', 0)}", ""),
    "starts by libc": lambda: Words("success", f"system says {SYSTEM(b'exit 7') >> 8}", ""),
    "writes to the daemon": lambda: Words("success", f"write says {WRITE(1, b'{}', 2)}", ""),
    "spins": spin,
    "sleeps": lambda: time.sleep(600),
    "hoards": lambda: [bytes(1 << 24) for _ in range(1 << 20)],
    "lies": lambda: lie(b'{"refused": 1}\n{"a": 2}\n'),
    "crashes": lambda: KILL(os.getpid(), 11),
    "dies": lambda: KILL(os.getpid(), 9),
    "says too much": lambda: Words("success", "", "x" * (child.MOST_WORDS + 1)),
    "fails": lambda: {}["a stranger's word"],
    "behaves": lambda: Words("success", "changes nothing", "said"),
}


@dataclass(frozen=True)
class Does:
    """In the place of a Foreteller."""

    what: str

    def foretell(self, *_: object) -> Words:
        return WHATS[self.what]()


if __name__ == "__main__":
    child.PATIENCE = 2
    print(child.forked(Does(sys.argv[1]), SimpleNamespace(), Path(sys.argv[2]), 1).decode())  # type: ignore[arg-type]
