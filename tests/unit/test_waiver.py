"""Waivers: what they spare and until when, and the edit that adds one to a policy."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired import compile_tree
from reconciler.errors import Refused
from reconciler.memory import remember
from reconciler.model import Attempt, HostMemory, Limits, Mode, Place, StepResult, Verdict, Waiver
from reconciler.plan import make_plan
from reconciler.record import tell
from reconciler.waiver import in_force, spare, waive
from tests.unit.worlds import SHA, change, fleet, there

DAY = date(2026, 12, 6)
INVENTORY = b"""
db: {hosts: {db1: , db2: , db3: }}
web: {hosts: {web1: }}
"""
MANIFEST = b"- hosts: all\n  package:\n    - {name: nginx=1.26}\n    - {name: curl}\n"


def waiver(resource: str = "package[nginx]", attribute: str = "", until: date = DAY, reason: str = "later") -> Waiver:
    return Waiver(resource, frozenset({"web1"}), until, reason, Place("reconciler.yml", 3), attribute)


def test_a_waiver_is_in_force_up_to_and_including_its_day() -> None:
    days = [date(2026, 12, day) for day in (5, 6, 7)]
    assert [bool(in_force([waiver()], day)) for day in days] == [True, True, False]
    assert bool(in_force([waiver()], None)), "nobody said which day it is: the careful answer"


def test_what_is_waived_is_suspended_and_the_rest_of_its_resource_only_observed() -> None:
    version, state = (change("package[nginx]", name) for name in ("version", "state"))
    other = change("copy[/etc/motd]")
    spared, reasons = spare((version, state, other), [waiver(attribute="version")])
    assert [c.mode for c in spared] == [Mode.SUSPENDED, Mode.OBSERVE, Mode.ENFORCE]
    assert reasons == ("package[nginx]: waived until 2026-12-06: later",)


def test_of_two_waivers_the_later_one_is_told() -> None:
    _, reasons = spare((change("package[nginx]", "version"),), [waiver(until=date(2027, 1, 1), reason="b"), waiver()])
    assert reasons == ("package[nginx]: waived until 2027-01-01: b",)


def test_nothing_is_spared_where_nothing_matches() -> None:
    ahead = change("package[nginx]", "version", verdict=Verdict.AHEAD)
    assert spare((ahead, change()), [waiver()]) == ((ahead, change()), ())


TWO = "- hosts: web\n  file:\n    - {path: /a, mode: '0600'}\n    - {path: /b, mode: '0600'}\n"
WAIVED = "waivers: [{resource: 'file[/a]', hosts: web1, until: 2026-12-06, reason: later}]\n"
APPLIED = {name: {"state": "file", "mode": "0600"} for name in ("file[/a]", "file[/b]")}


def cycle(
    memory: HostMemory, policy: str, today: date, fails: tuple[str, ...] = ()
) -> tuple[HostMemory, bool, list[str]]:
    """One cycle on a host whose two files have another mode: the memory, whether anything was told, the steps."""
    desired = fleet(TWO, "web1", policy)
    assert not desired.mistakes
    (before,) = make_plan(SHA, desired, there(desired), {"web1": memory}, Limits(), today=today).hosts
    attempt = None
    if before.steps:
        attempt = Attempt(
            "web1", {step.id: StepResult("failed" if step.id in fails else "ok") for step in before.steps}
        )
    new = remember(memory, desired.hosts["web1"], before, before, attempt, SHA, ("2026-12-05T12:00:00+00:00", None))
    return new, tell(before, before, attempt, memory, new) is not None, [step.id for step in before.steps]


@pytest.mark.parametrize("mode", ["observe", "enforce"])
def test_the_beginning_and_the_end_of_a_waiver_are_told_once(mode: str) -> None:
    days = [date(2026, 12, 5), date(2026, 12, 5), date(2026, 12, 6), date(2026, 12, 7), date(2026, 12, 7)]
    memory, told, _ = cycle(HostMemory("web1", APPLIED), f"mode: {mode}\n", days[0], ("file[/a]", "file[/b]"))
    assert told
    news, steps = [], []
    for day in days:
        memory, told, done = cycle(memory, f"mode: {mode}\n{WAIVED}", day, ("file[/a]", "file[/b]"))
        news.append(told)
        steps.append(done)
    assert news == [True, False, False, True, False]
    both = ["file[/a]", "file[/b]"]
    assert steps == [["file[/b]"]] * 3 + [both] * 2 if mode == "enforce" else not any(steps)


POLICIES = {
    "none": None,
    "empty": "",
    "comments only": "# nothing yet\n",
    "no end of line": "mode: enforce",
    "a key of its own": "# policy\nmode: enforce   # all of it\n\nlimits:\n    hosts:   5\n",
    "a list": "waivers:\n  # old ones\n  - resource: package[curl]\n    hosts: web1\n    until: 2026-01-01\n"
    "    reason: >-\n      two\n      lines\n\n# modes\nmode: enforce\n",
    "a list at the margin": "waivers:\n- {resource: 'package[curl]', hosts: web1, until: 2026-01-01, reason: x}\n"
    "# the fleet\nmode: enforce\n",
    "a list at the end": "mode: enforce\nwaivers:\n    -   resource: package[curl]\n        hosts: web1\n"
    "        until: 2026-01-01\n        reason: x",
    "an empty list": "waivers: []  # none\nmode: enforce\n",
    "brackets": "waivers: [ {resource: 'package[curl]', hosts: web1, until: 2026-01-01, reason: x} ]\nmode: enforce\n",
    "braces": "{mode: enforce, limits: {hosts: 3}}\n",
    "empty braces": "{}\n",
    "windows": "mode: enforce\r\nlimits: {hosts: 3}\r\n",
    "byte order mark": "\ufeffmode: enforce\n",
}


def tree(policy: str | None) -> dict[str, bytes]:
    files = {"inventory/hosts.yml": INVENTORY, "all.yml": MANIFEST}
    return files if policy is None else {**files, "reconciler.yml": policy.encode()}


def is_subsequence(short: bytes, long: bytes) -> bool:
    rest = iter(long)
    return all(byte in rest for byte in short)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_a_waiver_is_added_and_every_other_byte_stays(policy: str | None) -> None:
    before = tree(policy)
    edited = waive(before, "package[nginx]", ["db2", "db1"], DAY, 'not "now": # later', "version")
    assert list(edited) == ["reconciler.yml"]
    old, new = (compile_tree(files, allow_local=False) for files in (before, {**before, **edited}))
    assert not new.mistakes
    (added,) = [w for w in new.waivers if w.resource == "package[nginx]"]
    assert (added.hosts, added.until, added.reason, added.attribute) == (
        {"db1", "db2"},
        DAY,
        'not "now": # later',
        "version",
    )
    assert [(w.resource, w.reason) for w in new.waivers if w is not added] == [
        (w.resource, w.reason) for w in old.waivers
    ]
    assert (new.limits, {h.mode for h in new.hosts.values()}) == (old.limits, {h.mode for h in old.hosts.values()})
    text, was = edited["reconciler.yml"], before.get("reconciler.yml", b"")
    assert is_subsequence(was, text)
    at = next(n for n, (a, b) in enumerate(zip(was + b"\0", text, strict=False)) if a != b)
    assert was.endswith(text[len(text) - (len(was) - at) :] if len(was) > at else b""), "one insertion, nothing else"


def test_how_it_looks_in_an_ordinary_file() -> None:
    edited = waive(tree("mode: enforce\n"), "package[nginx]", ["db1"], DAY, "wait for 1.27")
    assert edited["reconciler.yml"].decode() == (
        "mode: enforce\n"
        "waivers:\n"
        '  - resource: "package[nginx]"\n'
        '    hosts: "db1"\n'
        "    until: 2026-12-06\n"
        '    reason: "wait for 1.27"\n'
    )


def test_hosts_that_are_a_group_are_named_by_it() -> None:
    edited = waive(tree(""), "package[nginx]", ["db1", "db2", "db3"], DAY, "x")
    assert b'hosts: "db"' in edited["reconciler.yml"]


def test_more_hosts_than_a_pattern_holds_are_waived_by_several() -> None:
    names = [f"database-server-{n:03}" for n in range(40)]
    many = {"inventory/hosts": "\n".join([*names, "other"]).encode(), "all.yml": MANIFEST}
    edited = waive(many, "package[nginx]", names, DAY, "x")
    desired = compile_tree({**many, **edited}, allow_local=False)
    assert not desired.mistakes
    assert frozenset.union(*(w.hosts for w in desired.waivers)) == set(names)
    assert len(desired.waivers) == 5


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("mode: [", "mistakes"),
        ("mod: enforce\n", "cannot be added to"),
        ("mode: enforce\n...\n", "mistakes|cannot be added to"),
        ("waivers: &old []\n", "cannot be added to"),
    ],
)
def test_what_cannot_be_edited_safely_is_refused_with_what_to_write(policy: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        waive(tree(policy), "package[nginx]", ["db1"], DAY, "x")
    assert 'resource: "package[nginx]"' in caught.value.hint


def test_a_host_that_is_not_in_the_inventory_is_refused() -> None:
    with pytest.raises(Refused):
        waive(tree(""), "package[nginx]", ["db9"], DAY, "x")


@given(st.text(max_size=80), st.sampled_from(sorted(POLICIES)))
def test_any_reason_arrives_as_one_line(reason: str, policy: str) -> None:
    before = tree(POLICIES[policy])
    edited = waive(before, "package[nginx]", ["db1"], DAY, reason)
    desired = compile_tree({**before, **edited}, allow_local=False)
    assert not desired.mistakes
    assert all(w.reason.isprintable() for w in desired.waivers)
