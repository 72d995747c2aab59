"""Sessions with real processes at the far end: what observe gives, when it asks, and what it leaves behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from reconciler.model import Ask, Blind, HostAsk, Observed
from reconciler.reach import SshWay
from reconciler.stream import Stream, StreamSettings
from reconciler.stream.replies import BROKEN
from tests.stream.conftest import ASKS, Bench, asked
from tests.stream.waiting import alive, children, wait_until

FACTS = {"path": {"/etc/a": {"value": 0}, "/etc/b": {"value": 0}}}


def change(bench: Bench, host: str, value: int) -> None:
    (bench.of(host) / "value").write_text(str(value))


def pids(bench: Bench, host: str) -> list[int]:
    """The processes that a host's far end has had."""
    return [int(path.name.partition("-")[2]) for path in bench.of(host).glob("pid-*")]


# What is answered.


def test_the_facts_of_every_host_are_what_its_far_end_says(bench: Bench) -> None:
    change(bench, "web2", 7)
    seen = bench.observe(bench.stream(), "web1", "web2")
    assert seen["web1"] == Observed("web1", FACTS, kept=True)
    assert seen["web2"].facts["path"]["/etc/b"] == {"value": 7}
    assert bench.woken == 0


def test_where_nothing_changed_the_very_same_object_is_given(bench: Bench) -> None:
    stream = bench.stream()
    first = bench.observe(stream, "web1", "web2")
    change(bench, "web2", 1)
    second = bench.observe(stream, "web1", "web2", fresh=True)
    assert second["web1"] is first["web1"]
    assert second["web2"].facts["path"]["/etc/a"] == {"value": 1}
    assert second["web2"] is bench.observe(stream, "web2")["web2"]
    assert '"fresh": true' in (bench.of("web1") / "log").read_text()
    assert bench.started == ["web1", "web2"]


def test_another_question_is_told_and_its_answer_is_about_it(bench: Bench) -> None:
    stream = bench.stream()
    bench.observe(stream, "web1")
    other = HostAsk({}, (Ask("user", "ops", {}),))
    assert stream.observe({"web1": other}, lambda: False)["web1"] == Observed(
        "web1", {"user": {"ops": {"value": 0}}}, True
    )
    assert bench.observe(stream, "web1")["web1"] == Observed("web1", FACTS, kept=True)
    bench.observe(stream, "web1")
    assert (bench.of("web1") / "log").read_text().count("asked") == 3


def test_another_way_to_a_host_ends_the_session_and_nothing_is_believed_known(bench: Bench) -> None:
    stream = bench.stream()
    first = bench.observe(stream, "web1")["web1"]
    second = stream.observe({"web1": asked(mode="Talkative")}, lambda: False)["web1"]
    assert second == first
    assert second is not first
    assert bench.started == ["web1", "web1"]


def test_hosts_that_are_not_for_this_lane_are_blind_and_nothing_is_started(bench: Bench) -> None:
    asks = {
        "here": HostAsk({"ansible_connection": "local"}, ASKS),
        "option": HostAsk({"ansible_host": "-oProxyCommand=x"}, ASKS),
    }
    stream = bench.stream()
    seen = stream.observe(asks, lambda: False)
    assert seen == {
        "here": Blind("here", "a local connection needs no session: it is Ansible's lane"),
        "option": Blind("option", "the address is no plain word, so it is not handed to ssh"),
    }
    assert stream.observe({}, lambda: False) == {}
    assert (stream.count(), stream.thread) == (0, None)


def test_who_cannot_be_started_is_blind(bench: Bench) -> None:
    stream = Stream(StreamSettings(SshWay()), bench.wake, start=no_start)
    bench.streams.append(stream)
    assert bench.observe(stream, "web1") == {"web1": Blind("web1", "no session can be started: no such program")}


def no_start(*_: Any) -> Any:
    raise OSError("no such program")


# Far ends that are broken or hostile: blind for a good reason, and the others are not kept.

