"""The desk: where the daemon speaks with people. A forge, other ears, and how each of them was last found.

Opened by ``opening`` as part of the World; ``hear``, ``speak`` and ``deliver`` use it. It makes no decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from reconciler.errors import Corrupt, ForgeAway, ForgeError, GitError, ReconcilerError
from reconciler.talk import CommitStatus

if TYPE_CHECKING:
    from reconciler.ears import Ear
    from reconciler.forge import Forge

FIRST_REST, LONGEST_REST = 15.0, 300.0
"""Seconds for which somebody who could not be spoken with is left alone: doubled each time, up to five minutes."""


@dataclass(slots=True)
class Line:
    """How one conversation partner was last found, in monotonic seconds; ``trouble`` is "" where all was well."""

    trouble: str = ""
    failures: int = 0
    not_before: float = 0.0

    def failed(self, error: ReconcilerError, now: float) -> None:
        """Leave it alone for a while, for as long as it asked at least."""
        rest = min(FIRST_REST * 2**self.failures, LONGEST_REST)
        self.failures = min(self.failures + 1, 10)
        self.not_before = now + max(rest, error.wait if isinstance(error, ForgeAway) else 0.0)
        self.trouble = str(error).partition("\n")[0]

    def worked(self) -> None:
        """Back to the ordinary pace."""
        self.trouble, self.failures, self.not_before = "", 0, 0.0


@dataclass(slots=True)
class Desk:
    """The forge (None: there is none) and the other ears.

    ``name`` tells our comments from those of other daemons under the same login; ``heard`` keeps what each pull request
    was last previewed with, ``served`` whose turn it was, the latest last; ``unread`` says what keeps us from
    previewing any.
    """

    FORGE: ClassVar[str] = "the forge"
    name: str = "main"
    forge: Forge | None = None
    ears: tuple[Ear, ...] = ()
    heard: dict[int, str] = field(default_factory=dict)
    served: dict[str, None] = field(default_factory=dict)
    unread: str = ""
    lines: dict[str, Line] = field(default_factory=dict)

    def context(self, name: str) -> str:
        """The context of a status of ours; daemons of other shards have another, or each would undo the other's."""
        return name if self.name == "main" else f"{name}:{self.name}"

    def own_status(self, status: CommitStatus) -> CommitStatus:
        """A status in our own context."""
        return replace(status, context=self.context(status.context))

    def branch(self, purpose: str, fingerprint: str) -> str:
        """A branch of ours: for what (adopt, waive) and for which cause."""
        return f"reconciler/{purpose}/{fingerprint if self.name == 'main' else f'{self.name}-{fingerprint}'}"

    @property
    def ear_names(self) -> tuple[str, ...]:
        """The names of the ears, under which their letters are kept."""
        return tuple(ear.name for ear in self.ears)

    @property
    def silent(self) -> bool:
        """Whether there is nobody to speak with."""
        return self.forge is None and not self.ears

    def line(self, name: str) -> Line:
        """How *name* was last found."""
        return self.lines.setdefault(name, Line())

    @contextmanager
    def speaking(self, name: str, monotonic: Callable[[], float], say: Callable[[str], None]) -> Iterator[bool]:
        """Speak with *name*; False where it is left alone for now. Trouble is told when it begins and when it ends.

        Nobody's absence is an error of the cycle: hosts are converged and git is written whoever listens.
        """
        line = self.line(name)
        if monotonic() < line.not_before:
            yield False
            return
        before = line.trouble
        try:
            yield True
        except Corrupt:
            raise  # that is the clone's own trouble, and it is made again
        except (ForgeError, GitError) as error:
            line.failed(error, monotonic())
            if not before:
                say(f"{name} cannot be spoken with, what is to be said is kept: {line.trouble}")
            return
        line.worked()
        if before:
            say(f"{name} can be spoken with again")
