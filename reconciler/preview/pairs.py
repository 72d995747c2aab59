"""What is declared of one thing on one host before and after, side by side.

Called by the other parts of ``preview``. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.diff import is_secret
from reconciler.model import HostDesired, Mode, Resource
from reconciler.policy import effective_mode


@dataclass(frozen=True, slots=True)
class Pair:
    """One resource of the head, with what the base declares of the same thing, if it does.

    ``moved`` says that the host would be another machine; ``waived_before`` and ``waived`` which differences are spared
    by the waivers of either side, for a resource is converged whole or not at all.
    """

    old: Resource | None
    new: Resource
    mode_before: Mode | None
    mode: Mode
    moved: bool = False
    waived_before: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()

    @property
    def known_as(self) -> str:
        """The name that memory has it by."""
        return (self.old or self.new).identity

    @property
    def enforced(self) -> bool:
        """Whether what differs of it would be put right."""
        return self.mode is Mode.ENFORCE and not self.waived

    @property
    def turned(self) -> bool:
        """Whether that is so only from now on, so that what differs already would be put right too."""
        before = self.mode_before is Mode.ENFORCE and not self.waived_before and not self.moved
        return self.old is not None and self.enforced and not before

    def changed(self, attribute: str) -> bool:
        """Whether another value is declared than before, or one where there was none."""
        if self.old is None or attribute not in self.old.wanted:
            return True
        return self.old.wanted[attribute] != self.new.wanted[attribute]

    def secret(self, attribute: str) -> bool:
        """Whether either side keeps its values to itself: the head alone cannot uncover what the base hides."""
        return is_secret(self.new, attribute) or (self.old is not None and is_secret(self.old, attribute))

    @property
    def irreversible(self) -> bool:
        """Whether going back to the base would not bring back what is taken away."""
        return bool(self.new.fields.irreversible(self.old.fields if self.old else None))


def moved(base: HostDesired | None, head: HostDesired) -> bool:
    """Whether a host would be reached somewhere else: what is known of it is then known of another machine."""
    return base is not None and address(base) != address(head)


def address(desired: HostDesired) -> tuple[object, object]:
    """Where a host is reached; another place is another machine, whatever it is called."""
    return desired.connection.get("ansible_host", desired.host), desired.connection.get("ansible_port")


def pairs_of(base: HostDesired | None, head: HostDesired) -> tuple[list[Pair], tuple[str, ...]]:
    """The resources of the head with their counterparts, and the names of those of the base that have none."""
    olds = {resource.identity: resource for resource in base.resources} if base else {}
    gone = olds.keys() - {resource.identity for resource in head.resources}
    heirs = inherit([olds[name] for name in gone], (r for r in head.resources if r.identity not in olds))
    pairs, elsewhere = [], moved(base, head)
    for new in head.resources:
        old = olds.get(new.identity) or heirs.get(new.identity)
        before = effective_mode(base.mode, old.mode) if base and old else None
        pairs.append(Pair(old, new, before, effective_mode(head.mode, new.mode), elsewhere))
    return pairs, tuple(sorted(gone - {old.identity for old in heirs.values()}))


def inherit(gone: list[Resource], arrived: Iterable[Resource]) -> dict[str, Resource]:
    """Identity → the resource that it takes the place of: a copy that becomes a template, a file that is removed.

    They claim the same thing on the host, as two resources of one revision never may.
    """
    if not gone:
        return {}
    claims = {token: old for old in gone for token in old.fields.claims()}
    found = {new.identity: [claims[t] for t in sorted(new.fields.claims()) if t in claims] for new in arrived}
    return {identity: olds[0] for identity, olds in found.items() if olds}
