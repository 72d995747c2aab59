"""The local clone: what is read, what is reached, and what heals. Commit graphs read from left to right."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ConfigError, Corrupt, GitError, Gone, StateError, Unreachable
from reconciler.repo import Repository, revisions
from reconciler.repo import remote as settings
from reconciler.repo.drafts import Draft
from reconciler.repo.exchange import Declined
from reconciler.repo.remote import Remote, Signer

from .conftest import NOON, Person, Web, arguments_with, clone_of, free_port, known_hosts, sh, ssh_url

HEAD = "refs/reconciler/head"


def test_a_commit_is_seen_fetched_and_read(ann: Person, repository: Repository) -> None:
    #  main   a──b
    a = ann.commit({"desired-state/web.yml": "one\n", "README": "x"}, "first")
    b = ann.commit({"desired-state/files/motd": "hello\n"}, "add motd (#118)")
    assert repository.tip("main") == b
    assert not repository.has(b)
    assert repository.fetch("main", HEAD) == b
    assert repository.ref(HEAD) == b
    assert repository.tree(b, "desired-state/") == ({"web.yml": b"one\n", "files/motd": b"hello\n"}, [])
    assert repository.descends(b, a)
    assert repository.descends(b, b)
    assert not repository.descends(a, b)
    assert not repository.descends(b, "1" * 40)
    assert [(c.sha, c.subject, c.pull_request) for c in repository.between(a, b)] == [(b, "add motd (#118)", "#118")]
    assert repository.commit(b).author == "Ann"
    assert repository.tree_id(a, "desired-state") != repository.tree_id(b, "desired-state")
    assert repository.file(b, "README") == b"x"
    assert repository.file(b, "nothing") is None


def test_nothing_of_the_fetch_is_left_but_the_ref(ann: Person, repository: Repository) -> None:
    ann.commit({"a": "1"})
    ann.git("tag", "v1")
    ann.push("origin", "main", "v1")
    repository.fetch("main", HEAD)
    assert sh("git", "for-each-ref", "--format=%(refname)", cwd=repository.path) == HEAD
    assert not (repository.path / "FETCH_HEAD").exists()


def test_rewritten_history_does_not_descend(ann: Person, repository: Repository) -> None:
    #  main   a──b      then   a──c  (pushed with force)
    ann.commit({"f": "a"})
    b = ann.commit({"f": "b"})
    repository.fetch("main", HEAD)
    sh("git", "config", "receive.denyNonFastForwards", "false", cwd=ann.remote)
    ann.git("reset", "-q", "--hard", "HEAD^")
    c = ann.commit({"f": "c"}, push=False)
    ann.push("--force", "origin", "main")
    assert repository.fetch("main", HEAD) == c
    assert not repository.descends(c, b)
    assert repository.has(b), "what was accepted stays here"


def test_an_empty_repository_and_a_missing_branch_are_gone(ann: Person, repository: Repository) -> None:
    with pytest.raises(Gone, match="is empty"):
        repository.tip("main")
    with pytest.raises(Gone, match="is empty"):
        repository.fetch("main", HEAD)
    ann.commit({"f": "x"})
    with pytest.raises(Gone, match="has no branch prod") as caught:
        repository.tip("prod")
    assert "main" in caught.value.hint
    with pytest.raises(Gone, match="has no branch prod"):
        repository.fetch("prod", HEAD)


def test_a_branch_whose_name_only_ends_alike_is_another(ann: Person, repository: Repository) -> None:
    ann.commit({"f": "x"}, push=False)
    ann.push("origin", "HEAD:refs/heads/old/refs/heads/main")
    with pytest.raises(Gone):
        repository.tip("main")


def test_links_submodules_and_odd_names_become_mistakes(ann: Person, repository: Repository, tmp_path: Path) -> None:
    good = ann.commit({"s/good.yml": "ok\n"})
    blob = ann.git("rev-parse", "HEAD:s/good.yml")
    (ann.tree / "s/link.yml").symlink_to("/etc/shadow")
    ann.git("add", "-A")
    ann.git("update-index", "--add", "--cacheinfo", f"160000,{good},s/module")
    ann.git("update-index", "--add", "--cacheinfo", f"100644,{blob},s/bell\a.yml")
    sh("git", "update-index", "-z", "--index-info", cwd=ann.tree, stdin=b"100644 %b\ts/\xff.yml\0" % blob.encode())
    ann.git("commit", "-q", "-m", "odd")
    ann.push()
    tree, mistakes = repository.tree(repository.fetch("main", HEAD), "s")
    assert tree == {"good.yml": b"ok\n"}
    assert sorted(str(mistake).split(";")[0] for mistake in mistakes) == [
        "bell.yml:1:1: the name has control characters or is not UTF-8",
        "link.yml:1:1: this is a symbolic link",
        "module:1:1: this is a submodule",
        "\N{REPLACEMENT CHARACTER}.yml:1:1: the name has control characters or is not UTF-8",
    ]


def test_a_missing_folder_is_a_mistake_and_no_files(ann: Person, repository: Repository) -> None:
    ann.commit({"f": "x"})
    sha = repository.fetch("main", HEAD)
    for path in ("desired-state", "f"):
        tree, mistakes = repository.tree(sha, path)
        assert not tree
        assert str(mistakes[0]) == f"{path}:1:1: the revision has no folder '{path}'"
    with pytest.raises(GitError, match="inside the repository"):
        repository.tree(sha, "../x")
    with pytest.raises(Gone):
        repository.tree_id(sha, "desired-state")


def test_limits_of_a_tree(ann: Person, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.commit(
        {"a/big": "x" * 101, "a/ok": "x" * 100, "b/1": "x" * 90, "b/2": "x" * 90, "c/1": "", "c/2": "", "c/3": ""}
    )
    sha = repository.fetch("main", HEAD)
    monkeypatch.setattr(revisions, "FILE_LIMIT", 100)
    monkeypatch.setattr(revisions, "TREE_LIMIT", 150)
    monkeypatch.setattr(revisions, "FILES_LIMIT", 2)
    tree, mistakes = repository.tree(sha, "a")
    assert (list(tree), [m.place.file for m in mistakes]) == (["ok"], ["big"])
    for folder, words in (("b", "180 bytes"), ("c", "more than 2 files")):
        tree, mistakes = repository.tree(sha, folder)
        assert not tree
        assert words in mistakes[0].message


def test_a_git_bomb_is_cut_off(ann: Person, repository: Repository) -> None:
    #  ten folders of ten folders of … of one file: 10**9 names in ten objects
    blob = sh("git", "hash-object", "-w", "--stdin", cwd=ann.tree, stdin=b"boom")
    tree = sh("git", "mktree", cwd=ann.tree, stdin=f"100644 blob {blob}\tf\n".encode())
    for _ in range(9):
        tree = sh(
            "git", "mktree", cwd=ann.tree, stdin="".join(f"040000 tree {tree}\td{n}\n" for n in range(10)).encode()
        )
    sha = ann.git("commit-tree", "-m", "bomb", tree)
    ann.push("origin", f"{sha}:refs/heads/main")
    files, mistakes = repository.tree(repository.fetch("main", HEAD))
    assert not files
    assert "more than 20000 files" in mistakes[0].message


def test_two_processes_read_any_number_of_files(ann: Person, repository: Repository) -> None:
    ann.commit({f"s/{number}.yml": f"{number}\n" for number in range(500)})
    sha = repository.fetch("main", HEAD)
    calls: list[str] = []
    original = repository.run
    repository.run = lambda *args, **rest: (calls.append(args[0]), original(*args, **rest))[1]  # type: ignore[method-assign]
    tree, _ = repository.tree(sha, "s")
    assert len(tree) == 500
    assert tree["7.yml"] == b"7\n"
    assert len(calls) <= 3


def test_blame_cites_commit_and_pull_request(ann: Person, repository: Repository) -> None:
    #  main   a───────m──s     m merges b as #7, s is a squash as #8
    #          └──b──┘
    a = ann.commit({"s/web.yml": "one\ntwo\nthree\n"}, "first")
    ann.git("checkout", "-q", "-b", "topic")
    b = ann.commit({"s/web.yml": "one\nTWO\nthree\n"}, "shout", push=False)
    ann.git("checkout", "-q", "main")
    ann.git("merge", "-q", "--no-ff", "-m", "Merge pull request #7 from ann/topic", "topic")
    s = ann.commit({"s/web.yml": "one\nTWO\nTHREE\n"}, "louder (#8)")
    found = repository.blame(repository.fetch("main", HEAD), "s/web.yml", [1, 2, 3, 99])
    assert {line: (c.sha, c.pull_request) for line, c in found.items()} == {1: (a, None), 2: (b, "#7"), 3: (s, "#8")}
    assert found[2].author == "Ann"
    assert found[2].authored_at.tzinfo is not None
    assert repository.blame(s, "s/web.yml", [2]) == {2: found[2]}
    assert repository.blame(s, "s/none.yml", [1]) == {}
    last = repository.last_change(s, "s/web.yml")
    assert last is not None
    assert last.sha == s
    assert repository.last_change(s, ":(glob)**") is None, "a path is a path"


def test_gitlab_names_its_merge_request_in_the_body(ann: Person, repository: Repository) -> None:
    sha = ann.commit({"f": "x"}, "Merge branch 'x' into 'main'\n\nwords\n\nSee merge request group/fleet!12")
    repository.fetch("main", HEAD)
    assert repository.commit(sha).pull_request == "!12"


def test_control_characters_of_a_commit_do_not_reach_people(ann: Person, repository: Repository) -> None:
    sha = ann.commit({"f": "x"}, "red \x1b[31malert\x1b[0m \u202egnp.exe")
    repository.fetch("main", HEAD)
    assert repository.commit(sha).subject == "red [31malert[0m gnp.exe"


DANGEROUS = """ext::sh -c touch% /tmp/x|ext::sh|-oProxyCommand=x|--upload-pack=x|ftp://h/x|ssh://-oProxyCommand=x/y
fd::17|relative/path|file://|https://h/\tx|"""


