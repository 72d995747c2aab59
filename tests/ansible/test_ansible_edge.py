"""The Ansible edge with real Ansible: what hosts answer, what they lie, what fails, and what is left afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.ansible import Ansible, HostWork, leftovers
from reconciler.errors import LaunchError
from reconciler.model import Ask, Attempt, Blind, Handler, HostAsk, Notify, Observed, Step, StepResult
from tests.ansible.conftest import LOCAL, Sshd, free_port

Answers = dict[str, Observed | Blind]
TEMPLATE = "{{ lookup('pipe', 'touch PWNED') }}"
PASSWD = Ask("path", "/etc/passwd", {"hash": True})

LIAR = """#!{python}
import base64, json, re, sys
text = sys.stdin.read()
request = json.loads(base64.b64decode(re.search('"request": "([A-Za-z0-9+/=]+)"', text)[1]))
good = {{"nonce": request["nonce"], "observed": {{"path": {{"/etc/passwd": {{"state": "file"}}}}}}}}
{lie}
"""

LIES = {
    "rubbish": "print('\\x1b[31mnothing here is JSON')",
    "silence": "",
    "replay": "good['nonce'] = '0' * 32; print(json.dumps(good))",
    "no nonce": "del good['nonce']; print(json.dumps(good))",
    "no facts": "print(json.dumps({'nonce': good['nonce']}))",
    "other shape": "good['observed'] = [1]; print(json.dumps(good))",
    "half": "good['observed'] = {'path': {}}; print(json.dumps(good))",
    "deep": "print(json.dumps(good)[:-1] + ', \"x\": ' + '[' * 20000 + ']' * 20000 + '}')",
    "deep fact": "good['observed']['path']['/etc/passwd'] = eval('[' * 80 + ']' * 80); print(json.dumps(good))",
    "20 MB": "good['x'] = 'x' * 20_000_000; print(json.dumps(good))",
    "many values": "good['observed']['path']['/etc/passwd'] = [0] * 300_000; print(json.dumps(good))",
    "other host": "print(json.dumps(dict(good, host='honest', inventory_hostname='honest', add_host={'host_name':"
    " 'host0', 'host_vars': {'ansible_host': 'evil'}},"
    " ansible_facts={'inventory_hostname': 'host0', 'ansible_host': 'evil'})))",
    "template": "good['observed']['path']['/etc/passwd'] = {'state': '"
    + TEMPLATE.replace("'", "\\'")
    + "'}; print(json.dumps(good))",
    "failure": "print(json.dumps({'failed': True, 'msg': '\\x1b]0;title\\x07no such thing\\r'}))",
    "sudo": "sys.stderr.write('sudo: a password is required\\n'); sys.exit(1)",
}


def never() -> bool:
    """Nobody stops this launch."""
    return False


@pytest.fixture(scope="module")
def answers(
    make_ansible: Callable[..., Ansible], sshd: Sshd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Answers]:
    """What one launch for all sorts of hosts gave: honest and lying, reachable and not."""
    folder = tmp_path_factory.mktemp("liars")
    asks: dict[str, HostAsk] = {"honest": HostAsk(LOCAL, honest_asks())}
    for number, (name, lie) in enumerate(LIES.items()):
        script = folder / f"liar{number}"
        script.write_text(LIAR.format(python=sys.executable, lie=lie))
        script.chmod(0o755)
        asks[name] = HostAsk({**LOCAL, "ansible_python_interpreter": str(script)}, (PASSWD,))
    here = sshd.connection
    python = {"ansible_python_interpreter": sys.executable}
    asks |= {
        "ssh": HostAsk(here | python, (PASSWD,)),
        TEMPLATE: HostAsk(LOCAL, (PASSWD,)),
        "closed": HostAsk(here | {"ansible_port": free_port()}, (PASSWD,)),
        "unknown key": HostAsk(here | {"ansible_host": "localhost"}, (PASSWD,)),
        "nobody": HostAsk(here | {"ansible_user": "nobody-of-that-name"}, (PASSWD,)),
        "option": HostAsk({"ansible_host": f"-oProxyCommand=touch {folder}/PWNED"}, (PASSWD,)),
        "-oProxyCommand=false": HostAsk({}, (PASSWD,)),
        "template variable": HostAsk({**LOCAL, "ansible_remote_tmp": f"/tmp/{TEMPLATE}"}, (PASSWD,)),
    }
    ansible = make_ansible(ssh_key=sshd.key, known_hosts=sshd.known(folder), forks=6)
    os.environ["FORGE_TOKEN"] = "hunter2"
    yield ansible.observe(asks, never)
    del os.environ["FORGE_TOKEN"]
    assert [path.name for path in ansible.settings.run_dir.iterdir()] == ["ssh"], "a launch leaves nothing behind"


def honest_asks() -> tuple[Ask, ...]:
    """All that can go right or wrong within one honest answer."""
    return (
        PASSWD,
        Ask("path", f"/nowhere/{TEMPLATE}", {"hash": True, "note": TEMPLATE}),
        Ask("surroundings", "all"),
        Ask("broken", "one"),
        Ask("broken", "two"),
        Ask("noisy", "one"),
        Ask("odd", "name"),
        Ask("missing", "any"),
    )


def facts(answers: Answers, host: str) -> Any:
    """The facts of a host that was seen."""
    seen = answers[host]
    assert isinstance(seen, Observed), seen
    return seen.facts


def reason(answers: Answers, host: str) -> str:
    """Why a host is blind."""
    seen = answers[host]
    assert isinstance(seen, Blind), seen
    assert seen.host == host
    return seen.reason


def test_an_honest_host_is_seen(answers: Answers) -> None:
    fact = facts(answers, "honest")["path"]["/etc/passwd"]
    assert fact["sha256"] == hashlib.sha256(Path("/etc/passwd").read_bytes()).hexdigest()


def test_a_host_behind_ssh_is_seen(answers: Answers) -> None:
    assert facts(answers, "ssh")["path"]["/etc/passwd"]["state"] == "file"


def test_a_collector_that_fails_spoils_its_own_keys_only(answers: Answers) -> None:
    broken = {"error": "OSError: the disk is on fire"}
    assert facts(answers, "honest")["broken"] == {"one": broken, "two": broken}
    assert facts(answers, "honest")["missing"] == {"any": {"error": "there is no collector missing"}}
    assert facts(answers, "honest")["noisy"] == {"one": "quiet"}


def test_templates_in_names_and_paths_arrive_literally(answers: Answers) -> None:
    assert facts(answers, "honest")["path"][f"/nowhere/{TEMPLATE}"] == {"state": "absent"}
    assert facts(answers, TEMPLATE)["path"]["/etc/passwd"]["state"] == "file"
    assert facts(answers, "template")["path"]["/etc/passwd"] == {"state": TEMPLATE}
    assert isinstance(answers["template variable"], Observed | Blind)
    assert not list(Path.cwd().rglob("PWNED"))
    assert not Path("/tmp/PWNED").exists()


def test_ansible_sees_nothing_of_the_daemons_environment(answers: Answers) -> None:
    surroundings = facts(answers, "honest")["surroundings"]["all"]
    assert leftovers.MARK in surroundings
    assert not {"FORGE_TOKEN", "SSH_AUTH_SOCK"} & set(surroundings)
    assert "hunter2" not in json.dumps(surroundings)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("rubbish", "deserialization failed"),
        ("silence", ""),
        ("replay", "nonce"),
        ("no nonce", "nonce"),
        ("no facts", "holds no facts"),
        ("other shape", "holds no facts"),
        ("half", "leaves out path /etc/passwd"),
        ("deep", ""),
        ("deep fact", ""),
        ("20 MB", "too large"),
        ("many values", "too many values"),
        ("failure", "no such thing"),
        ("sudo", "sudo asks for a password"),
        ("closed", "Connection refused"),
        ("unknown key", "Host key verification failed"),
        ("nobody", "Permission denied"),
        ("option", "no plain word"),
        ("-oProxyCommand=false", "no plain word"),
    ],
)
def test_what_cannot_be_believed_or_reached_is_blind(answers: Answers, host: str, said: str) -> None:
    given = reason(answers, host)
    assert said in given
    assert given.isprintable()
    assert len(given) <= 500


def test_who_a_host_is_comes_from_the_connection(answers: Answers) -> None:
    assert facts(answers, "other host") == {"path": {"/etc/passwd": {"state": "file"}}}
    assert "surroundings" in facts(answers, "honest"), "another host's answer did not take its place"


def test_a_name_that_is_no_utf8_spoils_nothing(answers: Answers) -> None:
    assert facts(answers, "honest")["odd"] == {"name": "?.txt é"}


def test_an_answer_above_the_cap_says_so(make_ansible: Callable[..., Ansible]) -> None:
    seen = make_ansible().observe({"a": HostAsk(LOCAL, (Ask("large", "5000000"),))}, never)
    assert "larger than 4194304 bytes" in reason(seen, "a")


def test_a_slow_host_is_given_up_and_the_others_are_seen(make_ansible: Callable[..., Ansible]) -> None:
    ansible = make_ansible(observe_timeout=6)
    asks = {"slow": HostAsk(LOCAL, (Ask("slow", "60"),)), "quick": HostAsk(LOCAL, (PASSWD,))}
    seen = ansible.observe(asks, never)
    assert isinstance(seen["quick"], Observed)
    assert reason(seen, "slow") == "not done within 6 s"
    assert marked(ansible) == []


def test_a_host_that_accepts_and_never_speaks_is_blind(make_ansible: Callable[..., Ansible], sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ansible = make_ansible(ssh_key=sshd.key, connect_timeout=2)
        port = {"ansible_port": listener.getsockname()[1]}
        seen = ansible.observe({"mute": HostAsk(sshd.connection | port, (PASSWD,))}, never)
    assert "timed out" in reason(seen, "mute")
    assert marked(ansible) == []


def test_a_stop_ends_an_observation(make_ansible: Callable[..., Ansible]) -> None:
    ansible = make_ansible()
    seen = ansible.observe({"a": HostAsk(LOCAL, (Ask("slow", "60"),))}, lambda: True)
    assert reason(seen, "a") == "stopped before it was done"
    assert marked(ansible) == []


@pytest.mark.parametrize(("number", "victim"), [("SIGSEGV", "ansible/child.py"), ("SIGKILL", "ansible-playbook")])
def test_a_crash_is_told_and_what_was_seen_is_kept(
    make_ansible: Callable[..., Ansible], tmp_path: Path, number: str, victim: str
) -> None:
    ansible = make_ansible()
    marker = tmp_path / "seen"
    mark = Ask("path", str(marker), {})
    asks = {"quick": HostAsk(LOCAL, (mark,)), "slow": HostAsk(LOCAL, (Ask("slow", "60"),))}

    def crash() -> bool:
        crash.polls += 1  # type: ignore[attr-defined]  # a counter that lives as long as the function
        if crash.polls > 24:  # type: ignore[attr-defined]
            for pid in marked(ansible):
                if victim in Path(f"/proc/{pid}/cmdline").read_text() and leftovers.started(pid):
                    os.kill(pid, getattr(signal, number))
                    break
        return False

    crash.polls = 0  # type: ignore[attr-defined]
    seen = ansible.observe(asks, crash)
    assert isinstance(seen["quick"], Observed)
    assert "Ansible" in reason(seen, "slow") or "ansible-playbook" in reason(seen, "slow")
    assert marked(ansible) == []


def test_a_broken_playbook_is_a_launch_error(
    make_ansible: Callable[..., Ansible], playbooks: Path, tmp_path: Path
) -> None:
    shutil.copytree(playbooks, tmp_path / "playbooks")
    (tmp_path / "playbooks" / "observe.yml").write_text("- hosts: [")
    ansible = make_ansible(playbooks=tmp_path / "playbooks")
    with pytest.raises(LaunchError, match="YAML"):
        ansible.observe({"a": HostAsk(LOCAL, (PASSWD,))}, never)
    assert [path.name for path in ansible.settings.run_dir.iterdir()] == ["ssh"]


def test_an_interpreter_without_ansible_is_a_launch_error(
    make_ansible: Callable[..., Ansible], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(LaunchError, match="No module named 'ansible_runner'"):
        make_ansible().observe({"a": HostAsk(LOCAL, (PASSWD,))}, never)


def test_a_deep_run_folder_is_no_trouble(
    make_ansible: Callable[..., Ansible], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From core 2.20 on Ansible's processes speak over a socket below TMPDIR, of whose path Linux takes 107 bytes."""
    (short := Path(tempfile.mkdtemp())).chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    ansible = make_ansible(run_dir=tmp_path / ("deep" * 20) / "run")
    surroundings = facts(ansible.observe({"a": HostAsk(LOCAL, (Ask("surroundings", "all"),))}, never), "a")
    socket_path = f"{surroundings['surroundings']['all']['TMPDIR']}/pymp-12345678/listener-12345678"
    assert len(socket_path) <= 107
    assert socket_path.startswith(f"{short}/")
    assert list(short.iterdir()) == [], "nothing is left there"
    short.rmdir()


