"""The state repository's local clone, and the one place where git is run.

Owns ``state_dir/repo.git``, a bare repository that holds nothing which the remote and the state do not.
Called by the shell and, where it is passed in, by ``audit`` and ``lease``. It decides nothing: it says what
is there, what was reached and what was refused.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from reconciler.errors import Corrupt, GitError, StateError
from reconciler.repo.drafts import Draft, Drafts
from reconciler.repo.exchange import Declined, Exchange
from reconciler.repo.plumbing import NO_COMMIT, OUTPUT_LIMIT, Answer, local_failure, plain
from reconciler.repo.process import hear
from reconciler.repo.remote import SETTINGS, Remote, Signer, as_environment, full_ref

try:
    import git
except ImportError as error:  # GitPython looks for the git program when it is imported
    raise GitError("The git program is not installed.", hint="apt install git") from error

__all__ = ["Declined", "Draft", "Remote", "Repository", "Signer", "full_ref", "plain"]

LOCAL_LIMIT = 600.0
"""Seconds for one git on the local clone; fsck and gc of a large audit history are the slowest."""

MEMORY_LIMIT = 1024 * 1024 * 1024
"""Bytes of memory for git at work on a stranger's objects: trees that hold themselves unfold without an end."""

WHOLE_FSCK = 64 * 1024
"""KiB of objects up to which every byte is checked at start; above, only that all of them are there."""

_KEPT = ("PATH", "HOME")  # where programs are, and where ~/.ssh and ~/.netrc are

_ENVIRONMENT: Mapping[str, str] = {
    "GIT_CONFIG_NOSYSTEM": "1",  # settings of the machine or the user must not change what is read or run
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",  # the same for attributes
    "GIT_TERMINAL_PROMPT": "0",  # a daemon cannot answer
    "GIT_LITERAL_PATHSPECS": "1",  # a file named :(glob)* is a file
    "GIT_NO_REPLACE_OBJECTS": "1",  # an object is what its name says
    "GIT_OPTIONAL_LOCKS": "0",  # reading takes no locks
    "LC_ALL": "C",  # the messages are read by plumbing
    "LANGUAGE": "C",
}

_LEFT_BEHIND = (
    *("*.lock", "refs/**/*.lock", "objects/**/*.lock"),
    *("objects/**/tmp_*", "objects/pack/*.keep", "fast_import_crash_*", "gc.pid"),
)


