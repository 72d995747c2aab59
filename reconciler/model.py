"""The nouns of the program: frozen values that every other module speaks in.

They follow the one line of the design:

    commit → Revision → Desired + Observed → Changes → Verdicts → Plan → Outcomes → Record

Nothing here reads a file, a clock or another module of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

Value = None | bool | int | str | tuple[str, ...]
"""A canonical attribute value: comparable with ``==``, printable, storable as JSON. None means absent."""

Tree = Mapping[str, bytes]
"""The files of one revision below its path: relative POSIX path to content."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was written: file relative to the state's path, line and column counted from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def short(self) -> str:
        """``file:line``, as people cite it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing wrong in a revision, said at the user's own line."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Commit:
    """What is cited of a commit. ``authored_at`` is informational only: whoever commits chooses it."""

    sha: str
    subject: str
    author: str
    authored_at: datetime
    pull_request: str | None = None

    @property
    def short(self) -> str:
        """The first seven digits, as git shows them."""
        return self.sha[:7]


class Mode(StrEnum):
    """What may be done about a difference, from the most careful to the least."""

    SUSPENDED = "suspended"
    OBSERVE = "observe"
    ENFORCE = "enforce"


class Lane(StrEnum):
    """How a host is looked at: over a session that stays open, or by a launch of Ansible."""

    STREAM = "stream"
    ANSIBLE = "ansible"


class Verdict(StrEnum):
    """Why an attribute is as it is, from L (last applied), D (desired) and V (live)."""

    IN_SYNC = "in sync"
    PENDING = "pending"
    DRIFT = "drift"
    CONFLICT = "conflict"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True)
class Notify:
    """What a changed resource asks of a service: ``restart`` or ``reload``."""

    action: str
    service: str

    def __str__(self) -> str:
        return f"{self.action} {self.service}"


@dataclass(frozen=True, slots=True)
class Ask:
    """What a fact collector has to look at: its name, the key of the answer, and its parameters (JSON)."""

    collector: str
    key: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostAsk:
    """What to look at on one host, and how to reach it (``ansible_*`` variables)."""

    connection: Mapping[str, Any]
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """One declared thing on one host (or on many, where nothing in it depends on the host).

    ``wanted`` is what is compared; ``fields`` is the kind's own model, which reads facts and makes the
    arguments of its playbook; ``content`` is the file to stage, if the kind has one. ``places`` cites
    the line of each attribute, ``sources`` every further place a value came from (template, file, variable).
    """

    kind: str
    name: str
    wanted: Mapping[str, Value]
    ask: Ask
    fields: Any
    place: Place
    places: Mapping[str, Place] = field(default_factory=dict)
    sources: tuple[Place, ...] = ()
    content: bytes | None = None
    mode: Mode | None = None
    notify: tuple[Notify, ...] = ()
    ignore: frozenset[str] = frozenset()
    hosts: str = ""
    identity: str = field(init=False, default="")
    """``kind[name]``, as people and trailers write it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", f"{self.kind}[{self.name}]")

    def place_of(self, attribute: str) -> Place:
        """The line that declares *attribute*, or the resource's own where it has none."""
        return self.places.get(attribute, self.place)


@dataclass(frozen=True, slots=True)
class HostDesired:
    """What one host should be. ``connection`` holds the allowed ``ansible_*`` variables only."""

    host: str
    mode: Mode
    connection: Mapping[str, Any]
    resources: tuple[Resource, ...] = ()
    lane: Lane = Lane.STREAM


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one cycle may do; judged by the revision accepted before.

    ``removals_percent`` and ``removals_hosts``: something may be removed on at most this share of
    the fleet, or on this many hosts, whichever is more. ``hosts``: at most this many hosts are
    converged in one cycle; None means no limit. ``canaries`` have what a commit brings before the others.
    """

    removals_percent: int = 30
    removals_hosts: int = 10
    hosts: int | None = None
    canaries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiver:
    """A difference that is accepted up to and including the day ``until``: it is neither put right nor told to anyone.

    ``attribute`` "" means every attribute of the resource.
    """

    resource: str
    hosts: frozenset[str]
    until: date
    reason: str
    place: Place
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Desired:
    """A compiled revision. A host is in ``hosts`` or, where its manifests have mistakes, in ``held``."""

    hosts: Mapping[str, HostDesired]
    held: Mapping[str, tuple[Mistake, ...]] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()
    limits: Limits = Limits()
    waivers: tuple[Waiver, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    """Host → the group that says most about it, for tables; "" for a host in none."""

    @property
    def refused(self) -> bool:
        """Nothing of the revision can be used: it has mistakes and no host that is free of them."""
        return bool(self.mistakes) and not self.hosts


@dataclass(frozen=True, slots=True)
class Observed:
    """What one host answered: collector → key → fact. ``host`` comes from the connection, never from the answer.

    Where it is ``kept``, its lane gives the very same object again as long as nothing changed.
    """

    host: str
    facts: Mapping[str, Mapping[str, Any]]
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Blind:
    """A host that could not be seen, and why. Blind is never clean."""

    host: str
    reason: str


Applied = Mapping[str, Mapping[str, Value]]
"""L of one host: identity → attribute → the value last known to be both desired and live."""


@dataclass(frozen=True, slots=True)
class Change:
    """One attribute that is not as wanted, or was put right by hand before the commit arrived."""

    resource: str
    attribute: str
    wanted: Value
    seen: Value
    last_applied: Value
    verdict: Verdict
    mode: Mode
    place: Place
    commit: Commit | None = None
    diff: tuple[str, ...] = ()
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One resource to converge on one host: data for ``playbooks/kinds/<kind>.yml``.

    ``staged`` is the sha256 of the content that travels as a file, or None.
    """

    id: str
    kind: str
    args: Mapping[str, Any]
    staged: str | None = None
    removes: bool = False


