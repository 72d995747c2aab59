"""The way of the record to the remote: refused, unreachable, lost and damaged on the way, and there once in the end."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.cycle import cycle
from reconciler.errors import ReconcilerError, StateError
from reconciler.lease import Held
from tests.loop.bench import Bench, check_chain, git, mounted

SITE = "/srv/site/site.conf"


def rejecting(bench: Bench, times: int) -> None:
    """Let the server's hook refuse the next pushes to the audit branch."""
    count = bench.folder / "count"
    count.write_text(str(times))
    hook = bench.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\ncase $1 in refs/heads/audit/*) ;; *) exit 0;; esac\nn=$(cat {count})\n"
        f'[ "$n" -gt 0 ] || exit 0\necho $((n - 1)) > {count}\necho "the branch is frozen"\nexit 1\n'
    )
    hook.chmod(0o755)


def test_pushes_refused_by_a_hook_are_kept_and_delivered_in_order(bench: Bench) -> None:
    bench.cycle()
    rejecting(bench, 3)
    for number in range(3):
        bench.push({"all.yml": f"- hosts: all\n  copy:\n    - {{content: v{number}, dest: /etc/motd}}\n"})
        report = bench.cycle()
        assert "the branch is frozen" in report.trouble
        assert "wait to be pushed" in report.trouble
    assert len(bench.stories()) == 2
    bench.cycle(sweep=False)
    stories = bench.stories()
    check_chain(stories)
    assert len(stories) == 5
    assert [story["Desired-Revision"] for story in stories[2:]] == git(
        "log", "--reverse", "--format=%H", "-3", at=bench.clone
    ).split()


def test_a_remote_that_is_down_while_it_is_told_gets_everything_later(bench: Bench) -> None:
    bench.cycle()
    away = bench.remote.with_name("away.git")
    hosts = bench.hosts
    hosts.before_converge = lambda: None
    hosts.edit("web1", SITE, "by hand")
    with bench.world(hosts) as world:
        look = hosts.observe

        def observe(asks, stop):  # the remote goes away after the lease was given back, before anything is told
            if len(asks) == 1:
                bench.remote.rename(away)
            return look(asks, stop)

        hosts.observe = observe
        report = cycle(world, sweep=True)
        assert "wait to be pushed" in report.trouble
        hosts.observe = look
        hosts.edit("db1", "/etc/motd", "by hand")
        report = cycle(world, sweep=True)
        # Without the lease, which is in the remote, no host is changed; the drift is remembered all the same.
        assert hosts.text("db1", "/etc/motd") == "by hand"
        assert "lease" in world.state.outbox()[-1].message
        away.rename(bench.remote)
        assert cycle(world, sweep=True).trouble == ""
    stories = bench.stories()
    check_chain(stories)
    assert bench.outcomes()[2] == "converged web1"
    assert bench.hosts.text("db1", "/etc/motd") == "hello"
    assert [o for o in bench.outcomes() if o.endswith(" db1")][-3:] == ["converged db1", "held db1", "converged db1"]


def test_another_daemon_of_the_shard_is_held_by_the_lease(bench: Bench, tmp_path: Path) -> None:
    """Two state directories, one repository and shard: hosts are never changed by both at once (T20)."""
    second = Bench(bench.folder, bench.now)
    met: list[str] = []

    def meanwhile() -> None:
        second.configure(state_dir=str(tmp_path / "other-state"))
        with second.world(bench.hosts) as world:
            with pytest.raises(Held) as refused:
                cycle(world, sweep=True)
            met.append(str(refused.value))
        bench.configure()

    hosts = bench.hosts
    hosts.before_converge = meanwhile
    bench.cycle(hosts)
    assert len(met) == 1
    assert "holds the lease" in met[0]
    assert len(bench.hosts.launches("converge")) == 1
    check_chain(bench.stories())
    second.configure(state_dir=str(tmp_path / "other-state"))
    second.now = bench.now
    assert second.cycle(bench.hosts).trouble == "", "the lease was given back"
    check_chain(bench.stories())


def test_a_lost_state_directory_is_made_again_from_the_audit_branch(bench: Bench) -> None:
    bench.cycle()
    bench.hosts.edit("db1", "/etc/motd", "by hand")
    bench.cycle()
    told = bench.outcomes()
    shutil.rmtree(bench.state_dir)
    bench.cycle()
    assert bench.outcomes() == told, "no story is told twice"
    shutil.rmtree(bench.state_dir)
    bench.hosts.edit("web1", "/etc/motd", "by hand")
    bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"})
    bench.cycle()
    last = {tuple(story.all("Host")): (story["Pending"], story["Drift"]) for story in bench.stories()[len(told) :]}
    assert last == {("web1",): ("1", "1"), ("web2",): ("1", "0")}, "drift is told from the commit as before"
    check_chain(bench.stories())
    shutil.rmtree(bench.state_dir)
    bench.rewrite()
    bench.cycle()
    assert bench.outcomes()[-1] == "held"
    assert len(bench.hosts.launches("converge")) == 3, "a rewritten history is still refused"


def test_an_observed_difference_is_told_once_also_after_the_state_was_lost(bench: Bench) -> None:
    bench.push({"reconciler.yml": "mode: observe\n"})
    bench.cycle()
    told = bench.outcomes()
    shutil.rmtree(bench.state_dir)
    bench.cycle()
    assert bench.outcomes() == told


DAMAGES: dict[str, Callable[[Path], object]] = {
    "object": lambda clone: objects(clone)[0].write_bytes(b""),
    "every object": lambda clone: cut_objects(clone),
    "refs": lambda clone: zero_refs(clone),
    "locks": lambda clone: leave_locks(clone),
    "HEAD": lambda clone: (clone / "HEAD").write_bytes(b"\0\0\0"),
    "config": lambda clone: (clone / "config").write_bytes(b"\0\0\0"),
    "pack": lambda clone: cut_pack(clone),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_clone_is_made_again_at_the_start(bench: Bench, damage: str) -> None:
    bench.cycle()
    spoil(bench.state_dir / "repo.git", damage)
    bench.hosts.edit("web1", SITE, "by hand")
    for _ in range(2):
        bench.cycle()
    assert bench.outcomes()[2:] == ["converged web1"]
    assert bench.stories()[-1]["Drift"] == "1"
    check_chain(bench.stories())


def spoil(clone: Path, damage: str) -> None:
    """Break something of the clone, as a disk or a kill does."""
    DAMAGES[damage](clone)


def objects(clone: Path) -> list[Path]:
    """The loose objects, made writable."""
    found = sorted(path for path in clone.glob("objects/??/*") if path.is_file())
    for path in found:
        path.chmod(0o600)
    return found


def cut_objects(clone: Path) -> None:
    for path in objects(clone):
        path.write_bytes(path.read_bytes()[:5])


def zero_refs(clone: Path) -> None:
    for path in [path for path in clone.glob("refs/**/*") if path.is_file()]:
        path.write_text("\0" * 40)


