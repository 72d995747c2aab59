"""copy, template, file and lineinfile: what they see agrees with what Ansible's own modules do.

The real tasks of ``playbooks/kinds`` run through ``ansible-playbook`` on this machine, in a temporary folder.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible.modules import lineinfile as module
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.kinds.base import Fields
from reconciler.kinds.copy import Copy
from reconciler.kinds.file import File
from reconciler.kinds.lineinfile import LineInFile
from reconciler.kinds.template import Template

# Only root gives files away; for anybody else the cases where an owner or group drifts do not exist.
ROOT = os.geteuid() == 0
OWNER, GROUP = ("mail", "8") if ROOT else (str(os.getuid()), str(os.getgid()))

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
COLLECT = {name: runpy.run_path(str(PLAYBOOKS / "facts" / f"{name}.py"))["collect"] for name in ("path", "lineinfile")}
KINDS_IN_ORDER = ("file", "copy", "template", "lineinfile")

# The steps come as one JSON text that is marked unsafe, so nothing in it can become a template.
PLAY = """
- hosts: all
  gather_facts: false
  vars:
    reconciler_steps: "{{ steps_json | from_json }}"
    reconciler_stop: "{{ playbook_dir }}/stop"
    remembered: []
  tasks:
    - ansible.builtin.include_tasks:
        file: "kinds/{{ kind }}.yml"
        apply: {when: reconciler_stop is not exists}
      loop: [%s]
      loop_control: {loop_var: kind}
      when: kind in reconciler_steps
    - ansible.builtin.copy:
        content: "{{ remembered | to_json }}"
        dest: "{{ playbook_dir }}/remembered.json"
"""
REMEMBER = """
- ansible.builtin.set_fact:
    remembered: "{{ remembered + results }}"
  no_log: true