REASONS = {
    "Silent": "not reached within 1.5 s",
    "Mute": "not done within 1.5 s",
    "StaysForEver": "not done within 1.5 s",
    "Drips": "not done within 1.5 s",
    "EndlessLine": "the answer has no end",
    "EndlessLines": "says what nobody understands",
    "EndlessWelcome": "something else speaks in place of our program: Welcome to this machine!",
    "WrongNonce": "the answer does not belong to the question: its nonce is missing or old",
    "FalseDigest": "the answer is not what its digest says",
    "FalseSame": "the answer says that nothing changed, and not since what",
    "TooLarge": "the answer is too large",
    "Longer": "the answer is longer than it says",
    "NoSize": "the answer does not say how long it is",
    "NoJson": "the answer is no JSON",
    "Nested": "the answer is nested too deeply",
    "DeepFact": "the answer is nested too deeply",
    "NestedLine": "the answer is no message: " + "[" * 120,
    "Partial": "the answer leaves out path /etc/b",
    "DiesInBody": "the session ended with code 9: Killed by the test",
    "DiesAtLook": "the session was ended by signal 9",
    "ClosesOutput": "the session was closed at the far end",
    "StderrFlood": "its standard error has no end",
    "Fails": "the answer is larger than 4194304 bytes",
    "Refuses": "ssh: connect to host 192.0.2.1 port 22: Connection refused",
    "NotAvailable": "the login ended and said: This account is currently not available.",
}


def test_every_bad_far_end_is_blind_for_its_own_reason_and_its_session_ends(bench: Bench) -> None:
    stream = bench.stream(observe_timeout=1.5)
    names = {f"bad.{mode}": why for mode, why in REASONS.items()}
    seen = bench.observe(stream, *names)
    assert {host: answer.reason for host, answer in seen.items()} == names
    stream.keep(["bad.Fails"])  # the only one that keeps to the protocol
    wait_until(lambda: [pid for host in names for pid in pids(bench, host) if alive(pid)] == pids(bench, "bad.Fails"))
    assert stream.count() == 1


def test_what_is_said_before_the_program_speaks_is_passed_over(bench: Bench) -> None:
    assert bench.observe(bench.stream(), "web1.Talkative")["web1.Talkative"].facts == FACTS


def test_the_answer_of_an_earlier_look_is_none_of_this_one(bench: Bench) -> None:
    stream = bench.stream()
    assert isinstance(bench.observe(stream, "web1.Replays")["web1.Replays"], Observed)
    assert bench.observe(stream, "web1.Replays")["web1.Replays"].reason == REASONS["WrongNonce"]


def test_unchanged_means_since_what_is_known(bench: Bench) -> None:
    stream = bench.stream()
    assert isinstance(bench.observe(stream, "web1.Forgets")["web1.Forgets"], Observed)
    assert bench.observe(stream, "web1.Forgets")["web1.Forgets"].reason == REASONS["FalseSame"]


def test_what_is_sent_again_though_it_is_known_is_the_same_object(bench: Bench) -> None:
    stream = bench.stream()
    first = bench.observe(stream, "web1.Wordy")["web1.Wordy"]
    assert bench.observe(stream, "web1.Wordy")["web1.Wordy"] is first


@pytest.mark.parametrize("mode", ["Uninvited", "NowFlood"])
def test_who_says_what_was_not_asked_loses_its_session(bench: Bench, mode: str) -> None:
    stream = bench.stream(connecting=1)
    host = f"web1.{mode}"
    assert bench.observe(stream, host)[host].facts == FACTS
    wait_until(lambda: not any(alive(pid) for pid in pids(bench, host)))
    assert bench.woken <= 5


def test_a_host_that_hangs_keeps_no_other_waiting(bench: Bench) -> None:
    stream = bench.stream(connecting=2)
    others = [f"web{number}" for number in range(4)]
    seen = bench.observe(stream, "bad.Mute", *others, patience=0.0)
    while set(seen) != set(others):
        seen |= bench.observe(stream, *others)
    assert all(answer.facts == FACTS for answer in seen.values())


