"""Compiling one revision after another: the answer of a whole compile, the same objects, and no work for the untouched.

A revision is drawn as one variant of each file; among the variants are mistakes, files that are not there, and texts
that differ in nothing but their lines.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.desired import Workshop, compile_tree
from reconciler.inventory import Inventory, Variable
from reconciler.manifests import Declaration
from reconciler.model import Desired, HostDesired, Mode, Resource
from reconciler.resources import Builder
from reconciler.yamlfile import Document

HOSTS = "web:\n  hosts:\n    web1: {port: 1, x: a}\n    web2: {port: 2}\ndb:\n  hosts:\n    db1:\n    db2: {x: b}\n"
SITE = (
    "- hosts: web\n  mode: enforce\n  template:\n    - {src: app.j2, dest: /app, mode: '0644', notify: reload app}\n"
    "  file:\n    - {path: '/srv/{{ inventory_hostname }}', state: directory}\n"
    "- hosts: db\n  copy:\n    - {src: '{{ kind }}.conf', dest: /kind}\n"
)
EVERY = "- hosts: all\n  copy:\n    - {src: motd, dest: /motd}\n    - {content: '{{ url }}', dest: /url}\n"
FLOW = "- {hosts: web, copy: &c [{content: c, dest: /c}], file: &f [{path: /f, state: directory}]}\n"

VARIANTS: dict[str, tuple[str | None, ...]] = {
    "inventory/hosts.yml": (
        HOSTS,
        "# a comment moves every line\n" + HOSTS,
        HOSTS.replace("port: 1", "port: 3"),
        HOSTS.replace("port: 1", "port: true"),
        HOSTS.replace("    web2: {port: 2}\n", "    web2: {port: 2}\n    web3: {port: 2}\n"),
        HOSTS.replace("db1:", "db1: {ansible_port: 23}"),
        HOSTS + "far:\n  hosts:\n    web2:\n",
        HOSTS.replace("web1: {port: 1, x: a}", "web1: {lookup!: 1}"),
        HOSTS.replace("web:", "web"),
        None,
    ),
    "inventory/group_vars/all.yml": (
        "kind: one\nurl: 'http://{{ name | default(inventory_hostname) }}/'\nm: {a: 1, b: 2}\n",
        "\nkind: one\nurl: 'http://{{ name | default(inventory_hostname) }}/'\nm: {a: 1, b: 2}\n",
        "kind: two\nurl: 'http://{{ name | default(inventory_hostname) }}/'\nm: {b: 2, a: 1}\n",
        "kind: one\nurl: '{{ nowhere }}'\nm: {a: true, b: 2}\n",
        "kind: one\nurl: [\n",
        None,
    ),
    "inventory/group_vars/far.yml": (None, "name: far\n"),
    "inventory/host_vars/web1.yml": (None, "port: 9\n", "name: w1\n", "unused: 1\n", "port: '{{ x }}'\n", "x: {\n"),
    "inventory/host_vars/db1.yml": (None, "kind: two\n", "kind: three\n"),
    "site.yml": (
        SITE,
        "\n" + SITE,
        SITE.replace("0644", "0600"),
        SITE.replace("'0644'", '"0644"'),
        SITE.replace("hosts: db", "hosts: all"),
        SITE.replace("enforce", "observe"),
        SITE.replace("dest: /kind", "dest: /app"),
        SITE.replace("  copy:", "  copi:"),
        SITE.replace("app.j2", "'{{ kind }}.j2'"),
        SITE + "- hosts: nobody\n  copy: []\n",
        SITE.replace("- hosts: db", "- hosts: db\n  copy: ["),
        None,
    ),
    "every.yml": (EVERY, EVERY.replace("motd}", "motd, ignore: [mode]}"), EVERY.replace("/url", "/kind"), None),
    "flow.yml": (
        None,
        FLOW + "- {hosts: db, copy: *c, file: *f}\n",
        FLOW + "- {hosts: db, file: *f, copy: *c}\n",
    ),
    "templates/app.j2": (
        "{{ port }} {% include 'part.j2' ignore missing %}\n",
        "{{ port }} {{ m }} {% include 'part.j2' ignore missing %}\n",
        "{{ port + 1 }}{% if name is defined %}{{ url }}{% endif %}{{ group_names }}\n",
        "fixed\n",
        "{% for %}\n",
        None,
    ),
    "templates/part.j2": (None, "part {{ x | default('-') }}", "{{ m.a }}{{ x }}"),
    "templates/one.j2": (None, "one"),
    "files/motd": ("hello\n", "hi\n", None),
    "files/one.conf": ("1", "one", None),
    "files/two.conf": ("2", None),
    "reconciler.yml": (
        None,
        "mode: enforce\n",
        "groups:\n  db: {mode: enforce}\nhosts:\n  web1: {mode: suspended}\n",
        "lane: ansible\nhosts:\n  web2: {lane: stream}\n",
        "waivers:\n  - {resource: 'copy[/motd]', hosts: all, until: 2099-01-01, reason: for now}\n",
        "mod: enforce\n",
        "hosts:\n  web3: {mode: enforce}\n",
    ),
}
FIRST = dict.fromkeys(VARIANTS, 0)


def files(choice: Mapping[str, int]) -> dict[str, bytes]:
    """The tree of one variant of each file."""
    texts = {name: VARIANTS[name][number] for name, number in choice.items()}
    return {name: text.encode() for name, text in texts.items() if text is not None}


EDIT = st.sampled_from([(name, number) for name, variants in VARIANTS.items() for number in range(len(variants))])
COMMITS = st.lists(st.lists(EDIT, min_size=1, max_size=3), min_size=1, max_size=6)


def assert_same(found: Desired, whole: Desired) -> None:
    """Equal, and also spelled alike: 1 is not true, and the order of hosts and resources counts."""
    assert found == whole
    assert repr(list(found.hosts.values())) == repr(list(whole.hosts.values()))


def assert_kept(old: Desired, new: Desired) -> None:
    """What is equal to what was there before is what was there before."""
    for name in old.hosts.keys() & new.hosts.keys():
        before, after = old.hosts[name], new.hosts[name]
        assert (before is after) == (before == after)
        known = {resource.identity: resource for resource in before.resources}
        for resource in after.resources:
            if resource == known.get(resource.identity):
                assert resource is known[resource.identity]


@settings(max_examples=150, deadline=None)
@given(COMMITS)
def test_what_is_kept_changes_no_answer(commits: list[list[tuple[str, int]]]) -> None:
    workshop, choice = Workshop(allow_local=False), dict(FIRST)
    before = workshop.compile(files(choice))
    for edits in commits:
        choice |= dict(edits)
        revision = files(choice)
        after = workshop.compile(revision)
        assert_same(after, compile_tree(revision, allow_local=False))
        assert_kept(before, after)
        before = after


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_after_every_other_of_one_file(name: str) -> None:
    for number in range(len(VARIANTS[name])):
        for other in range(len(VARIANTS[name])):
            workshop = Workshop(allow_local=False)
            first, second = (files(FIRST | {name: which}) for which in (number, other))
            before = workshop.compile(first)
            after = workshop.compile(second)
            assert_same(after, compile_tree(second, allow_local=False))
            assert_kept(before, after)


def test_the_variants_are_worth_drawing() -> None:
    """Each of them alone says something else than the first, but for those that differ in quotes or in nothing used."""
    first = compile_tree(files(FIRST), allow_local=False)
    assert not first.mistakes
    alike = [
        f"{name} {number}"
        for name, variants in VARIANTS.items()
        for number in range(1, len(variants))
        if compile_tree(files(FIRST | {name: number}), allow_local=False) == first
    ]
    assert alike == ["inventory/host_vars/web1.yml 3", "site.yml 3", "templates/one.j2 1", "files/two.conf 1"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts for which something is rendered, as it happens."""
    hosts: list[str] = []
    build = Builder.build_for

    def noted(self: Builder, declaration: Declaration, host: str) -> Any:
        hosts.append(host)
        return build(self, declaration, host)

    monkeypatch.setattr(Builder, "build_for", noted)
    return hosts


