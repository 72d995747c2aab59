"""The life of tickets: which are opened, brought up to date, closed, opened again, or told in one dashboard.

One ticket per cause, found by fingerprint. It is closed only where its own check saw every host clean; what comes back
within 30 days is the same ticket again; what a person closed stays closed until there is news.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.cause.fates import Fate
from reconciler.cause.find import gravity
from reconciler.cause.naming import title
from reconciler.cause.tickets import TicketMemory, all_values, new_values
from reconciler.talk import Cause, Why

DASHBOARD = "dashboard"
"""Stands where a fingerprint does, for the one ticket that lists what has none of its own."""
REOPENED_WITHIN = timedelta(days=30)


class Move(StrEnum):
    """What is to be done about one ticket."""

    OPEN = "open"
    UPDATE = "update"
    KEEP = "keep"
    CLOSE = "close"
    REOPEN = "reopen"
    LIST = "list"
    LEAVE = "leave"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about one ticket, and what is remembered of it then (None: nothing).

    ``LIST`` means a line of the dashboard, ``LEAVE`` that a person closed it and nothing is new. ``cause`` is None
    where it is not seen now. ``fates`` tells of the hosts it was remembered with and does not show now, ``joined``
    names those that are new in it, ``changed`` says that something is new since it was told. ``quiet``: nobody need
    hear of it. ``listed`` is what the dashboard lists.
    """

    move: Move
    fingerprint: str
    memory: TicketMemory | None
    cause: Cause | None = None
    fates: Mapping[str, Fate] = field(default_factory=dict)
    joined: tuple[str, ...] = ()
    changed: bool = False
    quiet: bool = False
    listed: tuple[TicketMemory, ...] = ()


def decide(
    causes: Sequence[Cause],
    remembered: Mapping[str, TicketMemory],
    fates: Mapping[str, Mapping[str, Fate]],
    *,
    cap: int,
    now: datetime,
) -> tuple[Decision, ...]:
    """A decision for every ticket there is or is to be; the dashboard's comes last.

    *remembered* has the tickets by fingerprint (the dashboard's under ``DASHBOARD``), *fates* how their hosts stand. At
    most *cap* tickets are open beside the dashboard; those that are open already go before new ones.
    """
    current = {cause.fingerprint: cause for cause in causes}
    absent = [m for name, m in sorted(remembered.items()) if name not in current and name != DASHBOARD]
    over = [step for m in absent if (step := unseen(m, fates.get(m.fingerprint, {}), now))]
    going = [
        go_on(cause, remembered[cause.fingerprint], fates.get(cause.fingerprint, {}))
        for cause in causes
        if is_placed(remembered.get(cause.fingerprint), cause)
    ]
    room = cap - sum(takes_place(step.memory) for step in (*over, *going))
    settled = {step.fingerprint for step in going}
    begun = []
    for cause in sorted((cause for cause in causes if cause.fingerprint not in settled), key=gravity):
        memory = remembered.get(cause.fingerprint)
        begun.append(begin(cause, memory, fates.get(cause.fingerprint, {}), now, has_room=room > 0))
        room -= 1
    decisions = [*going, *begun, *over]
    return (*decisions, *dashboard(decisions, remembered.get(DASHBOARD), now))


def is_placed(memory: TicketMemory | None, cause: Cause) -> bool:
    """Whether a cause has a ticket of its own that goes on, or is left alone."""
    if memory is None or not memory.open or memory.overflow:
        return False
    return not (memory.dismissed and is_news(cause, memory))


def takes_place(memory: TicketMemory | None) -> bool:
    """Whether a ticket counts against the cap."""
    return memory is not None and memory.open and not memory.overflow and not memory.dismissed


def is_news(cause: Cause, memory: TicketMemory) -> bool:
    """Whether a cause shows a host or a difference that its ticket has not told."""
    return bool(set(cause.hosts) - set(memory.hosts) or new_values(cause, memory))


def unseen(memory: TicketMemory, fates: Mapping[str, Fate], now: datetime) -> Decision | None:
    """What becomes of a ticket whose cause is not seen now; None where nothing is to be done."""
    if not memory.open:
        closed = datetime.fromisoformat(memory.closed_at) if memory.closed_at else now
        return Decision(Move.FORGET, memory.fingerprint, None) if now - closed > REOPENED_WITHIN else None
    if fates and all(fate.over for fate in fates.values()):
        shut = replace(memory, open=False, closed_at=now.isoformat(timespec="seconds"))
        return Decision(Move.CLOSE, memory.fingerprint, shut, fates=fates, quiet=memory.dismissed)
    move = Move.LEAVE if memory.dismissed else Move.LIST if memory.overflow else Move.KEEP
    return Decision(move, memory.fingerprint, memory, fates=fates)


