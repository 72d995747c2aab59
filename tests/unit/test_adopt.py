"""Adopt: the declaring words are edited and no others, at the right level, and the edit is proven by compiling."""

from __future__ import annotations

import difflib
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.adopt import adopt
from reconciler.desired import compile_tree
from reconciler.model import Desired, Tree
from reconciler.talk import Edit, Wish

ADOPTIONS = Path(__file__).parents[1] / "adoptions"
SCENARIOS = sorted(path.name for path in ADOPTIONS.iterdir())


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_wishes(told: list[dict[str, Any]]) -> list[Wish]:
    return [wish(host, **{k: v for k, v in each.items() if k != "hosts"}) for each in told for host in each["hosts"]]


def wish(host: str, resource: str, attribute: str, value: Any = None, content: str | None = None) -> Wish:
    if content is not None:
        data = content.encode()
        return Wish(host, resource, attribute, f"sha256:{hashlib.sha256(data).hexdigest()}", data)
    return Wish(host, resource, attribute, tuple(value) if isinstance(value, list) else value)


class Scenario:
    def __init__(self, name: str) -> None:
        told = yaml.safe_load((ADOPTIONS / name / "wishes.yml").read_bytes())
        self.before = files_below(ADOPTIONS / name / "before")
        self.after = files_below(ADOPTIONS / name / "after")
        self.wishes = read_wishes(told["wishes"])
        self.left = tuple(told.get("left", ()))

    def adopt(self) -> Edit:
        return adopt(self.before, self.wishes, allow_local=False)


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return Scenario(request.param)


def test_there_are_more_than_twenty_scenarios() -> None:
    assert len(SCENARIOS) > 20


def test_the_files_read_as_a_person_would_have_written_them(scenario: Scenario) -> None:
    edit = scenario.adopt()
    assert {name: data.decode() for name, data in edit.files.items()} == {
        name: data.decode() for name, data in scenario.after.items()
    }
    assert edit.left == scenario.left


def test_every_wish_is_declared_then_and_nothing_else_is_for_anybody(scenario: Scenario) -> None:
    edit = scenario.adopt()
    assert_only_wished(scenario.before, edit)
    refused = {wish.resource for wish in scenario.wishes if wish not in edit.taken}
    assert bool(refused) == bool(edit.left)
    assert all(any(resource in sentence for sentence in edit.left) for resource in refused)


def test_every_comment_and_every_empty_line_is_kept_in_order(scenario: Scenario) -> None:
    for name, data in scenario.adopt().files.items():
        if name in scenario.before and name.endswith((".yml", ".json")):
            rest = iter(remarks(data.decode("utf-8-sig")))
            missing = [remark for remark in remarks(scenario.before[name].decode("utf-8-sig")) if remark not in rest]
            assert not missing, name


def test_no_more_lines_are_touched_than_declare_something(scenario: Scenario) -> None:
    touched = 0
    for name, data in scenario.adopt().files.items():
        old, new = (text.decode().split("\n") for text in (scenario.before.get(name, b""), data))
        touched += sum(line.startswith("-") for line in list(difflib.unified_diff(old, new, n=0))[2:])
    declared = {(wish.resource, wish.attribute) for wish in scenario.wishes}
    assert touched <= 2 * len(declared)


def test_what_is_adopted_needs_no_second_adoption(scenario: Scenario) -> None:
    edit = scenario.adopt()
    again = adopt({**scenario.before, **edit.files}, edit.taken, allow_local=False)
    assert again == Edit({}, edit.taken, ())