@pytest.mark.parametrize(
    ("file", "number", "rendered", "other"),
    [
        ("site.yml", 0, "", ""),
        ("site.yml", 2, "web1 web2", "web1 web2"),
        ("site.yml", 3, "", ""),
        ("inventory/hosts.yml", 1, "", "web1 web2"),
        ("inventory/hosts.yml", 2, "web1", "web1"),
        ("inventory/hosts.yml", 4, "web3 web3 web3", "web3"),
        ("inventory/hosts.yml", 5, "", "db1"),
        ("inventory/host_vars/web1.yml", 1, "web1", "web1"),
        ("inventory/host_vars/web1.yml", 3, "", ""),
        ("inventory/host_vars/db1.yml", 1, "db1", "db1"),
        ("templates/app.j2", 3, "web1 web2", "web1 web2"),
        ("templates/part.j2", 1, "web1 web2", "web1 web2"),
        ("files/motd", 1, "", "db1 db2 web1 web2"),
        ("reconciler.yml", 2, "", "db1 db2 web1"),
    ],
)
def test_only_what_is_touched_is_done_again(
    built: list[str], file: str, number: int, rendered: str, other: str
) -> None:
    workshop = Workshop(allow_local=False)
    before = workshop.compile(files(FIRST))
    built.clear()
    after = workshop.compile(files(FIRST | {file: number}))
    assert sorted(built) == rendered.split()
    assert sorted(name for name, host in after.hosts.items() if host is not before.hosts.get(name)) == other.split()


