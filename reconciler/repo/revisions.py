"""Reading a local clone: the files of a revision, and where each line of them came from.

Part of ``repo.Repository``. It reads objects that are already here, with as many processes for ten thousand
files as for one, and never touches the network, a work tree or a ref.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

from reconciler.errors import Corrupt, GitError, Gone
from reconciler.model import Commit, Mistake, Place, Tree
from reconciler.repo.plumbing import Plumbing, plain, words
from reconciler.repo.remote import full_ref

FILE_LIMIT = 1024 * 1024
TREE_LIMIT = 64 * 1024 * 1024
FILES_LIMIT = 20_000
MERGE_LIMIT = 60.0
"""Seconds for one merge; a stranger may have made both the history and the files slow to compare."""
LISTING_LIMIT = FILES_LIMIT * 512
"""Bytes of one listing: trees that contain themselves many times (git bombs) never end by themselves."""

_LOG_FORMAT = "--format=%H%x00%s%x00%an%x00%aI%x00%b"
_PULL_REQUESTS = (
    (re.compile(r"\((?:pull request )?#(\d+)\)"), "#"),
    (re.compile(r"Merge(?:d)? (?:pull request #|PR )(\d+)"), "#"),
    (re.compile(r"See merge request \S*!(\d+)"), "!"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of ``git ls-tree -l``: *size* is in bytes, 0 for what is no file."""

    mode: str
    sha: str
    size: int
    name: str


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge would give: the name of its tree, and the files on which both sides differ, if it has conflicts."""

    tree: str
    conflicts: tuple[str, ...] = ()


class Revisions(Plumbing):
    """What can be asked of commits that are here. Shas are whole hexadecimal names or full ref names."""

    def tree(self, sha: str, path: str = "") -> tuple[Tree, list[Mistake]]:
        """All files below *path*, relative names to bytes, and a mistake for each entry that is not used.

        A missing *path* or a tree over its limits gives no files and one mistake.
        """
        where = f"{_object(sha)}:{_folder(path)}"
        if not self._is_tree(where):
            return {}, [_mistake(_folder(path) or ".", f"the revision has no folder {_folder(path)!r}")]
        answer = self.run("ls-tree", "-r", "-z", "-l", "--full-tree", where, cap=LISTING_LIMIT, allowed=(0, -15, -9))
        entries = [] if answer.cut else list(_entries(answer.out))
        files, mistakes = _sorted_out(entries)
        too_much = _over_limits(files, cut=answer.cut)
        if too_much:
            return {}, [_mistake(_folder(path) or ".", too_much)]
        return self._contents(files), mistakes

    def tree_id(self, sha: str, path: str = "") -> str:
        """The id of the folder *path*: equal ids mean equal files; raises Gone where there is none."""
        answer = self.run("rev-parse", "--quiet", "--verify", f"{_object(sha)}:{_folder(path)}", allowed=(0, 1, 128))
        if answer.code:
            raise Gone(f"{sha[:7]} has no folder {_folder(path)!r}.")
        return answer.text

    def file(self, sha: str, path: str) -> bytes | None:
        """The content of the file *path*, None where it is not there."""
        found = self.run("cat-file", "--batch", feed=f"{_object(sha)}:{_folder(path)}\n".encode()).out
        header, _, rest = found.partition(b"\n")
        kind = header.split(b" ")
        return rest[: int(kind[2])] if len(kind) == 3 and kind[1] == b"blob" else None

    def merge(self, base: str, head: str) -> Merge:
        """What merging *head* into *base* would give, without any ref or file of ours moving."""
        options = ("--write-tree", "--name-only", "-z", "--no-messages", "--allow-unrelated-histories")
        answer = self.ask(
            "merge-tree", *options, _object(base), _object(head), seconds=MERGE_LIMIT, largest=FILE_LIMIT * 64
        )
        if answer.late or answer.code not in (0, 1):
            why = "it takes too much memory" if "Out of memory" in answer.err else words(answer.err)
            raise GitError(f"{head[:7]} cannot be merged into {base[:7]}: {why or 'git took too long'}")
        tree, *names = [name.decode("utf-8", "replace") for name in answer.out.split(b"\0") if name]
        return Merge(tree, tuple(dict.fromkeys(map(plain, names))) if answer.code else ())

    def has(self, sha: str) -> bool:
        """Whether the commit is here."""
        return self.run("cat-file", "-e", f"{_object(sha)}^{{commit}}", allowed=(0, 1, 128)).code == 0

    def descends(self, new: str, old: str) -> bool:
        """Whether *new* is *old* or comes after it; False where *old* is not here at all."""
        answer = self.run("merge-base", "--is-ancestor", _object(old), _object(new), allowed=(0, 1, 128))
        if answer.code == 128 and self.has(old):
            raise GitError(f"{new[:7]} cannot be compared with {old[:7]}: {words(answer.err)}")
        return answer.code == 0

    def commit(self, sha: str) -> Commit:
        """What is cited of one commit; raises GitError where it is not here."""
        return self._log("-1", _object(sha))[0]

    def between(self, old: str | None, new: str, limit: int = 50) -> list[Commit]:
        """The commits after *old* up to *new*, newest first, at most *limit*."""
        return self._log(f"-{limit}", f"{_object(old)}..{_object(new)}" if old else _object(new))

    def last_change(self, sha: str, file: str) -> Commit | None:
        """The last commit up to *sha* that touched *file*, a path from the root of the repository."""
        found = self._log("-1", _object(sha), "--", file)
        return self._with_merge(found[0], sha) if found else None

    def blame(self, sha: str, file: str, lines: Collection[int]) -> dict[int, Commit]:
        """The commit that wrote each of the *lines* (from 1) of *file*; lines that it does not have are left out."""
        wanted = {line for line in lines if line > 0}
        if not wanted:
            return {}
        ranges = [f"-L{first},{last}" for first, last in _ranges(wanted)]
        answer = self.run("blame", "--porcelain", *ranges, _object(sha), "--", file, allowed=(0, 128))
        if answer.code and "lines" in answer.err:  # one of them lies behind the end of the file
            answer = self.run("blame", "--porcelain", _object(sha), "--", file, allowed=(0, 128))
        if answer.code:
            return {}
        found = {line: commit for line, commit in _blamed(answer.out) if line in wanted}
        return self._with_merges(sha, found)

    def _with_merges(self, sha: str, found: dict[int, Commit]) -> dict[int, Commit]:
        """*found*, with the pull request that merged a commit where the commit itself does not name one."""
        cited = {commit.sha: self._with_merge(commit, sha) for commit in set(found.values())}
        return {line: cited[commit.sha] for line, commit in found.items()}

    def _with_merge(self, commit: Commit, head: str) -> Commit:
        """*commit* with the pull request whose merge brought it to *head*, if it came by a merge that names one."""
        if commit.pull_request:
            return commit
        out = self.run("log", "--ancestry-path", "--format=%H %P", f"{commit.sha}..{_object(head)}").text
        parents = {sha: others for sha, *others in map(str.split, out.splitlines())}
        at, merge = next(iter(parents), commit.sha), ""
        while at in parents:  # down the mainline, to the oldest commit of it that has this one in its past
            at, merge = parents[at][0], at
        brought = merge and at != commit.sha
        return replace(commit, pull_request=self.commit(merge).pull_request) if brought else commit

    def _log(self, *args: str) -> list[Commit]:
        out = self.run("log", "-z", "--no-show-signature", "--no-color", _LOG_FORMAT, *args).out
        fields = out.decode("utf-8", "replace").split("\0")
        return [_commit(*fields[at : at + 5]) for at in range(0, len(fields) - 4, 5)]

    def _is_tree(self, where: str) -> bool:
        return self.run("cat-file", "-t", where, allowed=(0, 128)).text == "tree"

    def _contents(self, files: list[Entry]) -> dict[str, bytes]:
        if not files:
            return {}
        out = self.run("cat-file", "--batch", feed="".join(f"{entry.sha}\n" for entry in files).encode()).out
        found, at = {}, 0
        for entry in files:
            header = f"{entry.sha} blob {entry.size}\n".encode()
            if not out.startswith(header, at):
                self.mark_damaged()
                raise Corrupt(f"The local clone is damaged: it lost {entry.sha}.")
            at += len(header)
            found[entry.name] = out[at : at + entry.size]
            at += entry.size + 1
        return found


def _object(sha: str) -> str:
    """*sha* if it is a whole object name or a full ref name; anything else could be an option to git."""
    if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", sha):
        return sha
    if sha.startswith("refs/"):
        return full_ref(sha)
    raise GitError(f"{sha!r} is not the whole name of a commit.")


def _folder(path: str) -> str:
    """*path* below the root of the repository, without dots and outer slashes; raises GitError where it leads out."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or not plain(path) == path:
        raise GitError(f"{path!r} is not a path inside the repository.")
    return "/".join(parts)


