"""Which hosts of a preview something happens on, and what: the counts that the sentence and the table share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from reconciler.model import Mode
from reconciler.talk import Action, Foreseen, HostPreview, Preview

K = TypeVar("K")
V = TypeVar("V")


def acting(preview: Preview) -> list[HostPreview]:
    """The hosts that something would be done on."""
    return [h for h in touched(preview) if not stopped(h) and h.mode is Mode.ENFORCE]


def watched(preview: Preview) -> list[HostPreview]:
    """The hosts where it would make a difference that is only reported."""
    return [h for h in touched(preview) if not stopped(h) and h.mode is not Mode.ENFORCE]


def held(preview: Preview) -> list[HostPreview]:
    """The hosts on which nothing of it would be applied."""
    return [h for h in preview.hosts if stopped(h)]


def stopped(host: HostPreview) -> bool:
    """Whether nothing of it would be applied on a host."""
    return bool(host.held) or (bool(host.foreseen) and not applied(host))


def applied(host: HostPreview) -> list[Foreseen]:
    """What is foreseen on a host, without the resources that are held back there."""
    kept = spared(host)
    return [f for f in host.foreseen if f.resource not in kept]


def spared(host: HostPreview) -> set[str]:
    """The resources that are held back on a host."""
    return {kept.resource for kept in host.held_in_part}


def turned(preview: Preview) -> list[HostPreview]:
    """The hosts whose mode it changes."""
    return [h for h in preview.hosts if h.mode_before is not None and h.mode_before is not h.mode]


def turning(preview: Preview) -> list[HostPreview]:
    """The hosts that it changes the mode of some resources on."""
    return [h for h in preview.hosts if h.turns]


def turns(preview: Preview) -> set[str]:
    """The resources whose mode it changes on some hosts, apart from that of the hosts."""
    return {turn.resource for host in preview.hosts for turn in host.turns}


def untouched(host: HostPreview) -> list[str]:
    """What differs on a host now and does not change its mode either."""
    turns = {turn.resource for turn in host.turns}
    return [name for name in host.drift if name not in turns]


def touched(preview: Preview) -> list[HostPreview]:
    """The hosts that would be another way than they are declared now."""
    return [h for h in preview.hosts if h.foreseen or h.handlers]


def resources(host: HostPreview, action: Action) -> set[str]:
    """The resources of a host that an action happens to."""
    return {f.resource for f in applied(host) if f.action is action}


def final(host: HostPreview) -> set[str]:
    """The resources of a host whose change cannot be undone."""
    return {f.resource for f in applied(host) if f.irreversible}


def drifted(host: HostPreview) -> bool:
    """Whether it would overwrite drift on a host."""
    return any(overwrites(f) for f in applied(host))


def overwrites(foreseen: Foreseen) -> bool:
    """Whether what is live is neither what is declared now nor what would be."""
    return foreseen.live is not None and foreseen.live != (foreseen.after,)


def unseen(host: HostPreview) -> bool:
    """Whether what is really there is not known."""
    return bool(host.blind) or any(f.unseen for f in host.foreseen)


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """What is shared, as reasons or changes are, with the hosts that share it, in order."""
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