"""


@dataclass(frozen=True)
class Declared:
    """A resource and the content it has, if any."""

    fields: Fields
    content: bytes | None = None

    @property
    def name(self) -> str:
        return f"{self.fields.kind}[{self.fields.key()}]"


def observe(resources: list[Declared]) -> dict[str, set[str]]:
    """Name → the attributes that are not as wanted, for the resources that have any."""
    differing = {resource.name: differing_attributes(resource) for resource in resources}
    return {name: attributes for name, attributes in differing.items() if attributes}


def differing_attributes(resource: Declared) -> set[str]:
    ask = resource.fields.ask(resource.content)
    params = json.loads(json.dumps(ask.params))
    fact = json.loads(json.dumps(COLLECT[ask.collector]({ask.key: params})))[ask.key]
    seen = resource.fields.seen(fact)
    return {name for name, value in resource.fields.wanted(resource.content).items() if seen.get(name) != value}


@dataclass(frozen=True)
class World:
    """A temporary host: ``root`` is where its files live, ``room`` where the play and the staged content are."""

    root: Path
    room: Path

    def converge(self, resources: list[Declared]) -> dict[str, dict[str, Any]]:
        """Run the real tasks for these resources; name → result, a failed or changed one first."""
        steps: dict[str, list[dict[str, Any]]] = {}
        for resource in resources:
            steps.setdefault(resource.fields.kind, []).append(self.step(resource))
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "steps_json": {"__ansible_unsafe": json.dumps(steps)},
        }
        (self.room / "inventory.json").write_text(json.dumps({"all": {"hosts": {"h1": host}}}))
        self.launch()
        results = json.loads((self.room / "remembered.json").read_text())
        results = [result for result in results if not result.get("skipped")]
        results.sort(key=lambda result: (result.get("failed", False), result["changed"]))
        return {result["step"]["id"]: result for result in results}

    def step(self, resource: Declared) -> dict[str, Any]:
        step: dict[str, Any] = {"id": resource.name, "args": resource.fields.args()}
        if resource.content is not None:
            staged = self.room / "staged" / hashlib.sha256(resource.content).hexdigest()
            staged.write_bytes(base64.b64encode(resource.content))
            step["staged"] = str(staged)
        return step

    def launch(self) -> None:
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.json", "play.yml"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.room),
            "ANSIBLE_HOME": str(self.room / "ansible"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_VERBOSITY": "1",
            "ANSIBLE_CONFIG": str(self.room / "ansible.cfg"),
            "LC_ALL": "C.UTF-8",
        }
        run = subprocess.run(command, cwd=self.room, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        (self.room / "output").write_text(run.stdout + run.stderr)


@pytest.fixture
def world(tmp_path):
    room = tmp_path / "room"
    shutil.copytree(PLAYBOOKS / "kinds", room / "kinds")
    shutil.copy(PLAYBOOKS / "staged.yml", room)
    (room / "staged").mkdir()
    (room / "ansible.cfg").write_text(f"[defaults]\nlibrary = {PLAYBOOKS / 'library'}\n")
    (room / "play.yml").write_text(PLAY % ", ".join(KINDS_IN_ORDER))
    (room / "remember.yml").write_text(REMEMBER)
    (tmp_path / "root").mkdir()
    return World(tmp_path / "root", room)


def own(owner: int, group: int) -> Callable[[Path], None]:
    return lambda path: os.chown(path, owner, group, follow_symlinks=False)


def become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def lead_to(target: str) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)
        if ROOT:
            os.lchown(path, 8, 8)

    return replace


CHANGE_OWNER = {"owner": own(1, -1), "group": own(-1, 1)} if ROOT else {}
CHANGE_PERMISSIONS = {"mode": lambda path: path.chmod(0o666)} | CHANGE_OWNER
EDIT = {"content": lambda path: path.write_text("edited\n")}

# Rounds of: shape → attribute → how a person makes it drift. One converging launch ends each round.
ROUNDS: list[dict[str, dict[str, Callable[[Path], Any]]]] = [
    {"copy": CHANGE_PERMISSIONS, "directory": CHANGE_PERMISSIONS, "plain": CHANGE_PERMISSIONS, "link": CHANGE_OWNER},
    {
        "copy": EDIT,
        "template": EDIT,
        "link": {"src": lead_to("elsewhere")},
        "line": {"line": lambda path: path.write_text(path.read_text().replace("Port 22", "Port 2222"))},
        "no line": {"line": lambda path: path.write_text(path.read_text() + "a bad line\n")},
    },
    {
        "copy": {"state": Path.unlink},
        "template": {"state": become_directory, "": Path.rmdir},
        "directory": {"state": Path.rmdir},
        "link": {"state": Path.unlink},
        "absent": {"state": Path.mkdir, "": lambda path: (path / "below").write_text("x")},
        "line": {"line": Path.unlink},
    },
]


def declare(shape: str, path: Path) -> Declared:
    """One resource of each shape with everything declared that it can declare."""
    permissions = {"mode": "0640", "owner": OWNER, "group": GROUP}
    text = f"content of {path.name}\n".encode()
    match shape:
        case "copy":
            return Declared(Copy(dest=str(path), src="a", **permissions), text)
        case "template":
            return Declared(Template(dest=str(path), src="a", **permissions), text)
        case "directory":
            return Declared(File(path=str(path), state="directory", **permissions))
        case "plain":
            return Declared(File(path=str(path), state="file", **permissions))
        case "link":
            return Declared(File(path=str(path), state="link", src="not/there", owner=OWNER, group=GROUP))
        case "absent":
            return Declared(File(path=str(path), state="absent"))
        case "line":
            return Declared(LineInFile(path=str(path), line="Port 22", regexp="^#?Port", create=True))
    return Declared(LineInFile(path=str(path), regexp="bad", state="absent"))


def test_every_attribute_is_converged_then_its_drift_found_and_repaired(world):
    shapes = ["copy", "template", "directory", "plain", "link", "absent", "line", "no line"]
    resources = {shape: declare(shape, world.root / shape) for shape in shapes}
    for shape in ("plain", "absent", "no line"):
        (world.root / shape).write_text("there is one bad line\n")
    everything = list(resources.values())

    assert len(observe(everything)) == len(shapes)
    converge_and_look(world, everything, everything)
    for drifts in ROUNDS:
        for shape, changes in drifts.items():
            drift_one_by_one(resources[shape], world.root / shape, changes)
        converge_and_look(world, [resources[shape] for shape in drifts], everything)

    # Where we see no difference, Ansible sees none.
    results = world.converge(everything)
    assert {name for name, result in results.items() if result["changed"] or result.get("failed")} == set()


def drift_one_by_one(resource: Declared, path: Path, changes: dict[str, Callable[[Path], Any]]) -> None:
    """After each change by hand exactly the attributes changed so far differ; all of them where nothing is there."""
    drifted: set[str] = set()
    for attribute, change in changes.items():
        change(path)
        drifted |= set(resource.fields.wanted(resource.content)) if attribute == "state" else {attribute} - {""}
        assert observe([resource]) == {resource.name: drifted}


def converge_and_look(world: World, drifted: list[Declared], everything: list[Declared]) -> None:
    """Converging changes every drifted resource, and leaves nothing that differs."""
    results = world.converge([resource for resource in drifted if resource.name in observe(drifted)])
    assert {name for name, result in results.items() if result["changed"]} == {resource.name for resource in drifted}
    assert observe(everything) == {}


def test_values_arrive_as_they_are(world):
    marker = world.root / "pwned"
    evil = f"{{{{ lookup('pipe','touch {marker}') }}}}"
    flat = evil.replace(str(marker), "pwned").replace("/", "")
    vault = b"$ANSIBLE_VAULT;1.1;AES256\n6162\n"
    lines = [evil, "0644", "yes", "{'a': [1, 2]}", "  spaces before and after  ", "ü\\1 state=absent"]
    resources = [
        Declared(Copy(dest=str(world.root / "a"), src="a"), evil.encode()),
        Declared(Copy(dest=str(world.root / "b"), src="a"), vault),
        Declared(Copy(dest=str(world.root / "c"), src="a"), bytes(range(256))),
        Declared(Copy(dest=str(world.root / "d"), content=""), b""),
        Declared(Template(dest=str(world.root / flat), src="a", mode="0600"), b"{% raw %}{{ x }}\r\n"),
        Declared(File(path=str(world.root / "e"), state="link", src=evil)),
        Declared(File(path=str(world.root / f"dir {flat}"), state="directory")),
        Declared(LineInFile(path=str(world.root / "f"), line="x", regexp=r"^\{\{ 7 \* 7 \}\}")),
        *[Declared(LineInFile(path=str(world.root / "f"), line=line)) for line in lines],
        Declared(LineInFile(path=str(world.root / "g" / "ü"), line="made", create=True, insertbefore="BOF")),
    ]
    (world.root / "f").write_text("{{ 7 * 7 }}\n49\n")
    results = world.converge(resources)
    assert [name for name, result in results.items() if result.get("failed")] == []
    assert observe(resources) == {}
    assert (world.root / "a").read_bytes() == evil.encode()
    assert (world.root / "b").read_bytes() == vault
    assert (world.root / flat).read_bytes() == b"{% raw %}{{ x }}\r\n"
    assert str((world.root / "e").readlink()) == evil
    assert (world.root / "f").read_text().splitlines() == ["x", "49", *lines]
    assert not marker.exists()
    assert not (world.room / "pwned").exists()


def test_nothing_is_written_through_what_lies_in_the_way(world):
    root = world.root
    for name in ("victim", "plain", "kept-content"):
        (root / name).write_text("theirs\n")
    (root / "folder").mkdir()
    (root / "folder" / "inside").write_text("theirs\n")
    (root / "to-file").symlink_to("victim")
    (root / "to-nothing").symlink_to("nowhere")
    (root / "to folder ü\\t").symlink_to("folder")
    (root / "link-to-folder").symlink_to("folder")
    (root / "removed-link").symlink_to("folder")
    os.mkfifo(root / "pipe")
    mine = b"mine\n"

    def copy(name: str, **options: Any) -> Declared:
        return Declared(Copy(dest=str(root / name), src="a", **options), mine)

    replaced = [copy("to-file"), copy("to-nothing"), copy("pipe", mode="0600")]
    refused = [
        copy("to folder ü\\t"),
        copy("folder"),
        copy("no/such/folder"),
        copy("plain", validate="grep -q theirs %s"),
        copy("victim-of-nobody", owner="no-such-user"),
        Declared(File(path=str(root / "link-to-folder"), state="directory", mode="0700")),
        Declared(File(path=str(root / "not-there"), state="file", mode="0700")),
        Declared(File(path=str(root / "plain"), state="directory")),
        Declared(File(path=str(root / "folder"), state="link", src="victim")),
        Declared(LineInFile(path=str(root / "folder" / "none"), line="a")),
    ]
    done = [
        Declared(File(path=str(root / "removed-link"), state="absent")),
        Declared(File(path=str(root / "plain-to-link"), state="link", src="victim")),
        copy("validated", validate="grep -q mine %s"),
        copy("kept-content", ignore=["content"], mode="0600"),
        copy("new-content", ignore=["content"], mode="0600"),
    ]
    (root / "plain-to-link").write_text("theirs\n")
    results = world.converge(replaced + refused + done)

    assert {name for name, result in results.items() if result.get("failed")} == {r.name for r in refused}
    assert set(observe(refused)) == {r.name for r in refused}
    assert observe(replaced + done).keys() == {"copy[%s]" % (root / "kept-content")}
    assert differing_attributes(done[3]) == {"content"}
    assert "is a directory" in results[refused[0].name]["msg"]
    assert "is a directory" in results[refused[1].name]["msg"]
    for name in ("victim", "plain", "kept-content", "folder/inside"):
        assert (root / name).read_text() == "theirs\n"
    assert [path.name for path in (root / "folder").iterdir()] == ["inside"]
    assert (root / "folder").stat().st_mode & 0o777 == 0o755
    assert (root / "kept-content").stat().st_mode & 0o777 == 0o600


def test_a_stop_ends_between_two_files_and_a_secret_is_in_no_output(world):
    def line(number: int, **options: Any) -> Declared:
        text = f"value-{number}"
        return Declared(LineInFile(path=str(world.root / "f"), line=text, regexp=str(number), create=True, **options))

    stop = Declared(Template(dest=str(world.room / "stop"), src="a", no_log=True), b"")
    never = Declared(Template(dest=str(world.root / "never"), src="a"), b"")
    world.converge([Declared(Copy(dest=str(world.root / "f"), src="a"), b"1\n2\n"), stop, never])
    assert set(observe([stop, never])) == {never.name}

    (world.room / "stop").unlink()
    world.converge([line(1), line(2, no_log=True)])
    assert (world.root / "f").read_text() == "value-1\nvalue-2\n"
    output = (world.room / "output").read_text()
    assert "value-1" in output
    assert "value-2" not in output


class Done(Exception):
    """How Ansible's module ends: its result."""


