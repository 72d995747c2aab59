"""A fleet that answers without being there: the port of Ansible, typed, with facts instead of hosts.

Only for what Ansible's own cost would hide: recording for a thousand hosts, and a hundred idle cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.ansible import HostWork
from reconciler.model import Attempt, Blind, HostAsk, Observed, StepResult


@dataclass(slots=True)
class FakeFleet:
    """Answers with ``facts``; a host that was converged answers with ``clean`` from then on."""

    clean: Mapping[str, Observed]
    facts: dict[str, Observed] = field(default_factory=dict)
    launches: int = 0

    def observe(self, asks: Mapping[str, HostAsk], stop: Callable[[], bool]) -> dict[str, Observed | Blind]:
        """What each host is like now."""
        self.launches += 1
        return {host: self.facts.get(host) or self.clean[host] for host in asks}

    def warm(self) -> None:
        """There is nothing to start ahead."""

    def converge(
        self, work: Mapping[str, HostWork], staged: Mapping[str, bytes], stop: Callable[[], bool]
    ) -> dict[str, Attempt]:
        """Every step works."""
        self.launches += 1
        for host in work:
            self.facts.pop(host, None)
        return {
            host: Attempt(
                host,
                {step.id: StepResult("changed") for step in todo.steps},
                {str(handler.notify): StepResult("changed") for handler in todo.handlers},
            )
            for host, todo in work.items()
        }
