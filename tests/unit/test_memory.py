"""Memory: what is kept of a host after a look, and that its record in git holds all that matters."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.memory import from_host_file, host_file, intent_of, remember, resumed_changes
from reconciler.model import Attempt, HostDesired, HostMemory, HostPlan, Mode, State, Step, StepResult, Verdict
from reconciler.plan import Look, plan_host
from tests.unit.worlds import SHA, absent, change, fleet, there

TIMES = ("2026-11-22T12:10:00+00:00", "2026-11-22T12:00:00+00:00")
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


def host_of(manifest: str, **files: str) -> HostDesired:
    return fleet(manifest, "web1", **files).hosts["web1"]


TWO = "- hosts: web\n  copy:\n    - {content: x, dest: /a, mode: '0644'}\n    - {content: y, dest: /b}\n"


def look(desired: HostDesired, seen, memory: HostMemory) -> HostPlan:
    return plan_host(Look(desired, seen, memory.applied, memory.owed))


def after(memory: HostMemory, desired: HostDesired | None, plan: HostPlan, attempt=None, final=None) -> HostMemory:
    return remember(memory, desired, plan, final or plan, attempt, SHA, TIMES)


def test_what_is_in_sync_is_what_was_applied_and_what_differs_keeps_its_past() -> None:
    fleet_of_one = fleet(TWO, "web1")
    desired = fleet_of_one.hosts["web1"]
    seen = there(fleet_of_one, sha256="2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")["web1"]
    first = after(HostMemory("web1"), desired, look(desired, seen, HostMemory("web1")))
    assert first.applied["copy[/a]"]["mode"] == "0644"
    assert "content" not in first.applied.get("copy[/b]", {})
    assert first.state == "differs"
    assert {(c["resource"], c["attribute"]) for c in first.changes} == {("copy[/b]", "content")}
    again = after(first, desired, look(desired, seen, first))
    assert again.story == first.story, "the same difference is the same story"
    assert again.since == first.since


def test_a_blind_host_keeps_everything_and_a_clean_one_is_remembered_unchanged() -> None:
    desired = fleet(TWO, "web1").hosts["web1"]
    clean = HostMemory("web1", {"copy[/a]": {"mode": "0644"}}, SHA, "in-sync", "", TIMES[1])
    gone = HostPlan("web1", Mode.ENFORCE, State.BLIND, reason="no answer")
    blind = after(clean, desired, gone)
    assert (blind.applied, blind.revision, blind.state, blind.story) == (clean.applied, SHA, "blind", "blind")
    assert blind.clean_at == TIMES[1]
    quiet = HostPlan("web1", Mode.ENFORCE, State.IN_SYNC)
    once = after(HostMemory("web1"), desired, quiet)
    assert after(once, desired, quiet) == once, "an idle sweep writes nothing"


def test_what_is_owed_after_an_attempt() -> None:
    manifest = "- hosts: web\n  copy:\n    - {content: x, dest: /a, notify: [reload nginx, restart cache]}\n"
    desired = fleet(manifest, "web1")
    plan = look(desired.hosts["web1"], absent(desired)["web1"], HostMemory("web1"))
    cut = Attempt(
        "web1", {"copy[/a]": StepResult("changed")}, {"restart cache": StepResult("changed")}, reason="cut off"
    )
    assert after(HostMemory("web1"), desired.hosts["web1"], plan, cut).owed == ("reload nginx",)
    failed = Attempt("web1", {"copy[/a]": StepResult("changed")}, {"reload nginx": StepResult("failed", "no")})
    assert after(HostMemory("web1"), desired.hosts["web1"], plan, failed).owed == ("reload nginx",)
    unchanged = Attempt("web1", {"copy[/a]": StepResult("ok")}, {}, reason="cut off")
    assert after(HostMemory("web1"), desired.hosts["web1"], plan, unchanged).owed == ()
    owing = HostMemory("web1", owed=("reload nginx",))
    done = Attempt("web1", {}, {"reload nginx": StepResult("changed")})
    assert after(owing, desired.hosts["web1"], HostPlan("web1", Mode.ENFORCE, State.IN_SYNC), done).owed == ()


@given(
    seen=st.one_of(TEXT, st.none(), st.integers(), st.booleans(), st.tuples(TEXT, TEXT)),
    reason=TEXT,
    owed=st.lists(st.sampled_from(["reload a", "restart b"]), unique=True),
    state=st.sampled_from(["in-sync", "differs", "blind"]),
)
def test_a_memory_comes_back_from_its_record(seen, reason, owed, state) -> None:
    desired = fleet(TWO, "web1").hosts["web1"]
    plan = HostPlan("web1", Mode.ENFORCE, State.DIFFERS, changes=(change("copy[/a]", seen=seen),))
    differing = after(HostMemory("web1"), desired, plan)
    applied = {r.identity: dict(r.wanted) for r in desired.resources}
    memory = HostMemory(
        host="web1",
        applied=applied,
        revision=SHA,
        state=state,
        story="differs:0",
        since=TIMES[0],
        clean_at=TIMES[1],
        changes=differing.changes,
        owed=tuple(sorted(owed)),
        reason=reason,
    )
    record = yaml.safe_load(host_file(memory, "enforce", {"at": TIMES[0], "outcome": "detected"}))
    assert from_host_file(record, desired) == memory


def test_an_odd_record_is_uncertain_and_not_a_crash() -> None:
    assert from_host_file({"host": "web1", "differs": [None, 3, {}]}, None).host == "web1"


def test_a_secret_is_not_recalled() -> None:
    secret = change("copy[/a]", wanted="hunter2", seen="hunter1", last_applied="hunter0", secret=True)
    desired = fleet(TWO, "web1").hosts["web1"]
    memory = after(HostMemory("web1"), desired, HostPlan("web1", Mode.ENFORCE, State.DIFFERS, changes=(secret,)))
    text = host_file(memory, "enforce", {})
    assert b"hunter" not in text
    recalled = from_host_file(yaml.safe_load(text), desired).applied["copy[/a]"]
    assert sorted(recalled) == ["content", "state"], "what it was is not known any more"


def test_an_intent_holds_what_is_due_and_what_an_earlier_one_left_untold() -> None:
    due = (Step("copy[/etc/motd]", "copy", {}),)
    plan = HostPlan("web1", Mode.ENFORCE, State.DIFFERS, changes=(change(), change("file[/x]")), steps=due)
    first = intent_of(plan)
    assert [c["resource"] for c in first["changes"]] == ["copy[/etc/motd]"]
    earlier = {
        "changes": [{**first["changes"][0], "resource": "copy[/old]"}, first["changes"][0]],
        "handlers": ["reload a"],
    }
    both = intent_of(plan, earlier)
    assert sorted(c["resource"] for c in both["changes"]) == ["copy[/etc/motd]", "copy[/old]"]
    assert both["handlers"] == ["reload a"]
    resumed = resumed_changes(both, Mode.ENFORCE)
    assert {(c.resource, c.verdict, c.place.short) for c in resumed} == {
        ("copy[/etc/motd]", Verdict.DRIFT, "web.yml:4"),
        ("copy[/old]", Verdict.DRIFT, "web.yml:4"),
    }
