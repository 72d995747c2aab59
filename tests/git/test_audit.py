"""The audit branch: appended to, published, raced for, cut short by kills. Graphs read from left to right."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from itertools import takewhile
from pathlib import Path

import pytest

from reconciler.audit import AuditBranch
from reconciler.errors import GitError, Rewritten, Unreachable
from reconciler.repo import Repository

from .conftest import Person, clone_of, event, sh

HEAD = "refs/heads/audit/main"


@pytest.fixture
def audit(repository: Repository) -> AuditBranch:
    return AuditBranch(repository, "main")


def log(path: Path, form: str, *args: str) -> list[str]:
    """Lines of ``git log`` of the audit branch, oldest first."""
    return sh("git", "log", "--reverse", f"--format={form}", *args, "audit/main", "--", cwd=path).splitlines()


def ids(path: Path) -> list[str]:
    return log(path, "%(trailers:key=Event-Id,valueonly,separator=%x2C)")


def seqs(path: Path) -> list[str]:
    return log(path, "%(trailers:key=Seq,valueonly,separator=%x2C)")


def straight(path: Path, count: int) -> None:
    """Exactly *count* commits in one line, numbered without a gap, no event twice."""
    assert seqs(path) == [str(number + 1) for number in range(count)]
    assert len(set(ids(path))) == count
    assert {line.count(" ") for line in log(path, "%P")} <= {0}
    assert sh("git", "rev-list", "--count", "audit/main", cwd=path) == str(count)


def test_events_become_numbered_commits(audit: AuditBranch, repository: Repository, remote: Path) -> None:
    tip = audit.append([event("E1"), event("E2", "web2", "two hosts\n\nwith words\n")])
    assert tip == audit.tip
    straight(repository.path, 2)
    assert log(repository.path, "%s") == ["converge: web1 E1", "two hosts"]
    assert log(repository.path, "%(trailers:key=Host,valueonly)")[::2] == ["web1", "web2"]
    assert audit.records() == {"web1": b"last: E1\n", "web2": b"last: E2\n"}
    assert audit.record("web1") == b"last: E1\n"
    assert audit.record("web9") is None
    body = sh("git", "log", "-1", "--format=%B", "audit/main", cwd=repository.path)
    assert body == "two hosts\n\nwith words\n\nEvent-Id: E2\nSeq: 2\nHost: web2\nOutcome: converged"
    assert audit.published is None
    assert audit.publish([])
    assert audit.published == tip == sh("git", "rev-parse", "audit/main", cwd=remote)
    assert audit.publish([event("E1")]), "an event that is there already is no event"
    assert audit.tip == tip


def test_a_record_can_be_removed(audit: AuditBranch) -> None:
    audit.append(
        [event("E1"), event("E2", **{"hosts/web1.yml": None, "revision.yml": b"accepted: " + b"a" * 40 + b"\n"})]
    )
    assert audit.records() == {}
    assert audit.accepted() == "a" * 40


def test_an_empty_branch_answers_nothing(audit: AuditBranch) -> None:
    assert (audit.tip, audit.published, audit.records(), audit.history(), audit.accepted()) == (
        None,
        None,
        {},
        [],
        None,
    )
    assert audit.append([]) is None
    assert audit.publish([])


def test_history_of_one_host(audit: AuditBranch) -> None:
    audit.append(
        [event("E1"), event("E2", "web2"), event("E3", message="drift: web1\n\n  sshd_config  yes → no\n\nmore")]
    )
    newest, oldest = audit.history("hosts/web1.yml")
    assert (newest.subject, newest.body) == ("drift: web1", "  sshd_config  yes → no\n\nmore")
    assert newest.trailers[:3] == (("Event-Id", "E3"), ("Seq", "3"), ("Host", "web1"))
    assert oldest.all("Event-Id") == ["E1"]
    assert (newest.at.isoformat(), newest.signature) == ("2026-11-22T12:00:00+00:00", "")
    assert len(audit.history(limit=2)) == 2


def test_commits_are_signed_and_strangers_are_told_apart(remote: Path, tmp_path: Path, keys: Path) -> None:
    for number, key in enumerate(("daemon", "stranger", None)):
        there = clone_of(remote, tmp_path / f"s{number}", keys / key if key else None, keys / "allowed")
        branch = AuditBranch(there, "main")
        branch.refresh()
        assert branch.publish([event(f"E{number}")])
    assert [entry.signature for entry in branch.history()] == ["N", "U", "G"]


def test_a_key_that_cannot_sign_is_an_error_and_leaves_nothing(remote: Path, tmp_path: Path, keys: Path) -> None:
    branch = AuditBranch(clone_of(remote, tmp_path / "s", keys / "allowed"), "main")
    with pytest.raises(GitError, match="commit-tree"):
        branch.append([event("E1")])
    assert branch.tip is None


NASTY = """converge: web1 \x1b[31mred\x1b[0m
--- a/etc/motd
+++ b/etc/motd
# ------------------------ >8 ------------------------
---
Conflicts:
\tfile

Event-Id: forged
Seq: 999"""


def test_what_a_host_says_cannot_forge_or_hide_trailers(audit: AuditBranch, repository: Repository) -> None:
    bad = event("E1", message=NASTY)
    trailers = (*bad.trailers, ("Reason", "line one\nEvent-Id: forged\r\nSeq: 5\u2028Host: db1\x1b[0m"), ("Empty", ""))
    audit.append([type(bad)(bad.id, bad.at, bad.message, trailers, bad.files), event("E2")])
    straight(repository.path, 2)
    assert ids(repository.path) == ["E1", "E2"]
    parsed = sh("git", "interpret-trailers", "--parse", cwd=repository.path, stdin=log_raw(repository.path))
    assert parsed.splitlines() == [
        "Event-Id: E1",
        "Seq: 1",
        "Host: web1",
        "Outcome: converged",
        "Reason: line one Event-Id: forged Seq: 5 Host: db1[0m",
        "Empty: -",
    ]
    assert b"\x1b" not in log_raw(repository.path)


def log_raw(path: Path) -> bytes:
    return sh("git", "log", "-1", "--format=%B", "audit/main^", cwd=path).encode()


def test_a_file_outside_the_branch_is_refused(audit: AuditBranch) -> None:
    with pytest.raises(GitError, match="not a path"):
        audit.append([event("E1"), event("E2", "../../etc/passwd")])
    assert audit.tip is None, "all of them or none"


# Two daemons (F7)


def test_the_loser_of_a_race_goes_on_top(remote: Path, tmp_path: Path) -> None:
    #  a publishes E1──E2, b had E3──E4 ready:   E1──E2──E3──E4
    a, b = (AuditBranch(clone_of(remote, tmp_path / name), "main") for name in "ab")
    a.append([event("E1"), event("E2")])
    b.append([event("E3", "web2")])
    assert a.publish([event("E1"), event("E2")])
    assert b.publish([event("E3", "web2"), event("E4", "web2")])
    straight(remote, 4)
    assert ids(remote) == ["E1", "E2", "E3", "E4"]
    assert b.records() == {"web1": b"last: E2\n", "web2": b"last: E4\n"}
    assert a.publish([event("E5")])
    assert ids(remote)[-1] == "E5"


def test_an_event_that_both_have_is_there_once(remote: Path, tmp_path: Path) -> None:
    a, b = (AuditBranch(clone_of(remote, tmp_path / name), "main") for name in "ab")
    assert a.publish([event("E1"), event("E2")])
    assert b.publish([event("E2"), event("E1"), event("E3")])
    assert ids(remote) == ["E1", "E2", "E3"]


def test_racing_writers_lose_nothing(remote: Path, tmp_path: Path) -> None:
    def write(name: str) -> None:
        branch = AuditBranch(clone_of(remote, tmp_path / name), "main")
        for number in range(5):
            waiting = [event(f"{name}{number}", name)]
            while not branch.publish(waiting):
                pass

    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    straight(remote, 15)
    for name in ("a", "b", "c"):
        assert [key for key in ids(remote) if key.startswith(name)] == [f"{name}{number}" for number in range(5)]


def test_unpublished_commits_that_are_in_no_outbox_are_not_dropped(remote: Path, tmp_path: Path) -> None:
    a, b = (AuditBranch(clone_of(remote, tmp_path / name), "main") for name in "ab")
    mine = b.append([event("E2")])
    assert a.publish([event("E1")])
    with pytest.raises(GitError, match=r"never published.*E2"):
        b.publish([event("E3")])
    assert b.tip is not None
    assert b._repository.descends(b.tip, mine or "")
    assert b.publish([event("E2"), event("E3")])
    assert ids(remote) == ["E1", "E2", "E3"]


def test_a_server_that_refuses_at_first(audit: AuditBranch, remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho x >> hook.count\ntest $(wc -l < hook.count) -gt 3 || { echo busy; exit 1; }\n")
    hook.chmod(0o755)
    waiting = [event("E1"), event("E2")]
    for _ in range(3):
        with pytest.raises(GitError, match="busy"):
            audit.publish(waiting)
    assert audit.publish(waiting)
    straight(remote, 2)
    assert len((remote / "hook.count").read_text().split()) == 4


def test_while_the_remote_is_away_everything_is_kept(audit: AuditBranch, remote: Path) -> None:
    remote.rename(remote.with_suffix(".away"))
    with pytest.raises(Unreachable):
        audit.publish([event("E1")])
    with pytest.raises(Unreachable):
        audit.publish([event("E1"), event("E2")])
    assert len(audit.history()) == 2
    remote.with_suffix(".away").rename(remote)
    assert audit.publish([event("E1"), event("E2")])
    straight(remote, 2)


# A record that somebody changed (T22, F5)


def test_a_rewritten_audit_branch_is_not_overwritten(audit: AuditBranch, remote: Path) -> None:
    #  published  E1──E2      then somebody sets it back to  E1
    assert audit.publish([event("E1"), event("E2")])
    sh("git", "update-ref", HEAD, "audit/main^", cwd=remote)
    with pytest.raises(Rewritten, match="was rewritten"):
        audit.publish([event("E3")])
    with pytest.raises(Rewritten):
        audit.refresh()
    assert ids(remote) == ["E1"]
    sh("git", "fetch", "-q", audit._repository.path, f"+{audit.published}:{HEAD}", cwd=remote)
    assert audit.publish([event("E3")])
    assert ids(remote) == ["E1", "E2", "E3"]


def test_a_fresh_clone_notices_it_by_what_the_state_remembers(remote: Path, tmp_path: Path) -> None:
    first = AuditBranch(clone_of(remote, tmp_path / "a"), "main")
    assert first.publish([event("E1"), event("E2")])
    remembered = first.published
    sh("git", "update-ref", HEAD, "audit/main^", cwd=remote)
    fresh = AuditBranch(clone_of(remote, tmp_path / "b"), "main")
    with pytest.raises(Rewritten):
        fresh.refresh(remembered)


def test_a_deleted_audit_branch_is_put_back_whole(audit: AuditBranch, remote: Path) -> None:
    assert audit.publish([event("E1"), event("E2")])
    sh("git", "update-ref", "-d", HEAD, cwd=remote)
    assert audit.publish([event("E3")])
    straight(remote, 3)
    assert audit.restored == 1


# A state directory that was lost


def test_a_fresh_state_goes_on_where_the_remote_is(remote: Path, tmp_path: Path) -> None:
    assert AuditBranch(clone_of(remote, tmp_path / "a"), "main").publish([event("E1"), event("E2")])
    fresh = AuditBranch(clone_of(remote, tmp_path / "b"), "main")
    fresh.refresh()
    assert fresh.records() == {"web1": b"last: E2\n"}
    assert fresh.publish([event("E3")])
    straight(remote, 3)


def test_a_clone_thrown_away_loses_no_event_of_the_outbox(
    audit: AuditBranch, repository: Repository, remote: Path
) -> None:
    assert audit.publish([event("E1")])
    audit.append([event("E2")])
    shutil.rmtree(repository.path)
    repository.heal()
    assert audit.publish([event("E2")]), "also without a refresh"
    straight(remote, 2)


def test_refresh_keeps_what_is_not_published_yet(audit: AuditBranch, remote: Path, tmp_path: Path) -> None:
    audit.refresh()
    assert audit.publish([event("E1")])
    audit.append([event("E2")])
    audit.refresh()
    assert len(audit.history()) == 2
    assert audit.publish([event("E2")])
    straight(remote, 2)


def test_the_human_branch_is_left_alone(ann: Person, audit: AuditBranch, remote: Path) -> None:
    main = ann.commit({"f": "x"})
    assert audit.publish([event("E1")])
    assert sh("git", "rev-parse", "main", cwd=remote) == main
    assert sh("git", "merge-base", "--all", "main", "audit/main", cwd=remote, ok=(1,)) == ""


# Kills (F1)

NURSERY = """
import os, sys
from pathlib import Path
from reconciler.audit import AuditBranch
from tests.git.conftest import clone_of, event
for line in sys.stdin:
    remote, state = map(Path, line.split())
    child = os.fork()
    if child == 0:
        branch = AuditBranch(clone_of(remote, state), "main")
        waiting = [event(f"E{n}", f"web{n % 3}") for n in range(2)]
        branch.append(waiting)
        os._exit(0 if branch.publish(waiting) else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Daemons without the start-up time: each line of input is one that records two events and publishes them."""

KILLER = """#!/bin/sh
echo x >> "{folder}/count"
if [ "$(wc -l < "{folder}/count")" -eq "$(cat "{folder}/at")" ]; then
  {kill}
fi
exec "{git}" "$@"
"""
"""Stands before the real git; at its chosen call it kills the daemon, which is its parent."""

KILLS = {
    "while git goes on": "kill -9 $PPID",
    "together with git": 'kill -9 $PPID; timeout -s KILL 0.004 "{git}" "$@"; exit',
}


@pytest.mark.parametrize("kind", KILLS)
def test_a_kill_at_every_git_call_loses_and_doubles_nothing(remote: Path, tmp_path: Path, kind: str) -> None:
    #  remote  X1     daemon, which does not know of it:  E0──E1     in the end  X1──E0──E1
    assert AuditBranch(clone_of(remote, tmp_path / "other"), "main").publish([event("X1", "db1")])
    git, path = shutil.which("git"), os.environ["PATH"]
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(KILLER.format(folder=tmp_path, kill=KILLS[kind].format(git=git), git=git))
    shim.chmod(0o755)
    env = {"PATH": f"{shim.parent}:{path}", "HOME": "/nonexistent", "PYTHONPATH": str(Path(__file__).parents[2])}
    env["GIT_PYTHON_GIT_EXECUTABLE"] = str(git)  # asked for its version on import, which is no call of the daemon
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", NURSERY], env=env, stdin=pipe, stdout=pipe, text=True) as nursery:
        killed = list(takewhile(partial(was_killed, nursery, remote, tmp_path), range(1, 100)))
        nursery.stdin.close()  # type: ignore[union-attr]
    assert 20 < len(killed) < 99, "every call of the daemon was cut short once"


def was_killed(nursery: subprocess.Popen[str], remote: Path, folder: Path, at: int) -> bool:
    """Kill a new daemon at its call *at*, start it again, and see that nothing is lost and nothing is there twice."""
    state, there = folder / f"state{at}", folder / f"remote{at}.git"
    shutil.copytree(remote, there)
    (folder / "count").write_text("")
    (folder / "at").write_text(str(at))
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{there} {state}\n")
    nursery.stdin.flush()
    code = int(nursery.stdout.readline())
    assert code in (0, -9)
    if code == 0:
        return False
    again = AuditBranch(clone_of(there, state), "main")
    again.refresh()
    assert again.publish([event(f"E{n}", f"web{n % 3}") for n in range(2)])
    straight(there, 3)
    assert ids(there) == ["X1", "E0", "E1"]
    return True
