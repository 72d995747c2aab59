"""Escalate: what a cycle found that needs a person, from causes to tickets, prepared branches and letters.

Called by ``speak``. Everything is decided and worded by ``cause`` and ``ticket``; here it is put in order and stored,
in one transaction with what is remembered of the tickets, so that a crash neither loses a closing nor tells it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from reconciler import ticket
from reconciler.accept import Accepted
from reconciler.cause import (
    DASHBOARD,
    Decision,
    Flaps,
    Move,
    TicketMemory,
    as_memory,
    as_record,
    causes,
    decide,
    dismiss,
    fates,
    healed,
    note_drift,
)
from reconciler.markdown import marker
from reconciler.model import Attempt, Plan, Tree
from reconciler.propose import Offer, Seen, offer, with_pull, withdraw
from reconciler.talk import Letter
from reconciler.ticket import Links, Way, Ways
from reconciler.world import Standing, World

if TYPE_CHECKING:
    from reconciler.forge import Forge

Slots = dict[str, Mapping[str, Any]]
BLIND_AFTER = timedelta(hours=1)
"""Where there is no forge, and so no setting for it."""
SHOWN = (Move.OPEN, Move.UPDATE, Move.KEEP, Move.REOPEN)
"""Moves after which a ticket says how things are."""


@dataclass(frozen=True)
class Found:
    """What one cycle planned and tried, and how every host of the fleet stands after it, looked at now or before."""

    plan: Plan
    attempts: Mapping[str, Attempt]
    fleet: Mapping[str, Standing]

    @cached_property
    def final(self) -> Plan:
        """Every host by the last look at it."""
        return replace(self.plan, hosts=tuple(self.fleet[name].final for name in sorted(self.fleet)))

    @property
    def last_attempts(self) -> Mapping[str, Attempt]:
        """The attempts that hosts stand by."""
        return {name: standing.attempt for name, standing in self.fleet.items() if standing.attempt}

    @property
    def seen(self) -> Seen:
        """What hosts answered on which something differs."""
        return {name: standing.seen for name, standing in self.fleet.items() if standing.seen}


@dataclass(frozen=True, slots=True)
class Needs:
    """What is decided about every ticket, what is prepared for it, and what is remembered then."""

    at: datetime
    final: Plan
    decisions: tuple[Decision, ...]
    tickets: Mapping[str, TicketMemory]
    flaps: Flaps
    offers: Mapping[str, Offer] = field(default_factory=dict)


def assess(world: World, accepted: Accepted, found: Found) -> Needs:
    """Decide about every ticket, and prepare the branches of those that go on."""
    now, final, memories, settings = world.clock(), found.final, world.state.hosts(), world.config.forge
    flaps = note_drift(remembered_flaps(world), put_right(found, final), now)
    needing = causes(
        final,
        memories,
        looked_at=datetime.fromisoformat(world.state.get("swept_at")),
        blind_after=settings.blind_after if settings else BLIND_AFTER,
        attempts=found.last_attempts,
        flaps=flaps,
    )
    tickets = remembered_tickets(world)
    ends = fates(final, needing, tickets.values(), memories, flaps)
    decisions = decide(needing, tickets, ends, cap=settings.tickets if settings else len(needing), now=now)
    return Needs(now, final, decisions, tickets, flaps, offers(world, accepted, found, decisions))


def put_right(found: Found, final: Plan) -> set[tuple[str, str]]:
    """The drifts that the cycle put right, by host and resource."""
    last = {host.host: host for host in final.hosts}
    each = (healed(host, last[host.host], found.attempts.get(host.host)) for host in found.plan.hosts)
    return set().union(*each)


def offers(world: World, accepted: Accepted, found: Found, decisions: Iterable[Decision]) -> Mapping[str, Offer]:
    """What is prepared for every ticket that goes on; the files of the revision are read only where they are needed."""

    @cache
    def tree() -> Tree:
        return world.repository.tree(accepted.sha, world.config.repository.path)[0]

    return {
        step.fingerprint: offer(world, accepted, step.cause, found.seen, tree)
        for step in decisions
        if step.cause and step.move in SHOWN
    }


def remembered_flaps(world: World) -> Flaps:
    """The drifts put right in the last day."""
    stored = world.state.get("flaps") or {}
    return {host: {name: tuple(times) for name, times in each.items()} for host, each in stored.items()}


def remembered_tickets(world: World) -> Mapping[str, TicketMemory]:
    """What is remembered of every ticket, with the forge's number, and with what people did to it since."""
    stored = world.state.get("tickets") or {}
    refs = {slot.name.partition("/")[2]: slot for slot in world.state.slots("ticket/")}
    tickets = {
        name: replace(as_memory(record), number=refs[name].ref if name in refs else None)
        for name, record in stored.items()
    }
    forge = world.desk.forge
    asked = [memory for memory in tickets.values() if memory.number and memory.open and not memory.dismissed]
    if forge is not None and asked:
        with world.desk.speaking(world.desk.FORGE, world.monotonic, world.say) as speaking:
            return {**tickets, **(ended_by_people(world, forge, asked) if speaking else {})}
    return tickets