def test_who_failed_a_moment_ago_is_not_tried_again_at_once(bench: Bench) -> None:
    stream = bench.stream()
    assert bench.observe(stream, "web1.Refuses") == bench.observe(stream, "web1.Refuses")
    assert len(bench.started) == 1


def test_a_session_that_ended_while_idle_is_opened_anew_for_the_same_question(bench: Bench) -> None:
    stream = bench.stream()
    first = bench.observe(stream, "web1.DiesOnce")
    assert bench.observe(stream, "web1.DiesOnce")["web1.DiesOnce"] is first["web1.DiesOnce"]
    assert len(bench.started) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_of_ours_makes_blind_and_the_next_question_starts_anew(bench: Bench) -> None:
    stream = bench.stream()
    bench.observe(stream, "web1")
    assert stream.sessions is not None
    stream.sessions.start = defect
    assert bench.observe(stream, "web2", "web1") == {host: Blind(host, BROKEN) for host in ("web1", "web2")}
    assert children() == []
    assert bench.observe(stream, "web1")["web1"].facts == FACTS


def defect(*_: Any) -> Any:
    raise RuntimeError("a defect that the test planted")


# Late answers, and hosts that want to be asked.


def test_a_late_answer_wakes_and_is_handed_out(bench: Bench) -> None:
    stream = bench.stream()
    (bench.of("slow") / "wait").touch()
    bench.observe(stream, "web1")
    seen = bench.observe(stream, "web1", "slow", patience=0.5)
    assert set(seen) == {"web1"}
    assert bench.woken == 0
    (bench.of("slow") / "wait").unlink()
    assert bench.wakes.acquire(timeout=30)
    assert stream.restless() == {"slow"}
    assert bench.observe(stream, "slow")["slow"].facts == FACTS
    assert (stream.restless(), bench.looks("slow")) == (frozenset(), 1)


def test_a_late_answer_is_none_to_a_question_that_wants_everything_read_again(bench: Bench) -> None:
    stream = bench.stream()
    (bench.of("slow") / "wait").touch()
    bench.observe(stream, "web1")
    bench.observe(stream, "web1", "slow", patience=0.5)
    (bench.of("slow") / "wait").unlink()
    assert bench.wakes.acquire(timeout=30)
    change(bench, "slow", 1)
    assert bench.observe(stream, "slow", fresh=True)["slow"].facts["path"]["/etc/a"] == {"value": 1}


def test_who_asks_again_while_an_answer_is_awaited_gets_that_one(bench: Bench) -> None:
    stream = bench.stream()
    (bench.of("slow") / "wait").touch()
    bench.observe(stream, "web1")
    bench.observe(stream, "web1", "slow", patience=0.5)
    threading.Timer(0.3, (bench.of("slow") / "wait").unlink).start()
    assert bench.observe(stream, "slow")["slow"].facts == FACTS
    assert (bench.looks("slow"), bench.woken, stream.restless()) == (1, 0, frozenset())


def test_a_fresh_question_is_asked_after_the_one_that_is_awaited(bench: Bench) -> None:
    stream = bench.stream()
    (bench.of("slow") / "wait").touch()
    bench.observe(stream, "web1")
    bench.observe(stream, "web1", "slow", patience=0.5)
    threading.Timer(0.3, (bench.of("slow") / "wait").unlink).start()
    assert bench.observe(stream, "slow", fresh=True)["slow"].facts == FACTS
    assert (bench.looks("slow"), bench.woken) == (2, 0)


def test_stopping_gives_what_there_is(bench: Bench) -> None:
    stream = bench.stream()
    bench.observe(stream, "web1")
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    seen = stream.observe({"web1": asked(), "bad.Mute": asked()}, stop.is_set)
    assert seen["web1"].facts == FACTS
    assert seen["bad.Mute"] == Blind("bad.Mute", "stopped before it was done")


