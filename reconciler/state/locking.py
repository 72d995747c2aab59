"""The state directory as this daemon's own: private, and held against a second daemon.

``state`` offers it; ``opening`` takes the lock first of all. The kernel lets go of it when the process ends,
however it ends, so there is never a stale lock to clear.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import StateError


def private_directory(path: Path) -> None:
    """Make *path* a directory that only its owner can enter (0700), or raise StateError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX:
            raise StateError(
                f"the state directory {path} is shared or belongs to another user",
                hint="Set state_dir to a directory of the daemon's own.",
            )
        if found.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise StateError(f"the state directory {path} cannot be used: {error.strerror}") from error


@contextmanager
def lock(state_dir: Path) -> Iterator[None]:
    """Hold *state_dir* against another daemon on this machine; StateError names the one that has it."""
    private_directory(state_dir)
    path = state_dir / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"the lock {path} cannot be opened: {error.strerror}") from error
    try:
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
        raise StateError(
            f"another reconciler (process {holder}) is using {path.parent}",
            hint=f"To make that one look now: kill -HUP {holder}. A second one needs a state_dir of its own.",
        ) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise StateError(f"the lock {path} cannot be written: {error.strerror}") from error
