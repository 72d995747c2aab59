"""The daemon as a process, with the kernel as the witness: what it starts and connects to for a stranger's fork."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from reconciler.apart import CHILD
from tests.loop.bench import Bench, await_true
from tests.loop.forge_server import serve
from tests.loop.forged import Forged
from tests.loop.forks import commit_on, forks, show

ROOT = Path(__file__).parents[2]
CALLS = "execve,execveat,connect"
PROGRAMS = {"env", "prlimit", "git", "git-upload-pack", "sh"}
"""What git is started with and what it starts for a remote in a folder: its own upload-pack, by way of a shell.

Besides, there is the process in which pull requests are previewed.
"""


def test_the_kernel_saw_nothing_but_git_and_the_one_that_reads(tmp_path: Path) -> None:
    with serve() as fake:
        forged, trace = Forged(Bench(tmp_path).build(), fake), tmp_path / "trace"
        forged.configure()
        words = ["strace", "-f", "-s", "4096", "-e", f"trace={CALLS}", "-o", str(trace)]
        words += [sys.executable, "-m", "tests.loop.fakedaemon", str(tmp_path)]
        daemon = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            await_true(lambda: ("success", "3 hosts as declared") in forged.told(forged.bench.head()), "the fleet")
            before = len(trace.read_text())
            fork = forks(str(tmp_path / "mark"))["everything together"]
            number = show(forged, commit_on(forged.bench.clone, forged.bench.head(), fork.files))
            await_true(lambda: forged.comments(number), "the comment")
            seen = trace.read_text()[before:]
        finally:
            for child in children(daemon.pid):
                os.kill(child, signal.SIGTERM)
            daemon.wait(60)
        assert "this is a symbolic link" in forged.comment(number)
        fake.check()
    check(seen, fake.web)
    assert not (tmp_path / "mark").exists()


def children(pid: int) -> list[int]:
    """The processes that strace runs, which it does not end when it is ended itself."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def check(seen: str, web: str) -> None:
    """Every program and every address in a trace is ours, and no word of the fork is among the arguments."""
    started = re.findall(r'execve\("([^"]+)", (\[.*?\]), ', seen)
    assert started
    apart = [words for program, words in started if program == sys.executable]
    assert all(words.startswith(f'["{sys.executable}", "-I", "{CHILD}", ') for words in apart), apart
    assert {Path(program).name for program, _ in started if program != sys.executable} <= PROGRAMS
    assert not [words for _, words in started if "touch" in words or "evil" in words]
    shells = {words for program, words in started if Path(program).name == "sh"}
    assert all("git-upload-pack '" in words for words in shells), shells
    ports = set(re.findall(r"connect\(\d+, \{sa_family=AF_INET6?, .*?htons\((\d+)\)", seen))
    assert ports <= {web.rpartition(":")[2]}
    assert set(re.findall(r"sa_family=(\w+)", seen)) <= {"AF_INET", "AF_UNIX"}