def go_on(cause: Cause, memory: TicketMemory, fates: Mapping[str, Fate]) -> Decision:
    """A ticket whose cause is still there: as it is, or brought up to date."""
    after = told(cause, memory, fates)
    joined = tuple(sorted(set(cause.hosts) - set(memory.hosts)))
    changed = bool(new_values(cause, memory))
    move = Move.LEAVE if memory.dismissed else Move.KEEP if after == memory else Move.UPDATE
    return Decision(move, cause.fingerprint, after, cause, elsewhere(cause, fates), joined, changed)


def begin(
    cause: Cause, memory: TicketMemory | None, fates: Mapping[str, Fate], now: datetime, *, has_room: bool
) -> Decision:
    """A cause that has no open ticket of its own: it gets one, its old one again, or a line of the dashboard."""
    again = memory is not None and memory.number is not None and is_recent(memory, now)
    blank = TicketMemory(cause.fingerprint, cause.why, cause.resource, "", cause.since)
    old = replace(memory, dismissed=False) if memory and memory.open else blank
    news = is_news(cause, old)
    after = replace(told(cause, old, fates), number=memory.number if memory and again else None, overflow=not has_room)
    return Decision(
        Move.LIST if not has_room else Move.REOPEN if again else Move.OPEN,
        cause.fingerprint,
        after,
        cause,
        elsewhere(cause, fates),
        joined=tuple(sorted(set(cause.hosts) - set(old.hosts))),
        changed=news and old is not blank,
        # What was listed before is known: that it gets a ticket of its own now is nothing to be told.
        quiet=not news,
    )


def is_recent(memory: TicketMemory, now: datetime) -> bool:
    """Whether a ticket is the same story: not closed by us, or not longer than 30 days ago."""
    if memory.open or not memory.closed_at:
        return True
    return now - datetime.fromisoformat(memory.closed_at) <= REOPENED_WITHIN


def told(cause: Cause, memory: TicketMemory, fates: Mapping[str, Fate]) -> TicketMemory:
    """The memory of a ticket once it says what its cause shows now; hosts that are not over stay in it.

    What a person closed keeps what they closed, so that what comes later can be compared with it.
    """
    since = min(memory.since, cause.since)
    if memory.dismissed:
        return replace(memory, since=since)
    waiting = {host for host, fate in fates.items() if not fate.over}
    hosts = tuple(sorted({*cause.hosts, *waiting}))
    return replace(memory, title=title(cause, hosts), since=since, hosts=hosts, values=all_values(cause, memory))


def elsewhere(cause: Cause, fates: Mapping[str, Fate]) -> dict[str, Fate]:
    """The hosts that were in a ticket and that its cause does not show now."""
    return {host: fate for host, fate in fates.items() if host not in cause.hosts}


def dashboard(decisions: Iterable[Decision], memory: TicketMemory | None, now: datetime) -> tuple[Decision, ...]:
    """The decision about the one ticket that lists what has none of its own; nothing where none is needed.

    It is quiet: what it lists is told by itself.
    """
    listed = tuple(step.memory for step in decisions if step.move is Move.LIST and step.memory)
    if not listed:
        step = unseen(memory, {"": Fate.CLEAN}, now) if memory else None
        return (replace(step, quiet=True),) if step else ()
    words = f"{len(listed)} more {'causes need' if len(listed) > 1 else 'cause needs'} a person"
    start = min(one.since for one in listed)
    old = memory if memory and is_recent(memory, now) else None
    shown = replace(
        old or TicketMemory(DASHBOARD, Why.OBSERVED, "", words, start),
        title=words,
        since=start,
        hosts=tuple(sorted({host for one in listed for host in one.hosts})),
        values=tuple(sorted(one.fingerprint for one in listed)),
        open=True,
        dismissed=False,
        closed_at=None,
    )
    move = dashboard_move(old, shown)
    return (Decision(move, DASHBOARD, old if move is Move.LEAVE else shown, quiet=True, listed=listed),)


def dashboard_move(old: TicketMemory | None, shown: TicketMemory) -> Move:
    """What is to be done about the dashboard that is remembered as *old* and is to read as *shown*."""
    if old is None:
        return Move.OPEN
    if old.open and not old.dismissed:
        return Move.KEEP if shown == old else Move.UPDATE
    if old.open and set(shown.values) <= set(old.values):
        return Move.LEAVE
    return Move.OPEN if old.number is None else Move.REOPEN