@dataclass(frozen=True, slots=True)
class Handler:
    """A restart or reload, due if one of the steps ``because`` changed something; due anyway when ``owed``."""

    notify: Notify
    because: tuple[str, ...]
    owed: bool = False


class State(StrEnum):
    """How a host stands after one look."""

    IN_SYNC = "in-sync"
    DIFFERS = "differs"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What one look at one host means, and what will be done about it.

    ``held`` says why a difference will not be converged now, one sentence per reason.
    """

    host: str
    mode: Mode
    state: State
    changes: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = ()
    handlers: tuple[Handler, ...] = ()
    held: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every choice of a cycle, made. ``id`` is the hash of what it would do.

    ``first``: the canaries to be proved before what a commit brings goes to the other hosts.
    """

    revision: str
    hosts: tuple[HostPlan, ...]
    id: str = ""
    first: frozenset[str] = frozenset()

    @property
    def acts(self) -> bool:
        """Whether anything is to be done on any host."""
        return any(host.steps or host.handlers for host in self.hosts)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one step or handler: ``ok``, ``changed`` or ``failed`` with the module's message."""

    status: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one host in one converge launch.

    ``steps`` maps step ids, ``handlers`` ``str(notify)``; what is missing there did not run.
    ``reason`` is set where the attempt ended early (unreachable, timed out, stopped).
    """

    host: str
    steps: Mapping[str, StepResult] = field(default_factory=dict)
    handlers: Mapping[str, StepResult] = field(default_factory=dict)
    reason: str = ""

    @property
    def worked(self) -> bool:
        """Whether it came to its end and no step failed."""
        return not self.reason and all(result.status != "failed" for result in self.steps.values())


@dataclass(frozen=True, slots=True)
class HostMemory:
    """What is remembered of a host between cycles; a cache of what the audit branch says.

    ``story`` is the fingerprint of what was recorded last, "" for a clean host. ``changes`` are the
    differences of the last look as JSON objects; ``owed`` the notifies whose converging was
    interrupted. Times are ISO 8601 in UTC.
    """

    host: str
    applied: Applied = field(default_factory=dict)
    revision: str | None = None
    state: str = ""
    story: str = ""
    since: str | None = None
    seen_at: str | None = None
    clean_at: str | None = None
    changes: tuple[Mapping[str, Any], ...] = ()
    owed: tuple[str, ...] = ()
    reason: str = ""


class Outcome(StrEnum):
    """How a story ended, as its audit commit says it; ``planned`` is the plan of a pull request, kept in full.

    ``attested`` is evidence that could be read only after the revision it is about was recorded.
    """

    DETECTED = "detected"
    CONVERGED = "converged"
    FAILED = "failed"
    HELD = "held"
    BLIND = "blind"
    RECOVERED = "recovered"
    PLANNED = "planned"
    ATTESTED = "attested"


@dataclass(frozen=True, slots=True)
class Event:
    """One audit commit to be: its key, message, trailers, and the host records it writes.

    ``trailers`` keep their order and may repeat a name (``Host``). ``files`` maps paths on the audit
    branch to content; None removes one. ``Seq`` is given when the commit is made, not here.
    """

    id: str
    at: datetime
    message: str
    trailers: tuple[tuple[str, str], ...]
    files: Mapping[str, bytes | None] = field(default_factory=dict)
