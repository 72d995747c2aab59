"""What reviews and checks amount to, the same for every forge: newest counts, our own statuses do not."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.talk import Check, Review

GHOST = "ghost"
"""Who wrote what an account wrote that has been deleted since; GitHub and Forgejo show it by this name."""
OURS = "reconciler/"
"""How the contexts of our own statuses begin; they are no evidence."""
UNFINISHED = {"", "pending", "queued", "in_progress", "requested", "waiting", "running", "created", "expected"}
"""Results of checks that have none yet."""


def deciding(reviews: Iterable[Review]) -> tuple[Review, ...]:
    """Of each person the last review that says yes or no, else the last remark; *reviews* come oldest first.

    A review without a verdict (one that was begun, or asked for) is none.
    """
    last: dict[str, Review] = {}
    for review in reviews:
        before = last.get(review.author)
        if review.verdict and (before is None or review.verdict != "commented" or before.verdict == "commented"):
            last[review.author] = review
    return tuple(last.values())


def newest_by_name(checks: Iterable[tuple[int, Check]]) -> tuple[Check, ...]:
    """Of each name the check with the highest id, by name."""
    newest: dict[str, tuple[int, Check]] = {}
    for number, check in checks:
        if check.name not in newest or number >= newest[check.name][0]:
            newest[check.name] = number, check
    return tuple(newest[name][1] for name in sorted(newest))


def together(of_head: Iterable[Check], of_merge: Iterable[Check]) -> tuple[Check, ...]:
    """The checks of a pull request's head and of its merge commit, whose results count more once they are there."""
    found = {check.name: check for check in of_head}
    for check in of_merge:
        if check.name not in found or check.result.lower() not in UNFINISHED:
            found[check.name] = check
    return tuple(found[name] for name in sorted(found))