class Repository(Exchange, Drafts):
    """One remote repository and its local bare clone at *path*. Nothing is held open between calls."""

    def __init__(self, path: Path, remote: Remote, signer: Signer) -> None:
        self.path = path
        self.remote = remote
        self.signer = signer
        self.signs = signer.key is not None
        self.stopping: Callable[[], bool] = never
        """Says that the daemon is to stop; calls to the remote are then ended soon."""
        self._held: int | None = None

    def heal(self) -> bool:
        """Make the clone usable, whatever a kill or the disk did to it; True if it was made anew.

        Only the holder of the daemon's own lock may call it. It waits for what a killed daemon left running.
        """
        with self._alone():
            if self.path.is_dir():
                self._sweep()
                if self.is_sound():
                    return False
            self._make()
            return True

    def ref(self, name: str) -> str | None:
        """The commit a local ref is at, None where there is no such ref."""
        return self.refs(name)[0]

    def refs(self, *names: str) -> list[str | None]:
        """The commits that local refs are at, in one look; None for each that is not there."""
        wanted = [full_ref(name) for name in names]
        answer = self.run("for-each-ref", "--format=%(refname) %(objectname)", *wanted)
        if "broken ref" in answer.err:  # git only warns, and a branch would seem to have no commits
            self.mark_damaged()
            raise Corrupt(
                f"The local clone is damaged: {answer.err.strip()}", hint="it is made again on the next start"
            )
        found = dict(line.split(" ") for line in answer.text.splitlines())
        return [found.get(name) for name in wanted]

    def names(self, prefix: str) -> list[str]:
        """The local refs below *prefix*."""
        return self.run("for-each-ref", "--format=%(refname)", f"{full_ref(prefix)}/").text.split()

    def point(self, name: str, new: str | None, old: str | None) -> None:
        """Move a local ref from *old* to *new* (None: not there); raises GitError if it is not at *old*."""
        if new is None:
            self.run("update-ref", "--no-deref", "-d", full_ref(name), *([old] if old else []))
        else:
            self.run("update-ref", "--no-deref", full_ref(name), new, old or NO_COMMIT)

    def tidy(self) -> None:
        """Pack what has piled up, if it is much."""
        self.run("gc", "--auto", "--quiet")

    def is_sound(self) -> bool:
        """Whether the clone opens and its objects are what their names say; remembers it on disk if not."""
        sound = not self._damaged.exists() and (self.path / "HEAD").is_file() and self._is_intact()
        if not sound:
            self.mark_damaged()
        return sound

    def _is_intact(self) -> bool:
        size = self.ask("count-objects", "-v")
        kib = sum(int(line.split()[1]) for line in size.text.splitlines() if line.startswith(("size:", "size-pack:")))
        depth = "--connectivity-only" if kib > WHOLE_FSCK else "--full"
        check = self.ask("fsck", "--no-dangling", "--no-progress", depth)
        return size.code == 0 and check.code == 0 and "error:" not in size.err + check.err

    @property
    def _damaged(self) -> Path:
        return self.path / "damaged"

    def mark_damaged(self) -> None:
        """Have the next ``heal`` make the clone anew."""
        with suppress(OSError):
            self._damaged.touch()

    def _sweep(self) -> None:
        """Remove what a killed git left behind; nothing else runs while the clone is held alone."""
        for pattern in _LEFT_BEHIND:
            for left in self.path.glob(pattern):
                _remove(left)

    def _make(self) -> None:
        """An empty clone, made aside and then put in its place."""
        aside, old = (self.path.with_name(self.path.name + suffix) for suffix in (".new", ".old"))
        _remove(aside)
        _remove(old)
        try:
            aside.mkdir(mode=0o700)
            made = self._answer(("init", "--quiet", "--bare", "--template="), at=aside)
            if made.code:
                raise local_failure(made, "make the local clone")
            if self.path.exists():
                self.path.rename(old)
            aside.rename(self.path)
        except OSError as error:
            raise StateError(f"The local clone cannot be made at {self.path}: {error.strerror}.") from error
        _remove(old)

    def run(
        self,
        *args: str,
        feed: bytes | None = None,
        env: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = (0,),
        cap: int = OUTPUT_LIMIT,
    ) -> Answer:
        """Run git on the clone; raises Corrupt or GitError for an exit code not in *allowed*."""
        answer = self._answer(args, feed=feed, env=env, cap=cap)
        damaged = isinstance(failure := local_failure(answer, f"run git {args[0]}"), Corrupt)
        if answer.late or answer.code not in allowed:
            if damaged:
                self.mark_damaged()
            raise failure
        return answer

    def ask(
        self,
        *args: str,
        seconds: float | None = None,
        env: Mapping[str, str] | None = None,
        largest: int | None = None,
    ) -> Answer:
        """Run git on the clone and return what it said, whatever it was.

        With *largest*, for what a stranger made, it writes no file above so many bytes and has ``MEMORY_LIMIT``.
        """
        return self._answer(args, seconds=seconds or LOCAL_LIMIT, env=env, largest=largest)

    def _answer(
        self,
        args: tuple[str, ...],
        *,
        seconds: float = LOCAL_LIMIT,
        feed: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cap: int = OUTPUT_LIMIT,
        at: Path | None = None,
        largest: int | None = None,
    ) -> Answer:
        variables = self._environment(at or self.path) | dict(env or {})
        # Every variable we do not set is taken away by env; GitPython would pass on all of the daemon's own.
        dropped = [f"--unset={name}" for name in os.environ if name not in _KEPT and name not in variables]
        limit = ["prlimit", f"--fsize={largest}", f"--data={MEMORY_LIMIT}"] if largest else []
        if self.remote.sockets:
            with suppress(OSError):  # ssh says what is wrong with it
                self.remote.sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._busy() as busy, tempfile.TemporaryFile() as stdin:
            stdin.write(feed or b"")
            stdin.seek(0)
            process = _start(["env", *dropped, *limit, "git", *args], variables, stdin, busy, self.path.parent)
            heard = hear(process, seconds, cap, self.stopping if seconds < LOCAL_LIMIT else never)
        err = self.remote.hide(heard.err.decode("utf-8", "replace"))
        return Answer(heard.code, heard.out, err, heard.late, heard.cut)

    def _environment(self, directory: Path) -> dict[str, str]:
        settings = {**SETTINGS, **self.remote.settings(), **self.signer.settings()}
        who = self.signer.environment() | self.remote.environment()
        return {"GIT_DIR": str(directory), **_ENVIRONMENT, **who, **as_environment(settings)}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the clone so that no other process uses it, and share the hold with our own git."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held = self._take(fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(self._held)
            self._held = None

    @contextmanager
    def _busy(self) -> Iterator[int]:
        """A file descriptor for git to inherit: what it locks stays locked until the last such git has ended."""
        if self._held is None and not self.path.is_dir():
            raise Corrupt(f"There is no local clone at {self.path}.", hint="it is made on the next start")
        handle = self._take(fcntl.LOCK_SH) if self._held is None else os.dup(self._held)
        try:
            yield handle
        finally:
            os.close(handle)

    def _take(self, kind: int) -> int:
        handle = os.open(self.path.with_name(self.path.name + ".busy"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(int(self.remote.patience * 10) + 1):
            with suppress(BlockingIOError):
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                return handle
            time.sleep(0.1)
        os.close(handle)
        raise StateError(f"Another process still works in {self.path}.", hint="wait for it or end it, then start again")


def never() -> bool:
    """Nobody asks us to stop."""
    return False


def _start(
    command: list[str], variables: Mapping[str, str], stdin: BinaryIO, busy: int, directory: Path
) -> subprocess.Popen[bytes]:
    """Start *command* at the head of a process group of its own."""
    started = git.Git(directory).execute(
        command, istream=stdin, as_process=True, env=dict(variables), start_new_session=True, pass_fds=(busy,)
    )
    process = started.proc
    started.proc = None  # ours to wait for; GitPython would end it when its wrapper is forgotten
    if process is None:
        raise GitError("git could not be started.")
    return process


def _remove(path: Path) -> None:
    """Remove a file or folder, also one whose permissions were taken away."""
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            with suppress(OSError):
                Path(folder).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
