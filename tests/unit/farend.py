"""A far end to talk to: the real program over pipes, on this machine or behind any command that runs one elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler import bundle

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
PYTHON = os.environ.get("FAR_PYTHON", sys.executable)
"""The interpreter of the far end; an old one may be named, since hosts have old ones."""
PATIENCE = 30
"""Seconds until a far end that says nothing is a failure; it mostly answers within a hundredth of one."""


class FarEnd:
    """One session, from the side of the daemon. *command* is given the words that start Python."""

    def __init__(self, *command: str, playbooks: Path = PLAYBOOKS, python: str = PYTHON, **options: Any) -> None:
        program = bundle.resident_program(playbooks).encode("ascii")
        words = [*command, python, "-I", "-S", "-c", bundle.bootstrap(len(program))]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, **options)
        self.rest = b""
        # The first question comes right behind the program, where a buffer would swallow it.
        self.write(program + b'{"asked": {}}\n')
        self.hello = self.frame()

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        while data:
            data = data[self.process.stdin.write(data) :]

    def say(self, **frame: Any) -> None:
        self.write(json.dumps(frame).encode() + b"\n")

    def line(self, seconds: float = PATIENCE) -> bytes | None:
        """The next line, None where none comes in time, and nothing at the end."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return b""
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def frame(self, seconds: float = PATIENCE) -> Any:
        """The next frame, or None."""
        line = self.line(seconds)
        return json.loads(line) if line else None

    def look(self, known: str = "", **more: Any) -> Any:
        """The answer to a look, its facts under ``observed`` where they travelled; what came before is dropped."""
        self.say(look="n", known=known, **more)
        frame = self.frame()
        while "now" in frame:
            frame = self.frame()
        assert frame.pop("nonce") == "n"
        if "bytes" in frame:
            body = self.line()
            assert body is not None
            assert len(body) == frame.pop("bytes")
            assert hashlib.sha256(body).hexdigest() == frame["digest"]
            frame.update(json.loads(body))
        return frame

    def says_now(self, seconds: float = PATIENCE) -> bool:
        """Whether it says *look now* next, and within this time."""
        frame = self.frame(seconds)
        assert frame in (None, {"now": 1}), frame
        return frame is not None

    def end(self) -> tuple[int, str]:
        """Its exit status and last words, after its input ended."""
        errors = self.process.communicate(timeout=PATIENCE)[1].decode()
        return self.process.returncode, errors


def read_everything(asked: Any) -> Any:
    """What the fact module of the other lane answers to the same question."""
    names: dict[str, Any] = {"__name__": "fact_module"}
    exec(compile(bundle.fact_module(PLAYBOOKS), "fact_module", "exec"), names)
    answer: Callable[[Any], Any] = names["answer"]
    return json.loads(json.dumps(answer({"nonce": "n", "asked": asked})["observed"]))
