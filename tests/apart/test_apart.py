"""The process that previews pull requests: it says what the daemon would, reaches for nothing, and has an end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

import reconciler.apart
from reconciler.apart import GARBLED, About, Apart, child
from reconciler.desired import STRANGERS
from reconciler.errors import PreviewError
from reconciler.foretell import Files, Foreteller, Page, Question, Words
from reconciler.markdown import Lines
from reconciler.state import State
from tests.loop.bench import SMALL
from tests.stream.waiting import alive, wait_until

BASE = Files("a" * 40, {name: text.encode() for name, text in SMALL.items()})
PAGE = Page("main/1", 60_000, True, Lines("https://forge.example/", "#L"))
LARGE = Files("e" * 40, {"inventory/hosts.yml": b"all:\n  hosts:\n    h[0:9999]:\n"})
PATTERNS = {
    f"{n}.yml": b"".join(
        b"- {hosts: '*%d*x', file: [{path: /x, state: absent}]}\n" % (2000 * n + k) for k in range(2000)
    )
    for n in range(15)
}
"""What a stranger may push: 30,000 patterns, each of which is held against ten thousand hosts."""


def question(files: dict[str, bytes], base: Files = BASE, head: str = "b") -> Question:
    return Question(Files(head * 40, {**base.tree, **files}), PAGE, STRANGERS, None, date(2026, 11, 26))


WELCOME = question({"all.yml": SMALL["all.yml"].replace("hello", "welcome").encode()})
WRONG = question({"all.yml": b"- hosts: nobody\n  cpoy: {}\n"}, head="c")
FIRST, SECOND = About(1, "b" * 40, BASE.sha), About(2, "c" * 40, BASE.sha)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with State.open(tmp_path / "state.db"):
        return tmp_path / "state.db"


@pytest.fixture
def apart(state: Path) -> Iterator[Apart]:
    made = Apart(state)
    yield made
    made.close()


def asked(apart: Apart, about: About, what: Question, base: Files = BASE) -> Words | str | None:
    apart.ask(about, "key", base, what, allow_local=False)
    return apart.answer(lambda: True)


def pid_of(apart: Apart) -> int:
    assert apart._child is not None
    return apart._child.pid


def test_it_says_what_the_daemon_itself_would(apart: Apart) -> None:
    for about, what in ((FIRST, WELCOME), (SECOND, WRONG), (FIRST, WELCOME)):
        here = Foreteller(BASE, allow_local=False).foretell(what, {})
        assert asked(apart, about, what) == here
    assert "mistake" in Foreteller(BASE, allow_local=False).foretell(WRONG, {}).description


def test_one_process_answers_all_questions_about_one_revision(apart: Apart) -> None:
    asked(apart, FIRST, WELCOME)
    first = pid_of(apart)
    asked(apart, SECOND, WRONG)
    assert pid_of(apart) == first
    newer = Files("d" * 40, BASE.tree)
    asked(apart, About(1, "b" * 40, newer.sha), WELCOME, newer)
    assert pid_of(apart) != first
    assert not alive(first)


def test_whoever_waits_may_leave_and_come_back(apart: Apart) -> None:
    apart.ask(FIRST, "the key of then", BASE, WELCOME, allow_local=False)
    assert apart.answer(lambda: False) is None
    assert (apart.about, apart.key) == (FIRST, "the key of then")
    apart.rest()
    assert alive(pid_of(apart)), "it has a question"
    assert isinstance(apart.answer(lambda: True), Words)
    pid = pid_of(apart)
    apart.rest()
    assert not alive(pid)


def test_another_question_takes_the_place_of_the_one_that_waits(apart: Apart) -> None:
    apart.ask(FIRST, "key", BASE, WELCOME, allow_local=False)
    assert apart.answer(lambda: False) is None
    assert asked(apart, SECOND, WRONG) == Foreteller(BASE, allow_local=False).foretell(WRONG, {})


def test_it_has_nothing_of_the_daemons(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no descriptor but its two pipes, no working directory; it lets everybody else go first."""
    monkeypatch.setenv("FORGE_TOKEN", "word-of-the-daemon")
    asked(apart, FIRST, WELCOME)
    proc = Path(f"/proc/{pid_of(apart)}")
    assert (proc / "environ").read_bytes() == b"LC_ALL=C.UTF-8\0"
    open_files = {path.name: str(path.readlink()) for path in (proc / "fd").iterdir()}
    assert {name for name, file in open_files.items() if file != "/dev/null"} == {"0", "1"}
    assert (proc / "cwd").readlink() == Path("/")
    assert (proc / "oom_score_adj").read_text() == "900\n"
    assert os.getpriority(os.PRIO_PROCESS, pid_of(apart)) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)


