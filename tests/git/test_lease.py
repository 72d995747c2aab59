"""The lease of a shard, between daemons that share nothing but the remote."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from reconciler.errors import Unreachable
from reconciler.lease import Held, Lease

from .conftest import NOON, clone_of, sh


def lease(remote: Path, state: Path, holder: str) -> Lease:
    return Lease(clone_of(remote, state), "main", holder, ttl=900)


def refs(remote: Path) -> list[str]:
    return sh("git", "for-each-ref", "--format=%(refname) %(subject)", cwd=remote).splitlines()


@pytest.fixture(params=["custom refs", "branches only"])
def server(request: pytest.FixtureRequest, remote: Path) -> Path:
    """A remote that takes any ref, and one that takes branches only and never lets one be deleted or rewritten."""
    if request.param == "branches only":
        hook = remote / "hooks" / "update"
        hook.write_text('#!/bin/sh\ncase "$1" in refs/heads/*) exit 0;; *) echo no such namespace; exit 1;; esac\n')
        hook.chmod(0o755)
    return remote


def test_one_holds_it_and_the_other_is_told_who(server: Path, tmp_path: Path) -> None:
    one, two = lease(server, tmp_path / "a", "ops1"), lease(server, tmp_path / "b", "ops2")
    one.acquire(NOON, 0)
    with pytest.raises(Held, match="ops1"):
        two.acquire(NOON, 5000)
    one.release()
    two.acquire(NOON, 5001)
    with pytest.raises(Held, match="ops2"):
        one.acquire(NOON, 100)


def test_a_silent_holder_is_replaced_by_our_own_clock(server: Path, tmp_path: Path) -> None:
    one, two = lease(server, tmp_path / "a", "ops1"), lease(server, tmp_path / "b", "ops2")
    one.acquire(NOON.replace(year=2099), 0)
    for monotonic in (10_000, 10_899):
        with pytest.raises(Held):
            two.acquire(NOON.replace(year=1999), monotonic)
    two.acquire(NOON, 10_900)
    with pytest.raises(Held, match="ops2"):
        one.acquire(NOON, 301)
    one.release()
    assert any("ops2" in ref for ref in refs(server)), "who lost it does not delete it"


def test_a_living_holder_is_never_replaced(server: Path, tmp_path: Path) -> None:
    one, two = lease(server, tmp_path / "a", "ops1"), lease(server, tmp_path / "b", "ops2")
    for monotonic in range(0, 1600, 400):
        one.acquire(NOON.replace(hour=monotonic // 400), monotonic)
        with pytest.raises(Held):
            two.acquire(NOON, monotonic)


def test_our_own_lease_is_taken_back_after_a_kill(server: Path, tmp_path: Path) -> None:
    lease(server, tmp_path / "a", "ops1").acquire(NOON, 0)
    lease(server, tmp_path / "a", "ops1").acquire(NOON.replace(hour=13), 0)
    lease(server, tmp_path / "fresh", "ops1").acquire(NOON.replace(hour=14), 0)


def test_of_many_that_race_one_wins(server: Path, tmp_path: Path) -> None:
    racing = [lease(server, tmp_path / name, name) for name in "abcde"]
    won: list[str] = []

    def race(number: int) -> None:
        try:
            racing[number].acquire(NOON, 0)
            won.append(str(number))
        except Held:
            pass

    threads = [threading.Thread(target=race, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_taking_it_again_asks_nothing_first(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = clone_of(server, tmp_path / "a")
    one = Lease(repository, "main", "ops1", ttl=900)
    one.acquire(NOON, 0)
    one.release()
    asked: list[str] = []
    monkeypatch.setattr(repository, "tip", asked.append)
    for _ in range(3):
        one.acquire(NOON, 0)
        assert any("ops1" in ref for ref in refs(server))
        one.release()
    assert asked == []


def test_it_is_taken_again_with_a_clone_made_anew(server: Path, tmp_path: Path) -> None:
    repository = clone_of(server, tmp_path / "a")
    one = Lease(repository, "main", "ops1", ttl=900)
    one.acquire(NOON, 0)
    one.release()
    repository.mark_damaged()
    assert repository.heal()
    one.acquire(NOON, 0)
    assert any("ops1" in ref for ref in refs(server))


def test_it_leaves_nothing_on_a_server_that_takes_any_ref(remote: Path, tmp_path: Path) -> None:
    one = lease(remote, tmp_path / "a", "ops1")
    one.acquire(NOON, 0)
    assert refs(remote) == ["refs/reconciler/lease/main ops1"]
    one.release()
    one.release()
    assert refs(remote) == []


def test_without_the_remote_there_is_no_lease_and_no_trouble_giving_it_back(remote: Path, tmp_path: Path) -> None:
    one = lease(remote, tmp_path / "a", "ops1")
    one.acquire(NOON, 0)
    remote.rename(remote.with_suffix(".away"))
    with pytest.raises(Unreachable):
        one.acquire(NOON, 500)
    one.release()
