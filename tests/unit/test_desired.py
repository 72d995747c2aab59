"""Compile: every mistake once, at its line, and the hosts it holds; where the values of a resource came from."""

from __future__ import annotations

import re

import pytest

from reconciler.desired import Bounds, Workshop, compile_tree
from reconciler.inventory import MOST_GUESSES
from reconciler.model import Desired, Mode
from tests.unit.worlds import compiled

INVENTORY = "web:\n  hosts:\n    web1:\n    web2:\ndb:\n  hosts:\n    db1:\n"
GOOD = "- hosts: db\n  copy:\n    - {content: x, dest: /good}\n"


def build(manifest: str, **files: str) -> Desired:
    return compiled({"inventory/hosts.yml": INVENTORY, "bad.yml": manifest, "good.yml": GOOD, **files})


@pytest.mark.parametrize(
    ("manifest", "place", "words", "held"),
    [
        (
            "- hosts: web\n  copi:\n    - {content: x, dest: /a}\n",
            "2:3",
            "unknown kind 'copi'; did you mean 'copy'?",
            "web1 web2",
        ),
        ("- hosts: web\n  copy:\n    - {content: x, dst: /a, dest: /a}\n", "3:20", "did you mean 'dest'?", "web1 web2"),
        ("- hosts: web\n  copy:\n    - {content: x}\n", "3:7", "copy needs the field 'dest'", "web1 web2"),
        ("- hosts: web\n  copy:\n    - {content: x, dest: a}\n", "3:26", "absolute", "web1 web2"),
        ("- hosts: web\n  copy: {content: x, dest: /a}\n", "2:9", "list of resources", "web1 web2"),
        ("- hosts: web\n  copy:\n    - /a\n", "3:7", "a mapping of fields", "web1 web2"),
        ("- hosts: web\n  mode: of\n", "2:9", "mode is observe, enforce or suspended", "web1 web2"),
        ("- hosts: wbe\n  copy: []\n", "1:10", "did you mean 'web'?", ""),
        ("- copy: []\n", "1:3", "a manifest needs 'hosts'", ""),
        ("- hosts: web\n  copy:\n    - {src: a, dest: /a}\n", "3:13", "files/a is not there", "web1 web2"),
        ("- hosts: web\n  template:\n    - {src: a, dest: /a}\n", "3:13", "templates/a is not there", "web1 web2"),
        (
            "- hosts: web\n  copy:\n    - {content: y, dest: '/{{ x }}'}\n",
            "3:26",
            "'x' is undefined",
            "web1 web2",
        ),
        ("hosts: web\n", "1:1", "a list", "db1 web1 web2"),
        ("- hosts: web1\n  copy: [\n", "3:1", "", "web1"),
        ("- web\n", "1:3", "a manifest has 'hosts'", "db1 web1 web2"),
    ],
)
def test_a_mistake_is_told_once_at_its_line_and_holds_its_hosts(
    manifest: str, place: str, words: str, held: str
) -> None:
    desired = build(manifest)
    (mistake,) = desired.mistakes
    assert str(mistake).startswith(f"bad.yml:{place}: ")
    assert words in mistake.message
    assert sorted(desired.held) == held.split()
    assert set(desired.hosts) == {"web1", "web2", "db1"} - set(held.split())
    assert all(found == (mistake,) for found in desired.held.values())


def test_many_mistakes_are_all_told() -> None:
    desired = build(
        "- hosts: web\n  copi: []\n  copy:\n    - {dest: b, content: x, mode: 0644}\n- hosts: db\n  filee: []\n"
    )
    assert [mistake.place.line for mistake in desired.mistakes] == [2, 4, 4, 6]
    assert desired.refused


def test_every_field_that_a_host_cannot_fill_is_told() -> None:
    desired = build("- hosts: web\n  copy:\n    - {content: '{{ x }}', dest: '/{{ y }}'}\n")
    assert [str(mistake) for mistake in desired.mistakes] == [
        "bad.yml:3:17: 'x' is undefined for web1, web2",
        "bad.yml:3:34: 'y' is undefined for web1, web2",
    ]


def test_two_claims_to_one_thing_name_both_lines() -> None:
    twice = (
        "- hosts: web1\n  template:\n    - {src: t, dest: /a}\n- hosts: web\n  copy:\n    - {content: x, dest: /a}\n"
    )
    desired = build(twice, **{"templates/t": "x"})
    (mistake,) = desired.mistakes
    assert str(mistake) == "bad.yml:6:7: copy[/a] is declared twice: also bad.yml:3:7 for web1"
    assert set(desired.held) == {"web1"}


def test_what_one_host_lacks_holds_that_host() -> None:
    manifest = "- hosts: web\n  copy:\n    - {content: x, dest: '/{{ x }}'}\n"
    desired = build(manifest, **{"inventory/host_vars/web1.yml": "x: a\n"})
    (mistake,) = desired.mistakes
    assert mistake.message == "'x' is undefined for web2 (defined for web1 in inventory/host_vars/web1.yml:1)"
    assert set(desired.hosts) == {"web1", "db1"}


def test_a_misspelt_variable_is_told_with_the_one_that_was_meant() -> None:
    manifest = "- hosts: web\n  copy:\n    - {content: '{{ worker_conn }}', dest: /a}\n"
    desired = build(manifest, **{"inventory/group_vars/web.yml": "worker_connections: 10\n"})
    (mistake,) = desired.mistakes
    assert mistake.message == "'worker_conn' is undefined for web1, web2; did you mean 'worker_connections'?"


