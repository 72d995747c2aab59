"""``reconciler.yml`` of a revision: what is policy (modes and limits), read and resolved for hosts.

Called by ``desired``. Pure: a document in, a policy and mistakes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.inventory import Inventory
from reconciler.manifests import model_mistakes, nearest
from reconciler.model import Limits, Mistake, Mode, Tree
from reconciler.yamlfile import Document, load

FILE = "reconciler.yml"
ModeName = Literal["observe", "enforce", "suspended"]
CAREFUL = tuple(Mode)


class Setting(BaseModel):
    """The mode of one group or host."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    mode: ModeName
    """What may be done about a difference: observe, enforce or suspended."""


class LimitSettings(BaseModel):
    """How much one cycle may do. A revision is judged by the limits of the one accepted before it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    removals_percent: Annotated[int, Field(ge=0, le=100)] = 30
    """Something may be removed on at most this share of the fleet in one cycle, in percent ..."""
    removals_hosts: Annotated[int, Field(ge=0)] = 10
    """... or on this many hosts, whichever is more."""
    hosts: Annotated[int, Field(ge=1)] | None = None
    """At most this many hosts are converged in one cycle; the others wait for the next. No limit by default."""


class Policy(BaseModel):
    """The state repository's own policy; every key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    mode: ModeName = "observe"
    """The mode of the fleet: nothing is changed on any host until this, or something more specific, says enforce."""
    groups: dict[str, Setting] = {}
    """Modes of groups; a child group is more specific than its parent."""
    hosts: dict[str, Setting] = {}
    """Modes of single hosts."""
    limits: LimitSettings = LimitSettings()
    """How much one cycle may do."""


def load_policy(tree: Tree, inventory: Inventory) -> tuple[Policy, list[Mistake]]:
    """The policy of a revision, with every mistake in it; the defaults where there is no such file."""
    if FILE not in tree:
        return Policy(), []
    document, mistakes = load(FILE, tree[FILE])
    if document is None or document.value is None:
        return Policy(), mistakes
    mistakes = mistakes + model_mistakes(Policy, document, (), "the policy")
    if mistakes:
        return Policy(), mistakes
    policy = Policy.model_validate(document.value)
    unknown = [
        *unknown_names(document, "groups", policy.groups, inventory.groups),
        *unknown_names(document, "hosts", policy.hosts, inventory.hosts),
    ]
    return policy, unknown


def unknown_names(document: Document, key: str, names: Iterable[str], known: Iterable[str]) -> list[Mistake]:
    """Mistakes for the names below *key* that the inventory does not have."""
    return [
        Mistake(document.key_place((key, name)), f"{key[:-1]} '{name}' is not in the inventory{nearest(name, known)}")
        for name in names
        if name not in known
    ]


def limits_of(policy: Policy) -> Limits:
    """The limits as the plan takes them."""
    return Limits(**policy.limits.model_dump())


def host_modes(policy: Policy, inventory: Inventory) -> Mapping[str, Mode]:
    """Host → mode by fleet, group and host; the most specific wins, among equals the most careful."""
    return {host: host_mode(policy, inventory, host) for host in inventory.hosts}


def host_mode(policy: Policy, inventory: Inventory, host: str) -> Mode:
    """The mode of one host, before any manifest or resource has its say."""
    if host in policy.hosts:
        return Mode(policy.hosts[host].mode)
    groups = [group for group in ("all", *inventory.groups_of(host)) if group in policy.groups]
    if not groups:
        return Mode(policy.mode)
    deepest = max(inventory.depth_of(group) for group in groups)
    modes = [Mode(policy.groups[group].mode) for group in groups if inventory.depth_of(group) == deepest]
    return min(modes, key=CAREFUL.index)


def effective_mode(host: Mode, declared: Mode | None) -> Mode:
    """The mode of one resource on one host.

    A manifest or resource is more specific than its host; but a suspended host is somebody working
    on it, and nothing that was written for many hosts may lift that.
    """
    if host is Mode.SUSPENDED or declared is None:
        return host
    return declared