def test_a_mistake_that_is_mended_leaves_the_resources_that_were_there(built: list[str]) -> None:
    workshop = Workshop(allow_local=False)
    before = workshop.compile(files(FIRST))
    assert workshop.compile(files(FIRST | {"site.yml": 7})).held
    assert workshop.compile(files(FIRST | {"inventory/hosts.yml": 8})).refused
    built.clear()
    after = workshop.compile(files(FIRST))
    assert after == before
    assert sorted(built) == ["db1", "db2"], "the resource of the manifest that was broken"
    assert after.hosts["web1"] is before.hosts["web1"]


def test_a_value_that_makes_no_difference_leaves_what_was_there(built: list[str]) -> None:
    workshop = Workshop(allow_local=False)
    size = {"templates/app.j2": b"{{ 'big' if port > 5 else 'small' }}\n"}
    before = workshop.compile({**files(FIRST), **size})
    built.clear()
    after = workshop.compile({**files(FIRST | {"inventory/hosts.yml": 2}), **size})
    assert built == ["web1"]
    assert after.hosts["web1"] is before.hosts["web1"]
    moved = workshop.compile({**files(FIRST | {"files/motd": 1}), **size})
    old, new = ({one.identity: one for one in each.hosts["web1"].resources} for each in (after, moved))
    assert [name for name in new if new[name] is not old[name]] == ["copy[/motd]"]


OURS = (Resource, HostDesired, Declaration, Document, Variable, Inventory, bytes, CodeType)


def held_by(workshop: Workshop) -> Counter[str]:
    """How many values of each kind can be reached from a workshop."""
    seen: dict[int, Any] = {}
    left: list[Any] = [workshop]
    while left:
        one = left.pop()
        if id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType):
            seen[id(one)] = one
            left += gc.get_referents(one)
    return Counter(type(one).__name__ for one in seen.values() if isinstance(one, OURS))


def test_nothing_older_than_the_last_revision_is_kept() -> None:
    last = files(FIRST)
    fresh, used = Workshop(allow_local=False), Workshop(allow_local=False)
    fresh.compile(last)
    for number in range(200):
        said = {"site.yml": SITE.replace("0644", f"0{number % 8}44").replace("app}", f"app{number}}}").encode()}
        hosts = {"inventory/hosts.yml": HOSTS.replace("web2", f"web2{number}").encode()}
        used.compile({**last, **said, **hosts, "templates/app.j2": f"{number}".encode()})
    used.compile(last)
    now, wanted = held_by(used), held_by(fresh)
    assert wanted["Resource"] == len({id(r) for h in fresh.compile(last).hosts.values() for r in h.resources})
    assert now["code"] <= wanted["code"] + 5, "also the code of what was compiled just before"
    del now["code"], wanted["code"]
    assert now == wanted


def test_a_caller_that_changes_its_values_changes_nothing_here() -> None:
    workshop, revision = Workshop(allow_local=False), files(FIRST)
    desired: Any = workshop.compile(revision)
    desired.hosts.clear()
    desired.groups.clear()
    revision.clear()
    again = workshop.compile(files(FIRST))
    assert again == compile_tree(files(FIRST), allow_local=False)
    assert again.hosts["web1"].mode is Mode.OBSERVE
