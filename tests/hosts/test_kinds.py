"""Every kind on a real host: converged, then drifted in each of its attributes, found out, and repaired.

All cases are declared at once and drifted at once, so that the n-th drifts of all of them cost three
launches together. What is planted is data: `cases_system` and `cases_paths`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.kinds import KINDS
from tests.bed.gitserver import GitServer
from tests.bed.hosts import Host
from tests.hosts import cases_paths, cases_system, world
from tests.hosts.cases_system import Case
from tests.hosts.world import Difference, World, play

CASES = (*cases_system.CASES, *cases_paths.CASES)
ROUNDS = max(len(case.drifts) for case in CASES)


@pytest.fixture
def on_one_host(new_host: Callable[[str], Host], git_server: GitServer, ssh_key: Path, tmp_path: Path) -> World:
    return world.make(tmp_path, git_server, [new_host("kinds")], ssh_key)


def identity(case: Case) -> str:
    return f"{case.kind}[{KINDS[case.kind].model_validate(dict(case.fields)).key()}]"


def plant(host: Host, number: int) -> set[Difference]:
    """Do the drifts of one round by hand; returns what the plan now has to say, and nothing else."""
    planted = set()
    for case in CASES:
        for drift in case.drifts[number : number + 1]:
            host.exec(drift.command)
            planted |= {(host.name, identity(case), attribute, "drift") for attribute in drift.attributes}
    return planted


def declared() -> dict[str, list[dict[str, Any]]]:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for case in CASES:
        kinds.setdefault(case.kind, []).append({name: verbatim(value) for name, value in case.fields.items()})
    return kinds


def verbatim(value: Any) -> Any:
    """A value as it has to be written in a manifest, where `{{` begins a template."""
    return f"{{% raw %}}{value}{{% endraw %}}" if isinstance(value, str) and "{{" in value else value


# Thirteen runs of the command, five of which converge everything: three minutes where half a machine is ours.
@pytest.mark.timeout(900)
def test_every_attribute_of_every_kind_is_converged_then_found_drifted_and_repaired(on_one_host: World) -> None:
    here = on_one_host
    [host] = here.hosts
    assert {case.kind for case in CASES} == KINDS.keys()
    for case in CASES:
        host.exec(case.prepare)

    revision = here.declare("everything", play("all", **declared()), **cases_paths.FILES)
    [story] = here.once()
    assert story.told == ("converged", ["kinds"])
    assert story.one("Desired-Revision") == revision
    assert here.differences() == set()

    for number in range(ROUNDS):
        planted = plant(host, number)
        assert here.differences() == planted, f"round {number}"
        [story] = here.once()
        assert story.told == ("converged", ["kinds"])
        assert story.counts == {"Drift": len(planted)}
        for _, resource, attribute, _ in planted:
            assert f"{resource}.{attribute}" in story.body
        assert here.differences() == set(), f"after round {number}"

    assert host.read(f"{cases_paths.ROOT}/braces") == cases_paths.BRACES
    assert host.read(f"{cases_paths.ROOT}/template") == "host kinds\n"
    assert host.attempt(f"ls {cases_system.PWNED}")[0] != 0, "content from the repository ran as a template"
