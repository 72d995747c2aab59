"""What would differ, resource by resource: what is the same on many hosts is shown once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.comment import fleet
from reconciler.comment.fleet import grouped
from reconciler.comment.frame import Frame
from reconciler.markdown import Section, counted, details, fence, names
from reconciler.memory import shown
from reconciler.model import Mode, Value
from reconciler.talk import Action, Foreseen, HostPreview, Preview
from reconciler.wording import value_text

GRAVE, ORDINARY = 3, 8
"""Ranks: a diff that removes something or cannot be undone is left out long after the others."""

WORDS = {Action.ADD: "added", Action.CHANGE: "changed", Action.REMOVE: "removed"}


@dataclass(frozen=True, slots=True)
class Block:
    """One resource, what would become of it, and the hosts on which that is the same."""

    resource: str
    foreseen: tuple[Foreseen, ...]
    hosts: tuple[str, ...]
    idle: tuple[str, ...] = ()
    """Those of the hosts on which it would not be applied."""

    @property
    def final(self) -> bool:
        """Whether it cannot be undone."""
        return any(f.irreversible for f in self.foreseen)

    @property
    def grave(self) -> bool:
        """Whether it takes something away or cannot be undone."""
        return self.final or any(f.action is Action.REMOVE for f in self.foreseen)


def diffs(preview: Preview, frame: Frame) -> list[Section]:
    """A section for each block: what cannot be undone first, then what is removed, then by the number of hosts."""
    found = sorted(blocks(preview), key=lambda b: (not b.final, not b.grave, -len(b.hosts), b.resource))
    return [Section(block_text(b, frame), GRAVE if b.grave else ORDINARY, {"diff": 1}) for b in found]


def blocks(preview: Preview) -> list[Block]:
    """What would become of each resource, hosts with the same together."""
    found = grouped((key, host) for host in preview.hosts for key in resources_of(host.foreseen))
    return [
        Block(
            key[0].resource, key, tuple(h.host for h in hosts), tuple(h.host for h in hosts if idle(h, key[0].resource))
        )
        for key, hosts in found.items()
    ]


def idle(host: HostPreview, resource: str) -> bool:
    """Whether a resource would be left as it is on a host."""
    return host.mode is not Mode.ENFORCE or fleet.stopped(host) or resource in fleet.spared(host)


def resources_of(foreseen: Sequence[Foreseen]) -> Iterator[tuple[Foreseen, ...]]:
    """The attributes of each resource, without what is only true of this one host."""
    alike: dict[str, list[Foreseen]] = {}
    for one in foreseen:
        alike.setdefault(one.resource, []).append(shared(one))
    return (tuple(attributes) for attributes in alike.values())


def shared(one: Foreseen) -> Foreseen:
    """What is foreseen, without what is only true of one host.

    Where nothing else would be declared than now (the mode changes), what is live is all that would be different.
    """
    if one.before == one.after and not one.diff:
        one = replace(one, before=one.live[0] if one.live else None)
    return replace(one, live=None, unseen=False)


def block_text(block: Block, frame: Frame) -> str:
    """One folded block: its title, its hosts, the lines, and where they are declared."""
    facts = [", ".join(dict.fromkeys(frame.cite(f.place) for f in block.foreseen))]
    if len(block.hosts) > 1:
        facts.append(names(block.hosts, frame.names))
    if block.idle:
        facts.append(f"not applied on {names(block.idle, frame.names)}")
    return details(
        title(block, frame), f"{' · '.join(facts)}\n\n{fence(lines(block.foreseen, frame))}", folds=frame.folds
    )


def title(block: Block, frame: Frame) -> str:
    """``template[…]: the same change on 9 hosts``."""
    actions = {f.action for f in block.foreseen}
    word = WORDS[actions.pop()] if len(actions) == 1 else "changed"
    on = frame.quote(block.hosts[0])
    if len(block.hosts) > 1:
        word, on = ("the same change" if word == "changed" else word), counted(len(block.hosts), "host")
    return f"{frame.quote(block.resource)}: {word} on {on}{', cannot be undone' if block.final else ''}"


def lines(foreseen: Sequence[Foreseen], frame: Frame) -> Iterator[str]:
    """What differs as the lines of a diff, each beginning with ``-``, ``+``, ``!`` or a blank."""
    for one in foreseen:
        if one.secret:
            yield f"! {one.attribute}: {secret_words(one)}"
        elif one.diff:
            yield f"  {one.attribute}:"
            yield from (line if line.startswith(("-", "+")) else f"  {line}" for line in one.diff[: frame.lines])
            if len(one.diff) > frame.lines:
                yield f"  … and {len(one.diff) - frame.lines} more lines"
        else:
            yield from value_lines(one)


def secret_words(foreseen: Foreseen) -> str:
    """What happens to a secret, without the secret."""
    return f"{WORDS[foreseen.action]}; it is secret and not shown"


def value_lines(foreseen: Foreseen) -> Iterator[str]:
    """One value before and after, as two lines."""
    if foreseen.before is not None:
        yield f"- {foreseen.attribute}: {value_words(foreseen.before)}"
    if foreseen.after is not None:
        yield f"+ {foreseen.attribute}: {value_words(foreseen.after)}"
    if foreseen.before is None and foreseen.after is None:
        yield f"{'-' if foreseen.action is Action.REMOVE else '+'} {foreseen.attribute}"


def value_words(value: Value, *, secret: bool = False) -> str:
    """A value as people read it, in full: the block cuts its lines and makes visible what is not."""
    value = shown(value, secret=secret)
    if isinstance(value, tuple):
        value = ", ".join(value)
    if isinstance(value, str) and value and not value.startswith("sha256:"):
        return value
    return value_text(value)
