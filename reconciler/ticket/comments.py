"""What is said below a ticket when it is opened again, changes or closes; and the ticket that lists the rest."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.cause import Decision, Fate
from reconciler.markdown import code, names, table, text
from reconciler.ticket.body import HOSTS_SHOWN, clock

LISTED_SHOWN = 200
FRAME = 600
"""Characters that the dashboard needs round its table."""


def closing(decision: Decision, *, head: str) -> str:
    """The comment with which a ticket is closed: how each host came to be over."""
    words = {
        Fate.CLEAN: "Clean again: {}.",
        Fate.MOVED: "Told in another ticket now: {}.",
        Fate.DROPPED: "Declared no longer: {}.",
        Fate.GONE: "Not in the inventory any more: {}.",
    }
    groups = {fate: sorted(h for h, f in decision.fates.items() if f is fate) for fate in words}
    lines = [words[fate].format(names(hosts, HOSTS_SHOWN)) for fate, hosts in groups.items() if hosts and hosts != [""]]
    return "\n\n".join([head, " ".join(lines) or "Nothing is left to list here."])


def reopening(decision: Decision, *, head: str) -> str:
    """The comment with which a ticket is opened again."""
    cause = decision.cause
    where = f" on {names(cause.hosts, HOSTS_SHOWN)}, since {clock(cause.since)}" if cause else ""
    return f"{head}\n\n{'There is news' if decision.changed else 'It is back'}{where}."


def news(decision: Decision, *, head: str) -> str:
    """The comment about what is new in an open ticket; "" where nobody need be called."""
    if decision.quiet or not (decision.joined or decision.changed):
        return ""
    lines = [f"Now also on {names(decision.joined, HOSTS_SHOWN)}."] if decision.joined else []
    lines += ["What differs has changed; the text above is up to date."] if decision.changed else []
    return f"{head}\n\n{' '.join(lines)}"


def dashboard(decision: Decision, *, head: str, limit: int = 60_000) -> str:
    """The text of the ticket that lists what has none of its own."""
    rows = [
        (text(memory.title), str(len(memory.hosts)), code(clock(memory.since)))
        for memory in decision.listed[:LISTED_SHOWN]
    ]
    while rows and len(listing(rows)) > limit - FRAME:
        rows = rows[: len(rows) * 9 // 10]
    top = f"**{len(decision.listed)} more that need a person.** As many tickets are open as may be; these wait here."
    left = len(decision.listed) - len(rows)
    parts = [head, top, listing(rows) if rows else "", f"and {left} more" if left else ""]
    return "\n\n".join(part for part in parts if part)


def listing(rows: Sequence[Sequence[str]]) -> str:
    """The table of the dashboard."""
    return table(("what", "hosts", "since"), rows)