def leave_locks(clone: Path) -> None:
    for name in ("HEAD.lock", "config.lock", "packed-refs.lock", "refs/heads/audit/main.lock", "shallow.lock"):
        (clone / name).touch()


def cut_pack(clone: Path) -> None:
    git("--git-dir", clone, "repack", "-adq", at=clone)
    (pack,) = clone.glob("objects/pack/*.pack")
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:100])


def test_events_on_their_way_survive_a_damaged_clone(bench: Bench) -> None:
    bench.cycle()
    rejecting(bench, 1)
    bench.hosts.edit("web1", SITE, "by hand")
    assert "frozen" in bench.cycle().trouble
    spoil(bench.state_dir / "repo.git", "every object")
    bench.cycle()
    assert bench.outcomes()[2:] == ["converged web1"]
    check_chain(bench.stories())


@pytest.fixture
def small_disk(bench: Bench) -> Iterator[Path]:
    """The state directory on a file system of its own, of three megabytes; its mount point. Needs root."""
    with mounted(bench.state_dir, "size=3m"):
        yield bench.state_dir


def fill(folder: Path) -> Path:
    """Use up the last byte of the file system."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    filler.write(b"\0" * size)
            except OSError:
                continue
    return path


@pytest.mark.hosts
def test_a_full_disk_ends_in_no_change_without_an_intent(bench: Bench, small_disk: Path) -> None:
    bench.cycle()
    hosts = bench.hosts
    intended: list[list[str]] = []
    hosts.before_converge = lambda: intended.append(intents_on_disk(bench))
    for _ in range(3):  # what is left of the write-ahead log is enough for an intent or two
        bench.hosts.edit("web1", SITE, "by hand")
        with bench.world(hosts) as world:
            filler = fill(small_disk)
            with pytest.raises(ReconcilerError):
                cycle(world, sweep=True)
        filler.unlink()
    assert all(found == ["web1"] for found in intended), "nothing is changed without an intent on disk"
    bench.cycle()
    assert bench.hosts.text("web1", SITE) != "by hand", "with some space it goes on"
    check_chain(bench.stories())
    assert bench.record("web1")["differs"] == []


def intents_on_disk(bench: Bench) -> list[str]:
    """The hosts whose intents another process reads in the state."""
    with sqlite3.connect(f"file:{bench.state_dir}/state.db?mode=ro", uri=True) as connection:
        found = [host for (host,) in connection.execute("SELECT host FROM intents")]
    connection.close()
    return found


@pytest.mark.hosts
def test_a_disk_that_is_full_when_the_outcome_is_written_loses_no_story(bench: Bench, small_disk: Path) -> None:
    bench.cycle()
    hosts = bench.hosts
    hosts.edit("web1", SITE, "by hand")
    with bench.world(hosts) as world:
        hosts.between_hosts = lambda: fill(small_disk)
        world.state.put("ballast", "x" * 200_000)  # what is left of the write-ahead log is not enough
        finish = world.state.finish

        def finish_much(changed, events, done, meta, *rest):
            finish(changed, events, done, {**meta, "ballast": "y" * 400_000}, *rest)

        world.state.finish = finish_much
        with pytest.raises(StateError, match="no space left"):
            cycle(world, sweep=True)
        assert list(world.state.intents()) == ["web1"]
    (small_disk / "filler").unlink()
    bench.cycle()
    assert bench.outcomes()[2:] == ["converged web1"]
    assert "stopped before this was recorded" in bench.stories()[-1].body
    check_chain(bench.stories())
