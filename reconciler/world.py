"""The outside as a cycle meets it: one object with a repository, an audit branch, Ansible, a memory and a clock.

Opened by ``daemon`` and ``cli``; handed to everything in the shell. It makes no decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.ansible import Ansible
from reconciler.apart import Apart
from reconciler.audit import AuditBranch
from reconciler.beside import Beside
from reconciler.canary import NO_ANSWER, brings, doubt
from reconciler.config import Config
from reconciler.desired import Workshop
from reconciler.desk import Desk
from reconciler.errors import GitError
from reconciler.lease import Lease
from reconciler.model import Attempt, Blind, Commit, Desired, HostAsk, HostDesired, HostMemory, HostPlan, Observed, Plan
from reconciler.plan import Plans, Spent
from reconciler.repo import Repository
from reconciler.state import State

if TYPE_CHECKING:
    from reconciler.accept import Accepted
    from reconciler.stream import Stream


MOST_CHASES = 3
"""How often in a row a host is looked at at once because it changed while it was put right."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered at the start of a cycle: hosts, and intents that an interrupted cycle left."""

    hosts: Mapping[str, HostMemory]
    interrupted: Mapping[str, Mapping[str, Any]]

    def of(self, host: str) -> HostMemory:
        """The memory of a host, empty for one never seen."""
        return self.hosts.get(host) or HostMemory(host)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled revision, and the id of the folder that it was compiled from: equal ids are equal files."""

    folder: str
    desired: Desired


@dataclass(frozen=True, slots=True)
class Standing:
    """How one host came out of the last cycle that looked at it.

    Planned as ``before``, found as ``final`` at the end, with what was tried and what is remembered; what it answered
    is kept where something differs.
    """

    desired: HostDesired | None
    before: HostPlan
    final: HostPlan
    attempt: Attempt | None
    memory: HostMemory
    seen: Observed | Blind | None = None


@dataclass(slots=True)
class Recent:
    """What this process knows of its last cycles, so that what did not change costs nothing. All of it may be lost.

    ``asks``: host → the desired state that the question was made of, and the question. ``blame``: revision, file and
    line → the commit. ``plans``, ``standings`` by host; ``spent`` of the limits since the sweep began.
    ``unsettled``: hosts that were asked, and not written down or not even tried to put right, so that they wait for the
    next poll: they would not call twice for one change.
    ``moved``: hosts that changed while they were put right; ``chases``: how often in a row that was so.
    ``behind``: hosts that wait for canaries.
    ``swept_stored``: the last sweep whose time is on disk.
    """

    asks: dict[str, tuple[HostDesired, HostAsk]] = field(default_factory=dict)
    plans: Plans = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    blame: dict[tuple[str, str], dict[int, Commit | None]] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    unsettled: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    chases: dict[str, int] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set)
    accepted: Accepted | None = None
    trouble: str = ""
    swept_stored: datetime | None = None

    def begin(self, desired: Desired, *, sweep: bool) -> None:
        """Begin a cycle: a sweep has its limits whole again, and forgets hosts that are declared no more."""
        if sweep:
            self.spent = Spent()
            for known in (self.asks, self.plans, self.standings, self.chases):
                for gone in known.keys() - desired.hosts.keys() - desired.held.keys():
                    del known[gone]
            self.unsettled &= desired.hosts.keys()
            self.moved &= desired.hosts.keys()
            self.behind &= desired.hosts.keys()

    def doubts(self, desired: Desired, canaries: Iterable[str]) -> Mapping[str, str]:
        """Each of the *canaries* → why it proves nothing, as it was last seen; "" where it does."""
        return {name: self.doubt(desired, name) for name in canaries}

    def doubt(self, desired: Desired, canary: str) -> str:
        """The same of one; what was seen of it before it was to be what it is to be now proves nothing."""
        standing = self.standings.get(canary)
        if standing is None or standing.desired is not desired.hosts.get(canary):
            return NO_ANSWER
        return doubt(standing.final, standing.memory.owed)

    def covers(self, desired: Desired) -> bool:
        """Whether every host has been looked at since it is to be what it is to be now."""
        held = desired.held.keys() <= self.standings.keys()
        return held and all(
            name in self.standings and self.standings[name].desired is host for name, host in desired.hosts.items()
        )


@dataclass(slots=True)
class World:
    """The ports of a cycle. ``say`` tells a person of an event, ``progress`` of what is going on now.

    ``stream`` is None where every host is looked at by Ansible; ``wake`` is called when a host has news.
    """

    config: Config
    repository: Repository
    audit: AuditBranch
    workshop: Workshop
    ansible: Ansible
    state: State
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    stop: Callable[[], bool]
    say: Callable[[str], None]
    progress: Callable[[str], None]
    shard_lease: Lease
    apart: Apart
    desk: Desk = field(default_factory=Desk)
    clone_is_new: bool = False
    compiled: dict[str, Compiled] = field(default_factory=dict)
    stream: Stream | None = None
    beside: Beside = field(default_factory=Beside)
    recent: Recent = field(default_factory=Recent)
    wake: Callable[[], None] = lambda: None

    @property
    def called(self) -> frozenset[str]:
        """The hosts with news: their far end said so, or they answered after a cycle had gone on without them."""
        return self.beside.late | self.recent.moved | (self.stream.restless() if self.stream else frozenset())

    def queue_behind(self, accepted: Accepted, plan: Plan, attempts: Mapping[str, Attempt]) -> None:
        """Remember who waits for a canary, and have them looked at once more as soon as none is in doubt."""
        desired, canaries = accepted.desired, accepted.limits.canaries
        if desired and any(self.recent.doubts(desired, canaries).values()):
            self.recent.behind |= {h.host for h in plan.hosts if brings(h) and h.host not in attempts}
        else:
            self.recent.moved |= self.recent.behind
            self.recent.behind.clear()

    def look_again(self, after: Plan, attempts: Mapping[str, Attempt]) -> None:
        """Have hosts looked at once more on which everything was done and something differs all the same.

        Somebody changed it meanwhile, and the proof has seen it, so the far end has nothing new to call about. A
        resource that never comes to rest is left to the next sweep after some tries.
        """
        for host in after.hosts:
            attempt = attempts.get(host.host)
            tries = self.recent.chases.pop(host.host, 0)
            if host.steps and attempt and attempt.worked and tries < MOST_CHASES:
                self.recent.chases[host.host] = tries + 1
                self.recent.moved.add(host.host)
        if self.recent.moved:
            self.wake()

    def known(self) -> Known:
        """Hosts as remembered; what an interrupted cycle was to restart or reload is owed."""
        hosts, intents = self.state.hosts(), self.state.intents()
        for name, intent in intents.items():
            memory = hosts.get(name) or HostMemory(name)
            hosts[name] = replace(memory, owed=tuple(sorted({*memory.owed, *intent["handlers"]})))
        return Known(hosts, intents)

    @contextmanager
    def lease(self) -> Iterator[Callable[[], bool]]:
        """Hold the shard against a second daemon while hosts are changed; gives ``stop``, which also renews it.

        Raises Held, naming the other daemon, or Unreachable.
        """
        self.shard_lease.acquire(self.clock(), self.monotonic())
        try:
            yield self.renew
        finally:
            self.shard_lease.release()

    def renew(self) -> bool:
        """Keep the lease through a long launch (it asks the remote only when a third of it is over); then ``stop``."""
        with suppress(GitError):
            self.shard_lease.acquire(self.clock(), self.monotonic())
        return self.stop()

    def mend(self) -> None:
        """Make a damaged clone again, and take the audit branch back from the remote; raises GitError."""
        self.repository.heal()
        self.audit.refresh(self.state.get("published"))
        self.clone_is_new = False
