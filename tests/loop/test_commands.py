"""The commands as people and scripts meet them: processes, their output and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from reconciler.cause import TicketMemory, as_record
from reconciler.state import State
from reconciler.talk import Letter, Why
from tests.loop.bench import SMALL, Bench, git, place

ROOT = Path(__file__).parents[2]
MISTAKES = ROOT / "tests" / "mistakes"
PLANTED = {
    "baseline.yml:9:7": "file[/srv/data] is declared twice: also baseline.yml:4:7",
    "broken.yml:4:1": "expected node content",
    "db.yml:2:10": "'dbs' matches no host; did you mean 'db'?",
    "inventory/hosts.yml:5:7": "ansible_ssh_common_args",
    "reconciler.yml:3:3": "group 'wbe' is not in the inventory; did you mean 'web'?",
    "templates/site.conf.j2:1:16": "undefined for web2 (defined for web1 in inventory/host_vars/web1.yml:1)",
    "web.yml:6:7": "unknown field 'notifi' for template; did you mean 'notify'?",
    "web.yml:9:3": "unknown kind 'pakage'; did you mean 'package'?",
    "web.yml:13:14": "'running'",
    "web.yml:15:12": "files/motdd is not there; did you mean 'motd'?",
    "web.yml:17:13": 'a file mode is written in quotes, as "0644"',
}


def reconciler(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command without a configuration."""
    command = [sys.executable, "-m", "reconciler.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/", timeout=60)


def test_validate_names_every_planted_mistake_with_its_place() -> None:
    done = reconciler("validate", MISTAKES)
    assert done.returncode == 1
    *mistakes, summary = done.stdout.splitlines()
    found = {place(line): line for line in mistakes}
    assert found.keys() == PLANTED.keys()
    for where, words in PLANTED.items():
        assert words in found[where]
    assert summary.startswith("11 mistakes in 7 files")
    assert done.stderr == ""


def test_validate_finds_nothing_in_the_shipped_state() -> None:
    done = reconciler("validate", ROOT / "desired-state")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("no mistakes: ")


def test_validate_knows_waivers(tmp_path: Path) -> None:
    for name, text in SMALL.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    policy = "mode: enforce\nwaivers:\n  - resource: {}\n    hosts: web\n    until: {}\n    reason: not now\n"
    (tmp_path / "reconciler.yml").write_text(policy.format("file[/srv/site]", "2020-01-01"))
    done = reconciler("validate", tmp_path)
    assert (done.returncode, done.stdout) == (0, "no mistakes: 7 resources on 3 hosts\n"), "one that is over is none"
    (tmp_path / "reconciler.yml").write_text(policy.format("file[/srv/sight]", "2026-12-06"))
    done = reconciler("validate", tmp_path)
    assert done.returncode == 1
    mistake, summary = done.stdout.splitlines()
    assert mistake.startswith("reconciler.yml:3:")
    assert "did you mean 'file[/srv/site]'?" in mistake
    assert summary == "1 mistake in 1 file; 2 hosts would be held"


def test_validate_of_nothing_is_an_error(tmp_path: Path) -> None:
    assert reconciler("validate", tmp_path / "nowhere").returncode == 2
    assert reconciler("validate", tmp_path).returncode == 1


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    done = reconciler("schema")
    assert done.returncode == 0
    written = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(written)
    return jsonschema.Draft202012Validator(written)


def test_the_schema_accepts_the_shipped_manifests(schema: jsonschema.Draft202012Validator) -> None:
    manifests = [path for path in (ROOT / "desired-state").glob("*.yml") if path.name != "reconciler.yml"]
    assert len(manifests) == 3
    for path in manifests:
        schema.validate(yaml.safe_load(path.read_text()))


def test_the_schema_refuses_the_mistakes_of_form(schema: jsonschema.Draft202012Validator) -> None:
    found = [str(error.json_path) for error in schema.iter_errors(yaml.safe_load((MISTAKES / "web.yml").read_text()))]
    assert sorted(found) == ["$[0]", "$[0].copy[0].mode", "$[0].service[0].state", "$[0].template[0]"]


