"""The text of a pull request that takes what is live into the repository: the evidence for whoever merges it."""

from __future__ import annotations

from reconciler.markdown import Section, assemble, bullets, code, names, text
from reconciler.model import Change
from reconciler.talk import Cause, Edit
from reconciler.ticket.body import HOSTS_SHOWN, REASONS_SHOWN, VARIANTS_SHOWN, clock
from reconciler.wording import transition, value_text


def adoption(cause: Cause, edit: Edit, *, limit: int = 20_000) -> str:
    """What it declares instead of what, on which hosts, since when; and what it could not take over."""
    taken = {(wish.host, wish.resource, wish.attribute) for wish in edit.taken}
    lines = [
        f"{code(change.resource)} {code(change.attribute)} on {names(hosts, HOSTS_SHOWN)}: {values(change)}"
        for variant in cause.variants
        for change in variant.changes
        if (hosts := tuple(h for h in variant.hosts if (h, change.resource, change.attribute) in taken))
    ]
    left = bullets([text(reason) for reason in edit.left], most=REASONS_SHOWN, room=limit // 4)
    told = [
        Section(
            f"Declares what is live on {names(cause.hosts, HOSTS_SHOWN)} since {clock(cause.since)}. Merging it changes"
            f" nothing on any host. It edits {names(sorted(edit.files), HOSTS_SHOWN)}."
        ),
        Section(bullets(lines, most=VARIANTS_SHOWN, room=limit // 2), rank=1),
        Section(f"Not taken over:\n\n{left}" if left else "", rank=2),
        Section("It is made anew when its base or the hosts change, and left alone once a person has pushed to it."),
    ]
    return assemble([section for section in told if section.body], limit)


def values(change: Change) -> str:
    """Declared and live; of a file, how many lines differ."""
    if change.diff and not change.secret:
        return f"{transition(change)}, taken from there"
    declared, live = (code(value_text(value, secret=change.secret)) for value in (change.wanted, change.seen))
    return f"declared {declared}, live {live}"