def test_a_host_that_says_look_now_is_restless_until_it_is_asked(bench: Bench) -> None:
    stream = bench.stream()
    first = bench.observe(stream, "web1", "web2")
    change(bench, "web1", 1)
    (bench.of("web1") / "now").touch()
    assert bench.wakes.acquire(timeout=30)
    assert stream.restless() == {"web1"}
    assert bench.observe(stream, "web1")["web1"] != first["web1"]
    assert stream.restless() == frozenset()


def test_a_session_that_was_lost_comes_back_and_the_host_is_restless(bench: Bench) -> None:
    stream = bench.stream()
    first = bench.observe(stream, "web1")
    [pid] = pids(bench, "web1")
    os.kill(pid, signal.SIGKILL)
    assert bench.wakes.acquire(timeout=30)
    assert (stream.restless(), bench.looks("web1"), stream.count()) == ({"web1"}, 1, 1)
    assert bench.observe(stream, "web1")["web1"] is first["web1"]


def test_a_blind_host_is_tried_again_and_restless_once_it_is_back(bench: Bench) -> None:
    stream = bench.stream()
    assert stream.observe({"web1": asked(mode="Refuses")}, lambda: False)["web1"].reason == REASONS["Refuses"]
    wait_until(lambda: len(bench.started) > 2)
    assert bench.woken == 0


# How many, and how they end.


def test_hosts_beyond_the_cap_are_connected_asked_and_closed_a_few_at_a_time(bench: Bench) -> None:
    hosts = [f"web{number}" for number in range(8)]
    stream = bench.stream(sessions=3, connecting=2)
    first = bench.observe(stream, *hosts)
    assert all(answer.facts == FACTS for answer in first.values())
    wait_until(lambda: len(children()) == stream.count() == 3)
    second = bench.observe(stream, *hosts)
    assert all(second[host] is first[host] for host in hosts)
    assert sorted(bench.started) == sorted([*hosts, *hosts[3:]])
    assert stream.watching() == 3


def test_no_more_than_so_many_connect_at_a_time(bench: Bench) -> None:
    stream = bench.stream(connecting=3, observe_timeout=1.0)
    hosts = [f"bad{number}.Silent" for number in range(9)]
    most = []
    stop = lambda: most.append(stream.count())  # noqa: E731
    assert {answer.reason for answer in stream.observe({host: asked() for host in hosts}, stop).values()} == {
        "not reached within 1 s"
    }
    assert max(most) == 3


def test_sessions_that_are_not_kept_end(bench: Bench) -> None:
    stream = bench.stream()
    bench.observe(stream, "web1", "web2", "web3")
    stream.keep({"web2"})
    wait_until(lambda: children() == pids(bench, "web2"))
    assert stream.count() == 1
    bench.observe(stream, "web1", "web2")
    assert bench.started == ["web1", "web2", "web3", "web1"]


def test_closing_ends_who_will_not_and_can_be_done_twice(bench: Bench) -> None:
    stream = bench.stream()
    bench.observe(stream, "web1")
    seen = bench.observe(stream, "web1", "bad.StaysForEver", patience=0.5)
    assert set(seen) == {"web1"}
    stream.close()
    assert (children(), stream.count()) == ([], 0)
    stream.close()
    assert bench.observe(stream, "web1")["web1"] == seen["web1"]


CHILD = """
import sys, time
from pathlib import Path
from tests.stream.conftest import Bench
bench = Bench(Path(sys.argv[1]))
stream = bench.stream()
bench.observe(stream, "web1", "web2")
print("asked", flush=True)
time.sleep(600)
"""


def test_far_ends_end_with_a_daemon_that_is_killed(tmp_path: Path) -> None:
    daemon = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"asked\n"
    finally:
        daemon.kill()
        daemon.communicate()
    left = [int(path.name.partition("-")[2]) for path in tmp_path.glob("*/pid-*")]
    assert len(left) == 2
    wait_until(lambda: not any(alive(pid) for pid in left))


def test_asking_from_a_process_without_descriptors_to_spare(bench: Bench) -> None:
    """The limit is raised as far as the system lets it, and never lowered."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        bench.observe(bench.stream(sessions=50), "web1")
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