LOCAL: dict[str, str] = {
    **SMALL,
    "inventory/group_vars/all.yml": "ansible_connection: local\nroot: ROOT/{{ inventory_hostname }}\n",
    "web.yml": """
- name: web tier
  hosts: web
  template:
    - src: site.j2
      dest: "{{ root }}/site.conf"
      mode: "0644"
""",
    "all.yml": """
- name: every host
  hosts: all
  copy:
    - content: hello
      dest: "{{ root }}/motd"
      mode: "0644"
    - content: hunter2
      dest: "{{ root }}/secret"
      mode: "0600"
      no_log: true
""",
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Three folders of this machine, converged once by ``reconciler once``."""
    folder = tmp_path_factory.mktemp("played")
    for host in ("web1", "web2", "db1"):
        (folder / "hosts" / host).mkdir(parents=True)
    bench = Bench(folder).build({name: text.replace("ROOT", str(folder / "hosts")) for name, text in LOCAL.items()})
    plan = bench.run("plan")
    assert (plan.returncode, plan.stderr) == (1, "")
    assert "3 hosts: 3 differ." in plan.stdout, "a plan needs no daemon that ran before"
    assert not (folder / "hosts/web1/motd").exists()
    done = bench.run("once")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"3 hosts at {bench.head()[:7]}: 3 in sync, 0 not"
    return bench


def test_plan_is_quiet_and_zero_where_nothing_differs(played: Bench) -> None:
    done = played.run("plan")
    assert (done.returncode, done.stderr) == (0, "")
    assert "web1  in sync" in done.stdout


def test_plan_as_json_has_the_promised_shape(played: Bench) -> None:
    root = played.folder / "hosts" / "web1"
    (root / "site.conf").write_text("# web1\nconnections 10;\n")
    (root / "secret").write_text("known to all")
    (root / "motd").unlink()
    try:
        done = played.run("plan", "--output", "json")
        text = played.run("plan")
    finally:
        assert played.run("once").returncode == 0
    assert (done.returncode, text.returncode) == (1, 1)
    found = json.loads(done.stdout)
    assert found["revision"] == played.head()
    hosts = {host["host"]: host for host in found["hosts"]}
    assert {name: (host["mode"], host["state"]) for name, host in hosts.items()} == {
        "db1": ("enforce", "in-sync"),
        "web1": ("enforce", "differs"),
        "web2": ("enforce", "in-sync"),
    }
    changes = {(c["resource"], c["attribute"]): c for c in hosts["web1"]["changes"]}
    promised = {"resource", "attribute", "wanted", "seen", "last_applied", "verdict", "file", "line", "commit"}
    assert all(change.keys() == promised for change in changes.values())
    content = changes[f"template[{root}/site.conf]", "content"]
    assert content["wanted"] == content["last_applied"] != content["seen"]
    assert content["wanted"].startswith("sha256:")
    assert (content["verdict"], content["file"], content["line"]) == ("drift", "web.yml", 5)
    assert content["commit"] == played.head()
    assert changes[f"copy[{root}/motd]", "state"]["seen"] == "absent"
    secret = changes[f"copy[{root}/secret]", "content"]
    assert (secret["wanted"], secret["seen"]) == ("(secret)", "(secret)")
    for printed in (done.stdout, text.stdout):
        assert "hunter2" not in printed
        assert "known to all" not in printed
    assert "+connections 1024;" in text.stdout


def test_status_history_and_why(played: Bench) -> None:
    status = played.run("status")
    assert status.returncode == 0
    assert status.stdout.splitlines()[0].startswith(f"revision {played.head()[:7]}, fleet last looked at ")
    assert status.stdout.splitlines()[-1] == "3 hosts: 3 in-sync"
    history = played.run("history", "db1")
    assert history.returncode == 0
    assert len(history.stdout.splitlines()) == 1
    assert "converged" in history.stdout
    assert played.run("history", "nobody").returncode == 1
    resource = f"template[{played.folder}/hosts/web1/site.conf]"
    why = played.run("why", "web1", resource)
    assert why.returncode == 0
    lines = why.stdout.splitlines()
    assert lines[0].startswith(f"{resource} on web1 should be state file, content sha256:")
    assert f"web.yml:5 in {played.head()[:7]}" in why.stdout
    assert "selected   hosts: web" in why.stdout
    assert "as declared" in why.stdout
    missed = played.run("why", "web1", resource.replace("site", "sight"))
    assert missed.returncode == 2
    assert "did you mean" in missed.stderr
    unknown = played.run("why", "web3", resource)
    assert (unknown.returncode, "did you mean 'web" in unknown.stderr) == (2, True)


def test_why_says_until_when_a_difference_is_waived(played: Bench, tmp_path: Path) -> None:
    bench = played.copy(tmp_path / "copy")
    motd = played.folder / "hosts" / "web1" / "motd"
    waiver = f"- {{resource: 'copy[{motd}]', attribute: content, hosts: web1, until: 2999-12-06, reason: a test}}"
    bench.push({"reconciler.yml": f"mode: enforce\nwaivers:\n  {waiver}\n"})
    assert bench.run("once").returncode == 0
    why = bench.run("why", "web1", f"copy[{motd}]").stdout
    assert "\n  waived     content only, until 2999-12-06 in reconciler.yml:3: a test\n" in why
    assert "\n  next       will be kept so (enforce)" in why, "nothing that it is about differs"
    motd.write_text("by hand\n")
    try:
        assert bench.run("once").returncode == 1
        assert motd.read_text() == "by hand\n"
        why = bench.run("why", "web1", f"copy[{motd}]").stdout
    finally:
        motd.write_text("hello")
    assert "\n  next       left as it is until 2999-12-06 (waived), then put right (enforce); " in why
    assert "waived" not in bench.run("why", "web2", f"copy[{played.folder}/hosts/web2/motd]").stdout


def test_status_says_what_waits_to_be_said_elsewhere(played: Bench, tmp_path: Path) -> None:
    bench = played.copy(tmp_path / "copy")
    letter = Letter("id1", "2026-11-22T12:00:00+00:00", "opened", "ntp is stopped", "web1: ntp is stopped")
    ticket = TicketMemory("0123456789ab", Why.OBSERVED, "service[ntp]", "ntp is stopped", letter.at, ("web1",))
    with State.open(bench.state_dir / "state.db") as state:
        slots = {"ticket/0123456789ab": {"open": True}, "status/a/reconciler/converge": {"standing": "success"}}
        state.say(slots, [letter], ["apprise:slack"], {"tickets": {ticket.fingerprint: as_record(ticket)}})
        slot = state.slot("ticket/0123456789ab")
        assert slot
        state.holds(slot, 12)
    token = tmp_path / "token"
    token.write_text("a-token")
    token.chmod(0o600)
    bench.configure(forge={"kind": "github", "repository": "ops/fleet", "token": str(token)})
    done = bench.run("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "1 cause needs a person: #12",
        "1 report waits for the forge",
        "1 letter waits for apprise:slack",
        "3 hosts: 3 in-sync",
    ]


def test_errors_are_two_and_one_message_without_a_traceback(played: Bench, tmp_path: Path) -> None:
    nowhere = Bench(tmp_path)
    for command in (["plan"], ["once"], ["status"], ["history", "web1"], ["why", "web1", "file[/x]"], ["run"]):
        done = nowhere.run(*command)
        assert done.returncode == 2, command
        assert "cannot be read" in done.stderr
        assert "Traceback" not in done.stderr
    git("init", "-q", "--bare", "-b", "main", tmp_path / "remote.git", at=tmp_path)
    nowhere.configure()
    assert nowhere.run("once").returncode == 2
    assert nowhere.run("plan").returncode == 2
    assert "Traceback" not in nowhere.run("plan").stderr


def test_once_says_one_where_something_stays_different(played: Bench, tmp_path: Path) -> None:
    bench = played.copy(tmp_path / "copy")
    bench.push({"reconciler.yml": "mode: observe\n", "all.yml": LOCAL["all.yml"].replace("ROOT", str(tmp_path))})
    bench.push({"inventory/group_vars/web.yml": "connections: 7\n"})
    done = bench.run("once")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("1 in sync, 2 not")
    assert bench.run("plan").returncode == 1


def test_the_demo_plays_to_its_end_and_leaves_something_to_play_with(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = reconciler("demo", "--directory", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("converged: all three hosts", "web1 and web2 follow", "edits"):
        assert words in done.stdout
    assert "audit/main" in done.stdout
    assert len(git("rev-list", "audit/main", at=folder / "remote.git").split()) >= 3
    again = Bench(folder).run("once")
    assert (again.returncode, again.stderr) == (0, "")
