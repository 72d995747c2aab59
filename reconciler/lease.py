"""The lease of a shard: which daemon may change hosts, settled by the remote itself.

Called by the shell. The lease is one ref in the remote that names its holder. It is taken by compare-and-swap;
whoever else wants it waits until its value has not changed for ``ttl`` seconds of the waiter's own monotonic clock.
No other machine's clock is believed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import GitError, Gone
from reconciler.repo import Declined, Draft, Repository, plain

TTL = 900.0
"""Seconds without a sign of life after which a lease may be taken over; longer than any pause between renewals."""
_FREE = "(free)"


class Held(GitError):
    """Another daemon holds the lease."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A value of the lease, and when it was first seen, in seconds of our monotonic clock."""

    sha: str
    since: float


class Lease:
    """The lease of *shard* for *holder*, a name that tells daemons apart and stays the same over restarts.

    Where the server refuses refs outside branches, it is the branch ``audit/<shard>-lease``, which only moves forward.
    """

    def __init__(self, repository: Repository, shard: str, holder: str, ttl: float = TTL) -> None:
        self._repository = repository
        self._ref = f"refs/reconciler/lease/{shard}"
        self._branch = f"refs/heads/audit/{shard}-lease"
        self._local = f"refs/reconciler/own-lease/{shard}"
        self._theirs = f"refs/reconciler/seen-lease/{shard}"
        self._holder = plain(holder) or "unnamed"
        self._ttl = ttl
        self._mine: _Seen | None = None
        self._foreign: _Seen | None = None
        self._left: tuple[str | None] | None = None
        """The value that we gave it back with (None: the ref is gone); as long as that is there, nobody holds it."""

    def acquire(self, now: datetime, monotonic: float) -> None:
        """Take or renew the lease; raises Held, naming the holder, or Unreachable.

        *now* is written down for people, *monotonic* in seconds is what time is measured by.
        """
        if self._mine and monotonic - self._mine.since < self._ttl / 3:
            return
        try:
            self._take(now, monotonic)
        except Declined:
            if self._ref == self._branch:
                raise
            self._ref = self._branch
            self._take(now, monotonic)

    def release(self) -> None:
        """Give the lease back, if it is still ours; one that cannot be given back now is left to expire."""
        if self._mine is None:
            return
        mine, self._mine = self._mine, None
        with suppress(GitError):
            self._give_back(mine)

    def _give_back(self, mine: _Seen) -> None:
        free: str | None = None
        if self._ref == self._branch:  # protected branches are not deleted; another commit says that it is free
            free = self._write(_FREE, self._repository.commit(mine.sha).authored_at, mine.sha)
            given = self._repository.push(self._local, self._ref, mine.sha)
        else:
            given = self._repository.delete(self._ref, mine.sha)
        self._left = (free,) if given else None

    def _take(self, now: datetime, monotonic: float) -> None:
        """Swap from where we left it, which needs no look at the remote first; where that fails, look who has it."""
        left, self._left = self._left, None
        if left and self._is_known(left[0]) and self._swap(left[0], now, monotonic):
            return
        current = self._current()
        if current and not (self._mine and current == self._mine.sha):
            self._wait_for(current, monotonic)
        if not self._swap(current, now, monotonic):
            raise Held("Another daemon took the lease just now.", hint="the next cycle tries again")

    def _is_known(self, value: str | None) -> bool:
        """Whether the clone, which may have been made anew, has what we gave the lease back with."""
        return value is None or self._repository.has(value)

    def _swap(self, current: str | None, now: datetime, monotonic: float) -> bool:
        """Put our name in the place of the value *current*; False where something else is there."""
        self._mine = None
        sha = self._write(self._holder, now, current)
        if not self._repository.push(self._local, self._ref, current):
            return False
        self._mine, self._foreign = _Seen(sha, monotonic), None
        return True

    def _current(self) -> str | None:
        try:
            return self._repository.tip(self._ref)
        except Gone:
            return None

    def _wait_for(self, current: str, monotonic: float) -> None:
        """Return if the lease at *current* may be taken: it is free, was ours, or has been silent for too long."""
        holder = self._holder_of(current)
        if holder in (self._holder, _FREE):
            return
        if self._foreign is None or self._foreign.sha != current:
            self._foreign = _Seen(current, monotonic)
        left = self._ttl - (monotonic - self._foreign.since)
        if left > 0:
            self._mine = None
            hint = f"if it is gone, its lease is taken over in {left:.0f} s"
            raise Held(f"The daemon {holder} holds the lease of this shard.", hint=hint)

    def _holder_of(self, current: str) -> str:
        try:
            sha = self._repository.fetch(self._ref, self._theirs)
        except Gone:
            return _FREE
        return self._repository.commit(sha).subject if sha == current else "that came just now"

    def _write(self, holder: str, now: datetime, current: str | None) -> str:
        parent = current if self._ref == self._branch else None
        old = self._repository.ref(self._local)
        sha = self._repository.write(parent, [Draft(f"{holder}\n\nat {now.isoformat(timespec='seconds')}", now)])[-1]
        self._repository.point(self._local, sha, old)
        return sha
