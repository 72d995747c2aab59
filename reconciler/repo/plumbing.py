"""What git is asked, what it answers, and what its complaints mean.

Owns the shape of one answer and the reading of git's stderr. ``repo`` runs git; ``revisions`` and
``drafts`` say what to ask. It never starts a process.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.errors import Corrupt, GitError, Gone, ReconcilerError, StateError, Unreachable

OUTPUT_LIMIT = 96 * 1024 * 1024
"""Bytes of stdout taken from one git: above any legitimate answer, below what would hurt the daemon."""

NO_COMMIT = "0" * 40
"""What git writes for "no such ref yet"."""

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, direction marks, lone surrogates, odd line ends

_LOCAL_DAMAGE = re.compile(
    r"is corrupt|corrupt (loose|packed) |bad object|[Mm]issing (blob|tree|commit|tag|object)|missing newline"
    r"|unable to (read|unpack) |inflate|file .*(is far too short|truncated)|bad (index|signature|tree|ref)"
    r"|hash mismatch|does not match index|non-monotonic|not a git repository|bad config|invalid sha1 pointer|broken ref"
    r"|garbage|is empty|Could not read [0-9a-f]{40}|revision walk setup failed|unexpected (line|object) in"
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system")
_NO_BRANCH = re.compile(r"couldn't find remote ref|Remote branch .* not found")
_BAD_OBJECTS = re.compile(r"fsck error|fsckObjects|fatal: fsck|index-pack.*(bad|invalid) object type")
_CAUSES = (
    (re.compile(r"host key is known|Host key verification failed|IDENTIFICATION HAS CHANGED"),
     "its host key is not the one in known_hosts",
     "compare the key with the server's own, then write it to known_hosts; it is never accepted unseen"),
    (re.compile(r"Permission denied \(|Authentication failed|could not read (Username|Password)|returned error: 40[13]"
                r"|Too many auth|Invalid (username|credentials)|terminal prompts disabled|Load key"),
     "it refused this daemon's credentials", "check the SSH key or the token, and that they may read the repository"),
    (re.compile(r"returned error: 30\d|redirect"), "it redirects elsewhere, which is not followed",
     "write the final address in the configuration"),
    (re.compile(r"does not appear to be a git repository|not found|returned error: 404|does not exist|No such file"),
     "there is no such repository, or these credentials may not see it", "check repository.url"),
    (re.compile(r"dubious ownership|unsafe repository"), "git refuses it because another user owns it",
     "let the daemon run as the owner of that folder"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What one git process said. ``late`` means it was ended for taking too long, ``cut`` for saying too much."""

    code: int
    out: bytes
    err: str
    late: bool = False
    cut: bool = False

    @property
    def text(self) -> str:
        """Stdout as text without the last line end."""
        return self.out.decode("utf-8", "replace").rstrip("\n")


class Plumbing(ABC):
    """The promise to run git on one repository; ``repo.Repository`` keeps it."""

    @abstractmethod
    def ask(
        self,
        *args: str,
        seconds: float | None = None,
        env: Mapping[str, str] | None = None,
        largest: int | None = None,
    ) -> Answer:
        """Run ``git ARGS`` for at most *seconds* and return what it said, whatever it was.

        With *largest*, for what a stranger made: it writes no file of more bytes, and takes only so much memory.
        """

    @abstractmethod
    def is_sound(self) -> bool:
        """Whether the local clone can be trusted; remembers it if not."""

    @abstractmethod
    def mark_damaged(self) -> None:
        """Remember that the local clone cannot be trusted."""

    @abstractmethod
    def run(
        self,
        *args: str,
        feed: bytes | None = None,
        env: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = (0,),
        cap: int = OUTPUT_LIMIT,
    ) -> Answer:
        """Run ``git ARGS`` with *feed* as stdin; raises GitError or Corrupt for an exit code not *allowed*."""


def plain(text: str, keep: str = "") -> str:
    """*text* without control, direction and line-separating characters, except those in *keep*."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char for char in text if char in keep or unicodedata.category(char) not in _HIDDEN)


def words(err: str) -> str:
    """The telling lines of git's stderr as one line: its ``fatal:``, ``error:`` and ``remote:`` lines, else all."""
    lines = [plain(line).strip() for line in err.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "ssh:", "Host key"))]
    return "; ".join((telling or lines)[:4])[:500]


def local_failure(answer: Answer, what: str) -> ReconcilerError:
    """The error for a git that failed on the local clone while doing *what*."""
    if answer.late:
        return GitError(f"git took too long to {what}.")
    if answer.cut:
        return GitError(f"git answered far more than expected when asked to {what}.")
    if _FULL.search(answer.err):
        return StateError("The state directory cannot be written.", hint=words(answer.err))
    if "Permission denied" in answer.err:
        return StateError("The local clone cannot be read or written by this user.", hint=words(answer.err))
    if _LOCAL_DAMAGE.search(answer.err):
        return Corrupt(f"The local clone is damaged: {words(answer.err)}", hint="it is made again on the next start")
    return GitError(f"git could not {what}: {words(answer.err) or f'exit code {answer.code}'}")


def remote_failure(answer: Answer, shown: str, seconds: float) -> ReconcilerError:
    """The error for a git that failed on the repository *shown*, saying whether network, credentials or host key."""
    if answer.late:
        return Unreachable(f"{shown} gave no whole answer within {seconds:g} s.")
    # This one first: git quotes what whoever made the objects wrote, and that may read like any other failure.
    if _BAD_OBJECTS.search(answer.err):
        return GitError(f"{shown} sent objects that git refuses: {words(answer.err)}", hint="run git fsck there")
    if _FULL.search(answer.err) and "remote:" not in answer.err:
        return StateError("The state directory cannot be written.", hint=words(answer.err))
    if _NO_BRANCH.search(answer.err):
        return Gone(f"{shown} does not have the branch.")
    for pattern, cause, hint in _CAUSES:
        if pattern.search(answer.err):
            return Unreachable(f"{shown} cannot be used: {cause}.", hint=f"{hint} ({words(answer.err)})")
    return Unreachable(f"{shown} cannot be reached: {words(answer.err) or f'git ended with {answer.code}'}")
