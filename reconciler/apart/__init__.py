"""Apart: pull requests are previewed in a process of their own, which has nothing that a stranger could want.

Held by ``world``, used by ``foresee``. It is started for the first question and ends when there are no more. Whoever
waits for an answer may leave and come back for it. ``child`` is what runs there.
"""

from __future__ import annotations

import json
import os
import pickle
import selectors
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from reconciler.apart.child import MOST_WORDS
from reconciler.errors import PreviewError
from reconciler.foretell import Files, Question, Words

CHILD = Path(__file__).with_name("child.py")
GARBLED = "what reads it gave no answer that makes sense"
STEP = 0.1
"""Seconds after which whoever waits is asked whether to go on."""


class About(NamedTuple):
    """What a question is about: the number of a pull request, its head, and the revision in force."""

    number: int
    head: str
    base: str


class Apart:
    """One question at a time; ``about`` says which waits for its answer, ``key`` what it was asked with.

    *state* is the state file, in which the other process reads how the hosts were last seen.
    """

    def __init__(self, state: Path) -> None:
        self.about: About | None = None
        self.key = ""
        self._state = state
        self._base = ""
        self._child: subprocess.Popen[bytes] | None = None
        self._unsent = memoryview(b"")
        self._heard = bytearray()

    def ask(self, about: About, key: str, base: Files, question: Question, *, allow_local: bool) -> None:
        """Put a question; one that still waits is dropped. Raises PreviewError where no process can be started."""
        if self.about is not None or self._base != base.sha:
            self.close()
        order = pickle.dumps(question)
        if self._child is None:
            self._child, self._base = self._start(), base.sha
            order = pickle.dumps((base, allow_local)) + order
        self.about, self.key, self._unsent = about, key, memoryview(order)

    def answer(self, patient: Callable[[], bool]) -> Words | str | None:
        """The words, or why there are none; None where there is no answer as long as one is *patient*.

        Raises PreviewError where the process ended without one, for reasons of its own.
        """
        while not self._heard.endswith(b"\n"):
            if not self._exchange() and not patient():
                return None
        line, self._heard, self.about = self._heard, bytearray(), None
        try:
            told: dict[str, str] = {name: str(value) for name, value in json.loads(line).items()}
            if "trouble" in told:
                raise PreviewError(f"pull requests cannot be previewed: {told['trouble']}")
            return told["refused"] if "refused" in told else Words(**told)
        except (ValueError, TypeError, AttributeError, RecursionError):
            self.close()
            return GARBLED

    def rest(self) -> None:
        """End the process unless it has a question: it holds a whole revision."""
        if self.about is None:
            self.close()

    def close(self) -> None:
        """End the process, whatever it is at."""
        child, self._child = self._child, None
        self.about, self._base, self._unsent, self._heard = None, "", memoryview(b""), bytearray()
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()

    def _exchange(self) -> bool:
        """Send what is unsent, hear what is said; whether there was anything of it within a moment."""
        ears, mouth = self._pipes()
        with selectors.DefaultSelector() as selector:
            selector.register(ears, selectors.EVENT_READ)
            if self._unsent:
                selector.register(mouth, selectors.EVENT_WRITE)
            ready = {key.fd for key, _ in selector.select(STEP)}
        if mouth in ready:
            with suppress(BrokenPipeError, BlockingIOError):  # its end is heard below
                self._unsent = self._unsent[os.write(mouth, self._unsent) :]
        if ears in ready:
            said = os.read(ears, 1 << 20)
            self._heard += said
            if not said or len(self._heard) > MOST_WORDS + 1:
                raise self._ended()
        return bool(ready)

    def _pipes(self) -> tuple[int, int]:
        """Where the process is heard, and where it is spoken to."""
        assert self._child is not None  # noqa: S101 - there is a question
        assert self._child.stdout is not None  # noqa: S101 - Popen was given pipes
        assert self._child.stdin is not None  # noqa: S101
        return self._child.stdout.fileno(), self._child.stdin.fileno()

    def _ended(self) -> PreviewError:
        """Why there will be no answer."""
        assert self._child  # noqa: S101 - its pipe is being read
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        code = self._child.poll()
        self.close()
        return PreviewError(
            f"pull requests cannot be previewed: the process that does it ended early, with code {code}",
            hint="Is the machine short of memory? A code of -9 says so.",
        )

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", str(CHILD), str(self._state), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        except OSError as problem:
            raise PreviewError(f"pull requests cannot be previewed: {problem.strerror}") from problem
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        return child