def test_a_full_disk_is_a_launch_error(make_ansible: Callable[..., Ansible]) -> None:
    with pytest.raises(LaunchError, match="no folder for Ansible"):
        make_ansible(run_dir=Path("/proc/no/run")).observe({"a": HostAsk(LOCAL, (PASSWD,))}, never)


def test_without_work_nothing_is_launched(make_ansible: Callable[..., Ansible]) -> None:
    ansible = make_ansible()
    assert ansible.observe({}, never) == {}
    assert ansible.converge({"a": HostWork(LOCAL)}, {}, never) == {"a": Attempt("a")}
    assert ansible.launches == 0
    assert not ansible.settings.run_dir.exists()


def shell(name: str, run: str, kind: str = "shell") -> Step:
    """A step of the tiny kinds in conftest.py."""
    return Step(f"{kind}[{name}]", kind, {"run": run})


def test_converging_two_hosts(make_ansible: Callable[..., Ansible], tmp_path: Path) -> None:
    content = f"{TEMPLATE} {{% raw %}}\n".encode()
    digest = hashlib.sha256(content).hexdigest()
    order = tmp_path / "order"
    steps = (
        shell("first", f"echo first >> {order}"),
        shell("bad", "echo out; echo why >&2; exit 3"),
        Step("copy[c]", "copy", {"dest": f"{tmp_path}/{TEMPLATE}", "mode": "0600"}, digest),
        shell("seen", "exit 4", "hidden"),
        shell("done", f"echo {TEMPLATE.replace(' ', '')!r} > /dev/null", "hidden"),
        shell("second", f"echo second >> {order}"),
        Step(f"file[{TEMPLATE}]", "file", {"path": f"{tmp_path}/gone", "state": "absent"}, removes=True),
    )
    handlers = (
        Handler(Notify("restart", "a"), ("shell[first]",)),
        Handler(Notify("reload", "a"), ("shell[first]",)),
        Handler(Notify("reload", "b"), ("shell[second]",)),
        Handler(Notify("restart", "c"), ("shell[bad]", f"file[{TEMPLATE}]")),
        Handler(Notify("restart", "d"), (), owed=True),
    )
    work = {
        "one": HostWork(LOCAL, steps, handlers),
        "two": HostWork(LOCAL, (shell("bad", "false"),)),
        "gone": HostWork({"ansible_host": "127.0.0.1", "ansible_port": free_port()}, (shell("x", "true"),)),
    }
    done = make_ansible().converge(work, {digest: content}, never)

    one = done["one"]
    assert {step: result.status for step, result in one.steps.items()} == {
        "shell[first]": "changed",
        "shell[bad]": "failed",
        "copy[c]": "changed",
        "hidden[seen]": "failed",
        "hidden[done]": "changed",
        "shell[second]": "changed",
        f"file[{TEMPLATE}]": "ok",
    }
    assert "non-zero return code" in one.steps["shell[bad]"].message
    assert "why" in one.steps["shell[bad]"].message
    assert "secret" in one.steps["hidden[seen]"].message
    assert one.reason == ""
    assert order.read_text() == "first\nsecond\n"
    # No service manager knows these services; that each was tried, once and for a reason, is what counts here.
    assert set(one.handlers) == {"restart a", "reload a", "reload b", "restart d"}
    assert (tmp_path / TEMPLATE).read_bytes() == content
    assert done["two"].steps["shell[bad]"].status == "failed"
    assert done["gone"].steps == {}
    assert "Connection refused" in done["gone"].reason
    assert not list(tmp_path.rglob("PWNED"))