@pytest.mark.parametrize("url", DANGEROUS.replace("\n", "|").split("|"))
def test_urls_that_could_run_something_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        Remote(url)


@pytest.mark.parametrize(
    "url", ["git@host:fleet.git", "ssh://git@host:2222/x", "https://h/x.git", "/srv/x.git", "file:///x"]
)
def test_ordinary_urls_are_taken(url: str) -> None:
    assert Remote(url).shown == url


def test_git_itself_refuses_ext(tmp_path: Path, repository: Repository) -> None:
    answer = repository.ask("fetch", f"ext::touch {tmp_path}/run")
    assert answer.code
    assert "not allowed" in answer.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name", ["-x", "--upload-pack=touch x", "a b", "a..b", "a:b", "a.lock", "/a", "a\nb", "", "a^{}"]
)
def test_odd_branch_names_are_refused(repository: Repository, name: str) -> None:
    for call in (
        lambda: repository.tip(name),
        lambda: repository.fetch(name, HEAD),
        lambda: repository.fetch("main", name),
    ):
        with pytest.raises(GitError, match="not a name for a branch"):
            call()


@pytest.mark.parametrize("sha", ["HEAD", "--all", "main", "abc", "refs/heads/--x y"])
def test_revisions_are_whole_names_only(repository: Repository, sha: str) -> None:
    with pytest.raises(GitError):
        repository.commit(sha)


