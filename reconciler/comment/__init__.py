"""The comment on a pull request: what merging it would do to the live fleet, for a reviewer with ten seconds.

Called by the shell with a ``Preview``; returns Markdown. Pure. Every string of hosts and strangers goes through
``markdown``; secret values are never in it. The same text in full, without folds, is the record on the audit branch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

from reconciler.comment import sections
from reconciler.comment.diffs import diffs
from reconciler.comment.fleet import acting, held, turned, turning, turns, watched
from reconciler.comment.frame import FULL, UNLIMITED, Frame
from reconciler.comment.verdict import verdict
from reconciler.markdown import Section, assemble, code, link, marker
from reconciler.model import Place
from reconciler.talk import Preview

__all__ = [
    "UNLIMITED",
    "acting",
    "digest",
    "held",
    "plan_comment",
    "plan_record",
    "turned",
    "turning",
    "turns",
    "watched",
]

SEEN = "Compared with the fleet as it was seen "
"""How the one line begins that changes by itself."""

PARTS = (
    sections.host_table,
    sections.canaries,
    sections.mistakes,
    sections.conflicts,
    sections.holds,
    sections.modes,
    sections.membership,
    sections.watched,
    sections.unknown,
    sections.overwritten,
    diffs,
    sections.orphans,
    sections.staying,
)


def plan_comment(
    preview: Preview,
    *,
    limit: int,
    key: str,
    line_url: Callable[[Place], str] | None,
    record_url: str = "",
    folds: bool = True,
) -> str:
    """The body of the comment, in at most *limit* characters; its first line is the marker ``plan`` *key*.

    *line_url* makes the address of a line at the head. Without *folds*, for forges that know no ``<details>``,
    folded sections have a heading instead.
    """
    frame = Frame(line_url=line_url, folds=folds)
    return assemble([Section(marker("plan", key)), *body(preview, frame, record_url)], limit, record_url)


def plan_record(preview: Preview) -> str:
    """The same in full, as the content of a Markdown file."""
    return assemble([Section("# Plan of a pull request"), *body(preview, FULL, "")], UNLIMITED) + "\n"


def digest(comment: str) -> str:
    """A short key of a comment: the same for two that differ only in when the fleet was seen."""
    lines = [line.rstrip() for line in comment.strip().splitlines()]
    matters = "\n".join(line for line in lines if not line.startswith(SEEN))
    return sha256(matters.encode(errors="replace")).hexdigest()[:16]


def body(preview: Preview, frame: Frame, record_url: str) -> list[Section]:
    """Every section in the order of reading; the last is the footer."""
    parts: list[Section] = [Section(verdict(preview))]
    for part in PARTS:
        made = part(preview, frame)
        parts += made if isinstance(made, list) else [made]
    said = [part for part in parts if part.body]
    return [*said, Section(footer(preview, record_url if len(said) > 1 else ""))]


def footer(preview: Preview, record_url: str) -> str:
    """Which commits it is about and, where they could be compared, when the fleet was last seen."""
    facts = [f"base {code(preview.base[:7])}", f"head {code(preview.head[:7])}"]
    facts += [f"plan {code(preview.plan[:12])}"] if preview.plan else []
    facts += [link("in full", record_url)] if record_url else []
    compared = not (preview.refused or preview.conflicts)
    return "\n\n".join([" · ".join(facts), *([seen_line(preview.seen_at)] if compared else [])])


def seen_line(seen_at: str | None) -> str:
    """``Compared with the fleet as it was seen at 19:41:07 UTC on 2026-11-22.``"""
    if seen_at is None:
        return "Nobody has looked at the fleet yet: everything is compared with nothing."
    return f"{SEEN}{time_words(seen_at)}."


def time_words(stored: str) -> str:
    """A stored time as people read it; an absolute one, so that the text stays true."""
    try:
        at = datetime.fromisoformat(stored)
    except ValueError:
        return code(stored)
    return f"at {at if at.tzinfo is None else at.astimezone(UTC):%H:%M:%S UTC on %Y-%m-%d}"
