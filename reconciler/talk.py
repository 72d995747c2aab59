"""The nouns of what is said on a forge: pull requests and what they would do, statuses, tickets and their causes.

A ticket is what forges call an issue; the word is ours, because in Python an issue is anything. Nothing here
reads a file, a clock or a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model import Change, Mistake, Mode, Place, Value


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull (or merge) request as the forge describes it; every string in it was chosen by a stranger.

    ``ref`` is where the forge keeps its head in the repository that we follow anyway, so that no address of
    a fork is ever needed. ``branch`` is the branch it comes from; it means something only where ``fork`` is False.
    ``state`` is open, merged or closed.
    """

    number: int
    title: str
    author: str
    head: str
    ref: str
    base: str
    branch: str
    fork: bool
    state: str = "open"
    url: str = ""


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment: the forge's own id for it, who wrote it, and its Markdown."""

    id: str
    author: str
    body: str


class Standing(StrEnum):
    """How far a commit got, in the four words that every forge can show."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """One status of one commit. ``description`` is one line of at most 140 characters, ``url`` the record."""

    sha: str
    context: str
    standing: Standing
    description: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """An issue on the forge."""

    number: int
    title: str
    author: str
    body: str
    open: bool
    url: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """What one person said of a pull request: approved, rejected, or only commented; ``id`` is the forge's own."""

    author: str
    verdict: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a commit and its result, in the forge's own word (success, failure, pending, ...)."""

    name: str
    result: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Who approved a commit and which checks it passed, as the forge said it when it was asked."""

    change: str = ""
    author: str = ""
    reviews: tuple[Review, ...] = ()
    checks: tuple[Check, ...] = ()


class Action(StrEnum):
    """What would happen to one resource."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One attribute of one resource that a revision would set on one host.

    ``before`` is what is declared now (None: nothing), ``after`` what would be. ``diff`` are the lines of a
    file that would differ, as ``-before`` and ``+after``. ``live`` is ``(V,)`` where the host was last seen with
    something else than what is declared now: drift that the revision would overwrite. ``unseen`` says that
    nobody has looked: what is really there cannot be predicted.
    """

    resource: str
    attribute: str
    action: Action
    before: Value
    after: Value
    place: Place
    diff: tuple[str, ...] = ()
    live: tuple[Value] | None = None
    unseen: bool = False
    irreversible: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """One resource of a host that would be left as it is while others are applied, and why."""

    resource: str
    reason: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One resource that is declared before and after, and the two modes that govern it on a host."""

    resource: str
    before: Mode
    after: Mode


@dataclass(frozen=True, slots=True)
class HostPreview:
    """What a revision would do to one host.

    ``mode`` governs what is foreseen, or else what turns. ``mode_before`` is another one where all resources of the
    host turn together; where only some do, ``turns`` are these. ``handlers`` are the restarts and reloads it would
    bring, ``orphans`` what it declares no longer and leaves as it is, ``drift`` the resources that differ there right
    now and that it does not touch. ``held`` says why nothing of it would be applied, ``held_in_part`` what of it would
    not be although ``mode`` alone does not say so. ``blind`` says since when the host has not been seen, or why it
    never was; "" for a host that is.
    """

    host: str
    mode: Mode
    group: str = ""
    mode_before: Mode | None = None
    turns: tuple[Turn, ...] = ()
    foreseen: tuple[Foreseen, ...] = ()
    handlers: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    held_in_part: tuple[Kept, ...] = ()
    blind: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What merging a pull request would do to the live fleet.

    ``hosts`` are those that it touches, out of ``fleet`` hosts; ``arriving`` and ``leaving`` are hosts that it adds to
    the inventory and takes out of it. ``conflicts`` are files that cannot be merged, ``refused`` says why there is no
    preview at all. ``seen_at`` is when the fleet was last looked at (ISO 8601, UTC). ``plan`` names what it would do.
    ``canaries`` have it before the others.
    """

    base: str
    head: str
    fleet: int
    hosts: tuple[HostPreview, ...] = ()
    arriving: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    conflicts: tuple[str, ...] = ()
    refused: str = ""
    seen_at: str | None = None
    plan: str = ""
    canaries: tuple[str, ...] = ()


class Why(StrEnum):
    """Why a difference needs a person."""

    OBSERVED = "observed"
    CONFLICT = "conflict"
    FAILED = "failed"
    FLAPPING = "flapping"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Variant:
    """The hosts on which a cause looks the same: the same differences, or the same words of failure."""

    hosts: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that needs a person, on however many hosts: one ticket.

    ``fingerprint`` (12 hexadecimal digits) depends on *why* and on the resource, not on hosts, values or wording, so
    that one story keeps one ticket. ``since`` is when the first of its hosts showed it (ISO 8601, UTC).
    """

    why: Why
    resource: str
    fingerprint: str
    variants: tuple[Variant, ...]
    since: str

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host that it is seen on."""
        return tuple(sorted(host for variant in self.variants for host in variant.hosts))


@dataclass(frozen=True, slots=True)
class Wish:
    """A live value that somebody may want to keep. ``content`` is the whole file where the attribute is its content."""

    host: str
    resource: str
    attribute: str
    value: Value
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Files of a revision as they would read afterwards (below the state's path); what could not be done, and why."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    taken: tuple[Wish, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """One transition, told to chat, mail or another program: ``id`` lets the receiver drop one that comes twice.

    ``event`` is opened, changed or closed for a cause (named by ``fingerprint``), refused or followed for a revision.
    """

    id: str
    at: str
    event: str
    title: str
    text: str
    fingerprint: str = ""
    hosts: tuple[str, ...] = ()
    url: str = ""