def test_the_users_environment_and_settings_do_not_count(
    ann: Person, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = ann.commit({"f": "x"})
    run = tmp_path / "run"
    (tmp_path / ".gitconfig").write_text(f'[url "/nowhere"]\n insteadOf = file://\n[core]\n fsmonitor = touch {run}\n')
    hook = repository.path / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {run}\n")
    hook.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'protocol.allow'='never'")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    assert repository.fetch("main", HEAD) == sha
    assert not run.exists()
    assert not (tmp_path / "trace").exists()


def test_a_hundred_calls_leak_nothing(ann: Person, repository: Repository) -> None:
    sha = ann.commit({"f": "x"})
    repository.fetch("main", HEAD)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        repository.has(sha)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# ssh


def over_ssh(
    state: Path, port: int, remote: Path, keys: Path, key: str = "daemon", host: str = "hostkey"
) -> Repository:
    there = Remote(ssh_url(port, remote), keys / key, known_hosts(keys, port, host), patience=30)
    made = Repository(state / "repo.git", there, Signer("r", "r@example.org"))
    made.heal()
    return made


def test_over_ssh_with_a_known_host(ann: Person, sshd: int, keys: Path, remote: Path, tmp_path: Path) -> None:
    sha = ann.commit({"f": "x"})
    repository = over_ssh(tmp_path / "with space %h", sshd, remote, keys)
    assert repository.tip("main") == sha
    assert repository.fetch("main", HEAD) == sha
    made = repository.write(None, [Draft("hello", NOON, {"a": b"1"})])[-1]
    repository.point("refs/heads/audit/x", made, None)
    assert repository.push("refs/heads/audit/x", "audit/x", None)
    assert sh("git", "rev-parse", "audit/x", cwd=remote) == made


def test_another_host_key_is_refused(ann: Person, sshd: int, keys: Path, remote: Path, tmp_path: Path) -> None:
    ann.commit({"f": "x"})
    repository = over_ssh(tmp_path / "state", sshd, remote, keys, host="otherhost")
    before = (keys / "known_hosts-otherhost").read_bytes()
    with pytest.raises(Unreachable, match="host key"):
        repository.tip("main")
    assert (keys / "known_hosts-otherhost").read_bytes() == before


def test_an_unknown_host_is_not_learned(ann: Person, sshd: int, keys: Path, remote: Path, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    repository = Repository(
        tmp_path / "s" / "repo.git", Remote(ssh_url(sshd, remote), keys / "daemon", empty), Signer("r", "r@x")
    )
    repository.heal()
    with pytest.raises(Unreachable, match="host key"):
        repository.tip("main")
    assert not empty.read_bytes()


def test_a_strangers_key_is_refused(ann: Person, sshd: int, keys: Path, remote: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="credentials"):
        over_ssh(tmp_path / "state", sshd, remote, keys, key="stranger").tip("main")


def test_a_missing_repository_over_ssh(sshd: int, keys: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no such repository"):
        over_ssh(tmp_path / "state", sshd, tmp_path / "none.git", keys).tip("main")


def test_a_dead_port_is_unreachable(keys: Path, remote: Path, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="refused"):
        over_ssh(tmp_path / "state", free_port(), remote, keys).tip("main")


def test_a_silent_server_is_given_up(keys: Path, remote: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = Remote(ssh_url(silent.getsockname()[1], remote), keys / "daemon", patience=1)
        repository = Repository(tmp_path / "state" / "repo.git", there, Signer("r", "r@x"))
        repository.heal()
        with pytest.raises(Unreachable, match="no whole answer within 1 s"):
            repository.tip("main")
        assert not arguments_with(ssh_url(silent.getsockname()[1], remote)), "its ssh is gone too"


# http


def test_over_http_with_credentials_that_nobody_sees(ann: Person, web: Web, tmp_path: Path) -> None:
    sha = ann.commit({"f": "x"})
    web.user = "bot"
    repository = clone_of(web.url.replace("://", "://bot:s3cr3t%21@") + "/remote.git", tmp_path / "state")
    assert repository.fetch("main", HEAD) == sha
    assert any("Basic Ym90OnMzY3IzdCE=" in request for request in web.requests)
    assert web.seen_secrets == []
    web.mode = "500"
    with pytest.raises(Unreachable) as caught:
        repository.tip("main")
    assert "s3cr3t" not in str(caught.value)
    assert "s3cr3t" not in (repository.path / "config").read_text()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("500", "500"),
        ("401", "credentials"),
        ("404", "no such repository"),
        ("redirect", "redirects"),
        ("garbage", "not as a git server"),
        ("truncated", "cannot be reached"),
    ],
)
def test_a_web_server_in_trouble(ann: Person, web: Web, tmp_path: Path, mode: str, words: str) -> None:
    good = ann.commit({"f": "x"})
    repository = clone_of(f"{web.url}/remote.git", tmp_path / "state")
    repository.fetch("main", HEAD)
    noise = os.urandom(30_000).hex()
    newer = ann.commit({"f": noise})
    web.mode = mode
    with pytest.raises(Unreachable, match=words):
        repository.fetch("main", HEAD)
    assert repository.ref(HEAD) == good, "the last good commit stays"
    assert not repository.has(newer)
    web.mode = "good"
    assert repository.fetch("main", HEAD) == newer
    assert not repository.heal(), "the clone took no harm"


def test_half_a_history_is_not_accepted(ann: Person, tmp_path: Path) -> None:
    #  remote is itself shallow:   (a)──b     a is missing there
    ann.commit({"f": "a"})
    ann.commit({"f": "b"})
    sh("git", "clone", "-q", "--bare", "--depth=1", f"file://{ann.remote}", tmp_path / "shallow.git", cwd=tmp_path)
    repository = clone_of(tmp_path / "shallow.git", tmp_path / "state")
    with pytest.raises(GitError):
        repository.fetch("main", HEAD)
    assert repository.ref(HEAD) is None


def test_a_fetch_that_lacks_an_object_is_not_accepted(ann: Person, repository: Repository) -> None:
    arrived = "refs/reconciler/arrived"
    ann.commit({"f": "a"})
    sha = repository.fetch("main", HEAD)
    blob = ann.git("rev-parse", "HEAD:f")
    unpack(repository.path)
    repository.point(HEAD, None, sha)
    repository.point(arrived, sha, None)
    (repository.path / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(Unreachable, match="only part"):
        repository._whole(arrived)
    assert repository.ref(arrived) is None


def test_malformed_objects_are_refused(ann: Person, repository: Repository) -> None:
    blob = sh("git", "hash-object", "-w", "--stdin", cwd=ann.tree, stdin=b"[core]")
    entry = b"100644 .git\0" + bytes.fromhex(blob)
    tree = sh("git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin", cwd=ann.tree, stdin=entry)
    sha = ann.git("commit-tree", "-m", "bad", tree)
    ann.push("origin", f"{sha}:refs/heads/main")
    with pytest.raises(GitError, match="refuses"):
        repository.fetch("main", HEAD)
    assert repository.ref(HEAD) is None


# Pushing


def grown(repository: Repository, ref: str, text: str, parent: str | None = None) -> str:
    sha = repository.write(parent, [Draft(text, NOON, {"f": text.encode()})])[-1]
    repository.point(ref, sha, repository.ref(ref))
    return sha


def test_a_push_is_a_compare_and_swap(repository: Repository, remote: Path) -> None:
    #  x   a──b     and somebody else's   a──c
    a = grown(repository, "refs/heads/x", "a")
    assert repository.push("refs/heads/x", "x", None)
    assert repository.push("refs/heads/x", "x", None), "pushed twice is pushed"
    c = grown(repository, "refs/heads/y", "c", a)
    assert repository.push("refs/heads/y", "x", a)
    b = grown(repository, "refs/heads/x", "b", a)
    assert not repository.push("refs/heads/x", "x", a)
    assert not repository.push("refs/heads/x", "x", None)
    with pytest.raises(GitError, match="would lose commits"):
        repository.push("refs/heads/x", "x", c)
    assert sh("git", "rev-parse", "x", cwd=remote) == c != b


def test_a_hook_that_refuses_is_quoted(repository: Repository, remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'audit/** is \033[31mprotected'\nexit 1\n")
    hook.chmod(0o755)
    grown(repository, "refs/heads/x", "a")
    with pytest.raises(Declined, match=r"pre-receive hook declined.*audit/\*\* is \[31mprotected"):
        repository.push("refs/heads/x", "x", None)


def test_commits_carry_the_time_they_are_given_and_odd_paths_are_refused(repository: Repository) -> None:
    sha = repository.write(
        None, [Draft("a\0b", NOON, {"d/e f.yml": b"1\n", "g": b"2"}), Draft("c", NOON, {"g": None})]
    )[-1]
    shown = sh("git", "log", "--format=%aI %cI %an <%ae> %B", sha, cwd=repository.path)
    assert "2026-11-22T12:00:00+00:00 2026-11-22T12:00:00+00:00 reconciler <bot@example.org> ab" in shown.replace(
        "Z", "+00:00"
    )
    assert repository.tree(sha) == ({"d/e f.yml": b"1\n"}, [])
    for path in ("../x", "/x", "a//b", ".git/config", "a/.GIT/x", "a\nb", '"a"', "", "a\\b"):
        with pytest.raises(GitError, match="not a path"):
            repository.write(None, [Draft("x", NOON, {path: b""})])


def test_many_writes_do_not_pile_up(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.SETTINGS, "gc.auto", "1")  # type: ignore[arg-type]
    parent = None
    for batch in range(15):
        drafts = [Draft(f"{batch} {number}", NOON, {"f": f"{batch} {number}".encode()}) for number in range(10)]
        parent = repository.write(parent, drafts)[-1]
    repository.point("refs/heads/x", parent, None)
    assert loose(repository) >= 450
    repository.tidy()
    assert loose(repository) == 0
    assert len(repository.between(None, "refs/heads/x", 1000)) == 150


def loose(repository: Repository) -> int:
    return len(list(repository.path.glob("objects/[0-9a-f][0-9a-f]/*")))


# Healing (F6)


def unpack(path: Path) -> None:
    """Every object of the clone as a file of its own."""
    for pack in list(path.glob("objects/pack/*.pack")):
        content = pack.read_bytes()
        for part in path.glob(f"objects/pack/{pack.stem}.*"):
            part.unlink()
        sh("git", "unpack-objects", "-q", cwd=path, stdin=content)


def damages() -> dict[str, Callable[[Path], None]]:
    def some_object(path: Path) -> Path:
        unpack(path)
        return next(path.glob("objects/[0-9a-f][0-9a-f]/*"))

    def rewrite(path: Path, content: bytes) -> None:
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        path.write_bytes(content)

    def zero(path: Path) -> None:
        rewrite(path, b"\0" * path.stat().st_size)

    def pack(path: Path, kind: str = "pack") -> Path:
        sh("git", "repack", "-adq", cwd=path)
        return next(path.glob(f"objects/pack/*.{kind}"))

    def half(path: Path) -> None:
        rewrite(path, path.read_bytes()[: path.stat().st_size // 2])

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        rewrite(path, bytes(content))

    return {
        "no HEAD": lambda path: (path / "HEAD").unlink(),
        "HEAD of zeros": lambda path: zero(path / "HEAD"),
        "config of rubbish": lambda path: (path / "config").write_text("[core\n"),
        "no objects": lambda path: shutil.rmtree(path / "objects"),
        "object emptied": lambda path: rewrite(some_object(path), b""),
        "object zeroed": lambda path: zero(some_object(path)),
        "object gone": lambda path: some_object(path).unlink(),
        "pack truncated": lambda path: half(pack(path)),
        "pack with one bit wrong": lambda path: flip(pack(path)),
        "pack gone": lambda path: pack(path).unlink(),
        "index of the pack truncated": lambda path: half(pack(path, "idx")),
        "ref of rubbish": lambda path: (path / HEAD).write_text("rubbish\n"),
        "ref emptied": lambda path: (path / HEAD).write_text(""),
        "packed refs of rubbish": lambda path: (path / "packed-refs").write_text("rubbish\n"),
        "a file in its place": lambda path: (shutil.rmtree(path), path.write_text("x")),
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_clone_is_made_again(ann: Person, repository: Repository, damage: str) -> None:
    sha = ann.commit({f"{n}.yml": f"line {n}\n" * 50 for n in range(5)})
    repository.fetch("main", HEAD)
    assert not repository.heal()
    damages()[damage](repository.path)
    assert repository.heal()
    assert repository.fetch("main", HEAD) == sha
    assert len(repository.tree(sha)[0]) == 5
    assert not repository.heal()


LEFT_BEHIND = """HEAD.lock config.lock packed-refs.lock refs/reconciler/head.lock shallow.lock gc.pid
objects/pack/tmp_pack_x objects/maintenance.lock fast_import_crash_17 objects/pack/pack-1.keep"""


@pytest.mark.parametrize("left", LEFT_BEHIND.split())
def test_what_a_killed_git_left_is_removed(ann: Person, repository: Repository, left: str) -> None:
    sha = ann.commit({"f": "x"})
    repository.fetch("main", HEAD)
    newer = ann.commit({"f": "y"})
    (repository.path / left).write_text("")
    assert not repository.heal()
    assert not (repository.path / left).exists()
    assert repository.fetch("main", HEAD) == newer != sha


def test_damage_met_while_reading_is_remembered(
    ann: Person, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.repo.WHOLE_FSCK", -1)  # as for a large clone: contents are not checked at start
    sha = ann.commit({"f": "x"})
    repository.fetch("main", HEAD)
    blob = ann.git("rev-parse", "HEAD:f")
    unpack(repository.path)
    path = repository.path / "objects" / blob[:2] / blob[2:]
    path.chmod(0o600)
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(Corrupt):
        repository.tree(sha)
    assert repository.heal()


def test_a_broken_ref_is_not_taken_for_no_ref(ann: Person, repository: Repository) -> None:
    ann.commit({"f": "x"})
    repository.fetch("main", HEAD)
    (repository.path / HEAD).write_text("")
    with pytest.raises(Corrupt, match="broken ref"):
        repository.ref(HEAD)
    assert repository.heal()


def test_without_a_clone_calls_say_so(tmp_path: Path, remote: Path) -> None:
    bare = Repository(tmp_path / "state" / "repo.git", Remote(f"file://{remote}"), Signer("r", "r@x"))
    with pytest.raises(Corrupt, match="no local clone"):
        bare.tip("main")


def test_healing_waits_for_a_living_git(repository: Repository, tmp_path: Path) -> None:
    hold = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print('held', flush=True); input()"
    busy = str(repository.path) + ".busy"
    with subprocess.Popen([sys.executable, "-c", hold, busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdin is not None
        assert living.stdout is not None
        living.stdout.readline()
        lock = repository.path / "config.lock"
        lock.touch()
        hurried = Repository(repository.path, Remote(repository.remote.url, patience=0.2), repository.signer)
        with pytest.raises(StateError, match="still works"):
            hurried.heal()
        assert lock.exists(), "never a lock of a living process"
        living.stdin.write(b"\n")
    assert not repository.heal()
    assert not lock.exists()


def test_a_merge_is_tried_without_moving_anything(repository: Repository, ann: Person) -> None:
    #  A ── B (main: motd)
    #   └── C (ours: web)   D (theirs: motd, otherwise)
    ann.commit({"motd": "one\n", "web": "one\n"})
    ann.git("checkout", "-q", "-b", "ours")
    clean = ann.commit({"web": "two\n"}, push=False)
    ann.git("push", "-q", "origin", "ours")
    ann.git("checkout", "-q", "-b", "theirs", "HEAD~1")
    ann.commit({"motd": "three\n"}, push=False)
    ann.git("push", "-q", "origin", "theirs")
    ann.git("checkout", "-q", "main")
    ann.commit({"motd": "two\n"})
    base = repository.fetch("main", "refs/reconciler/desired")
    head = repository.fetch("refs/heads/ours", "refs/reconciler/pull/1")
    assert head == clean
    merged = repository.merge(base, head)
    assert merged.conflicts == ()
    assert repository.tree(merged.tree) == ({"motd": b"two\n", "web": b"two\n"}, [])
    other = repository.fetch("theirs", "refs/reconciler/pull/2")
    assert repository.merge(base, other).conflicts == ("motd",)
    assert repository.ref("refs/reconciler/desired") == base


def test_a_stranger_cannot_fill_the_disk(repository: Repository, ann: Person) -> None:
    ann.commit({"motd": "one\n"})
    repository.fetch("main", "refs/reconciler/desired")
    (ann.tree / "big").write_bytes(os.urandom(3 << 20))
    ann.commit({}, push=False)
    ann.git("push", "-q", "origin", "HEAD:refs/pull/1/head")
    with pytest.raises(GitError, match="more than the 1 MiB"):
        repository.fetch("refs/pull/1/head", "refs/reconciler/pull/1", largest=1 << 20)
    assert repository.ref("refs/reconciler/pull/1") is None
    assert sum(file.stat().st_size for file in repository.path.rglob("objects/**/*") if file.is_file()) < 1 << 20
    assert repository.fetch("refs/pull/1/head", "refs/reconciler/pull/1", largest=8 << 20)


def test_only_branches_of_our_own_are_replaced(repository: Repository, ann: Person, remote: Path) -> None:
    sh("git", "config", "receive.denyNonFastForwards", "false", cwd=remote)
    first = ann.commit({"motd": "one\n"})
    repository.fetch("main", "refs/reconciler/desired")
    made = [repository.write(first, [Draft(text, NOON, {"motd": text.encode()})])[0] for text in ("two", "three")]
    ref, branch = "refs/reconciler/adopt", "reconciler/adopt/1"
    repository.point(ref, made[0], None)
    assert repository.replace(ref, branch, None)
    repository.point(ref, made[1], made[0])
    assert not repository.replace(ref, branch, first)
    assert repository.replace(ref, branch, made[0])
    assert repository.tip(branch) == made[1]
    with pytest.raises(GitError, match="not ours to replace"):
        repository.replace(ref, "main", first)
