"""What tickets say, what is said below them, and the letters that go to chat and mail.

The shell calls it with what ``cause`` decided. Pure. Every string of a host or a stranger goes through ``markdown``.
Nothing in a body depends on the clock: the same cause is the same text, and an unchanged one is not sent again.
"""

from reconciler.cause import title
from reconciler.ticket.adoption import adoption
from reconciler.ticket.body import Links, Way, Ways, body, notes
from reconciler.ticket.comments import closing, dashboard, news, reopening
from reconciler.ticket.letters import letters

__all__ = [
    "Links",
    "Way",
    "Ways",
    "adoption",
    "body",
    "closing",
    "dashboard",
    "letters",
    "news",
    "notes",
    "reopening",
    "title",
]
