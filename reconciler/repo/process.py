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

GRACE = 3.0
"""Seconds between asking a process to end, when it still removes its locks, and ending it."""

LAST_WORDS = 10.0
"""Seconds that a process may still take when the daemon is told to stop."""

POLL = 0.5
"""Seconds between two looks at whether the daemon is to stop."""

LAST_STDERR = 0.5
"""Seconds for what is left of stderr once the process has ended: a child that outlives it may hold it open."""

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
    pipe = os.dup(process.stderr.fileno()) if process.stderr else os.open(os.devnull, os.O_RDONLY)
    reader = threading.Thread(target=_drain, args=(pipe, err), daemon=True)
    timer.start()
    reader.start()
    try:
        with process:  # closes its pipes
            out = process.stdout.read(cap + 1) if process.stdout else b""
            if len(out) > cap:
                end(process)
            process.wait()
            reader.join(LAST_STDERR)
            if reader.is_alive():  # what is left of its group goes; ssh's kept connection is not of the group
                end(process)
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


def _drain(pipe: int, kept: list[bytes]) -> None:
    """Read the descriptor *pipe* to its end, which may come after everybody else has stopped to wait, and close it."""
    room = STDERR_LIMIT
    with open(pipe, "rb", buffering=0) as stream:
        while chunk := stream.read(8192):
            kept.append(chunk[:room])
            room -= len(kept[-1])
