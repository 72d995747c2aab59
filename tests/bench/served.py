"""A module of the bench that stays up in a process of its own and answers questions, a line of JSON for each.

For what must be measured warm: the daemon's cycle with its sessions open, commands over open SSH connections.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

from tests.bench.measure import ROOT, BenchFailed


class Served:
    """``python -m tests.bench.<module>``, given *first* as its first line; it ends when its input ends."""

    def __init__(self, module: str, first: Any) -> None:
        self.module = module
        # A file rather than a pipe: nobody reads it unless the process fails, and then it must not be full.
        self.words = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.words,
            text=True,
            cwd=ROOT,
        )
        self.tell(first)

    def tell(self, question: Any) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail()

    def ask(self, question: Any) -> Any:
        """Send one line and wait for the answer; raises BenchFailed with the process's last words where it ended."""
        self.tell(question)
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or self.fail())

    def fail(self) -> str:
        """Say what it said last."""
        self.process.wait()
        self.words.seek(0)
        raise BenchFailed(f"{self.module} ended with {self.process.returncode}:\n{self.words.read()[-3000:]}")

    def close(self) -> None:
        """End it by ending its input."""
        for end in (self.process.stdin, self.process.stdout):
            if end:
                end.close()
        self.process.wait()
        self.words.close()
