"""Writing commits with git's plumbing: no work tree, no index, and few processes for many commits.

Part of ``repo.Repository``. One ``fast-import`` makes all the files and folders of a batch, then one
``commit-tree`` each makes the (signed) commits. No ref moves here: a batch that is cut short leaves nothing
but objects that nobody names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.errors import GitError
from reconciler.repo.plumbing import NO_COMMIT, Plumbing, plain

_SCRATCH = b"refs/reconciler/scratch"


@dataclass(frozen=True, slots=True)
class Draft:
    """One commit to be: ``files`` maps paths to content, None removes one; ``at`` is author's and committer's date."""

    message: str
    at: datetime
    files: Mapping[str, bytes | None] = field(default_factory=dict)


class Drafts(Plumbing):
    """Makes commits out of drafts."""

    signs = False
    """Whether commits are signed with the configured key."""

    def write(self, parent: str | None, drafts: Sequence[Draft]) -> list[str]:
        """Commit *drafts* one upon the other on *parent* (None: a new history) and return their names in order."""
        made: list[str] = []
        for tree, draft in zip(self._trees(parent, drafts), drafts, strict=True):
            parent = self._commit(tree, parent, draft)
            made.append(parent)
        return made

    def _trees(self, parent: str | None, drafts: Sequence[Draft]) -> list[str]:
        """The tree of each draft, written by one process."""
        if not drafts:
            return []
        answer = self.run("fast-import", "--quiet", "--done", "--date-format=raw", feed=_stream(parent, drafts))
        return [line.split()[2] for line in answer.text.splitlines()]

    def _commit(self, tree: str, parent: str | None, draft: Draft) -> str:
        parents = ["-p", parent] if parent else []
        sign = ["-S"] if self.signs else ["--no-gpg-sign"]
        when = f"@{int(draft.at.timestamp())} {draft.at.strftime('%z') or '+0000'}"
        env = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        return self.run("commit-tree", tree, *parents, *sign, "-F", "-", feed=_message(draft.message), env=env).text


def _stream(parent: str | None, drafts: Sequence[Draft]) -> bytes:
    """What fast-import reads: a throw-away commit for each draft, of which only the tree is asked for."""
    parts: list[bytes] = []
    for mark, draft in enumerate(drafts, start=1):
        parts.append(b"commit %b\nmark :%d\ncommitter r <r> 0 +0000\ndata 0\n\n" % (_SCRATCH, mark))
        if mark == 1 and parent:
            parts.append(b"from %b\n" % parent.encode())
        parts.extend(_file(path, content) for path, content in draft.files.items())
        parts.append(b'\nls :%d ""\n' % mark)
    parts.append(b"reset %b\nfrom %b\n\ndone\n" % (_SCRATCH, NO_COMMIT.encode()))
    return b"".join(parts)


def _file(path: str, content: bytes | None) -> bytes:
    name = _path(path)
    if content is None:
        return b"D %b\n" % name
    return b"M 100644 inline %b\ndata %d\n%b\n" % (name, len(content), content)


def _path(path: str) -> bytes:
    """*path* for fast-import; raises GitError for one that git or a clone of it would read otherwise."""
    parts = path.split("/")
    odd = plain(path) != path or path.startswith('"') or "\\" in path
    if odd or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise GitError(f"{path!r} is not a path that is written to git.")
    return path.encode()


def _message(text: str) -> bytes:
    return text.replace("\0", "").rstrip("\n").encode("utf-8", "replace") + b"\n"