class Host:
    """The part of AnsibleModule that decides nothing: check mode, nothing printed."""

    check_mode = True
    _diff = False
    params: ClassVar[dict[str, Any]] = {"encoding": "utf-8"}

    def exit_json(self, **result: Any) -> None:
        raise Done(result)

    fail_json = exit_json

    def load_file_common_arguments(self, params: dict[str, Any]) -> dict[str, Any]:
        return {}

    def set_fs_attributes_if_different(self, *arguments: Any, **options: Any) -> bool:
        return False


def ask_ansible(line: LineInFile) -> bool:
    """Whether Ansible's own module would change the file."""
    with pytest.raises(Done) as caught:
        run_module(line)
    return bool(caught.value.args[0]["changed"])


def run_module(line: LineInFile) -> None:
    common = (Host(), line.path, line.regexp, None, line.line)
    if line.state == "absent":
        module.absent(*common, False)
    after = line.insertafter or (None if line.insertbefore else "EOF")
    module.present(*common, after, line.insertbefore, True, False, False, False)


PARTS = st.sampled_from(["a", "b", "aa", "ab", "", " ", "#a", "é", "\x0c", "a\tb"])
TEXTS = st.lists(PARTS, max_size=6).map(lambda lines: "".join(line + "\n" for line in lines))
PATTERNS = st.sampled_from([None, "a", "^a", "a$", "^#?a", r"\s", "b\n", "^$", "é", "[^a]", r"a\r?$", "(?i)A", "x"])


@settings(max_examples=400, deadline=None)
@given(
    text=TEXTS,
    line=st.sampled_from(["a", "ab", "", "é", "#a", "c"]),
    regexp=PATTERNS,
    place=st.sampled_from([{}, {"insertafter": "b"}, {"insertbefore": "a"}, {"insertbefore": "BOF"}]),
    state=st.sampled_from(["present", "absent"]),
)
def test_a_line_differs_exactly_where_ansible_would_change_it(tmp_path_factory, text, line, regexp, place, state):
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(text.encode())
    fields = LineInFile(path=str(path), line=line, regexp=regexp, state=state, **place)
    assert bool(differing_attributes(Declared(fields))) == ask_ansible(fields)


def test_the_exception_is_a_last_line_without_an_end(tmp_path):
    (tmp_path / "f").write_text("a\nb")
    fields = LineInFile(path=str(tmp_path / "f"), line="b")
    assert ask_ansible(fields)
    assert differing_attributes(Declared(fields)) == set()
