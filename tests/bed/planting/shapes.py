"""What a planted change is made of: a declared resource, the ways in which a hand changes it, one such change.

All of it is data; nothing here touches a host. The catalogue (`paths`, `accounts`, `settings`, `running`) is written
in these words, and `deal` draws from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reconciler.kinds import KINDS

How = Literal["change", "delete", "add", "running", "decoy"]
"""What a hand did: to what is there, away with it, what should not be, what no file keeps; or nothing of ours."""

Found = tuple[str, str, str]
"""Host, resource and attribute of one difference."""

Effect = tuple[str, str]
"""Resource and attribute that a change makes differ."""


@dataclass(frozen=True)
class Way:
    """One way in which a hand changes a host.

    ``do`` and ``undo`` are commands of bash. ``probe`` prints something that is ``shows`` exactly while the change is
    there: it is asked of the host's own tools, and blanks and line ends in it count as one blank. ``differs`` are the
    attributes of its own resource that then differ, ``others`` what then differs elsewhere, and ``beside`` are
    resources that nothing else may happen to meanwhile.
    """

    name: str
    how: How
    do: str
    undo: str
    probe: str
    shows: str
    differs: tuple[str, ...] = ()
    others: tuple[Effect, ...] = ()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declared:
    """One resource, what has to be on a host before it is converged first, and the ways in which a hand changes it.

    Without a kind it stands for what nobody declared: all its ways are decoys. ``keep`` are the paths that are put on
    the shelf, for undoing.
    """

    kind: str
    fields: Mapping[str, Any]
    ways: tuple[Way, ...]
    prepare: str = ""
    keep: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """``kind[name]``, as a plan says it; something of its own where nothing is declared."""
        return identity(self.kind, self.fields) if self.kind else f"undeclared[{self.fields['name']}]"


@dataclass(frozen=True)
class Change:
    """One way on one host. ``differs`` is empty for a decoy; ``touches`` no other change of the same round touches."""

    id: str
    host: str
    kind: str
    how: How
    do: str
    undo: str
    probe: str
    shows: str
    differs: frozenset[Effect]
    touches: frozenset[str]


def identity(kind: str, fields: Mapping[str, Any]) -> str:
    """``kind[name]`` of what these fields declare."""
    return f"{kind}[{KINDS[kind].model_validate(dict(fields)).key()}]"


def change(host: str, declared: Declared, way: Way) -> Change:
    """One way of one resource on one host."""
    own = {(declared.identity, attribute) for attribute in way.differs}
    return Change(
        id=f"{host}:{declared.identity}:{way.name}",
        host=host,
        kind=declared.kind,
        how=way.how,
        do=way.do,
        undo=way.undo,
        probe=way.probe,
        shows=way.shows,
        differs=frozenset(own | set(way.others)),
        touches=frozenset({declared.identity, *way.beside, *(resource for resource, _ in way.others)}),
    )


SHELF = "/var/tmp/shelf"
"""A folder on each host with what was at the paths that a hand may change, before it did."""


def restore(*paths: str) -> str:
    """The command that puts back what is on the shelf of each path: type, content and permissions, or nothing."""
    return "; ".join(f"restore {path}" for path in paths)
