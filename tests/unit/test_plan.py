"""The plan: order, handlers, what is held back and why, and its name."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Blind, Desired, HostMemory, HostPlan, Limits, Notify, Observed, Plan, State
from reconciler.plan import Spent, limit, make_plan
from tests.unit.worlds import SHA, absent, compiled, fleet, there

MANY = """
- hosts: web
  template:
    - {src: a.j2, dest: /srv/a/conf, notify: [reload nginx, restart cache]}
  copy:
    - {content: x, dest: /srv/b, notify: restart nginx}
  file:
    - {path: /srv/old/deep, state: absent}
    - {path: /srv/old, state: absent}
    - {path: /srv/a, state: directory}
"""
GONE = "- hosts: web\n  file:\n    - {path: /srv/x, state: absent}\n"


def plan_of(desired, seen=None, memories=None, limits=None, stop: str = "") -> Plan:
    assert not desired.mistakes
    return make_plan(SHA, desired, seen or absent(desired), memories or {}, limits or Limits(), stop)


def test_what_is_made_goes_first_and_what_is_removed_last_in_reverse() -> None:
    desired = fleet(MANY, "web1", **{"templates/a.j2": "x"})
    facts = absent(desired)["web1"].facts
    old = {"state": "directory", "mode": "0755", "size": 0, "uid": 0, "gid": 0, "owner": "root", "group": "root"}
    facts["path"]["/srv/old"] = facts["path"]["/srv/old/deep"] = old
    (host,) = plan_of(desired, {"web1": Observed("web1", facts)}).hosts
    assert [step.id for step in host.steps] == [
        "file[/srv/a]",
        "copy[/srv/b]",
        "template[/srv/a/conf]",
        "file[/srv/old/deep]",
        "file[/srv/old]",
    ]
    assert [step.removes for step in host.steps] == [False, False, False, True, True]
    assert host.steps[1].staged == hashlib.sha256(b"x").hexdigest()
    assert [(str(handler.notify), handler.because) for handler in host.handlers] == [
        ("restart cache", ("template[/srv/a/conf]",)),
        ("restart nginx", ("copy[/srv/b]",)),
        ("reload nginx", ("template[/srv/a/conf]",)),
    ]


def test_only_what_differs_is_converged() -> None:
    desired = fleet("- hosts: web\n  copy:\n    - {content: x, dest: /a}\n    - {content: y, dest: /b}\n", "web1")
    (digest,) = [hashlib.sha256(b"x").hexdigest()]
    (host,) = plan_of(desired, there(desired, sha256=digest)).hosts
    assert [step.id for step in host.steps] == ["copy[/b]"]
    assert [change.attribute for change in host.changes] == ["content"]


def test_what_is_owed_is_due_though_nothing_differs() -> None:
    desired = fleet("- hosts: web\n  copy:\n    - {content: x, dest: /a}\n", "web1")
    seen = there(desired, sha256=hashlib.sha256(b"x").hexdigest())
    (host,) = plan_of(desired, seen, {"web1": HostMemory("web1", owed=("reload nginx",))}).hosts
    assert (host.state, host.steps) == (State.IN_SYNC, ())
    assert [(handler.notify, handler.owed) for handler in host.handlers] == [(Notify("reload", "nginx"), True)]


def test_a_blind_host_has_no_steps_and_one_that_was_not_asked_is_not_in_the_plan() -> None:
    desired = fleet(MANY, "web1 web2", **{"templates/a.j2": "x"})
    plan = plan_of(desired, {"web1": Blind("web1", "Connection refused")})
    assert [(host.state, host.reason, host.steps) for host in plan.hosts] == [(State.BLIND, "Connection refused", ())]


def test_the_same_look_is_the_same_plan_and_any_other_a_new_one() -> None:
    desired = fleet(MANY, "web1", **{"templates/a.j2": "x"})
    seen = replace(absent(desired)["web1"], kept=True)
    memory, plans = HostMemory("web1"), {}

    def again(found: Observed = seen, known: HostMemory = memory, wanted: Desired = desired) -> HostPlan:
        return make_plan(SHA, wanted, {"web1": found}, {"web1": known}, Limits(), plans=plans).hosts[0]

    first = again()
    assert again() is first
    assert again(replace(seen)) is not first, "another answer"
    assert again(known=HostMemory("web1", {})) is not again(), "another memory"
    assert again(wanted=fleet(MANY, "web1", **{"templates/a.j2": "x"})) is not again(), "another revision"
    fleeting = replace(seen, kept=False)
    assert again(fleeting) is not again(fleeting), "what its lane lets go of would only cost memory"


def test_limits_hold_for_the_whole_sweep_however_many_cycles_its_hosts_come_in() -> None:
    desired = fleet(GONE, "web1 web2 web3 web4")
    seen, spent = there(desired, sha256="0"), Spent()

    def steps(name: str, limits: Limits) -> bool:
        (host,) = make_plan(SHA, desired, {name: seen[name]}, {}, limits, spent=spent).hosts
        if host.steps:
            spent.converged.add(name)
            spent.removed.add(name)
        return bool(host.steps)

    assert [steps(name, Limits(50, 0, None)) for name in seen] == [True, True, False, False]
    assert [steps(name, Limits(100, 0, 3)) for name in ("web1", "web3", "web4")] == [True, True, False]


def test_modes_decide_what_becomes_a_step() -> None:
    manifest = """
