"""The audit branch: the append-only record in git, and its way to the remote.

Owns ``audit/<shard>`` in the local clone. Called by the shell, which keeps every event until ``publish`` has said
that the remote has it. It never rewrites what was published, and never touches the human branch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import GitError, Gone, Rewritten
from reconciler.model import Event, Tree
from reconciler.repo import Draft, Repository, full_ref, plain

ATTEMPTS = 3
"""Pushes for one publish; whoever loses that often tries again in the next cycle."""

_IDS = "--format=%(trailers:key=Event-Id,valueonly,separator=%x2C)"
_SEQ = "--format=%(trailers:key=Seq,valueonly,separator=%x2C)"
_STORY = "%H%x00%cI%x00{signature}%x00%s%x00%b%x00%(trailers:only,unfold)"
_OWN = ("Event-Id", "Seq")


@dataclass(frozen=True, slots=True)
class Entry:
    """One audit commit. ``signature`` is git's letter: G good, N none, U unknown signer, B bad; empty if not asked."""

    sha: str
    at: datetime
    subject: str
    body: str
    trailers: tuple[tuple[str, str], ...]
    signature: str = ""

    def all(self, name: str) -> list[str]:
        """Every value of the trailer *name*."""
        return [value for key, value in self.trailers if key == name]


class AuditBranch:
    """The record of one shard. ``restored`` counts how often the deleted remote branch was put back whole."""

    def __init__(self, repository: Repository, shard: str) -> None:
        self._repository = repository
        self.branch = f"audit/{shard}"
        self._local = full_ref(self.branch)
        self._remote = f"refs/remotes/origin/{self.branch}"
        self._arrived = f"refs/reconciler/arrived-{self.branch}"
        self._known: tuple[str, set[str]] | None = None
        self.restored = 0

    @property
    def tip(self) -> str | None:
        """The last commit of the local branch."""
        return self._repository.ref(self._local)

    @property
    def published(self) -> str | None:
        """The last commit that the remote is known to have."""
        return self._repository.ref(self._remote)

    def append(self, events: Sequence[Event]) -> str | None:
        """Commit each of *events* that is not there yet, in order, and return the new tip; all of them or none."""
        tip = self.tip
        new = self._extend(tip, events)
        if new and new != tip:
            self._repository.point(self._local, new, tip)
            self._known = (new, self._ids(tip) | {event.id for event in events})
        return new

    def publish(self, events: Sequence[Event]) -> bool:
        """Bring *events*, all that are not delivered, to the remote; False where others kept being faster.

        Raises Unreachable, Rewritten, or GitError if the server refuses.
        """
        self.append(events)
        for _ in range(ATTEMPTS):
            tip, published = self._climb(events)
            if tip == published:
                return True
            if self._repository.push(self._local, self.branch, published):
                self._repository.point(self._remote, tip, published)
                return True
            self._fetch()
        return False

    def refresh(self, published: str | None = None) -> None:
        """Take over what the remote has, if it has an audit branch; *published* is a tip it is remembered to contain.

        Raises Rewritten where the remote lost what it had.
        """
        remote = self._fetch(published)
        tip = self.tip
        if remote and remote != tip and (tip is None or self._repository.descends(remote, tip)):
            self._repository.point(self._local, remote, tip)

    def file(self, path: str) -> bytes | None:
        """One file at the local tip, None where it is not there."""
        tip = self.tip
        return self._repository.file(tip, path) if tip else None

    def record(self, host: str) -> bytes | None:
        """``hosts/<host>.yml`` at the local tip."""
        return self.file(f"hosts/{host}.yml")

    def records(self) -> Tree:
        """Every host's record at the local tip, by host name."""
        tip = self.tip
        if tip is None or not self._has_hosts(tip):
            return {}
        found, mistakes = self._repository.tree(tip, "hosts")
        if mistakes:
            raise GitError(f"The audit branch cannot be read: {mistakes[0]}")
        return {name.removesuffix(".yml"): content for name, content in found.items() if name.endswith(".yml")}

    def accepted(self) -> str | None:
        """The revision accepted last, as ``revision.yml`` says."""
        found = re.search(rb"^accepted: ['\"]?([0-9a-f]{40,64})['\"]?$", self.file("revision.yml") or b"", re.MULTILINE)
        return found[1].decode() if found else None

    def history(self, path: str = "", limit: int = 50) -> list[Entry]:
        """The last commits that touched *path*, newest first."""
        tip = self.tip
        if tip is None:
            return []
        signature = "%G?" if self._repository.signer.allowed else ""
        story = "--format=" + _STORY.format(signature=signature)
        only = ["--", path] if path else []
        out = self._repository.run("log", "-z", "--no-show-signature", story, f"-{limit}", tip, *only).out
        fields = out.decode("utf-8", "replace").split("\0")
        return [_entry(fields[at : at + 6]) for at in range(0, len(fields) - 5, 6)]

    def _extend(self, base: str | None, events: Sequence[Event]) -> str | None:
        """The tip of *base* with the events that it lacks; no ref moves."""
        known = set(self._ids(base))
        fresh: list[Event] = []
        for event in events:
            if event.id not in known:
                known.add(event.id)
                fresh.append(event)
        if not fresh:
            return base
        first = self._seq(base) + 1
        drafts = [Draft(message_of(event, first + number), event.at, event.files) for number, event in enumerate(fresh)]
        return self._repository.write(base, drafts)[-1]

    def _climb(self, events: Sequence[Event]) -> tuple[str | None, str | None]:
        """Put our unpublished commits on what others published, if they are not; the local tip and the published."""
        tip, published = self._repository.refs(self._local, self._remote)
        if published is None or tip == published or (tip and self._repository.descends(tip, published)):
            return tip, published
        lost = self._unpublished(published, tip) - {event.id for event in events}
        if lost:
            raise GitError(f"{self.branch} has commits that were never published and are in no outbox: {min(lost)}")
        new = self._extend(published, events)
        self._known = None  # the dropped commits carried ids that are in the branch no more
        self._repository.point(self._local, new, tip)
        return new, published

    def _fetch(self, remembered: str | None = None) -> str | None:
        """The remote's tip, once it is known to contain all that it had before; None where it has no such branch.

        A branch that was deleted is forgotten, so that the next push puts it back: our chain is the whole
        record, nothing of anybody else's can be overwritten by creating it.
        """
        published = self.published
        try:
            remote = self._repository.fetch(self.branch, self._arrived)
        except Gone:
            if published:
                self._repository.point(self._remote, None, published)
                self.restored += 1
            return None
        for old in {published, remembered} - {None, remote}:
            if old and not self._repository.descends(remote, old):
                raise Rewritten(
                    f"{self.branch} was rewritten: {remote[:7]} lacks {old[:7]}, which was published before.",
                    hint=f"put it back with: git push --force origin {old}:refs/heads/{self.branch}",
                )
        if remote != published:
            self._repository.point(self._remote, remote, published)
        return remote

    def _ids(self, tip: str | None) -> set[str]:
        """The events in the history of *tip*; read once, then only what is new."""
        if tip is None:
            return set()
        if self._known and tip == self._known[0]:
            return self._known[1]
        if self._known is None or not self._repository.descends(tip, self._known[0]):
            self._known = (tip, self._listed(tip))
        else:
            self._known = (tip, self._known[1] | self._listed(tip, "--not", self._known[0]))
        return self._known[1]

    def _unpublished(self, remote: str, tip: str | None) -> set[str]:
        """The events that *tip* has and *remote* lacks."""
        return self._listed(tip, "--not", remote) - self._listed(remote, "--not", tip) if tip else set()

    def _listed(self, *span: str) -> set[str]:
        return set(self._repository.run("log", _IDS, *span).text.split())

    def _seq(self, tip: str | None) -> int:
        """The number of the last event up to *tip*, 0 before the first."""
        if tip is None:
            return 0
        found = self._repository.run("log", "-1", "--extended-regexp", "--grep=^Seq: [0-9]+$", _SEQ, tip).text
        return int(found) if found.isdigit() else 0

    def _has_hosts(self, tip: str) -> bool:
        try:
            return bool(self._repository.tree_id(tip, "hosts"))
        except Gone:
            return False