def test_its_death_is_told_and_the_next_question_starts_it_again(apart: Apart) -> None:
    asked(apart, FIRST, WELCOME)
    os.kill(pid_of(apart), signal.SIGKILL)
    with pytest.raises(PreviewError, match="ended early, with code -9"):
        asked(apart, FIRST, WELCOME)
    assert apart.about is None
    assert isinstance(asked(apart, FIRST, WELCOME), Words)


def test_a_state_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    made = Apart(tmp_path / "none.db")
    with pytest.raises(PreviewError, match="there is no state"):
        asked(made, FIRST, WELCOME)
    made.close()


def test_it_dies_with_the_daemon(state: Path) -> None:
    """However sudden the death, and with the fork that is at work for the next twenty seconds."""
    program = (
        "import sys; from tests.apart.test_apart import *\n"
        "apart = Apart(Path(sys.argv[1]))\n"
        "apart.ask(FIRST, 'key', LARGE, question(PATTERNS, LARGE), allow_local=False)\n"
        "forks = lambda: Path('/proc/{0}/task/{0}/children'.format(pid_of(apart))).read_text().split()\n"
        "apart.answer(lambda: not forks())\n"
        "print(pid_of(apart), *forks(), flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(state)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    process, fork = map(int, done.stdout.split())
    wait_until(lambda: not alive(process) and not alive(fork), seconds=10)


def hostile(what: str, state: Path) -> dict[str, str]:
    """What a fork of it says in which the compiler does *what*."""
    program = [sys.executable, "-m", "tests.apart.hostile", what, str(state)]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("opens", child.REACHED),
        ("calls", child.REACHED),
        ("starts", child.REACHED),
        ("spins", child.SLOW),
        ("sleeps", child.SLOW),
        ("hoards", child.LARGE),
        ("dies", child.LARGE),
        ("crashes", "what reads it ended with code -11"),
        ("says too much", child.LONG),
        ("fails", "reconciler has a defect that it shows: KeyError"),
    ],
)
def test_what_goes_wrong_in_a_fork_is_said(state: Path, what: str, says: str) -> None:
    (told,) = hostile(what, state).items()
    assert told[0] == "refused"
    assert told[1].startswith(says)
    assert "stranger" not in told[1]


def test_an_answer_is_one_line_whatever_a_fork_writes(state: Path) -> None:
    program = [sys.executable, "-m", "tests.apart.hostile", "lies", str(state)]
    said = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    assert said == '{"refused": 1} {"a": 2} \n'


@pytest.mark.parametrize("line", [b'{"a": 1} {"b": 2}', b"[]", b'{"comment": "x"}', b"\xff", b"[" * 100_000])
def test_an_answer_that_makes_no_sense_refuses_and_ends_the_process(
    apart: Apart, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: bytes
) -> None:
    (tmp_path / "liar.py").write_text(f"import os; os.write(1, {line + bytes([10])!r})")
    monkeypatch.setattr(reconciler.apart, "CHILD", tmp_path / "liar.py")
    assert asked(apart, FIRST, WELCOME) == GARBLED
    monkeypatch.undo()
    assert isinstance(asked(apart, FIRST, WELCOME), Words)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("opens unheard", "it met OSError 24"),
        ("calls unheard", "it met OSError 24"),
        ("opens by libc", "open says -1"),
        ("starts by libc", "system says 127"),
        ("writes to the daemon", "write says -1"),
        ("behaves", "changes nothing"),
    ],
)
def test_the_kernel_keeps_a_fork_in(state: Path, what: str, says: str) -> None:
    assert hostile(what, state)["description"] == says


def test_a_revision_that_takes_for_ever_is_refused_and_the_next_is_not(apart: Apart) -> None:
    """No count of ours sees it coming; the kernel ends it."""
    assert asked(apart, FIRST, question(PATTERNS, LARGE), LARGE) == child.SLOW
    assert isinstance(asked(apart, SECOND, question({}, LARGE), LARGE), Words)
