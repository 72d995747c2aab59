"""The name of a cause: one line that says what, and where."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.markdown import unheard
from reconciler.model import Verdict
from reconciler.talk import Cause, Why
from reconciler.wording import clean

NAMED = 3
TITLE_LENGTH = 160


def title(cause: Cause, hosts: Sequence[str] = ()) -> str:
    """The cause in one line of plain text, as the title of its ticket; on *hosts* where they are not its own."""
    where = hosts or cause.hosts
    return unheard(
        clean(unseen(where) if cause.why is Why.BLIND else f"{what(cause)} on {named(where)}")[:TITLE_LENGTH]
    )


def named(hosts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``, ``12 hosts``."""
    if len(hosts) > NAMED:
        return f"{len(hosts)} hosts"
    return " and ".join([", ".join(hosts[:-1]), hosts[-1]]) if len(hosts) > 1 else "".join(hosts)


def unseen(hosts: Sequence[str]) -> str:
    """The line for hosts that cannot be seen."""
    return f"{named(hosts)} {'are' if len(hosts) > 1 else 'is'} not seen"


def what(cause: Cause) -> str:
    """What is the matter, without where."""
    if cause.why is Why.FAILED:
        if not cause.resource:
            return "converging ends early"
        changed = any(variant.changes for variant in cause.variants)
        return f"{cause.resource} cannot be put right" if changed else f"{cause.resource} fails"
    if cause.why is Why.FLAPPING:
        return f"{cause.resource} drifts again and again"
    changes = [change for variant in cause.variants for change in variant.changes]
    attributes = ", ".join(dict.fromkeys(change.attribute for change in changes))
    if any(change.verdict is Verdict.CONFLICT for change in changes):
        return f"{cause.resource} was changed by hand and by a commit ({attributes})"
    return f"{cause.resource} drifted ({attributes})"