def message_of(event: Event, seq: int) -> str:
    """The commit message of *event*: its words, then trailers that nothing in the words can hide or add to."""
    rest = [(key, value) for key, value in event.trailers if key not in _OWN]
    trailers = [("Event-Id", event.id), ("Seq", str(seq)), *rest]
    lines = "\n".join(f"{key}: {_one_line(value)}" for key, value in trailers)
    return f"{_body(event.message)}\n\n{lines}\n"


def _body(text: str) -> str:
    """*text* without control characters; a space goes before what git takes for a comment, scissors or divider."""
    lines = [plain(line, keep="\t").rstrip() for line in text.strip().splitlines()]
    return "\n".join(f" {line}" if line.startswith(("#", "---")) else line for line in lines) or "(nothing said)"


def _one_line(value: str) -> str:
    return plain(re.sub(r"\s+", " ", value)).strip() or "-"


def _entry(fields: list[str]) -> Entry:
    sha, when, signature, subject, body, block = fields
    pairs = [line.partition(": ") for line in block.splitlines() if ": " in line]
    text = body.rstrip().removesuffix(block.rstrip()).strip("\n")
    trailers = tuple((key, value) for key, _, value in pairs)
    return Entry(sha, datetime.fromisoformat(when), subject, text, trailers, signature)
