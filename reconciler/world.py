"""The outside as a cycle meets it: one object with a repository, an audit branch, Ansible, a memory and a clock.

Opened by ``daemon`` and ``cli``; handed to everything in the shell. It makes no decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from reconciler.ansible import Ansible
from reconciler.audit import AuditBranch
from reconciler.config import Config
from reconciler.desk import Desk
from reconciler.errors import GitError
from reconciler.lease import Lease
from reconciler.model import Desired, HostMemory
from reconciler.repo import Repository
from reconciler.state import State


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered at the start of a cycle: hosts, and intents that an interrupted cycle left."""

    hosts: Mapping[str, HostMemory]
    interrupted: Mapping[str, Mapping[str, Any]]

    def of(self, host: str) -> HostMemory:
        """The memory of a host, empty for one never seen."""
        return self.hosts.get(host) or HostMemory(host)


@dataclass(slots=True)
class World:
    """The ports of a cycle. ``say`` tells a person of an event, ``progress`` of what is going on now."""

    config: Config
    repository: Repository
    audit: AuditBranch
    ansible: Ansible
    state: State
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    stop: Callable[[], bool]
    say: Callable[[str], None]
    progress: Callable[[str], None]
    shard_lease: Lease
    desk: Desk = field(default_factory=Desk)
    clone_is_new: bool = False
    compiled: dict[str, Desired] = field(default_factory=dict)

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