- hosts: web
  copy:
    - {content: x, dest: /a, reconcile: enforce}
    - {content: x, dest: /b, reconcile: suspended}
    - {content: x, dest: /c}
"""
    desired = fleet(manifest, "web1", policy="mode: observe\n")
    (host,) = plan_of(desired).hosts
    assert [step.id for step in host.steps] == ["copy[/a]"]
    assert host.held == ("suspended in git: copy[/b]",)
    assert len({change.resource for change in host.changes}) == 3


def test_a_reason_to_stop_holds_every_host_that_has_something_to_do() -> None:
    desired = fleet(MANY, "web1 web2", **{"templates/a.j2": "x"})
    plan = plan_of(desired, stop="the branch is gone")
    assert [(host.steps, host.handlers, host.held) for host in plan.hosts] == [((), (), ("the branch is gone",))] * 2
    assert all(host.changes for host in plan.hosts), "what differs is still seen"


def test_at_most_so_many_hosts_are_converged() -> None:
    desired = fleet("- hosts: web\n  copy:\n    - {content: x, dest: /a}\n", "web1 web2 web3")
    plan = plan_of(desired, limits=Limits(hosts=2))
    assert [bool(host.steps) for host in plan.hosts] == [True, True, False]
    assert "limits.hosts" in plan.hosts[2].held[0]


@given(st.integers(1, 40), st.integers(0, 100), st.integers(0, 20), st.data())
def test_removals_stay_within_the_limit_or_are_all_held(number: int, percent: int, hosts: int, data) -> None:
    desired = fleet(GONE, " ".join(f"h{n:02}" for n in range(number)))
    removing = data.draw(st.integers(0, number))
    full, clean = there(desired), absent(desired)
    seen = {name: (full if n < removing else clean)[name] for n, name in enumerate(sorted(desired.hosts))}
    plan = plan_of(desired, seen, limits=Limits(percent, hosts))
    allowed = max(hosts, number * percent // 100)
    assert sum(bool(host.steps) for host in plan.hosts) == (removing if removing <= allowed else 0)
    assert sum(bool(host.held) for host in plan.hosts) == (0 if removing <= allowed else removing)


def test_limits_do_not_hold_what_removes_nothing() -> None:
    desired = compiled(
        {
            "inventory/hosts.yml": "web:\n  hosts:\n    a:\n    b:\n",
            "gone.yml": GONE.replace("web", "a"),
            "made.yml": "- hosts: b\n  copy:\n    - {content: x, dest: /a}\n",
            "reconciler.yml": "mode: enforce\n",
        }
    )
    plan = plan_of(desired, there(desired, sha256="0" * 64), limits=Limits(0, 0))
    assert [(host.host, bool(host.steps), bool(host.held)) for host in plan.hosts] == [
        ("a", False, True),
        ("b", True, False),
    ]


def test_the_plan_is_named_by_what_it_would_do() -> None:
    desired = fleet(MANY, "web1", **{"templates/a.j2": "x"})
    other = fleet(MANY, "web1", **{"templates/a.j2": "y"})
    names = {plan_of(desired).id, plan_of(other).id, plan_of(desired, stop="held").id}
    assert len(names) == 3
    assert plan_of(desired).id == plan_of(desired).id
    assert limit([], Limits(0, 0, 1), 0) == []