def _mistake(name: str, message: str) -> Mistake:
    return Mistake(Place(name, 1, 1), message)


def _entries(listing: bytes) -> Iterator[Entry]:
    for line in listing.split(b"\0"):
        meta, separator, name = line.partition(b"\t")
        if separator:
            mode, _, sha, size = meta.decode().split()
            yield Entry(mode, sha, int(size) if size.isdigit() else 0, name.decode("utf-8", "surrogateescape"))


def _sorted_out(entries: Iterable[Entry]) -> tuple[list[Entry], list[Mistake]]:
    """The entries that are used, and a mistake for each that is not."""
    files, mistakes = [], []
    for entry in entries:
        fault = _fault(entry)
        if fault:
            shown = plain(entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
            mistakes.append(_mistake(shown, fault))
        else:
            files.append(entry)
    return files, mistakes


def _fault(entry: Entry) -> str:
    if entry.mode == "120000":
        return "this is a symbolic link; links are not followed, write the file itself"
    if entry.mode == "160000":
        return "this is a submodule; other repositories are not read"
    if plain(entry.name) != entry.name:
        return "the name has control characters or is not UTF-8"
    if ".." in entry.name.split("/"):
        return "the name leads out of the folder"
    if entry.size > FILE_LIMIT:
        return f"the file has {entry.size} bytes, more than the {FILE_LIMIT} that are read"
    return ""


def _over_limits(files: list[Entry], *, cut: bool) -> str:
    if cut or len(files) > FILES_LIMIT:
        return f"the folder has more than {FILES_LIMIT} files"
    total = sum(entry.size for entry in files)
    return f"the folder has {total} bytes, more than the {TREE_LIMIT} that are read" if total > TREE_LIMIT else ""


def _ranges(lines: Iterable[int]) -> list[tuple[int, int]]:
    """*lines* as runs of neighbours."""
    runs: list[tuple[int, int]] = []
    for line in sorted(lines):
        if runs and line == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], line)
        else:
            runs.append((line, line))
    return runs