@pytest.mark.parametrize("text", ["lookup('pipe', 'id')", "hostvars['db1']"])
def test_what_ansible_offers_templates_and_we_do_not_is_said_so(text: str) -> None:
    desired = build(f'- hosts: web1\n  copy:\n    - {{content: "{{{{ {text} }}}}", dest: /a}}\n')
    (mistake,) = desired.mistakes
    name = re.split(r"\W", text)[0]
    why = "Ansible has it, desired state does not: nothing runs here"
    assert mistake.message == f"'{name}' is undefined for web1 ({why})"


def test_more_misspelt_hosts_than_anybody_writes_are_all_told_without_guesses() -> None:
    desired = build("".join(f"- hosts: web{number}\n" for number in range(10, 90)))
    assert len(desired.mistakes) == 80
    assert sum("did you mean 'web" in mistake.message for mistake in desired.mistakes) == MOST_GUESSES
    assert "bad.yml:80:10: hosts 'web89' matches no host" in map(str, desired.mistakes)


def test_a_broken_file_of_variables_holds_those_that_read_it() -> None:
    desired = build("[]", **{"inventory/group_vars/web.yml": "x: [\n"})
    assert set(desired.held) == {"web1", "web2"}
    assert desired.mistakes[0].place.file == "inventory/group_vars/web.yml"


def test_where_the_values_of_a_resource_came_from() -> None:
    manifest = "- hosts: web1\n  mode: enforce\n  template:\n    - src: t.j2\n      dest: /a\n      mode: '0600'\n"
    desired = build(manifest, **{"templates/t.j2": "{{ x }}\n", "inventory/group_vars/web.yml": "y: 1\nx: 2\n"})
    (resource,) = desired.hosts["web1"].resources
    assert resource.identity == "template[/a]"
    assert (resource.place.short, resource.place_of("mode").short) == ("bad.yml:4", "bad.yml:6")
    assert [place.short for place in resource.sources] == ["templates/t.j2:1", "inventory/group_vars/web.yml:2"]
    assert (resource.content, resource.mode, resource.hosts) == (b"2\n", Mode.ENFORCE, "web1")


def test_a_resource_that_no_host_changes_is_built_once() -> None:
    desired = build("- hosts: web\n  copy:\n    - {content: x, dest: /a}\n")
    assert desired.hosts["web1"].resources[0] is desired.hosts["web2"].resources[0]


def test_resources_that_come_out_alike_are_one_and_others_share_what_they_can() -> None:
    manifest = "- hosts: all\n  template:\n    - {src: t, dest: /a, mode: '0600', notify: reload x}\n"
    files = {"templates/t": "{{ x }}", "inventory/group_vars/web.yml": "x: w", "inventory/group_vars/db.yml": "x: d"}
    hosts = build(manifest, **files).hosts
    web1, web2, db1 = ({one.name: one for one in hosts[name].resources}["/a"] for name in ("web1", "web2", "db1"))
    assert web1 is web2
    assert (web1.content, db1.content) == (b"w", b"d")
    assert (db1.fields, db1.places, db1.notify) == (web1.fields, web1.places, web1.notify)
    assert db1.places is web1.places
    assert [place.short for place in db1.sources] == ["templates/t:1", "inventory/group_vars/db.yml:1"]


def test_many_mistakes_on_many_hosts_are_kept_once() -> None:
    hosts = "".join(f"    h{number}: {{ansible_port: none}}\n" for number in range(50))
    desired = compiled({"inventory/hosts.yml": f"all:\n  hosts:\n{hosts}", "a.yml": GOOD.replace("db", "all")})
    assert len(desired.mistakes) == 50
    assert len({id(found) for found in desired.held.values()}) == 1
    assert desired.held["h1"] == desired.mistakes


def test_ignored_attributes_are_not_wanted_and_misspelt_ones_are_a_mistake() -> None:
    manifest = "- hosts: web\n  copy:\n    - {content: x, dest: /a, mode: '0600', ignore: [mode]}\n"
    assert sorted(build(manifest).hosts["web1"].resources[0].wanted) == ["content", "state"]
    (mistake,) = build(manifest.replace("[mode]", "[mod]")).mistakes
    assert "no attribute 'mod' to ignore" in mistake.message
    assert "did you mean 'mode'?" in mistake.message


def test_this_machine_is_managed_only_where_the_daemon_allows_it() -> None:
    tree = {"inventory/hosts.yml": b"web:\n  hosts:\n    web1: {ansible_connection: local}\n"}
    assert compile_tree(tree, allow_local=True).hosts["web1"].connection == {"ansible_connection": "local"}
    refused = compile_tree(tree, allow_local=False)
    assert refused.mistakes
    assert not refused.hosts


def test_an_empty_tree_is_refused() -> None:
    assert compiled({}).refused
    assert compiled({"web.yml": "[]"}).refused


def test_a_stranger_gets_only_so_much_work_done():
    """Every single rendering is within its bounds; all of them together are not."""
    loop = "{% for a in range(100000) %}{% endfor %}"
    tree = {
        "inventory/hosts.yml": b"all:\n  hosts:\n" + b"".join(b"    h%d:\n" % number for number in range(40)),
        "a.yml": b"- hosts: all\n  template:\n    - {src: x, dest: /x}\n  copy:\n    - {content: x, dest: /y}\n",
        "templates/x": loop.encode(),
    }
    bounded = Workshop(allow_local=False).compile(tree, bounds=Bounds(steps=2_000_000))
    assert bounded.hosts
    assert bounded.held
    assert any("all of them together" in str(mistake) for mistake in bounded.mistakes)
    many = Workshop(allow_local=False).compile(tree, bounds=Bounds(resources=79))
    assert [str(mistake) for mistake in many.mistakes] == [
        "a.yml:1:3: with this manifest, the revision declares more than can be compiled"
    ]
    assert not many.hosts
    assert not Workshop(allow_local=False).compile(tree, bounds=Bounds(resources=80)).mistakes
