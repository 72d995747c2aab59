"""The process that previews pull requests, so that the daemon does not: it has no key, no token and no connection.

Run by its path. It reads the revision in force from standard input (pickled, as the daemon trusts itself), then one
question after another. For each it forks, and the fork answers: it may open no file and no socket, and computes and
holds only so much, so that a stranger's revision can neither reach anything nor keep the others waiting. Answers
are lines of JSON: words, or why there are none.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import os
import pickle
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.foretell import Foreteller, Question

HERE = Path(__file__).resolve()
PR_SET_PDEATHSIG = 1
SECONDS, TIMES = 20, 4
"""One answer may take this much of the processor, and so many times what compiling the revision in force took."""
PATIENCE = 10
"""How many times as long as it may compute an answer may take by the clock, on a machine that has more to do."""
MEMORY = 512 << 20
"""Bytes that one answer may take besides what is held already, and as much again as that."""
MOST_WORDS = 32 << 20
"""Bytes of one answer."""
SLOW = "compiling it takes far longer than the revision in force does"
LARGE = "compiling it takes too much memory"
LONG = "there is too much to say of it"
REACHED = "reconciler has a defect that it shows: reading it reached for something outside"
REACHING = ("open", "os.", "socket.", "subprocess.", "ctypes.", "pty.", "shutil.", "tempfile.", "glob.")
"""How the audit events of Python begin that a fork may not bring about."""
REACHED_OUT = 3
"""The exit code of a fork that did."""
WHY = {-signal.SIGXCPU: SLOW, -signal.SIGALRM: SLOW, -signal.SIGKILL: LARGE, REACHED_OUT: REACHED}
"""What the end of a fork says; it is killed where memory runs out."""
LAZY = ("jinja2.debug", "encodings.unicode_escape", "encodings.idna", "stringprep")
"""What is read only when it is first needed, and that a fork could not read."""


def follow(parent: int) -> None:
    """End as soon as the process *parent* ends, by however sudden a death."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def give_way() -> None:
    """Let everything else go first, and die before others where memory runs out, but for a fork."""
    os.nice(10)
    Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")


def confine(seconds: int) -> None:
    """Reach for nothing any more, write nothing but the answer, and take only so much; whatever is over ends us."""
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    used = int(time.process_time()) + 1
    limit(resource.RLIMIT_CPU, used + seconds, spare=1)  # a second between a signal that says why and the one that ends
    limit(resource.RLIMIT_AS, 2 * held + MEMORY)
    for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        limit(what, 0)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)
    sys.addaudithook(refuse)


def limit(what: int, most: int, spare: int = 0) -> None:
    """Limit a resource for good, unless it is limited further already."""
    now = resource.getrlimit(what)[1]
    if now == resource.RLIM_INFINITY or now >= most + spare:
        resource.setrlimit(what, (most, most + spare))


def refuse(event: str, _: object) -> None:
    """End a fork that reaches for anything: what it was kept from would pass for a mistake of the revision's."""
    if event.startswith(REACHING):
        os._exit(REACHED_OUT)


def answer(foreteller: Foreteller, question: Question, state: Path, seconds: int) -> dict[str, Any]:
    """What a fork says to one question."""
    from dataclasses import asdict

    from reconciler.errors import StateError
    from reconciler.state import State

    try:
        with State.open(state, read_only=True) as opened:
            memories = opened.hosts()
    except StateError as error:
        return {"trouble": str(error)}
    confine(seconds)
    try:
        return asdict(foreteller.foretell(question, memories))
    except MemoryError:
        return {"refused": LARGE}
    except Exception as error:  # noqa: BLE001 - a defect that one revision shows must not keep the others unread
        return {"refused": f"reconciler has a defect that it shows: {defect(error)}"}


def defect(error: Exception) -> str:
    """``KeyError in preview/pairs.py, line 40``: enough to find it, and no word of whoever caused it."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = [(file, line) for file, line in frames if file.startswith(str(HERE.parents[1]))]
    where = f" in {Path(ours[-1][0]).relative_to(HERE.parents[1])}, line {ours[-1][1]}" if ours else ""
    return f"{type(error).__name__}{where}"


def forked(foreteller: Foreteller, question: Question, state: Path, seconds: int) -> bytes:
    """The answer of a fork as one line of JSON; why there is none, where the fork was ended."""
    ours, its = os.pipe()
    here = os.getpid()
    if (pid := os.fork()) == 0:
        follow(here)
        os.close(1)
        try:
            told = json.dumps(answer(foreteller, question, state, seconds)).encode()
            while told:
                told = told[os.write(its, told) :]
            os._exit(0)
        finally:
            os._exit(1)
    os.close(its)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read(MOST_WORDS + 1)
    _, status = os.waitpid(pid, 0)
    reason = LONG if len(said) > MOST_WORDS else why(os.waitstatus_to_exitcode(status))
    return json.dumps({"refused": reason}).encode() if reason else said.replace(b"\n", b" ")


def why(code: int) -> str:
    """Why a fork that ended with *code* gave no answer; "" where it gave one. Negative codes are signals."""
    if code == 0:
        return ""
    return WHY.get(code, f"what reads it ended with code {code}")


def main(state: Path, parent: int) -> None:
    """Answer until there are no questions any more."""
    follow(parent)
    give_way()
    sys.path.insert(0, str(HERE.parents[2]))
    from reconciler.foretell import Foreteller

    for name in LAZY:
        __import__(name)
    orders = io.BufferedReader(io.FileIO(0))
    base, allow_local = pickle.load(orders)  # noqa: S301 - our own daemon made it
    began = time.process_time()
    foreteller = Foreteller(base, allow_local=allow_local)
    seconds = SECONDS + TIMES * int(time.process_time() - began)
    gc.collect()
    gc.freeze()
    while orders.peek(1):
        question = pickle.load(orders)  # noqa: S301
        sys.stdout.buffer.write(forked(foreteller, question, state, seconds) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