def remarks(text: str) -> list[str]:
    """Comments and empty lines by PyYAML, which adopt does not use."""
    spans, waiting = [], [yaml.compose(text, Loader=yaml.CSafeLoader)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            start = node.start_mark.index
            end = start + len(text[start : node.end_mark.index].rstrip())
            # Behind the sign of a block scalar there may be a comment.
            spans.append((text.find("\n", start) + 1 if node.style in ("|", ">") else start, end))
        elif isinstance(node, yaml.MappingNode):
            waiting += [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    characters = list(text)
    for start, end in set(spans):
        characters[start:end] = "x" * (end - start)
    return [found.strip() for found in re.findall(r"#[^\r\n]*|(?<=\n)[ \t]*(?=\r?\n)", "".join(characters))]


def assert_only_wished(before: Tree, edit: Edit) -> None:
    """What everybody has after the edit is what they had before, with the wishes that were taken."""
    after = compile_tree({**before, **edit.files}, allow_local=False)
    expected = meaning(compile_tree(before, allow_local=False))
    for wish in edit.taken:
        resource = expected[wish.host][wish.resource]
        if (wish.attribute, wish.value) == ("state", "absent"):
            resource.clear()  # What is not there has no version and no mode.
        resource[wish.attribute] = wish.value
    assert meaning(after) == expected
    assert not after.mistakes


def meaning(desired: Desired) -> dict[str, dict[str, Any]]:
    return {
        name: {r.identity: dict(r.wanted) for r in host.resources} | {"mode": host.mode, "by": dict(host.connection)}
        for name, host in desired.hosts.items()
    }


HOSTS = b"web:\n  hosts:\n    web1:\n    web2:\n"
MANIFEST = """# The web tier.
- name: web tier
  hosts: web
  package:
    - name: curl
    - name: nginx=1.26   # pinned
  service:
    - name: nginx
      state: started     # must run
      enabled: true
    - {name: cron, state: started}
"""
NOISE = st.sampled_from(["", "   ", "# note", "      # deep note: with colon", "  #", "#- name: old"])


def both(resource: str, attribute: str, value: Any = None, content: str | None = None) -> list[Wish]:
    return [wish(host, resource, attribute, value, content) for host in ("web1", "web2")]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 11), NOISE), max_size=15), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_comments_and_empty_lines_survive_wherever_they_are(
    noise: list[tuple[int, str]], newline: str, final: bool
) -> None:
    lines = MANIFEST.splitlines()
    for at, line in sorted(noise, reverse=True):
        lines.insert(at, line)
    text = newline.join(lines) + (newline if final else "")
    tree = {"inventory/hosts.yml": HOSTS, "web.yml": text.encode()}
    wishes = [*both("service[nginx]", "state", "stopped"), *both("package[curl]", "state", "absent")]
    edit = adopt(tree, wishes, allow_local=False)
    assert edit.left == ()
    made = edit.files["web.yml"].decode()
    assert made.replace(f"      state: absent{newline}", "") == text.replace("started     #", "stopped     #")
    assert_only_wished(tree, edit)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
STYLES = ["a", "'a'", '"a"', "|\n        a\n", "|-\n        a", ">-\n        a\n        b\n\n", "|+\n        a\n\n"]


@settings(max_examples=80)
@given(TEXT, st.sampled_from(STYLES))
@example(" \n a\n", "|\n        a\n")
@example("\n\n", "|\n        a\n")
@example("a\u2028b\n", "|\n        a\n")
@example("0644", "a")
@example("null", "a")
@example("x: y # z", "a")
def test_any_text_of_a_file_reads_as_itself_again(content: str, style: str) -> None:
    end = "\n      mode: '0644' # kept\n# end\n"
    manifest = f"# top\n- hosts: web\n  copy:\n    - dest: /a\n      content: {style}{end}"
    tree = {"inventory/hosts.yml": HOSTS, "web.yml": manifest.encode()}
    edit = adopt(tree, both("copy[/a]", "content", content=content), allow_local=False)
    if "{{" in content or "{%" in content:
        assert "would be read as a template" in edit.left[0]
    else:
        assert edit.left == ()
        assert_only_wished(tree, edit)
        assert edit.files.get("web.yml", manifest.encode()).endswith(end.encode())


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), TEXT, st.lists(TEXT, max_size=3).map(tuple))
HOSTILE_TREE = {
    "inventory/hosts.yml": HOSTS,
    "inventory/group_vars/web.yml": b"run: started\nnumbers: {a: 5, b: [1, 2]}\n",
    "web.yml": MANIFEST.encode()
    + b"  sysctl:\n    - {name: vm.swappiness, value: '{{ numbers.a }}'}\n"
    + b"  user:\n    - {name: a, groups: [b, c], shell: '{{ run }}/{{ run }}'}\n"
    + b"  cron:\n    - name: &a job\n      job: *a\n",
}
NAMES = ["service[nginx]", "service[cron]", "package[nginx]", "sysctl[vm.swappiness]", "user[a]", "cron[job]", "?"]
ATTRIBUTES = ["state", "enabled", "version", "value", "persisted", "groups", "schedule", "job", "content", "shell", "?"]
WISHES = st.builds(
    Wish,
    st.sampled_from(["web1", "web2", "nobody"]),
    st.sampled_from(NAMES),
    st.sampled_from(ATTRIBUTES),
    VALUES | st.sampled_from(["absent", "stopped", "2 3 * * *", "@daily", "1.27", "60"]),
    st.none() | st.binary(max_size=5),
)