def test_a_stop_lets_the_running_task_end_and_starts_no_other(
    make_ansible: Callable[..., Ansible], tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    steps = (
        shell("long", f"touch {begun}; sleep 4; touch {tmp_path}/ended"),
        shell("next", f"touch {tmp_path}/next"),
        shell("other", f"touch {tmp_path}/other", "hidden"),
    )
    handlers = (Handler(Notify("restart", "a"), ("shell[long]",), owed=True),)
    ansible = make_ansible()
    done = ansible.converge({"a": HostWork(LOCAL, steps, handlers)}, {}, begun.exists)["a"]
    assert done.steps == {"shell[long]": StepResult("changed")}
    assert done.handlers == {}
    assert done.reason == "stopped before it was done"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "ended"]
    assert marked(ansible) == []


def test_a_stop_that_is_not_heeded_is_enforced(make_ansible: Callable[..., Ansible], tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    ansible = make_ansible(stop_grace=1)
    work = {"a": HostWork(LOCAL, (shell("long", f"touch {begun}; sleep 300"),))}
    assert ansible.converge(work, {}, begun.exists)["a"] == Attempt("a", reason="stopped before it was done")
    assert marked(ansible) == []


def test_a_task_that_hangs_fails_and_the_next_one_runs(make_ansible: Callable[..., Ansible], tmp_path: Path) -> None:
    ansible = make_ansible(task_timeout=3)
    steps = (shell("long", "sleep 300"), shell("next", f"touch {tmp_path}/next"))
    done = ansible.converge({"a": HostWork(LOCAL, steps)}, {}, never)["a"]
    assert done.steps["shell[long]"] == StepResult("failed", "not done within 3 s")
    assert done.steps["shell[next]"].status == "changed"
    assert marked(ansible) == []


DOOMED = """
import sys
from pathlib import Path
from reconciler.ansible import Ansible, AnsibleSettings, HostWork
from reconciler.model import Step
settings = AnsibleSettings(Path(sys.argv[1]), sys.argv[2], playbooks=Path(sys.argv[3]))
step = Step("shell[x]", "shell", {"run": f"touch {sys.argv[4]}; sleep 300"})
work = HostWork({"ansible_connection": "local"}, (step,))
Ansible(settings).converge({"a": work}, {}, lambda: False)
"""


@pytest.mark.parametrize("child_dies_too", [False, True])
def test_what_a_killed_daemon_leaves_behind_is_ended(
    make_ansible: Callable[..., Ansible], tmp_path: Path, child_dies_too: bool
) -> None:
    ansible = make_ansible()
    settings = ansible.settings
    begun = tmp_path / "begun"
    arguments = [settings.run_dir, settings.instance, settings.playbooks, begun]
    bystander = subprocess.Popen(["sleep", "300"], env={leftovers.MARK: f"another:1:{0}:1"})
    daemon = subprocess.Popen([sys.executable, "-c", DOOMED, *map(str, arguments)], cwd=Path(__file__).parents[2])
    wait_until(begun.exists)
    children = marked(ansible)
    if child_dies_too:
        for pid in children:
            if "ansible/child.py" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
    daemon.kill()
    daemon.wait()
    if child_dies_too:
        assert ansible.end_leftovers() > 0
    wait_until(lambda: marked(ansible) == [])
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
    assert ansible.end_leftovers() == 0


def test_the_work_of_a_living_daemon_is_left_alone(make_ansible: Callable[..., Ansible]) -> None:
    ansible = make_ansible()
    busy = subprocess.Popen(["sleep", "300"], env={leftovers.MARK: leftovers.mark(ansible.settings.instance, 1)})
    assert ansible.end_leftovers() == 0
    assert busy.poll() is None
    busy.kill()
    busy.wait()


def test_connections_kept_open_end_with_the_leftovers(
    make_ansible: Callable[..., Ansible], sshd: Sshd, tmp_path: Path
) -> None:
    ansible = make_ansible(ssh_key=sshd.key, known_hosts=sshd.known(tmp_path))
    python = {"ansible_python_interpreter": sys.executable}
    ansible.observe({"a": HostAsk(sshd.connection | python, (PASSWD,))}, never)
    masters = list(leftovers.connection_masters(ansible.settings.sockets))
    assert len(masters) == 1
    ansible.end_leftovers()
    assert list(leftovers.connection_masters(ansible.settings.sockets)) == []


def marked(ansible: Ansible) -> list[int]:
    """Every living process that belongs to this Ansible."""
    name = ansible.settings.instance
    return [pid for pid, mark in leftovers.marked_processes() if mark.startswith(f"{name}:") and leftovers.started(pid)]


def wait_until(true: Callable[[], bool]) -> None:
    """Poll for up to half a minute."""
    for _ in range(300):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come true")
