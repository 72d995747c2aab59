"""Previews: what a pull request would do to hosts as they were last seen, and nothing that it would not do."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.comment import acting, held
from reconciler.desired import compile_tree
from reconciler.diff import line_diff
from reconciler.folder import read_folder
from reconciler.kinds import KINDS, Fields
from reconciler.memory import remember
from reconciler.model import HostMemory, Limits, Mode, Observed, Verdict
from reconciler.plan import make_plan
from reconciler.policy import effective_mode
from reconciler.preview import preview, unpreviewed
from reconciler.talk import Action, Kept, Turn
from tests.unit.previews import BASE, HEAD, SEEN, foretold, in_sync, text_of, with_drift
from tests.unit.worlds import SHA, compiled, fleet

PREVIEWS = Path(__file__).parents[1] / "previews"


def one(resources: str, policy: str = "mode: enforce\n", hosts: str = "web1", **files: str):
    """A revision of one manifest for all hosts."""
    lines = "".join(f"  {line}\n" for line in resources.splitlines())
    return fleet(f"- hosts: web\n{lines}" if resources else "[]\n", hosts, policy, **files)


def said(base, head, memories=None, **more) -> list[str]:
    """What is told of the hosts, without the heading and the places."""
    assert not base.mistakes
    assert not head.mistakes
    told = text_of(foretold(base, head, memories, **more)).splitlines()[1:]
    return [
        line.strip().rpartition("  (")[0] if line.endswith(")") and "  (" in line else line.strip() for line in told
    ]


MOTD = "copy:\n  - {content: a, dest: /etc/motd}"
CASES = {
    # name: resources before, resources after, what is told of web1
    "nothing": (MOTD, MOTD, []),
    "a comment only": (MOTD, MOTD + "  # that is all", []),
    "content": (
        MOTD,
        MOTD.replace("a,", "b,"),
        ["web1 enforce", "change copy[/etc/motd] content sha256:ca978 → sha256:3e23e", "-a", "+b"],
    ),
    "an attribute that was not declared": (
        MOTD,
        MOTD.replace("}", ", mode: '0600'}"),
        ["web1 enforce", "change copy[/etc/motd] mode None → 0600, unseen"],
    ),
    "an attribute that is declared no longer": (MOTD.replace("}", ", mode: '0600'}"), MOTD, []),
    "an attribute that is ignored from now on": (MOTD, MOTD.replace("a,", "b, ignore: [content],"), []),
    "an option that is compared nowhere": (MOTD, MOTD.replace("}", ", notify: reload nginx}"), []),
    "a new resource": (
        "",
        "package:\n  - name: nginx=1.26",
        [
            "web1 enforce",
            "add package[nginx] state None → present, unseen",
            "add package[nginx] version None → 1.26, unseen",
        ],
    ),
    "a resource that goes": (MOTD, "", ["web1 enforce", "orphan copy[/etc/motd]"]),
    "a restart": (
        MOTD,
        MOTD.replace("a,", "b, notify: [restart nginx, reload cron],"),
        [
            "web1 enforce",
            "change copy[/etc/motd] content sha256:ca978 → sha256:3e23e",
            "-a",
            "+b",
            "then reload cron",
            "then restart nginx",
        ],
    ),
    "a removal of what is declared": (
        "package:\n  - name: nginx",
        "package:\n  - {name: nginx, state: absent}",
        ["web1 enforce", "remove package[nginx] state present → absent"],
    ),
    "a file that is taken away, whose content is declared": (
        MOTD,
        "file:\n  - {path: /etc/motd, state: absent}",
        ["web1 enforce", "remove file[/etc/motd] state file → absent"],
    ),
    "a tree that is taken away": (
        "file:\n  - {path: /srv/a, state: directory}",
        "file:\n  - {path: /srv/a, state: absent}",
        ["web1 enforce", "remove file[/srv/a] state directory → absent, irreversible"],
    ),
    "something taken away that was declared by nobody": (
        "",
        "file:\n  - {path: /srv/a, state: absent}",
        ["web1 enforce", "remove file[/srv/a] state None → absent, unseen, irreversible"],
    ),
    "what was absent comes back": (
        "package:\n  - {name: nginx, state: absent}",
        "package:\n  - name: nginx",
        ["web1 enforce", "add package[nginx] state absent → present"],
    ),
    "a copy that becomes a template": (
        MOTD,
        "template:\n  - {src: m.j2, dest: /etc/motd}",
        ["web1 enforce", "change template[/etc/motd] content sha256:ca978 → sha256:7beaa", "-a", "+m of web1"],
    ),
    "a secret": (
        MOTD.replace("}", ", no_log: true}"),
        MOTD.replace("a,", "b, no_log: true,"),
        ["web1 enforce", "change copy[/etc/motd] content (secret) → (secret), secret"],
    ),
    "a secret that would be uncovered": (
        MOTD.replace("}", ", no_log: true}"),
        MOTD.replace("a,", "b,"),
        ["web1 enforce", "change copy[/etc/motd] content (secret) → (secret), secret"],
    ),
    "a secret that would be uncovered as a template": (
        MOTD.replace("}", ", no_log: true}"),
        "template:\n  - {src: m.j2, dest: /etc/motd}",
        ["web1 enforce", "change template[/etc/motd] content (secret) → (secret), secret"],
    ),
    "what becomes a secret": (
        MOTD,
        MOTD.replace("a,", "b, no_log: true,"),
        ["web1 enforce", "change copy[/etc/motd] content (secret) → (secret), secret"],
    ),
    "a password": (
        "user:\n  - {name: ada, password: $6$aaaaaaaaaaaa}",
        "user:\n  - {name: ada, password: $6$bbbbbbbbbbbb}",
        ["web1 enforce", "change user[ada] password (secret) → (secret), secret"],
    ),
    "one resource suspended, one observed, one enforced": (
        "",
        "package:\n  - name: a\n  - {name: b, reconcile: observe}\n  - {name: c, reconcile: suspended}",
        [
            "web1 enforce",
            "add package[a] state None → present, unseen",
            "add package[b] state None → present, unseen",
            "add package[c] state None → present, unseen",
            "left: package[b]: only observed",
            "left: package[c]: suspended in git",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_change_of_the_manifest_would_do(name: str) -> None:
    before, after, expected = CASES[name]
    template = {"templates/m.j2": "m of {{ inventory_hostname }}\n"}
    assert said(one(before, **template), one(after, **template)) == expected


def test_a_notify_that_cannot_be_obeyed_is_not_told() -> None:
    stopped = "service:\n  - {name: nginx, state: stopped}\n" + MOTD.replace("a,", "{}, notify: restart nginx,")
    told = foretold(one(stopped.replace("{}", "a")), one(stopped.replace("{}", "b")))
    assert told.hosts[0].handlers == ()
    assert told.hosts[0].foreseen


MODED = "copy:\n  - {content: a, dest: /etc/motd, mode: '0644'}\n  - {content: a, dest: /etc/issue}"


def drifted(base, *drift) -> dict[str, HostMemory]:
    memories = in_sync(base)
    for attribute, seen in drift:
        memories["web1"] = with_drift(memories["web1"], "copy[/etc/motd]", attribute, seen)
    return memories


LIVE = {
    # what was seen, the resources after, what is told of web1
    "drift that the change overwrites": (
        [("mode", "0600")],
        MODED.replace("0644", "0640"),
        ["web1 enforce", "change copy[/etc/motd] mode 0644 → 0640, live 0600"],
    ),
    "drift beside the change, in the same resource": (
        [("content", "sha256:dead")],
        MODED.replace("0644", "0640"),
        [
            "web1 enforce",
            "change copy[/etc/motd] content sha256:ca978 → sha256:ca978, live sha256:dead",
            "change copy[/etc/motd] mode 0644 → 0640",
        ],
    ),
    "drift that stays": (
        [("mode", "0600")],
        MODED.replace("a, dest: /etc/issue", "b, dest: /etc/issue"),
        [
            "web1 enforce",
            "change copy[/etc/issue] content sha256:ca978 → sha256:3e23e",
            "-a",
            "+b",
            "drift copy[/etc/motd]",
        ],
    ),
    "drift alone": ([("mode", "0600")], MODED, []),
    "what is adopted as it is": ([("mode", "0600")], MODED.replace("0644", "0600"), []),
    "a part of it is adopted": (
        [("mode", "0600"), ("content", "sha256:dead")],
        MODED.replace("0644", "0600"),
        [],
    ),
    "a file that is gone": (
        [("state", "absent")],
        MODED.replace("0644", "0640"),
        [
            "web1 enforce",
            "change copy[/etc/motd] state file → file, live absent",
            "change copy[/etc/motd] mode 0644 → 0640",
        ],
    ),
    "a list": (
        [("mode", ["0", "1"])],
        MODED.replace("0644", "0640"),
        ["web1 enforce", "change copy[/etc/motd] mode 0644 → 0640, live ('0', '1')"],
    ),
}


@pytest.mark.parametrize("name", LIVE)
def test_what_is_there_by_hand(name: str) -> None:
    drift, after, expected = LIVE[name]
    base = one(MODED)
    assert said(base, one(after), drifted(base, *drift)) == expected


def test_a_live_value_of_a_secret_is_not_shown_whatever_memory_holds() -> None:
    base, head = one(MODED), one(MODED.replace("a, dest: /etc/motd", "b, dest: /etc/motd, no_log: true"))
    memories = drifted(base, ("content", "hunter2"), ("mode", "hunter3"))
    told = repr(asdict(foretold(base, head, memories)))
    assert "hunter" not in told
    assert "(secret)" in told


SYNCED, TURNED = "mode: observe\n", "mode: enforce\n"


def test_turning_to_enforce_puts_right_what_differs_already() -> None:
    base, head = one(MODED, SYNCED), one(MODED, TURNED)
    assert said(base, head, drifted(base, ("mode", "0600"))) == [
        "web1 enforce, was observe",
        "change copy[/etc/motd] mode 0644 → 0644, live 0600",
    ]
    assert said(base, head) == ["web1 enforce, was observe"]
    assert foretold(base, head).plan == ""
    assert foretold(base, head, drifted(base, ("mode", "0600"))).plan != ""


def test_turning_to_enforce_where_nobody_has_looked_cannot_be_predicted() -> None:
    base, head = one(MOTD, SYNCED), one(MOTD, TURNED)
    assert said(base, head, {}) == [
        "web1 enforce, was observe, never looked at",
        "change copy[/etc/motd] state file → file, unseen",
        "change copy[/etc/motd] content sha256:ca978 → sha256:ca978, unseen",
    ]


def test_turning_to_observe_is_told_though_nothing_is_applied() -> None:
    base, head = one(MODED, TURNED), one(MODED, SYNCED)
    told = foretold(base, head, drifted(base, ("mode", "0600")))
    assert [(h.mode, h.mode_before, h.foreseen, h.drift) for h in told.hosts] == [
        (Mode.OBSERVE, Mode.ENFORCE, (), ("copy[/etc/motd]",))
    ]


def test_the_mode_of_a_resource_beside_others() -> None:
    turned = MODED.replace("dest: /etc/issue", "dest: /etc/issue, reconcile: enforce")
    told = foretold(one(MODED, SYNCED), one(turned, SYNCED))
    assert [(h.mode, h.mode_before, h.turns) for h in told.hosts] == [
        (Mode.ENFORCE, None, (Turn("copy[/etc/issue]", Mode.OBSERVE, Mode.ENFORCE),))
    ]
    added = MODED + "\npackage:\n  - {name: a, reconcile: enforce}"
    told = foretold(one(MODED, SYNCED), one(added.replace("0644", "0600"), SYNCED))
    assert [(h.mode, h.mode_before) for h in told.hosts] == [(Mode.ENFORCE, None)], "no resource had its mode changed"
    observed = "package:\n  - {name: a, reconcile: observe}"
    assert foretold(one("", TURNED), one(observed, TURNED)).hosts[0].mode is Mode.OBSERVE


ISSUE = "dest: /etc/issue"
TURNS = {
    # name: (policy, resources) before, the same after, what is told of web1; content a where nothing is said
    "one of two, beside a change": (
        (TURNED, MODED),
        (TURNED, MODED.replace("0644", "0640").replace(ISSUE, f"{ISSUE}, reconcile: observe")),
        [
            "web1 enforce",
            "change copy[/etc/motd] mode 0644 → 0640",
            "turn copy[/etc/issue] enforce → observe",
        ],
    ),
    "one of two, and nothing else": (
        (TURNED, MODED),
        (TURNED, MODED.replace(ISSUE, f"{ISSUE}, reconcile: suspended")),
        ["web1 suspended", "turn copy[/etc/issue] enforce → suspended"],
    ),
    "one that is changed too": (
        (TURNED, MODED),
        (TURNED, MODED.replace("mode: '0644'", "mode: '0640', reconcile: observe")),
        ["web1 observe", "change copy[/etc/motd] mode 0644 → 0640", "turn copy[/etc/motd] enforce → observe"],
    ),
    "one turns back, the other is changed and only observed": (
        (SYNCED, MODED),
        (SYNCED, MODED.replace("0644", "0640").replace(ISSUE, f"{ISSUE}, reconcile: enforce")),
        ["web1 observe", "change copy[/etc/motd] mode 0644 → 0640", "turn copy[/etc/issue] observe → enforce"],
    ),
    "all of them, each by itself": (
        (TURNED, MODED),
        (TURNED, MODED.replace("{content", "{reconcile: observe, content")),
        ["web1 observe, was enforce"],
    ),
    "all of them, and one is new": (
        (SYNCED, MOTD),
        (TURNED, MODED.replace(", mode: '0644'", "")),
        [
            "web1 enforce, was observe",
            "add copy[/etc/issue] state None → file, unseen",
            "add copy[/etc/issue] content None → sha256:ca978, unseen",
            "+a",
        ],
    ),
    "the host, and one was already so by itself": (
        (SYNCED, MODED.replace(ISSUE, f"{ISSUE}, reconcile: enforce")),
        (TURNED, MODED.replace(ISSUE, f"{ISSUE}, reconcile: enforce")),
        ["web1 enforce, was observe"],
    ),
    "the host, but for one": (
        (SYNCED, MODED.replace(ISSUE, f"{ISSUE}, reconcile: observe")),
        (TURNED, MODED.replace(ISSUE, f"{ISSUE}, reconcile: observe")),
        ["web1 enforce", "turn copy[/etc/motd] observe → enforce"],
    ),
    "two that change places": (
        (TURNED, MODED.replace(ISSUE, f"{ISSUE}, reconcile: observe")),
        (TURNED, MODED.replace("mode: '0644'", "mode: '0644', reconcile: observe")),
        [
            "web1 enforce",
            "turn copy[/etc/issue] observe → enforce",
            "turn copy[/etc/motd] enforce → observe",
        ],
    ),
    "one that comes with a mode of its own": (
        (TURNED, MOTD),
        (TURNED, MOTD + "\n  - {content: a, dest: /etc/issue, reconcile: observe}"),
        [
            "web1 observe",
            "add copy[/etc/issue] state None → file, unseen",
            "add copy[/etc/issue] content None → sha256:ca978, unseen",
            "+a",
        ],
    ),
    "one that goes": (
        (TURNED, MODED),
        (TURNED, MODED.rpartition("\n")[0]),
        ["web1 enforce", "orphan copy[/etc/issue]"],
    ),
    "a mode of its own that says the same": (
        (TURNED, MODED),
        (TURNED, MODED.replace(ISSUE, f"{ISSUE}, reconcile: enforce")),
        [],
    ),
}


@pytest.mark.parametrize("name", TURNS)
def test_what_changes_its_mode(name: str) -> None:
    (before, old), (after, new), expected = TURNS[name]
    found = said(one(old, before), one(new, after))
    assert (found[:1], sorted(found[1:])) == (expected[:1], sorted(expected[1:]))


def test_nothing_is_restarted_where_nothing_is_applied() -> None:
    base, head = (MOTD.replace("a,", f"{c}, notify: reload nginx,") for c in "ab")
    for policy in ("mode: observe\n", "mode: suspended\n"):
        told = foretold(one(base, policy), one(head, policy))
        assert told.hosts[0].handlers == ()
        assert told.plan == ""
        assert told.hosts[0].foreseen


WAIVER = "mode: enforce\nwaivers:\n  - {resource: 'copy[/etc/motd]', hosts: web, until: 2026-12-06, reason: later}\n"


def test_a_waiver_that_goes_lets_what_it_spared_be_put_right() -> None:
    base, head = one(MODED, WAIVER), one(MODED)
    memories = drifted(base, ("mode", "0600"))
    expected = ["web1 enforce", "change copy[/etc/motd] mode 0644 → 0644, live 0600"]
    assert said(base, head, memories, today=date(2026, 12, 6)) == expected
    assert said(base, head, memories, today=date(2026, 12, 7)) == [], "it was over before"
    assert said(base, head) == [], "there was nothing to spare"


def test_a_waiver_that_is_there_keeps_the_change_away() -> None:
    base, head = one(MODED), one(MODED.replace("0644", "0640"), WAIVER)
    told = foretold(base, head, today=date(2026, 11, 22))
    assert told.hosts[0].held_in_part == (Kept("copy[/etc/motd]", "waived until 2026-12-06: later"),)
    assert told.hosts[0].held == ()
    assert held(told) == [*told.hosts], "there is nothing else that would be applied"
    assert told.plan == ""
    assert foretold(base, head, today=date(2026, 12, 7)).plan != ""


def test_hosts_that_come_and_go() -> None:
    base, head = one(MOTD, hosts="web1 web2"), one(MOTD, hosts="web2 web3")
    told = foretold(base, head)
    assert (told.fleet, told.arriving, told.leaving) == (2, ("web3",), ("web1",))
    (new,) = told.hosts
    assert (new.host, new.blind) == ("web3", "never looked at")
    assert {(f.action, f.unseen, f.before) for f in new.foreseen} == {(Action.ADD, True, None)}
    assert new.foreseen[1].diff == ("+a",)


def test_a_host_that_cannot_be_seen() -> None:
    base, head = one(MOTD), one(MOTD.replace("a,", "b,"))
    seen = in_sync(base)["web1"]
    gone = replace(seen, state="blind", reason="timed out", seen_at=SEEN, since="2026-11-22T12:10:00+00:00")
    cases = [
        (seen, ""),
        (gone, f"not seen since {SEEN}: timed out"),
        (replace(gone, seen_at=None), "not seen since 2026-11-22T12:10:00+00:00: timed out"),
        (HostMemory("web1", state="blind", reason="timed out", since=SEEN), "never seen: timed out"),
        (HostMemory("web1"), "never looked at"),
    ]
    for memory, words in cases:
        (host,) = foretold(base, head, {"web1": memory}).hosts
        assert host.blind == words
        assert all(f.unseen == (not memory.applied) for f in host.foreseen)


def test_a_base_that_is_newer_than_what_was_seen() -> None:
    """Last looked at with content a; the base says b since, the head c or a again."""
    old, base, head = (one(MOTD.replace("a,", f"{c},")) for c in "abc")
    memories = in_sync(old)
    assert said(base, head, memories)[1] == "change copy[/etc/motd] content sha256:3e23e → sha256:2e7d2"
    assert foretold(base, old, memories).hosts, "b is enforced before it can be taken back"
    added = one(MOTD + "\n  - {content: x, dest: /etc/issue}")
    changed = one(MOTD + "\n  - {content: y, dest: /etc/issue}")
    assert said(added, changed, memories)[1].endswith(", unseen"), "nobody has looked at it yet"


def test_a_newer_base_that_is_only_observed_says_nothing_of_what_is_live() -> None:
    old, base, head = (one(MOTD.replace("a,", f"{c},"), SYNCED) for c in "abc")
    (line,) = [line for line in said(base, head, in_sync(old)) if "content" in line]
    assert line.endswith(", unseen")
    uncovered = one(MOTD.replace("a,", "hunter2, no_log: true,"), SYNCED)
    assert "hunter2" not in repr(foretold(base, head, in_sync(uncovered)))


def test_what_was_done_by_hand_before_the_base_is_no_drift() -> None:
    """Content a was declared and 0600 seen when it was looked at; the base declares 0600 since."""
    old, base, head = one(MODED), one(MODED.replace("0644", "0600")), one(MODED.replace("0644", "0640"))
    (host,) = foretold(base, head, drifted(old, ("mode", "0600"))).hosts
    assert [(f.attribute, f.before, f.live) for f in host.foreseen] == [("mode", "0600", None)]


def test_what_comes_back_before_anybody_saw_that_it_had_gone_changes_nothing() -> None:
    assert said(one(""), one(MOTD), in_sync(one(MOTD))) == []
    assert said(one(""), one(MOTD.replace("a,", "b,")), in_sync(one(MOTD)))[1] == (
        "change copy[/etc/motd] content None → sha256:3e23e, unseen"
    )


GONE = "file:\n  - {path: /srv/x, state: absent}"


def test_the_limits_of_the_base_hold_removals() -> None:
    hosts = " ".join(f"web{n:02}" for n in range(20))
    base, head = one("", hosts=hosts), one(GONE, hosts=hosts)
    told = foretold(base, head, limits=Limits(30, 10))
    assert len(told.hosts) == 20
    assert all("the limit is 10" in host.held[0] for host in told.hosts)
    assert told.plan == ""
    assert not any(host.held for host in foretold(base, head, limits=Limits(100)).hosts)
    # A head that raises the limit for itself is still judged by that of the base.
    raised = one(GONE, "mode: enforce\nlimits: {removals_percent: 100}\n", hosts)
    assert all(host.held for host in foretold(base, raised).hosts)


def test_the_canaries_of_the_base_go_first_and_those_of_the_head_where_it_has_none() -> None:
    with_canary = "mode: enforce\nlimits: {canary: web1}\n"
    without, first, second = one(MOTD), one(MOTD, with_canary, "web1 web2"), with_canary.replace("web1", "web2")
    assert foretold(without, without).canaries == ()
    assert foretold(without, first).canaries == ("web1",)
    assert foretold(first, one(MOTD, second, "web1 web2")).canaries == ("web1",)


def test_hosts_that_wait_for_the_next_cycle_are_not_held() -> None:
    base, head = one("", hosts="web1 web2"), one(MOTD, hosts="web1 web2")
    assert [host.held for host in foretold(base, head, limits=Limits(hosts=1)).hosts] == [(), ()]


def broken(*more: str):
    """web1 has a mistake in its manifest, db1 has none."""
    files = {
        "inventory/hosts.yml": "web:\n  hosts:\n    web1:\ndb:\n  hosts:\n    db1:\n",
        "web.yml": "# a comment\n" * len(more) + "- hosts: web\n  copy:\n    - {content: a, dst: /etc/motd}\n",
        "db.yml": "- hosts: db\n  package:\n    - name: db\n",
        "reconciler.yml": "mode: enforce\n",
    }
    return compiled(files), compiled({**files, "web.yml": "- hosts: web\n  copy:\n    - {content: a, dest: /m}\n"})


def test_a_mistake_holds_its_hosts_and_no_others() -> None:
    bad, good = broken()
    told = foretold(good, bad)
    assert len(told.mistakes) >= 1
    assert [(host.host, host.foreseen) for host in told.hosts] == [("web1", ())]
    assert told.hosts[0].held[0].startswith("web.yml:")


def test_a_mistake_that_was_there_before_is_not_told_again() -> None:
    bad, good = broken()
    moved, _ = broken("a line above")
    for head in (bad, moved):
        told = foretold(bad, head)
        assert (told.mistakes, told.hosts) == ((), ())
    mended = foretold(bad, good)
    assert [host.host for host in mended.hosts] == ["web1"]
    assert mended.arriving == ()


def test_the_same_mistake_once_more_is_a_new_one() -> None:
    wrong = "- hosts: web1\n  package:\n    - nam: a\n"
    once, twice = (
        compiled({"inventory/hosts.yml": "web:\n  hosts:\n    web1:\n    web2:\n", "m.yml": wrong * n}) for n in (1, 2)
    )
    moved = replace(once, mistakes=tuple(replace(m, place=replace(m.place, line=9)) for m in once.mistakes))
    assert foretold(moved, once).mistakes == ()
    assert len(foretold(moved, twice).mistakes) == len(twice.mistakes) - len(once.mistakes)


def test_a_held_host_counts_as_one_of_the_fleet() -> None:
    bad, good = broken()
    gone = replace(bad, hosts=one(GONE, hosts="db1").hosts)
    assert [host.held for host in foretold(good, gone, limits=Limits(50, 0)).hosts if host.host == "db1"] == [()]


def test_a_difference_met_while_the_base_had_mistakes_is_not_called_live() -> None:
    bad, good = broken()
    memories = {"web1": with_drift(in_sync(good)["web1"], "copy[/m]", "content", "sha256:dead")}
    (host,) = foretold(bad, good, memories).hosts
    assert [(f.action, f.attribute, f.before, f.live, f.unseen) for f in host.foreseen] == [
        (Action.CHANGE, "content", None, None, False)
    ]


REFUSED = {
    "no inventory": {"inventory/hosts.yml": ""},
    "a broken inventory": {"inventory/hosts.yml": "web: [\n"},
    "a broken policy": {"reconciler.yml": "mode: enfroce\n"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_head_that_cannot_be_used_at_all_holds_every_host(name: str) -> None:
    _, base = broken()
    head = compiled({"inventory/hosts.yml": "web:\n  hosts:\n    web1:\n", **REFUSED[name]})
    assert head.refused
    told = foretold(base, head)
    assert told.mistakes == head.mistakes
    assert [host.host for host in told.hosts] == ["db1", "web1"]
    assert all(host.held and not host.foreseen for host in told.hosts)
    assert (told.arriving, told.leaving, told.plan, told.fleet) == ((), (), "", 2), "nothing is said to leave"


def test_a_base_that_could_not_be_used_makes_no_host_new() -> None:
    _, head = broken()
    base = compiled({"inventory/hosts.yml": ""})
    told = foretold(base, head, in_sync(head))
    assert (told.arriving, told.hosts) == ((), ())


ADDRESSED = "web:\n  hosts:\n    web1:\n      ansible_host: {}\n"


def test_a_host_that_is_to_be_another_machine_was_never_looked_at() -> None:
    files = {"m.yml": f"- hosts: web\n  {MOTD.replace('  -', '    -')}\n", "reconciler.yml": "mode: enforce\n"}
    base, head = (compiled({**files, "inventory/hosts.yml": ADDRESSED.format(a)}) for a in ("10.0.0.1", "10.0.0.2"))
    assert said(base, head) == [
        "web1 enforce, never looked at where it would be reached from now on",
        "change copy[/etc/motd] state file → file, unseen",
        "change copy[/etc/motd] content sha256:ca978 → sha256:ca978, unseen",
    ]
    quiet = [replace(d, hosts={"web1": replace(d.hosts["web1"], mode=Mode.OBSERVE)}) for d in (base, head)]
    assert said(*quiet) == ["web1 observe, never looked at where it would be reached from now on"]


def test_groups_and_order() -> None:
    base, head = one("", hosts="web2 web1"), one(MOTD, hosts="web2 web1")
    told = foretold(base, head, groups={"web1": "web"})
    assert [(host.host, host.group) for host in told.hosts] == [("web1", "web"), ("web2", "")]


def test_the_plan_is_named_by_what_would_be_done() -> None:
    base, head, other = one(MOTD), one(MOTD.replace("a,", "b,")), one(MOTD.replace("a,", "c,"))
    assert foretold(base, head).plan == foretold(base, head, head_sha=BASE).plan
    assert foretold(base, head).plan != foretold(base, other).plan
    both = [foretold(*(one(m, hosts=hosts) for m in (MOTD, MOTD.replace("a,", "b,")))) for hosts in ("a b", "b a")]
    assert both[0] == both[1]
    assert foretold(base, head) == foretold(base, head)


def test_no_preview() -> None:
    told = unpreviewed(BASE, HEAD, fleet=3, refused="it is too large", conflicts=("web.yml",))
    assert (told.refused, told.conflicts, told.hosts, told.fleet) == ("it is too large", ("web.yml",), (), 3)


IRREVERSIBLE = [
    # kind, what was declared (None: nothing), what is declared, whether going back brings nothing back
    ("file", None, {"path": "/a", "state": "absent"}, True),
    ("file", {"path": "/a", "state": "directory"}, {"path": "/a", "state": "absent"}, True),
    ("file", {"path": "/a", "state": "file"}, {"path": "/a", "state": "absent"}, True),
    ("file", {"path": "/a", "state": "link", "src": "b"}, {"path": "/a", "state": "absent"}, False),
    ("file", None, {"path": "/a", "state": "directory"}, False),
    ("user", {"name": "ada", "uid": 5}, {"name": "ada", "state": "absent"}, False),
    ("user", {"name": "ada", "uid": 5}, {"name": "ada", "state": "absent", "remove": True}, True),
    ("user", {"name": "ada"}, {"name": "ada", "state": "absent"}, True),
    ("user", None, {"name": "ada", "shell": "/bin/sh"}, False),
    ("group", {"name": "ops", "gid": 5}, {"name": "ops", "state": "absent"}, False),
    ("group", None, {"name": "ops", "state": "absent"}, True),
    ("cron", {"name": "j", "job": "true"}, {"name": "j", "state": "absent"}, False),
    ("cron", None, {"name": "j", "state": "absent"}, True),
    ("lineinfile", None, {"path": "/a", "regexp": "^x", "state": "absent"}, True),
    (
        "lineinfile",
        {"path": "/a", "regexp": "^x", "line": "xy"},
        {"path": "/a", "regexp": "^x", "state": "absent"},
        False,
    ),
    ("lineinfile", None, {"path": "/a", "line": "x", "state": "absent"}, False),
    ("package", {"name": "nginx"}, {"name": "nginx", "state": "absent"}, False),
    ("sysctl", {"name": "vm.swappiness", "value": "1"}, {"name": "vm.swappiness", "state": "absent"}, False),
    ("service", {"name": "a", "state": "started"}, {"name": "a", "state": "stopped"}, False),
]


@pytest.mark.parametrize(("kind", "before", "after", "expected"), IRREVERSIBLE)
def test_what_going_back_does_not_bring_back(kind: str, before, after, expected: bool) -> None:
    made: list[Fields | None] = [
        None if fields is None else KINDS[kind].model_validate(fields) for fields in (before, after)
    ]
    assert made[1] is not None
    assert made[1].irreversible(made[0]) is expected


def test_a_file_comes_back_only_if_its_content_was_declared() -> None:
    gone = KINDS["file"].model_validate({"path": "/a", "state": "absent"})
    copy = {"dest": "/a", "content": "x"}
    assert not gone.irreversible(KINDS["copy"].model_validate(copy))
    assert gone.irreversible(KINDS["copy"].model_validate({**copy, "ignore": ["content"]}))


def test_differences_of_lines() -> None:
    many = "".join(f"{n}\n" for n in range(1500)).encode()
    assert line_diff(many, many.replace(b"\n700\n", b"\nx\n")) == ("-700", "+x")
    assert line_diff(b"\xff", b"a") == ()
    assert line_diff(b"", b"a\nb\n") == ("+a", "+b")
    assert line_diff(b"a\na\n", b"a\na\na\n") == ("+a",)
    coarse = line_diff(many, "".join(f"{n}\n" for n in reversed(range(1500))).encode())
    assert coarse[0] == "-0"
    assert coarse[-1] == "… and 2940 more lines"


# The engine itself is the judge of what a preview says: plans are made of the facts that memory was made of.

PATHS = ("/a", "/b", "/c")
FACT = {"size": 1, "uid": 0, "gid": 0, "owner": "root", "group": "root"}
DIGESTS = {
    c: next(iter(r.wanted["content"] for r in one(f"copy:\n  - {{content: {c}, dest: /a}}").hosts["web1"].resources))
    for c in "xyz"
}
declared = st.dictionaries(
    st.sampled_from(PATHS),
    st.fixed_dictionaries(
        {"content": st.sampled_from("xyz"), "mode": st.sampled_from(["'0644'", "'0600'"])},
        optional={"reconcile": st.sampled_from(["observe", "enforce"])},
    ),
)
found = st.fixed_dictionaries(
    {
        path: st.one_of(
            st.just({"state": "absent"}),
            st.builds(lambda c, m: {**FACT, "state": "file", "mode": m, "sha256": DIGESTS[c][7:]},
                      st.sampled_from("xyz"), st.sampled_from(["0644", "0600"])),
        )
        for path in PATHS
    }
)  # fmt: skip
modes = st.sampled_from(["mode: enforce\n", "mode: observe\n"])


def files(resources, policy: str):
    lines = [
        f"  - {{dest: {path}, {', '.join(f'{k}: {v}' for k, v in one.items())}}}" for path, one in resources.items()
    ]
    return one("\n".join(["copy:", *lines]) if lines else "", policy)


def looked_at(desired, facts, memory: HostMemory) -> HostMemory:
    """What is remembered after a look that nothing was applied after."""
    seen = {"web1": Observed("web1", {"path": facts})}
    (plan,) = make_plan(SHA, desired, seen, {"web1": memory}, Limits()).hosts
    return remember(memory, desired.hosts["web1"], plan, plan, None, SHA, (SEEN, None))


@given(declared, declared, found, modes, modes)
def test_what_is_foreseen_is_what_the_engine_would_do(before, after, facts, policy, turned) -> None:
    base, head = files(before, policy), files(after, turned)
    memory = looked_at(base, facts, looked_at(base, facts, HostMemory("web1")))
    told = foretold(base, head, {"web1": memory})
    seen = {"web1": Observed("web1", {"path": facts})}
    (real,) = make_plan(SHA, head, seen, {"web1": memory}, Limits()).hosts
    (now,) = make_plan(SHA, base, seen, {"web1": memory}, Limits()).hosts
    differing = {c.resource for c in real.changes if c.verdict is not Verdict.AHEAD}
    for host in told.hosts:
        certain = {f.resource for f in host.foreseen if not f.unseen}
        unsure = {f.resource for f in host.foreseen if f.unseen}
        assert certain | set(host.drift) == differing - unsure
        assert not certain & unsure, "a resource of the base was looked at whole"
        assert unsure == {f.resource for f in host.foreseen} - {r.identity for r in base.hosts["web1"].resources}
    # What the head makes the engine do beyond what the base makes it do anyway is foreseen, all of it.
    foreseen = {f.resource for host in told.hosts for f in host.foreseen}
    assert {step.id for step in real.steps} - {step.id for step in now.steps} <= foreseen


waivers = st.sampled_from(["", "waivers:\n  - {resource: 'copy[/a]', hosts: web, until: 2026-12-06, reason: later}\n"])


@given(declared, declared, found, modes, modes, waivers)
def test_something_is_done_where_there_is_a_plan_and_every_turn_is_told_once(
    before, after, facts, policy, turned, waiver
) -> None:
    base, head = files(before, policy), files(after, turned + (waiver if "/a" in after else ""))
    told = foretold(base, head, {"web1": looked_at(base, facts, HostMemory("web1"))})
    assert bool(acting(told)) == bool(told.plan)
    was, becomes = (
        {r.identity: effective_mode(side.hosts["web1"].mode, r.mode) for r in side.hosts["web1"].resources}
        for side in (base, head)
    )
    turns = {Turn(name, was[name], becomes[name]) for name in was.keys() & becomes if was[name] is not becomes[name]}
    (host,) = told.hosts or (None,)
    if host and host.mode_before:
        assert {(turn.before, turn.after) for turn in turns} == {(host.mode_before, host.mode)}
        assert {becomes[name] for name in was.keys() & becomes} == {host.mode}
    assert turns == (set(host.turns) if host and not host.mode_before else turns if host else set())


@given(declared, declared, found, modes)
def test_after_the_merge_nothing_is_foreseen_any_more(before, after, facts, policy) -> None:
    base, head = files(before, policy), files(after, policy)
    memory = in_sync(head)["web1"]
    told = foretold(head, head, {"web1": memory})
    assert (told.hosts, told.plan) == ((), "")
    observed = looked_at(head, facts, looked_at(base, facts, HostMemory("web1")))
    assert foretold(head, head, {"web1": observed}).hosts == (), "drift alone is no work of a pull request"


# Scenarios as files: two state folders and what is remembered, the preview as text.


def remembered(folder: Path, base) -> dict[str, HostMemory]:
    """Hosts in sync with the base, but for what memory.yml says: drift, state, reason, seen_at; null: never seen."""
    memories, path = in_sync(base), folder / "memory.yml"
    said = yaml.safe_load(path.read_text()) if path.exists() else {}
    for host, facts in said.items():
        if facts is None:
            del memories[host]
            continue
        for identity, attributes in facts.pop("drift", {}).items():
            for attribute, seen in attributes.items():
                memories[host] = with_drift(memories[host], identity, attribute, seen)
        memories[host] = replace(memories[host], **facts)
    return memories


@pytest.mark.parametrize("folder", sorted(PREVIEWS.iterdir()), ids=lambda folder: folder.name)
def test_scenario(folder: Path) -> None:
    base, head = (compile_tree(read_folder(folder / side)[0], allow_local=False) for side in ("base", "head"))
    told = preview(base, head, remembered(folder, base), base_sha=BASE, head_sha=HEAD, seen_at=SEEN, limits=base.limits)
    text, expected = text_of(told), folder / "expected.txt"
    if os.environ.get("UPDATE_SCENARIOS"):
        expected.write_text(text)
    assert text == expected.read_text()
