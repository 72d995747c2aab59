"""The fake is held to the real Ansible: the same small world, the same questions and orders, the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.ansible import Ansible, AnsibleSettings, HostWork
from reconciler.desired import compile_tree
from reconciler.model import Blind, HostAsk, HostMemory, Limits, Observed, Plan
from reconciler.plan import make_plan
from tests.loop.fakehosts import FakeHosts

INVENTORY = (
    "web:\n  vars: {ansible_connection: local}\n  hosts:\n    web1: {root: ROOT/web1}\n    web2: {root: ROOT/web2}\n"
)
FIRST = """
- hosts: web
  file:
    - {path: "{{ root }}/d", state: directory, mode: "0750"}
  copy:
    - {content: "hello {{ '{{' }} braces", dest: "{{ root }}/d/a", mode: "0640"}
    - {content: kept, dest: "{{ root }}/gone", mode: "0600"}
  template:
    - {src: t.j2, dest: "{{ root }}/d/t", mode: "0644"}
"""
SECOND = """
- hosts: web
  file:
    - {path: "{{ root }}/d", state: directory, mode: "0755"}
    - {path: "{{ root }}/gone", state: absent}
  copy:
    - {content: other, dest: "{{ root }}/d/a", mode: "0640"}
  template:
    - {src: t.j2, dest: "{{ root }}/d/t", mode: "0644"}
"""
COMMON = ("state", "mode", "size", "sha256", "content")
"""What the fake says of a path; the real one also says whose it is."""


@pytest.fixture
def real(tmp_path: Path) -> Ansible:
    return Ansible(AnsibleSettings(run_dir=tmp_path / "run", instance=tmp_path.name))


def compiled(manifest: str, root: Path) -> Any:
    files = {
        "inventory/hosts.yml": INVENTORY.replace("ROOT", str(root)),
        "all.yml": manifest,
        "reconciler.yml": "mode: enforce",
    }
    tree = {name: text.encode() for name, text in files.items()} | {"templates/t.j2": b"{{ inventory_hostname }}\n"}
    desired = compile_tree(tree, allow_local=True)
    assert not desired.mistakes
    return desired


def look(hosts: Ansible | FakeHosts, desired: Any) -> dict[str, Observed | Blind]:
    asks = {n: HostAsk(h.connection, tuple(r.ask for r in h.resources)) for n, h in desired.hosts.items()}
    return hosts.observe(asks, lambda: False)


def put_right(hosts: Ansible | FakeHosts, desired: Any, plan: Plan) -> dict[str, Any]:
    staged = {
        s.staged: r.content
        for h in plan.hosts
        for s in h.steps
        for r in desired.hosts[h.host].resources
        if r.identity == s.id and s.staged
    }
    work = {h.host: HostWork(desired.hosts[h.host].connection, h.steps, h.handlers) for h in plan.hosts if h.steps}
    return hosts.converge(work, staged, lambda: False)


def said(seen: dict[str, Observed | Blind]) -> Any:
    """The facts, as far as both know them."""
    assert not any(isinstance(one, Blind) for one in seen.values()), seen
    return {
        host: {
            path: {
                name: value
                for name, value in fact.items()
                if name in COMMON and (name != "size" or fact["state"] == "file")
            }
            for path, fact in one.facts["path"].items()
        }
        for host, one in seen.items()
        if isinstance(one, Observed)
    }


def play(hosts: Ansible | FakeHosts, root: Path) -> list[Any]:
    """Two revisions converged one after the other, and every answer on the way."""
    answers: list[Any] = []
    for manifest in (FIRST, SECOND):
        desired = compiled(manifest, root)
        seen = look(hosts, desired)
        plan = make_plan("0" * 40, desired, seen, dict[str, HostMemory](), Limits())
        attempts = put_right(hosts, desired, plan)
        answers += [said(seen), plan, attempts, said(look(hosts, desired))]
    answers.append(put_right(hosts, desired, plan))
    return answers


def without_seen(answers: list[Any]) -> list[Any]:
    return [answer.id if isinstance(answer, Plan) else answer for answer in answers]


def test_the_fake_answers_as_ansible_does(tmp_path: Path, real: Ansible) -> None:
    for host in ("web1", "web2"):
        (tmp_path / host).mkdir()
    found = play(real, tmp_path)
    faked = play(FakeHosts(tmp_path / "hosts.json"), tmp_path)
    assert without_seen(faked) == without_seen(found)
    assert (tmp_path / "web1/d/t").read_text() == "web1\n"
    steps = {name: result.status for name, result in found[2]["web1"].steps.items()}
    assert set(steps.values()) == {"changed"}
    assert len(steps) == 4
    assert not found[5].hosts[0].held
    assert found[7]["web1"][f"{tmp_path}/web1/gone"] == {"state": "absent"}
    again = [result.status for attempt in found[8].values() for result in attempt.steps.values()]
    assert set(again) == {"ok"}, "what is in place is not changed again"
