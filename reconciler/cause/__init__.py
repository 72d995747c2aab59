"""Causes: what needs a person, and what becomes of the tickets that say so.

The shell asks, after each cycle: which causes there are (``causes``), how the hosts of every ticket stand
(``fates``), and what is to be done about the tickets (``decide``). Pure: plans, memories and times in, values out.
What a ticket says is ``ticket``'s business; that it arrives is the shell's.
"""

from reconciler.cause.fates import Fate, fates
from reconciler.cause.find import causes, fingerprint, gravity
from reconciler.cause.flaps import Flaps, flapping, healed, note_drift
from reconciler.cause.lifecycle import DASHBOARD, Decision, Move, decide
from reconciler.cause.naming import named, title
from reconciler.cause.tickets import TicketMemory, as_memory, as_record, dismiss

__all__ = [
    "DASHBOARD",
    "Decision",
    "Fate",
    "Flaps",
    "Move",
    "TicketMemory",
    "as_memory",
    "as_record",
    "causes",
    "decide",
    "dismiss",
    "fates",
    "fingerprint",
    "flapping",
    "gravity",
    "healed",
    "named",
    "note_drift",
    "title",
]
