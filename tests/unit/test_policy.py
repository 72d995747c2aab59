"""Modes: the most specific setting wins, and at equal specificity the more careful one."""

from __future__ import annotations

from datetime import date

import pytest

from reconciler.inventory import MOST_GUESSES
from reconciler.model import Limits, Mode, Place, Waiver
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


@pytest.mark.parametrize(
    ("policy", "web1", "web2", "db1"),
    [
        ("", "stream", "stream", "stream"),
        ("lane: ansible", "ansible", "ansible", "ansible"),
        ("lane: ansible\ngroups: {web: {lane: stream}}", "stream", "stream", "ansible"),
        ("groups: {web: {lane: ansible}}\nhosts: {web1: {mode: enforce}}", "ansible", "ansible", "stream"),
        ("hosts: {db1: {lane: ansible}}", "stream", "stream", "ansible"),
        # web1 is in two groups of the same depth: whoever wants Ansible there has a reason.
        ("groups: {web: {lane: stream}, db: {lane: ansible}}", "ansible", "stream", "ansible"),
    ],
)
def test_the_lane_of_a_host(policy: str, web1: str, web2: str, db1: str) -> None:
    desired = compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": policy})
    assert not desired.mistakes
    assert [str(desired.hosts[name].lane) for name in HOSTS] == [web1, web2, db1]


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


def test_more_unknown_names_than_anybody_misspells_are_all_told_without_guesses() -> None:
    names = ", ".join(f"web{number}: {{mode: enforce}}" for number in range(10, 90))
    desired = compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": f"hosts: {{{names}}}"})
    assert len(desired.mistakes) == 80
    assert sum("did you mean" in mistake.message for mistake in desired.mistakes) == MOST_GUESSES


def test_more_waivers_of_unknown_hosts_than_anybody_misspells_are_all_told_without_guesses() -> None:
    waiver = "  - {{resource: 'package[nginx]', hosts: web{}, until: 2026-12-06, reason: later}}\n"
    policy = "waivers:\n" + "".join(map(waiver.format, range(10, 90)))
    desired = compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": policy})
    assert sum("no host or group is called" in mistake.message for mistake in desired.mistakes) == 80
    assert sum("did you mean" in mistake.message for mistake in desired.mistakes) == MOST_GUESSES


def test_limits_as_they_are_written_and_by_default() -> None:
    text = "limits: {removals_percent: 5, removals_hosts: 2, hosts: 7}"
    assert compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": text}).limits == Limits(5, 2, 7)
    assert compiled({"inventory/hosts.yml": INVENTORY}).limits == Limits(30, 10, None)


NGINX = "- hosts: web\n  package:\n    - {name: nginx=1.26.3-3}\n"


def with_waiver(**fields: str):
    """The desired state of three hosts, two of them with nginx, and a policy with one waiver."""
    ordinary = {"resource": "package[nginx]", "hosts": "web", "until": "2026-12-06", "reason": "wait for 1.27"}
    lines = [f"    {key}: '{value}'\n" for key, value in (ordinary | fields).items() if value]
    policy = "waivers:\n  -\n" + "".join(lines)
    return compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": policy, "web.yml": NGINX})


def test_a_waiver_means_the_hosts_of_its_pattern_and_ends_on_a_day() -> None:
    desired = with_waiver(attribute="version", hosts="web:!web2")
    assert not desired.mistakes
    assert desired.waivers == (
        Waiver(
            "package[nginx]",
            frozenset({"web1"}),
            date(2026, 12, 6),
            "wait for 1.27",
            Place("reconciler.yml", 3, 5),
            "version",
        ),
    )


def test_the_day_of_a_waiver_needs_no_quotes() -> None:
    line = "waivers: [{resource: 'package[nginx]', hosts: web, until: 2026-12-06, reason: why}]"
    desired = compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": line, "web.yml": NGINX})
    assert [waiver.until for waiver in desired.waivers] == [date(2026, 12, 6)]


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"until": "2026-12-32"}, "5:12", "there is no day 2026-12-32"),
        ({"until": "6 December"}, "5:12", "a day is written as 2026-12-06, not '6 December'"),
        ({"until": "20261206"}, "5:12", "a day is written as"),
        ({"until": ""}, "3:5", "needs the field 'until'"),
        ({"reason": ""}, "3:5", "needs the field 'reason'"),
        ({"reason": "  "}, "6:13", "a waiver says why"),
        ({"resource": "nginx"}, "3:15", "a resource is named as package[nginx], not 'nginx'"),
        ({"hosts": "wbe"}, "4:12", "did you mean web?"),
        ({"atribute": "version"}, "7:5", "unknown key"),
    ],
)
def test_a_mistake_in_a_waiver_holds_every_host(fields: dict[str, str], place: str, words: str) -> None:
    desired = with_waiver(**fields)
    (mistake,) = desired.mistakes
    assert str(mistake).startswith(f"reconciler.yml:{place}: ")
    assert words in str(mistake)
    assert not desired.hosts


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"resource": "package[ngnix]"}, "package[ngnix] is not declared on the hosts of this waiver; did you mean"),
        ({"attribute": "enabled"}, "'enabled' of package[nginx] is not declared; it has: state, version"),
    ],
)
def test_a_waiver_that_can_match_nothing_holds_its_hosts_only(fields: dict[str, str], words: str) -> None:
    desired = with_waiver(**fields)
    (mistake,) = desired.mistakes
    assert str(mistake).startswith("reconciler.yml:3:5: ")
    assert words in str(mistake)
    assert (set(desired.hosts), set(desired.held)) == ({"db1"}, {"web1", "web2"})


@pytest.mark.parametrize("hosts", ["web1", "web"])
def test_a_waiver_on_hosts_that_are_held_anyway_is_not_judged(hosts: str) -> None:
    policy = f"waivers: [{{resource: 'package[gone]', hosts: {hosts}, until: 2026-12-06, reason: why}}]"
    broken = "- hosts: web1\n  package:\n    - {nmae: nginx}\n"
    desired = compiled({"inventory/hosts.yml": INVENTORY, "reconciler.yml": policy, "web.yml": broken})
    assert {mistake.place.file for mistake in desired.mistakes} == {"web.yml"}
