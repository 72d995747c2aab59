"""The parts of a stream that need no far end: ssh's words, the script, what is kept of facts, what is heard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.bundle import bootstrap
from reconciler.reach import SshWay, control_name
from reconciler.stream import StreamSettings
from reconciler.stream.command import script, single_quoted, ssh_words
from reconciler.stream.facts import Facts
from reconciler.stream.look import backoff
from reconciler.stream.reasons import why_ended
from reconciler.stream.speech import Ear
from reconciler.testimony import Rubbish


def words(**more: Any) -> list[str]:
    variables = {"ansible_host": "192.0.2.1", "ansible_port": 2222, "ansible_user": "ops"}
    return ssh_words("web1", variables, StreamSettings(SshWay(Path("/key")), **more), "pass")


def test_ssh_is_told_where_and_as_whom_and_nothing_interactive() -> None:
    line = words()
    assert line[0] == "ssh"
    assert line[-7:-1] == ["-p", "2222", "-l", "ops", "--", "192.0.2.1"]
    options = {line[place + 1] for place, word in enumerate(line) if word == "-o"}
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "EscapeChar=none", "ClearAllForwardings=yes"} < options
    assert {"ControlMaster=no", "ForwardAgent=no", "ForwardX11=no", "RequestTTY=no", "LogLevel=ERROR"} < options


def test_launches_of_ansible_find_the_connection_where_the_path_is_short_enough() -> None:
    variables = {"ansible_host": "192.0.2.1", "ansible_port": 2222, "ansible_user": "ops"}
    name = control_name("web1", variables)
    assert f'ControlPath="/run/x/{name}"' in words(sockets=Path("/run/x"))
    assert "ControlMaster=auto" in words(sockets=Path("/" + "x" * 72))
    assert "ControlMaster=no" in words(sockets=Path("/" + "x" * 73))


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(
    "code", ["print('it''s', 1 \\\n + 1)", 'print("it" "s", 2)', "print('ü', 2)"], ids=["quotes", "plain", "umlaut"]
)
def test_every_login_shell_hands_the_program_on_as_it_is(shell: str, code: str) -> None:
    done = subprocess.run([shell, "-c", script({}, code)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "reconciler: in", "reconciler: became", *ran(code)]


def ran(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_bootstrap_needs_no_escaping() -> None:
    assert single_quoted(bootstrap(12345)) in script({}, bootstrap(12345))


def test_who_becomes_and_who_need_not() -> None:
    assert "sudo" not in script({}, "pass")
    assert "sudo" not in script({"ansible_become": True, "ansible_user": "root"}, "pass")
    assert " 'root' " in script({"ansible_become": True}, "pass")
    assert " 'app' " in script({"ansible_become": True, "ansible_user": "root", "ansible_become_user": "app"}, "pass")
    with pytest.raises(ValueError, match="no quotes hold this"):
        script({"ansible_become": True, "ansible_become_user": "a'b"}, "pass")


def test_no_python_is_a_reason() -> None:
    shell = script({"ansible_python_interpreter": "/no/python"}, "pass")
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (127, "no Python was found: looked for /no/python\n")


SHORT = st.text(max_size=5)
FACT = st.dictionaries(
    SHORT, st.none() | st.booleans() | st.integers() | SHORT | st.lists(SHORT, max_size=3), max_size=3
)


@given(st.dictionaries(SHORT, st.dictionaries(SHORT, FACT, max_size=3), max_size=3))
def test_facts_are_kept_as_they_are(facts: dict[str, Any]) -> None:
    kept = Facts(facts)
    assert dict(kept) == facts
    assert kept == facts
    assert len(kept) == len(facts)


@given(st.binary(max_size=400), st.lists(st.integers(1, 50)))
def test_how_bytes_are_cut_makes_no_difference(noise: bytes, cuts: list[int]) -> None:
    data = b'{"hello": 1}\n{"now": 1}\n' + noise
    assert heard([data]) == heard(pieces(data, cuts))


def heard(parts: list[bytes]) -> list[Any]:
    """What an ear makes of *parts*, and why it hears no further."""
    ear, messages = Ear(), []
    try:
        for part in parts:
            for message in ear.hear(part):
                messages.append(message)
                if isinstance(message, dict) and message.get("now") == 1:
                    ear.body = 5
    except Rubbish as problem:
        messages.append(str(problem))
    return messages


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    found = []
    for cut in cuts:
        found.append(data[:cut])
        data = data[cut:]
    return [part for part in [*found, data] if part]


def test_waits_double_up_to_a_minute_and_differ_between_hosts() -> None:
    for failures in range(1, 2000):
        most = min(2 ** min(failures - 1, 10), 60)
        assert 0.75 * most <= backoff("web1", failures) <= 1.25 * most
    assert len({backoff(f"web{number}", 1) for number in range(100)}) == 100


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("sudo: a password is required\n", "sudo asks for a password"),
        (
            "@@@@\n@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\n@@@@\nHost key verification failed.\r\n",
            "the host's key has changed: Host key verification failed.",
        ),
        (
            "No ED25519 host key is known for web1 and you have requested strict checking.\r\n"
            "Host key verification failed.\r\n",
            "no key of web1 is known: Host key verification failed.",
        ),
        ("ops@web1: Permission denied (publickey).\r\n", "ops@web1: Permission denied (publickey)."),
        ("", "the session ended with code 255 before it reached the host"),
    ],
)
def test_ssh_says_why_it_could_not_get_in(said: str, reason: str) -> None:
    assert why_ended(said, "", 255, "", greeted=False) == reason
