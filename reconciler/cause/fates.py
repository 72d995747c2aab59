"""Fates: how each host of a ticket stands now, judged by the same check that found it.

Only that check may call a host clean: one that is blind, held, or whose difference is merely waived is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from reconciler.cause.flaps import Flaps
from reconciler.cause.tickets import TicketMemory
from reconciler.model import HostMemory, HostPlan, Mode, Plan, State, Verdict
from reconciler.talk import Cause, Why


class Fate(StrEnum):
    """How one host of a ticket stands. ``THERE`` and ``UNSEEN`` keep the ticket open."""

    THERE = "there"
    UNSEEN = "unseen"
    CLEAN = "clean"
    MOVED = "moved"
    DROPPED = "dropped"
    GONE = "gone"

    @property
    def over(self) -> bool:
        """Whether the ticket has nothing more to say of the host."""
        return self not in (Fate.THERE, Fate.UNSEEN)


def fates(
    plan: Plan,
    causes: Iterable[Cause],
    tickets: Iterable[TicketMemory],
    memories: Mapping[str, HostMemory],
    flaps: Flaps,
) -> Mapping[str, Mapping[str, Fate]]:
    """Fingerprint → host → how it stands, for each host that an open ticket is remembered with.

    *plan* is how every host of the inventory stands after the cycle; a host that is not in it has left the inventory.
    """
    hosts = {host.host: host for host in plan.hosts}
    told = {(cause.resource, host) for cause in causes for host in cause.hosts}
    mine = {(cause.fingerprint, host) for cause in causes for host in cause.hosts}
    found: dict[str, dict[str, Fate]] = {}
    for ticket in tickets:
        if ticket.open:
            found[ticket.fingerprint] = {
                name: Fate.THERE
                if (ticket.fingerprint, name) in mine
                else fate(ticket, name, hosts.get(name), memories.get(name, HostMemory(name)), flaps, told)
                for name in ticket.hosts
            }
    return found


def fate(
    ticket: TicketMemory,
    name: str,
    host: HostPlan | None,
    memory: HostMemory,
    flaps: Flaps,
    told: set[tuple[str, str]],
) -> Fate:
    """How one host stands that the ticket's cause does not show now. *told*: resource and host of every cause."""
    if host is None:
        return Fate.GONE
    if host.state is State.BLIND:
        return Fate.UNSEEN
    if ticket.why is Why.BLIND:
        return Fate.CLEAN
    if ticket.why is Why.FLAPPING:
        return Fate.THERE if ticket.resource in flaps.get(name, {}) else Fate.CLEAN
    if is_left(ticket.resource, host, memory):
        return Fate.MOVED if (ticket.resource, name) in told else Fate.THERE
    return Fate.DROPPED if ticket.resource in host.orphans else Fate.CLEAN


def is_left(resource: str, host: HostPlan, memory: HostMemory) -> bool:
    """Whether anything differs still, whatever its mode; or a restart that failed is still owed."""
    differing = [change for change in host.changes if change.verdict is not Verdict.AHEAD]
    if resource == "":
        return any(change.mode is Mode.ENFORCE for change in differing)
    return resource in memory.owed or any(change.resource == resource for change in differing)
