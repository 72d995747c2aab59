"""Modes: the most specific setting wins, and at equal specificity the more careful one."""

from __future__ import annotations

import pytest

from reconciler.model import Limits, Mode
from reconciler.policy import effective_mode
from tests.unit.worlds import compiled

INVENTORY = """
web:
  hosts:
    web1:
  children:
    edge:
      hosts:
        web2:
db:
  hosts:
    db1:
    web1:
"""
HOSTS = ("web1", "web2", "db1")


def modes(policy: str) -> dict[str, str]:
    desired = compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": policy})
    assert not desired.mistakes
    return {name: str(host.mode) for name, host in desired.hosts.items()}


@pytest.mark.parametrize(
    ("policy", "web1", "web2", "db1"),
    [
        ("", "observe", "observe", "observe"),
        ("mode: enforce", "enforce", "enforce", "enforce"),
        ("groups: {web: {mode: enforce}}", "enforce", "enforce", "observe"),
        ("mode: enforce\ngroups: {all: {mode: suspended}}", "suspended", "suspended", "suspended"),
        ("groups: {web: {mode: suspended}, edge: {mode: enforce}}", "suspended", "enforce", "observe"),
        # web1 is in two groups of the same depth: the more careful one wins, whichever it is.
        ("groups: {web: {mode: enforce}, db: {mode: observe}}", "observe", "enforce", "observe"),
        ("groups: {web: {mode: observe}, db: {mode: suspended}}", "suspended", "observe", "suspended"),
        ("groups: {web: {mode: suspended}}\nhosts: {web1: {mode: enforce}}", "enforce", "suspended", "observe"),
    ],
)
def test_the_mode_of_a_host(policy: str, web1: str, web2: str, db1: str) -> None:
    assert modes(policy) == dict(zip(HOSTS, (web1, web2, db1), strict=True))


@pytest.mark.parametrize("declared", [None, *Mode])
@pytest.mark.parametrize("host", list(Mode))
def test_a_resource_is_more_specific_than_its_host_unless_that_is_suspended(host: Mode, declared: Mode | None) -> None:
    assert effective_mode(host, declared) is (host if host is Mode.SUSPENDED or declared is None else declared)


@pytest.mark.parametrize(
    ("policy", "place", "words"),
    [
        ("mod: enforce", "reconciler.yml:1:1", "did you mean 'mode'?"),
        ("mode: off", "reconciler.yml:1:7", "'observe', 'enforce' or 'suspended'"),
        (
            "groups: {wbe: {mode: enforce}}",
            "reconciler.yml:1:10",
            "group 'wbe' is not in the inventory; did you mean 'web'?",
        ),
        (
            "hosts: {web9: {mode: enforce}}",
            "reconciler.yml:1:9",
            "host 'web9' is not in the inventory; did you mean 'web",
        ),
        ("limits: {removals_percent: 101}", "reconciler.yml:1:28", "less than or equal to 100"),
        ("limits: {hosts: 0}", "reconciler.yml:1:17", "greater than or equal to 1"),
        ("- mode: enforce", "reconciler.yml:1:1", ""),
    ],
)
def test_a_mistake_in_the_policy_holds_every_host(policy: str, place: str, words: str) -> None:
    desired = compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": policy})
    (mistake,) = desired.mistakes
    assert str(mistake).startswith(place)
    assert words in str(mistake)
    assert not desired.hosts
    assert set(desired.held) == set(HOSTS)


def test_limits_as_they_are_written_and_by_default() -> None:
    text = "limits: {removals_percent: 5, removals_hosts: 2, hosts: 7}"
    assert compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": text}).limits == Limits(5, 2, 7)
    assert compiled({"inventory/hosts.yml": INVENTORY}).limits == Limits(30, 10, None)