@settings(max_examples=60)
@given(st.lists(WISHES, max_size=6), st.integers(0, 400), st.binary(max_size=3))
def test_strange_wishes_and_broken_files_never_raise_and_prove_nothing_wrong(
    wishes: list[Wish], at: int, junk: bytes
) -> None:
    manifest = HOSTILE_TREE["web.yml"].replace(b"'{{ run }}/{{ run }}'", b"/bin/sh")
    tree = {**HOSTILE_TREE, "web.yml": manifest[:at] + junk + manifest[at:]}
    edit = adopt(tree, wishes, allow_local=False)
    assert len(edit.taken) + len(edit.left) >= (1 if wishes else 0)
    if not compile_tree(tree, allow_local=False).mistakes:
        assert_only_wished(tree, edit)


def left(tree: dict[str, bytes], *wishes: Wish) -> str:
    edit = adopt({"inventory/hosts.yml": HOSTS, **tree}, wishes, allow_local=False)
    assert edit.files == {}
    assert edit.taken == ()
    return "\n".join(edit.left)


def test_a_tree_without_an_inventory_is_left() -> None:
    edit = adopt({"web.yml": b"- hosts: web\n"}, both("service[nginx]", "state", "stopped"), allow_local=False)
    assert edit == Edit({}, (), tuple(f"service[nginx] on {h}: the inventory cannot be read" for h in ("web1", "web2")))


def test_a_host_with_mistakes_is_left_and_what_it_shares_is_not_edited_under_its_feet() -> None:
    broken = b"- hosts: web2\n  copy:\n    - {dest: /a}\n"
    tree = {"inventory/hosts.yml": HOSTS, "web.yml": MANIFEST.encode(), "x.yml": broken}
    edit = adopt(tree, both("service[nginx]", "state", "stopped"), allow_local=False)
    assert edit.left == ("service[nginx] state on web2: the manifests of this host have mistakes; mend those first",)
    assert edit.files["inventory/host_vars/web1.yml"] == b"nginx_state: stopped\n"
    assert b"state: \"{{ nginx_state | default('started') }}\"     # must run" in edit.files["web.yml"]


def test_a_file_that_a_host_with_mistakes_may_use_is_left() -> None:
    broken = b"- hosts: web2\n  copy:\n    - {dest: /a}\n    - {dest: /b, src: f}\n"
    tree = {"x.yml": broken, "y.yml": b"- hosts: web1\n  copy:\n    - {dest: /b, src: f}\n", "files/f": b"1"}
    said = left(tree, wish("web1", "copy[/b]", "content", content="2"))
    assert said.startswith("copy[/b] on web1: web2 may use files/f too")


def test_content_that_is_not_what_is_live_is_left() -> None:
    tree = {"y.yml": b"- hosts: web1\n  copy:\n    - {dest: /b, content: a}\n"}
    assert "was not read" in left(tree, Wish("web1", "copy[/b]", "content", "sha256:00"))
    assert "may have changed" in left(tree, Wish("web1", "copy[/b]", "content", "sha256:00", b"x"))
    binary = Wish("web1", "copy[/b]", "content", f"sha256:{hashlib.sha256(bytes([255])).hexdigest()}", b"\xff")
    assert "is not text" in left(tree, binary)


def test_two_values_for_one_thing_leave_the_second() -> None:
    tree = {"inventory/hosts.yml": HOSTS, "web.yml": MANIFEST.encode()}
    wishes = [*both("service[nginx]", "state", "stopped"), wish("web1", "service[nginx]", "state", "started")]
    edit = adopt(tree, wishes, allow_local=False)
    assert edit.left == ("service[nginx] state on web1: two different values are wished for",)
    assert len(edit.taken) == 2


@pytest.mark.parametrize("style", ["a", "'a'", "|\n        a\n"])
def test_what_does_not_print_is_written_where_a_reviewer_sees_it(style: str) -> None:
    tree = {
        "inventory/hosts.yml": HOSTS,
        "web.yml": f"- hosts: web\n  copy:\n    - dest: /a\n      content: {style}".encode(),
    }
    edit = adopt(tree, both("copy[/a]", "content", content="a\u202eb\x07"), allow_local=False)
    assert b'content: "a\\u202eb\\x07"' in edit.files["web.yml"]
