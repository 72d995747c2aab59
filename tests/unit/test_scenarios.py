"""Scenarios as files: desired state, facts and memory in; plan and audit commits out.

Each folder below ``tests/scenarios`` is one case: ``desired/`` (a state folder), ``facts.yml`` (host to
collector to key to fact, or ``blind: reason``), optional ``memory.yml`` (host to identity to attribute to
L), ``after.yml`` (facts of the second look; then every step is taken to have changed something) and
``expected.txt``. To make the expected text again after a wanted change: ``UPDATE_SCENARIOS=1 pytest``,
and read the diff.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from reconciler.desired import compile_tree
from reconciler.folder import read_folder
from reconciler.memory import remember
from reconciler.model import Attempt, Blind, Commit, HostMemory, Observed, Plan, StepResult
from reconciler.plan import Look, make_plan, plan_host
from reconciler.record import Occasion, events_of, tell
from reconciler.report import plan_text
from reconciler.waiver import in_force

SCENARIOS = Path(__file__).parents[1] / "scenarios"
AT = datetime(2026, 11, 22, 19, 41, 7, tzinfo=UTC)
SHA = "3f2c1ab" + "0" * 33
COMMIT = Commit(SHA, "web: more connections", "Ada", datetime(2026, 11, 22, 19, 37, tzinfo=UTC), "#118")


def load(path, default=None):
    return yaml.safe_load(path.read_text()) if path.exists() else default


def as_value(value):
    return tuple(value) if isinstance(value, list) else value


def observed(facts):
    return {
        host: Blind(host, answer["blind"]) if "blind" in answer else Observed(host, answer)
        for host, answer in (facts or {}).items()
    }


def memories(remembered):
    return {
        host: HostMemory(
            host,
            applied={i: {n: as_value(v) for n, v in values.items()} for i, values in memory.get("applied", {}).items()},
            state=memory.get("state", "in-sync"),
            story=memory.get("story", ""),
            owed=tuple(memory.get("owed", ())),
        )
        for host, memory in (remembered or {}).items()
    }


def play(folder):
    """The whole pure half of a cycle, as one text."""
    tree, mistakes = read_folder(folder / "desired")
    desired = compile_tree(tree, allow_local=False)
    seen, known = observed(load(folder / "facts.yml")), memories(load(folder / "memory.yml"))
    plan = make_plan(SHA, desired, seen, known, desired.limits, today=AT.date())
    lines = [str(mistake) for mistake in sorted({*mistakes, *desired.mistakes})]
    lines += plan_text(plan, COMMIT, "main", AT)
    for host in plan.hosts:
        lines += [f"step {host.host}: {step.id}" for step in host.steps]
    after = observed(load(folder / "after.yml"))
    told = [one for host in plan.hosts if (one := tell_host(host, desired, after, known))]
    for event in events_of(told, Occasion("main", AT, SHA), {}):
        lines += ["", "-" * 72, event.message, ""]
        lines += [f"{name}: {value}" for name, value in event.trailers if name != "Event-Id"]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def tell_host(host, desired, after, known):
    memory = known.get(host.host, HostMemory(host.host))
    acted = bool(host.steps or host.handlers)
    attempt = None
    if acted:
        steps = {step.id: StepResult("changed") for step in host.steps}
        attempt = Attempt(host.host, steps, {str(h.notify): StepResult("changed") for h in host.handlers})
    final = host
    if acted:
        waivers = in_force(desired.waivers, AT.date()).get(host.host, ())
        seen = after.get(host.host, Blind(host.host, "gone"))
        look = Look(desired.hosts[host.host], seen, memory.applied, waivers=waivers)
        final = plan_host(look)
    new = remember(memory, desired.hosts.get(host.host), host, final, attempt, SHA, (AT.isoformat(), None))
    return tell(host, final, attempt, memory, new)


@pytest.mark.parametrize("folder", sorted(SCENARIOS.iterdir()), ids=lambda folder: folder.name)
def test_scenario(folder):
    text = play(folder)
    expected = folder / "expected.txt"
    if os.environ.get("UPDATE_SCENARIOS"):
        expected.write_text(text)
    assert text == expected.read_text()


def test_the_plan_of_the_same_world_is_the_same_plan():
    folder = SCENARIOS / "drift-and-pending"
    tree, _ = read_folder(folder / "desired")
    plans = [
        make_plan(SHA, compile_tree(tree, allow_local=False), observed(load(folder / "facts.yml")), {}, limits)
        for limits in [compile_tree(tree, allow_local=False).limits] * 2
    ]
    assert plans[0] == plans[1]
    assert isinstance(plans[0], Plan)
    assert plans[0].id != ""