def _blamed(out: bytes) -> Iterator[tuple[int, Commit]]:
    """Line number and commit of each line of ``git blame --porcelain``."""
    commits: dict[str, Commit] = {}
    about: dict[str, str] = {}
    sha, number = "", 0
    for line in out.decode("utf-8", "replace").split("\n"):
        if line.startswith("\t"):
            commits.setdefault(sha, _from_blame(sha, about))
            about = {}
            yield number, commits[sha]
        elif header := re.match(r"([0-9a-f]{40,64}) \d+ (\d+)", line):
            sha, number = header[1], int(header[2])
        else:
            key, _, value = line.partition(" ")
            about[key] = value


def _from_blame(sha: str, about: dict[str, str]) -> Commit:
    zone = about.get("author-tz", "+0000")
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) * (-1 if zone[0] == "-" else 1)
    when = datetime.fromtimestamp(int(about.get("author-time", "0")), timezone(offset) if offset else UTC)
    subject = plain(about.get("summary", ""))
    return Commit(sha, subject, plain(about.get("author", "")), when, _pull_request(subject))


def _commit(sha: str, subject: str, author: str, when: str, body: str) -> Commit:
    return Commit(sha, plain(subject), plain(author), datetime.fromisoformat(when), _pull_request(f"{subject}\n{body}"))


def _pull_request(message: str) -> str | None:
    """``#118`` or ``!12``, where the message says which pull or merge request it closed."""
    for pattern, sigil in _PULL_REQUESTS:
        found = pattern.search(message)
        if found:
            return sigil + found[1]
    return None
