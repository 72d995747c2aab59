"""Listening to one process: with a time limit, a limit on what it may say, and an end for all its children.

Called by ``repo``. It knows nothing of git.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

GRACE = 3.0
"""Seconds between asking a process to end, when it still removes its locks, and ending it."""

LAST_WORDS = 10.0
"""Seconds that a process may still take when the daemon is told to stop."""

POLL = 0.5
"""Seconds between two looks at whether the daemon is to stop."""

STDERR_LIMIT = 64 * 1024
"""Bytes of stderr that are kept; a server can send messages without end."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a process said. ``late`` means it was ended for taking too long, ``cut`` for saying too much."""

    code: int
    out: bytes
    err: bytes
    late: bool
    cut: bool


def hear(
    process: subprocess.Popen[bytes], seconds: float, cap: int, stopping: Callable[[], bool] = lambda: False
) -> Heard:
    """Read *process* to its end, at most *seconds* long and *cap* bytes; it must lead a process group of its own.

    Once *stopping* says so, it has ``LAST_WORDS`` seconds left.
    """
    late, done = threading.Event(), threading.Event()
    err: list[bytes] = []
    timer = threading.Thread(target=_give_up, args=(process, seconds, stopping, late, done), daemon=True)
    reader = threading.Thread(target=_drain, args=(process.stderr, err), daemon=True)
    timer.start()
    reader.start()
    try:
        with process:  # closes its pipes
            out = process.stdout.read(cap + 1) if process.stdout else b""
            if len(out) > cap:
                end(process)
            reader.join()
    except BaseException:  # also KeyboardInterrupt: the process does not get the terminal's signal
        end(process)
        raise
    finally:
        done.set()
    return Heard(process.returncode, out[:cap], b"".join(err), late.is_set(), len(out) > cap)


def end(process: subprocess.Popen[bytes]) -> None:
    """End *process* and every child of its group, gently first."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        os.killpg(process.pid, signal.SIGKILL)


def _give_up(
    process: subprocess.Popen[bytes],
    seconds: float,
    stopping: Callable[[], bool],
    late: threading.Event,
    done: threading.Event,
) -> None:
    limit = time.monotonic() + seconds
    while not done.wait(max(0.0, min(POLL, limit - time.monotonic()))):
        if stopping():
            limit, stopping = min(limit, time.monotonic() + LAST_WORDS), lambda: False
        if time.monotonic() >= limit:
            late.set()
            end(process)
            return


def _drain(pipe: BinaryIO, kept: list[bytes]) -> None:
    room = STDERR_LIMIT
    while chunk := pipe.read1(8192):  # type: ignore[attr-defined]  # Popen's pipes are BufferedReader
        kept.append(chunk[:room])
        room -= len(kept[-1])
