"""Speaking with the remote: where its branch is, what it sends, and what it takes.

Part of ``repo.Repository``. Every call ends within ``Remote.patience`` seconds, and every failure says whether
the network, the credentials, the host key or the server's rules were the reason.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from reconciler.errors import Corrupt, GitError, Gone, Unreachable
from reconciler.repo.plumbing import Answer, local_failure, plain, remote_failure, words
from reconciler.repo.remote import Remote, full_ref
from reconciler.repo.revisions import Revisions

_ARRIVED = "refs/reconciler/arrived"
_FETCH = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance")
OWN_BRANCHES = "refs/heads/reconciler/"
"""Where the daemon proposes things: branches that it makes, replaces and removes, and nobody has to protect."""
_ELSEWHERE = (
    "stale info",
    "fetch first",
    "cannot lock",
    "failed to update ref",
    "incorrect old value",
    "failed to lock",
)
"""How git says that somebody else moved the ref first, on this side or on the server's."""


_TOO_LARGE = ("died of signal 25", "invalid index-pack output", "Out of memory", "out of memory")
"""How git says that it met the limit on the size of files, or on memory for what unfolds there."""
PULL_LIMIT = 60.0
"""Seconds for fetching one pull request: a stranger may have made it slow to unpack."""


class Declined(GitError):
    """The server took no push: a hook, a protection, a right that is missing. Its words are in the message."""


class Exchange(Revisions):
    """What can be asked of the remote."""

    remote: Remote

    @abstractmethod
    def tidy(self) -> None:
        """Pack what has piled up, if it is much."""

    @abstractmethod
    def ref(self, name: str) -> str | None:
        """The commit a local ref is at, None where there is no such ref."""

    def tip(self, branch: str) -> str:
        """The commit that *branch*, or a ref given whole, is at in the remote now; raises Unreachable or Gone."""
        name = full_ref(branch)
        answer = self._call("ls-remote", "--refs", "origin", name)
        for line in answer.text.splitlines():
            sha, _, found = line.partition("\t")
            if found == name:
                return sha
        raise self._gone(branch)

    def fetch(self, branch: str, ref: str, largest: int | None = None) -> str:
        """Fetch *branch* into the local *ref* and return its commit, once everything it needs is known to be here.

        Where *largest* is given, a stranger chose what is there: more bytes than that are not taken. Raises
        Unreachable (also for half an answer), Gone, or GitError for objects that git refuses.
        """
        target = full_ref(ref)
        try:
            self._call("fetch", *_FETCH, "origin", f"+{full_ref(branch)}:{_ARRIVED}", largest=largest)
        except Gone:
            raise self._gone(branch) from None
        sha = self._whole(_ARRIVED)
        self.run("update-ref", "--stdin", feed=f"update {target} {sha}\ndelete {_ARRIVED}\n".encode())
        self.tidy()
        return sha

    def push(self, ref: str, remote_branch: str, expected: str | None) -> bool:
        """Move *remote_branch* from *expected* (None: not there) to the local *ref*; False if it was elsewhere.

        Branches only ever move forward. Raises Unreachable, or Declined with the server's words if it refused.
        """
        target = full_ref(remote_branch)
        if expected and target.startswith("refs/heads/") and not self.descends(ref, expected):
            raise GitError(f"{remote_branch} would lose commits, so it is not pushed.")
        pushed = self._push(f"{full_ref(ref)}:{target}", target, expected)
        if pushed:
            self.tidy()
        return pushed

    def replace(self, ref: str, remote_branch: str, expected: str | None) -> bool:
        """Put the local *ref* in the place of *remote_branch*, a branch that is ours alone, if it is at *expected*.

        False if it was elsewhere: somebody else works there. Raises Unreachable, or Declined.
        """
        target = full_ref(remote_branch)
        if not target.startswith(OWN_BRANCHES):
            raise GitError(f"{remote_branch} is not ours to replace.")
        return self._push(f"{full_ref(ref)}:{target}", target, expected)  # the lease alone lets history go

    def delete(self, remote_ref: str, expected: str) -> bool:
        """Delete *remote_ref* in the remote if it is still at *expected*; False if it was elsewhere."""
        target = full_ref(remote_ref)
        return self._push(f":{target}", target, expected)

    def _push(self, spec: str, target: str, expected: str | None) -> bool:
        lease = f"--force-with-lease={target}:{expected or ''}"
        answer = self.ask("push", "--porcelain", "--no-verify", lease, "origin", spec, seconds=self.remote.patience)
        refused = next((line for line in answer.text.splitlines() if line.startswith("!\t")), "")
        if answer.code == 0 and not refused:
            return True
        if any(sign in refused for sign in _ELSEWHERE):
            return False
        if refused:
            raise Declined(f"{self.remote.shown} refused the push to {target}: {_reason(refused, answer)}")
        raise self._failure(answer)

    def _call(self, *args: str, env: Mapping[str, str] | None = None, largest: int | None = None) -> Answer:
        seconds = min(self.remote.patience, PULL_LIMIT) if largest else self.remote.patience
        answer = self.ask(*args, seconds=seconds, env=env, largest=largest)
        if largest and (answer.late or any(sign in answer.err for sign in _TOO_LARGE)):
            self.run("prune", "--expire=now")  # what came of it, or else each try would leave that much
            if answer.late:
                raise GitError(f"it could not be fetched within {seconds:g} seconds.")
            raise GitError(f"it has more than the {largest >> 20} MiB that are fetched of a pull request.")
        if answer.code or answer.late:
            raise self._failure(answer)
        return answer

    def _failure(self, answer: Answer) -> Exception:
        """The remote's failure, unless it is the local clone that is damaged."""
        ours = local_failure(answer, "speak with the remote")
        if isinstance(ours, Corrupt) and not self.is_sound():
            return ours
        return remote_failure(answer, self.remote.shown, self.remote.patience)

    def _gone(self, branch: str) -> GitError:
        """Why *branch* was not found: it is not there, there is nothing at all, or no git server has spoken."""
        answer = self._call("ls-remote", "--heads", "--refs", "origin", env={"GIT_TRACE_PACKET": "1"})
        if "packet:" not in answer.err:  # git takes any web page for a repository without branches
            return Unreachable(f"{self.remote.shown} answered, but not as a git server does.")
        names = sorted(plain(line.partition("\t")[2]).removeprefix("refs/heads/") for line in answer.text.splitlines())
        hint = f"it has: {', '.join(names[:5])}" if names else f"it is empty: push the branch {branch} first"
        return Gone(f"{self.remote.shown} has no branch {branch}.", hint=hint)

    def _whole(self, ref: str) -> str:
        """The commit at *ref*, if everything it needs is here: fetch may succeed on half a pack."""
        answer = self.ask("rev-list", "--objects", "--quiet", ref, "--not", f"--exclude={ref}", "--all")
        sha = None if answer.code else self.ref(ref)
        if sha:
            return sha
        self.run("update-ref", "-d", ref)
        if not self.is_sound():
            raise Corrupt("The local clone is damaged.", hint="it is made again on the next start")
        raise Unreachable(f"{self.remote.shown} sent only part of what it should: {words(answer.err)}")


def _reason(refused: str, answer: Answer) -> str:
    """The server's words: the status of the ref, and what its hooks wrote."""
    status = refused.split("\t")[-1]
    said = [line for line in answer.err.splitlines() if line.startswith("remote:") and line[7:].strip()]
    return f"{plain(status)} {words(chr(10).join(said))}".strip()