def ended_by_people(world: World, forge: Forge, asked: Iterable[TicketMemory]) -> Mapping[str, TicketMemory]:
    """The tickets that somebody closed or deleted though their story goes on."""
    there = {ticket.number: ticket for ticket in forge.own_tickets()}
    ended: dict[str, TicketMemory] = {}
    for memory in asked:
        slot = world.state.slot(f"ticket/{memory.fingerprint}")
        if slot is None or slot.sent is None or not slot.sent["open"]:
            continue
        if memory.number not in there:
            world.state.refer(slot.name, None)
            ended[memory.fingerprint] = dismiss(memory, deleted=True)
        elif not there[memory.number].open:
            ended[memory.fingerprint] = dismiss(memory)
    return ended


def store(world: World, needs: Needs) -> None:
    """Store what tickets are to say, the letters about what changed, and what is remembered of it, at once."""
    forgotten = [step.fingerprint for step in needs.decisions if step.move is Move.FORGET]
    kept = {name: memory for name, memory in needs.tickets.items() if name not in forgotten}
    kept |= {step.fingerprint: step.memory for step in needs.decisions if step.memory}
    url = record_url(world)
    letters = ticket.letters(needs.decisions, at=needs.at, urls={step.fingerprint: url for step in needs.decisions})
    meta = {
        "tickets": {name: as_record(memory) for name, memory in kept.items()},
        "flaps": {host: {name: list(times) for name, times in each.items()} for host, each in needs.flaps.items()},
    }
    world.state.say(ticket_slots(world, needs), letters, world.desk.ear_names, meta)
    kinds = ("ticket", "pull", "branch")
    gone = [f"{kind}/{name}" for kind in kinds for name in forgotten]
    world.state.vacate([*gone, *(slot.name for name in forgotten for slot in world.state.slots(f"note/{name}/"))])


def ticket_slots(world: World, needs: Needs) -> Slots:
    """Tickets as slots, with the comments that call people back to them."""
    forge, settings = world.desk.forge, world.config.forge
    if forge is None or settings is None or settings.tickets == 0:
        return {}
    slots: Slots = {}
    for step in needs.decisions:
        name = f"ticket/{step.fingerprint}"
        there = world.state.slot(name)
        if step.move is Move.OPEN and there and there.ref:
            world.state.refer(name, None)
        if step.move in SHOWN and step.memory:
            slots[name] = {"title": step.memory.title, "body": body_of(world, forge, needs, step), "open": True}
        elif step.move is Move.CLOSE and there:
            slots[name] = {**there.wanted, "open": False}
            slots |= withdraw(world, step.fingerprint)
        if there or step.move is Move.REOPEN:
            slots |= note_slot(world, needs, step)
    return slots


def body_of(world: World, forge: Forge, needs: Needs, step: Decision) -> str:
    """The text of one ticket."""
    head = marker("ticket", f"{world.desk.name}/{step.fingerprint}")
    if step.fingerprint == DASHBOARD:
        return ticket.dashboard(step, head=head, limit=forge.body_limit)
    lines = forge.lines(needs.final.revision)
    links = Links(
        commit=lambda commit: forge.commit_url(commit.sha),
        line=lambda place: lines.url(world.config.repository.within(place.file), place.line),
        record="",
    )
    ways = ways_of(world, forge, with_pull(world, step.fingerprint, needs.offers.get(step.fingerprint, Offer())))
    waiting = ticket.notes(needs.final, step.fates)
    return ticket.body(
        step, head=head, links=links, ways=ways, waiting=waiting, folds=forge.folds, limit=forge.body_limit
    )


def ways_of(world: World, forge: Forge, offered: Offer) -> Ways:
    """The prepared branches as ways out."""
    base = world.config.repository.branch
    pull = Way(forge.pull_url(offered.pull), offered.pull) if offered.pull and offered.pull_state == "open" else None
    later = Way(forge.compare_url(base, offered.waive)) if offered.waive else None
    until = offered.until.isoformat() if offered.until else ""
    return Ways(adopt=pull, unadopted=offered.unadopted(), waive=later, until=until)


def note_slot(world: World, needs: Needs, step: Decision) -> Slots:
    """The comment that tells people who follow a ticket that it is closed, back, or has news."""
    words: Mapping[Move, Callable[..., str]] = {
        Move.CLOSE: ticket.closing,
        Move.REOPEN: ticket.reopening,
        Move.UPDATE: ticket.news,
    }
    if step.move not in words or step.quiet:
        return {}
    key = sha256(f"{needs.at.isoformat()} {step.fingerprint} {step.move}".encode()).hexdigest()[:12]
    head = marker("note", f"{world.desk.name}/{key}")
    body = words[step.move](step, head=head)
    return {f"note/{step.fingerprint}/{key}": {"body": body, "ticket": f"ticket/{step.fingerprint}"}} if body else {}


def refusal_letters(world: World, accepted: Accepted) -> tuple[list[Letter], Mapping[str, Any]]:
    """A letter when the branch begins to be refused, and one when it can be followed again."""
    stop = accepted.stop.partition("\n")[0]
    if (world.state.get("stop_told") or "") == stop:
        return [], {}
    at = world.clock().isoformat(timespec="seconds")
    event, title = ("refused", f"nothing is applied: {stop}") if stop else ("followed", "the branch is followed again")
    key = sha256(f"{at} {event} {stop}".encode()).hexdigest()[:24]
    return [Letter(key, at, event, title, accepted.stop or title, url=record_url(world))], {"stop_told": stop}


def record_url(world: World) -> str:
    """Where people see the last audit commit."""
    forge, tip = world.desk.forge, world.audit.published
    return forge.commit_url(tip) if forge and tip else ""
