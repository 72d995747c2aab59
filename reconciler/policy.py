"""``reconciler.yml`` of a revision: what is policy (modes, limits and waivers), read and resolved for hosts.

Called by ``desired``. Pure: a document in, a policy and mistakes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from reconciler.inventory import MOST_GUESSES, Inventory, PatternMistake
from reconciler.manifests import model_mistakes, nearest
from reconciler.model import Lane, Limits, Mistake, Mode, Resource, Tree, Waiver
from reconciler.yamlfile import Document, load

FILE = "reconciler.yml"
ModeName = Literal["observe", "enforce", "suspended"]
LaneName = Literal["stream", "ansible"]
CAREFUL = tuple(Mode)


def a_day(value: str) -> str:
    """Refuse what is no day of the calendar in the form 2026-12-06."""
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII):
        raise ValueError(f"a day is written as 2026-12-06, not '{value}'")
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"there is no day {value}") from None
    return value


def one_line(value: str) -> str:
    """Refuse a reason that says nothing, or more than one line of plain text."""
    if not value.strip():
        raise ValueError("a waiver says why")
    if not value.isprintable():
        raise ValueError("a reason is one line without control characters")
    return value


def an_identity(value: str) -> str:
    """Refuse what does not have the form of a resource's identity."""
    if not re.fullmatch(r"[a-z_]+\[[^\x00-\x1f]+\]", value):
        raise ValueError(f"a resource is named as package[nginx], not '{value}'")
    return value


class Setting(BaseModel):
    """What is special about one group or host."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    mode: ModeName | None = None
    """What may be done about a difference: observe, enforce or suspended."""
    lane: LaneName | None = None
    """How it is looked at: stream, over an SSH session that stays open, or ansible, by a launch of Ansible."""


class LimitSettings(BaseModel):
    """How much one cycle may do. A revision is judged by the limits of the one accepted before it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    removals_percent: Annotated[int, Field(ge=0, le=100)] = 30
    """Something may be removed on at most this share of the fleet in one cycle, in percent ..."""
    removals_hosts: Annotated[int, Field(ge=0)] = 10
    """... or on this many hosts, whichever is more."""
    hosts: Annotated[int, Field(ge=1)] | None = None
    """At most this many hosts are converged in one cycle; the others wait for the next. No limit by default."""
    canary: str | None = None
    """Hosts that have what a commit brings before the others: an Ansible host pattern. None by default."""


class WaiverSetting(BaseModel):
    """A difference that is accepted for a time: it is reported, and neither put right nor told to anyone."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    resource: Annotated[str, AfterValidator(an_identity)]
    """The resource, as package[postgresql-15]."""
    hosts: str
    """On which hosts: an Ansible host pattern."""
    attribute: str = ""
    """Only this attribute of it, as version. All of them by default."""
    until: Annotated[str, AfterValidator(a_day)]
    """The last day, as 2026-12-06 (UTC); on the day after, everything is by itself as it was before."""
    reason: Annotated[str, AfterValidator(one_line)]
    """Why, in one line."""


class Policy(BaseModel):
    """The state repository's own policy; every key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    mode: ModeName = "observe"
    """The mode of the fleet: nothing is changed on any host until this, or something more specific, says enforce."""
    lane: LaneName = "stream"
    """How the fleet is looked at: stream, over SSH sessions that stay open, or ansible, by launches of Ansible."""
    groups: dict[str, Setting] = {}
    """Modes and lanes of groups; a child group is more specific than its parent."""
    hosts: dict[str, Setting] = {}
    """Modes and lanes of single hosts."""
    limits: LimitSettings = LimitSettings()
    """How much one cycle may do."""
    waivers: list[WaiverSetting] = []
    """Differences that are accepted for a time."""


class Rules(NamedTuple):
    """The policy of a revision, its limits and waivers for the hosts they mean, and every mistake in it."""

    policy: Policy
    limits: Limits
    waivers: tuple[Waiver, ...]
    mistakes: list[Mistake]


def load_policy(tree: Tree, inventory: Inventory) -> Rules:
    """The rules of a revision; the defaults where there is no such file, or where it cannot be used."""
    document, mistakes = load(FILE, tree.get(FILE, b""))
    if document is not None and document.value is not None:
        mistakes = mistakes + model_mistakes(Policy, document, (), "the policy")
    if document is None or document.value is None or mistakes:
        return Rules(Policy(), Limits(), (), mistakes)
    policy = Policy.model_validate(document.value)
    limits, meaningless = read_limits(document, policy.limits, inventory)
    waivers, unmatched = read_waivers(document, policy.waivers, inventory)
    unknown = [
        *unknown_names(document, "groups", policy.groups, inventory.groups),
        *unknown_names(document, "hosts", policy.hosts, inventory.hosts),
    ]
    return Rules(policy, limits, waivers, [*unknown, *meaningless, *unmatched])


def read_limits(document: Document, settings: LimitSettings, inventory: Inventory) -> tuple[Limits, list[Mistake]]:
    """The limits as the plan takes them, and a mistake where the pattern of the canaries means no host."""
    limits = Limits(**settings.model_dump(exclude={"canary"}))
    if settings.canary is None:
        return limits, []
    words = f"'{settings.canary}' means no host"
    try:
        canaries = tuple(sorted(inventory.select(settings.canary)))
    except PatternMistake as error:
        canaries, words = (), str(error)
    mistakes = [] if canaries else [Mistake(document.place(("limits", "canary")), f"canary: {words}")]
    return replace(limits, canaries=canaries), mistakes


def read_waivers(
    document: Document, settings: Iterable[WaiverSetting], inventory: Inventory
) -> tuple[tuple[Waiver, ...], list[Mistake]]:
    """The waivers for the hosts that their patterns mean, and a mistake for each pattern that means none."""
    waivers: list[Waiver] = []
    mistakes: list[Mistake] = []
    for number, one in enumerate(settings):
        where = ("waivers", number)
        try:
            hosts = frozenset(inventory.select(one.hosts))
        except PatternMistake as error:
            words = str(error) if len(mistakes) < MOST_GUESSES else error.message
            mistakes.append(Mistake(document.place((*where, "hosts")), f"hosts of a waiver: {words}"))
            continue
        until = date.fromisoformat(one.until)
        waivers.append(Waiver(one.resource, hosts, until, one.reason, document.place(where), one.attribute))
    return tuple(waivers), mistakes


def idle_waivers(
    waivers: Iterable[Waiver], resources: Mapping[str, Iterable[Resource]]
) -> list[tuple[Mistake, frozenset[str]]]:
    """A mistake for each waiver of what none of its hosts declares, with those hosts: it is likely misspelled.

    *resources* (host → what it declares) has the hosts that could be compiled; a waiver of any other is not judged.
    """
    return [
        (Mistake(waiver.place, why_idle(waiver, resources)), waiver.hosts)
        for waiver in waivers
        if waiver.hosts <= resources.keys()
        and not any(can_match(waiver, one) for host in sorted(waiver.hosts) for one in resources[host])
    ]


def can_match(waiver: Waiver, resource: Resource) -> bool:
    """Whether a waiver is about something that *resource* declares."""
    return waiver.resource == resource.identity and (not waiver.attribute or waiver.attribute in resource.wanted)


def why_idle(waiver: Waiver, resources: Mapping[str, Iterable[Resource]]) -> str:
    """Why a waiver can never match anything that its hosts declare."""
    declared = {one.identity: one for host in sorted(waiver.hosts) for one in resources[host]}
    if waiver.resource not in declared:
        return f"{waiver.resource} is not declared on the hosts of this waiver{nearest(waiver.resource, declared)}"
    known = declared[waiver.resource].wanted
    near = nearest(waiver.attribute, known) or f"; it has: {', '.join(sorted(known))}"
    return f"'{waiver.attribute}' of {waiver.resource} is not declared{near}"


def unknown_names(document: Document, key: str, names: Iterable[str], known: Iterable[str]) -> list[Mistake]:
    """Mistakes for the names below *key* that the inventory does not have."""
    known = frozenset(known)
    unknown = [name for name in names if name not in known]
    meant = {name: nearest(name, known) for name in unknown[:MOST_GUESSES]}
    return [
        Mistake(document.key_place((key, name)), f"{key[:-1]} '{name}' is not in the inventory{meant.get(name, '')}")
        for name in unknown
    ]


def host_mode(policy: Policy, inventory: Inventory, host: str) -> Mode:
    """The mode of one host, before any manifest or resource has its say."""
    return min(map(Mode, settings_of(policy, inventory, host, "mode")), key=CAREFUL.index)


def host_lane(policy: Policy, inventory: Inventory, host: str) -> Lane:
    """The lane of one host; where equally specific settings differ, whoever wants Ansible there has a reason."""
    return min(map(Lane, settings_of(policy, inventory, host, "lane")))


def settings_of(policy: Policy, inventory: Inventory, host: str, name: str) -> list[str]:
    """The most specific values of one setting for a host; more than one where groups of the same depth differ."""
    own = getattr(policy.hosts.get(host), name, None)
    if own is not None:
        return [own]
    said = {
        group: getattr(policy.groups[group], name)
        for group in ("all", *inventory.groups_of(host))
        if group in policy.groups and getattr(policy.groups[group], name) is not None
    }
    deepest = max(map(inventory.depth_of, said), default=0)
    return [value for group, value in said.items() if inventory.depth_of(group) == deepest] or [getattr(policy, name)]


def effective_mode(host: Mode, declared: Mode | None) -> Mode:
    """The mode of one resource on one host.

    A manifest or resource is more specific than its host; but a suspended host is somebody working
    on it, and nothing that was written for many hosts may lift that.
    """
    if host is Mode.SUSPENDED or declared is None:
        return host
    return declared
