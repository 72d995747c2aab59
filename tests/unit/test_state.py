"""The daemon's memory: nothing lost, nothing twice, nothing written for nothing; on real disks and processes."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest

from reconciler.errors import StateError
from reconciler.model import Event, HostMemory
from reconciler.state import SCHEMA, Slot, State, lock
from reconciler.talk import Letter

WEB1 = HostMemory(
    host="web1",
    applied={"user[ann]": {"groups": ("a", "b"), "shell": "/bin/sh", "uid": 7, "system": False, "home": None}},
    revision="0" * 40,
    state="differs",
    story="differs:1f",
    since="2026-11-22T10:00:00+00:00",
    seen_at=None,
    clean_at="2026-11-22T09:00:00+00:00",
    changes=({"resource": "user[ann]", "wanted": ["a"], "seen": None},),
    owed=("reload nginx",),
    reason="é\n",
)
EVENT = Event(
    id="e1",
    at=datetime(2026, 11, 22, 10, tzinfo=UTC),
    message="web1: é\n",
    trailers=(("Host", "web1"), ("Host", "web2")),
    files={"hosts/web1.yml": b"\x00\xff", "hosts/gone.yml": None},
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "state.db"


def everything(path):
    with State.open(path, read_only=True) as state:
        return state.hosts(), state.intents(), [event.id for event in state.outbox()], state.get("accepted")


def test_what_is_stored_comes_back_equal(path):
    with State.open(path) as state:
        state.finish([WEB1, HostMemory("web2")], [EVENT], (), {"accepted": "abc", "list": [1, None]})
    for read_only in (False, True):
        with State.open(path, read_only=read_only) as state:
            assert state.hosts() == {"web1": WEB1, "web2": HostMemory("web2")}
            assert state.outbox() == [EVENT]
            assert (state.get("accepted"), state.get("list"), state.get("nothing")) == ("abc", [1, None], None)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_events_leave_in_order_and_are_there_once(path):
    second, third = replace(EVENT, id="a2"), replace(EVENT, id="0")
    with State.open(path) as state:
        state.finish(events=[EVENT, second])
        state.finish(events=[EVENT, third])
        assert [event.id for event in state.outbox()] == ["e1", "a2", "0"]
        state.delivered(["e1", "never"])
        assert [event.id for event in state.outbox()] == ["a2", "0"]


def test_intents_stay_until_their_outcome(path):
    with State.open(path) as state:
        state.begin({"web1": {"changes": []}, "web2": {"handlers": ["reload x"]}})
        state.begin({"web2": {"handlers": ["reload y"]}})
        state.finish([WEB1], done=["web1"])
    with State.open(path) as state:
        assert state.intents() == {"web2": {"handlers": ["reload y"]}}


def test_an_idle_cycle_writes_nothing(path):
    def files():
        # The -shm file is shared memory of the processes that have the state open; readers leave marks there.
        times = {f.name: f.stat().st_mtime_ns for f in path.parent.iterdir() if not f.name.endswith("-shm")}
        return times, {f.name: f.stat().st_size for f in path.parent.iterdir()}

    with State.open(path) as state:
        state.finish([WEB1], [EVENT], (), {"accepted": "abc"})
        before = files()
        for _ in range(100):
            same = replace(WEB1, applied=MappingProxyType({k: dict(v) for k, v in WEB1.applied.items()}))
            state.finish([WEB1, same], [], ["web1"], {"accepted": "abc"})
            state.put("accepted", "abc")
            state.begin({})
            state.delivered([])
            state.hosts(), state.intents(), state.outbox()
        assert files() == before
        state.finish([replace(WEB1, reason="new")])
        assert files() != before
    with State.open(path) as state:
        before = files()[0]["state.db"]
        assert state.hosts()["web1"].reason == "new"
        assert files()[0]["state.db"] == before


def test_a_reader_sees_what_the_daemon_stores_meanwhile(path):
    with State.open(path) as daemon, State.open(path, read_only=True) as reader:
        assert reader.hosts() == {}
        daemon.finish([WEB1])
        assert reader.hosts() == {"web1": WEB1}
        with pytest.raises(StateError, match="cannot be written"):
            reader.put("x", 1)


def test_a_failed_transaction_leaves_nothing(path):
    with State.open(path) as state:
        with pytest.raises(TypeError):
            state.finish([HostMemory("web3"), replace(WEB1, changes=({"x": object()},))], [EVENT])
        assert state.hosts() == {}
        assert state.outbox() == []
        state.finish([WEB1])
        assert list(state.hosts()) == ["web1"]


def test_what_cannot_be_used_is_told(path, tmp_path):
    with pytest.raises(StateError, match="there is no state at"):
        State.open(path, read_only=True)
    State.open(path).close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version={SCHEMA + 1}")
    database.close()
    for read_only in (True, False):
        with pytest.raises(StateError, match="newer reconciler"):
            State.open(path, read_only=read_only)
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StateError, match="is not a database"):
        State.open(path)
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"cannot be used: (Not a directory|File exists)"):
        State.open(tmp_path / "file" / "state.db")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(StateError, match="is shared"):
        State.open(shared / "state.db")
    assert shared.stat().st_mode & 0o7777 == 0o1777


WRITER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from reconciler.state import State
from tests.unit.test_state import EVENT, WEB1
where = sys.argv[2]
state = State.open(Path(sys.argv[1]))

class Dying:
    '''The connection of the state, until the process is killed at the moment asked for.'''
    def __init__(self, real):
        self.real = real
    def __getattr__(self, name):
        return getattr(self.real, name)
    def execute(self, statement, *values):
        if statement == "COMMIT" and where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = self.real.execute(statement, *values)
        if statement == "COMMIT" and where == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return found

state.hosts()
state._connection = Dying(state._connection)
state.finish([WEB1], [EVENT], ["web1"], {"accepted": "new"})
"""


@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_in_the_middle_it_is_all_or_nothing(path, where):
    with State.open(path) as state:
        state.finish(meta={"accepted": "old"})
        state.begin({"web1": {"changes": []}})
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", WRITER, path, where, root], cwd=root, check=False, timeout=60)
    assert run.returncode == -signal.SIGKILL
    nothing = ({}, {"web1": {"changes": []}}, [], "old")
    whole = ({"web1": WEB1}, {}, ["e1"], "new")
    assert everything(path) == (nothing if where == "before" else whole)
    with State.open(path) as state:
        # The cycle is told again, as the daemon does when it starts: what was stored is not there twice.
        state.finish([WEB1], [EVENT], ["web1"], {"accepted": "new"})
    assert everything(path) == whole


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    run = subprocess.run(mount, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.fail(f"this test mounts a small tmpfs and has to run as root: {run.stderr}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(ballast):
    block = b"x" * 4096
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(block) == len(block):
            pass
    assert os.statvfs(ballast).f_bavail == 0


def test_a_full_disk_is_told_and_damages_nothing(small_disk):
    path = small_disk / "state" / "state.db"
    ballast = small_disk / "ballast"
    with State.open(path) as state:
        state.finish([WEB1], [EVENT], (), {"accepted": "old"})
        fill(ballast)
        with pytest.raises(StateError, match="no space left on its file system"):
            state.begin({f"web{n}": {"changes": ["x" * 9000]} for n in range(40)})
        big = [replace(WEB1, host=f"web{n}", reason="x" * 9000) for n in range(40)]
        with pytest.raises(StateError, match="no space left on its file system"):
            state.finish(big, [replace(EVENT, id="e2")], (), {"accepted": "new"})
        assert state.hosts() == {"web1": WEB1}
        assert (state.intents(), state.get("accepted")) == ({}, "old")
        ballast.unlink()
        state.finish(big[:3], [replace(EVENT, id="e2")], (), {"accepted": "new"})
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    hosts, intents, events, accepted = everything(path)
    assert (sorted(hosts), intents, events, accepted) == (["web0", "web1", "web2"], {}, ["e1", "e2"], "new")


def test_a_disk_with_no_room_for_a_state(small_disk):
    (small_disk / "state").mkdir()
    fill(small_disk / "ballast")
    with pytest.raises(StateError, match=r"no space left|fails to read or write|cannot be opened"):
        State.open(small_disk / "state" / "state.db")


HOLDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from reconciler.state import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(directory):
    command = [sys.executable, "-c", HOLDER, directory, Path(__file__).parents[2]]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_second_daemon_is_kept_out_until_the_first_is_gone(tmp_path):
    directory = tmp_path / "state"
    with holder(directory) as first:
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(StateError, match=rf"another reconciler \(process {first.pid}\) is using") as caught,
            lock(directory),
        ):
            pass
        assert f"kill -HUP {first.pid}" in str(caught.value)
        os.kill(first.pid, signal.SIGKILL)
    with lock(directory):
        assert (directory / "lock").read_text() == f"{os.getpid()}\n"
        assert directory.stat().st_mode & 0o777 == 0o700
    with holder(directory) as third:
        assert third.stdout.readline() == "held\n"
        third.stdin.close()


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="cannot be opened"), lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_state_of_the_first_release_is_taken_over(path):
    """The tables as that release made them; what they hold is still there afterwards."""
    path.parent.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
            "CREATE TABLE hosts (host TEXT PRIMARY KEY, memory TEXT NOT NULL) STRICT;"
            "CREATE TABLE intents (host TEXT PRIMARY KEY, intent TEXT NOT NULL) STRICT;"
            "CREATE TABLE outbox (nr INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, event TEXT NOT NULL)"
            " STRICT;"
            """INSERT INTO meta VALUES ('accepted', '"abc"'); PRAGMA user_version=1;"""
        )
    with pytest.raises(StateError, match="older reconciler"):
        State.open(path, read_only=True)
    with State.open(path) as state:
        assert state.get("accepted") == "abc"
        state.say({"comment/1": {"body": "x"}})
        assert state.waiting() == ["comment/1"]


def test_a_slot_waits_until_it_holds_what_was_last_wanted(path):
    with State.open(path) as state:
        state.say({"comment/1": {"body": "one"}, "status/a": {"standing": "pending"}})
        state.say({"comment/1": {"body": "two"}})
        assert state.waiting() == ["comment/1", "status/a"], "it keeps its place"
        first = state.slot("comment/1")
        assert first == Slot("comment/1", {"body": "two"})
        state.say({"comment/1": {"body": "three"}})  # said while "two" was on its way
        state.holds(first, 77)
    with State.open(path) as state:
        assert state.waiting() == ["comment/1", "status/a"]
        slot = state.slot("comment/1")
        assert slot == Slot("comment/1", {"body": "three"}, {"body": "two"}, 77)
        state.holds(slot, 77)
        state.say({"comment/1": {"body": "four"}})
        assert state.waiting() == ["status/a", "comment/1"], "a new wish goes to the end"
        state.holds(state.slot("comment/1"), 77)
        state.refer("status/a", {"trying": True})
        assert state.waiting() == ["status/a"]
        assert state.slot("status/a") == Slot("status/a", {"standing": "pending"}, None, {"trying": True})
        assert state.waiting("comment/") == []
        assert [slot.name for slot in state.slots("comment/")] == ["comment/1"]
        state.vacate(["status/a"])
        assert (state.waiting(), state.slot("status/a")) == ([], None)


def test_saying_what_is_said_already_writes_nothing(path):
    with State.open(path) as state:
        state.say({"comment/1": {"body": "one"}})
        before = {file: file.stat().st_mtime_ns for file in path.parent.iterdir()}
        state.say({"comment/1": {"body": "one"}})
        state.say({})
        state.vacate([])
        assert {file: file.stat().st_mtime_ns for file in path.parent.iterdir()} == before


def test_every_ear_hears_every_letter_once_and_in_order(path):
    letters = [Letter(f"id{number}", "2026", "opened", "t", "x", hosts=("web1",)) for number in (2, 1)]
    with State.open(path) as state:
        state.say({}, letters, ("chat", "mail"))
        state.say({}, letters[:1], ("chat", "mail"))
        assert state.letters("chat") == state.letters("mail") == letters
        state.heard("chat", "id2")
        assert (state.letters("chat"), state.letters("mail")) == (letters[1:], letters)
        assert state.unheard() == {"chat": 1, "mail": 2}
        state.disown(["mail"])
        assert state.unheard() == {"chat": 1}


def test_it_is_known_how_many_letters_each_ear_has_not_heard(path):
    letters = [Letter(f"id{number}", "2026", "opened", "t", "x") for number in (1, 2)]
    with State.open(path) as state:
        assert state.unheard() == {}
        state.say({}, letters, ("mail", "chat"))
        state.heard("chat", "id1")
    with State.open(path, read_only=True) as state:
        assert state.unheard() == {"chat": 1, "mail": 2}


def test_a_note_is_known_at_once_and_on_disk_with_the_next_thing_stored(path):
    with State.open(path) as daemon, State.open(path, read_only=True) as reader:
        daemon.put("swept_at", "monday")
        daemon.note("swept_at", "tuesday")
        assert (daemon.get("swept_at"), reader.get("swept_at")) == ("tuesday", "monday")
        daemon.put("accepted", "abc")
        assert reader.get("swept_at") == "tuesday"
        daemon.put("swept_at", "wednesday")
        assert (daemon.get("swept_at"), reader.get("swept_at")) == ("wednesday", "wednesday")


def test_what_hosts_have_alike_is_read_as_one_object_and_as_what_it_was(path):
    alike, yes, one = ({"file[/a]": {"x": value, "y": ("b",)}} for value in ("z", True, 1))
    with State.open(path) as state:
        state.finish(HostMemory(f"web{n}", applied) for n, applied in enumerate((alike, alike, yes, one)))
    with State.open(path) as state:
        first, second, third, fourth = (memory.applied["file[/a]"] for memory in state.hosts().values())
        assert first is second
        assert (third["x"], fourth["x"]) == (True, 1)
        assert [type(each["x"]) for each in (third, fourth)] == [bool, int]


def test_words_of_a_host_are_read_as_words_whatever_they_say(path):
    applied = {"file[/a]": {"x": "z"}}
    with State.open(path) as state:
        state.finish([HostMemory("web1", applied), HostMemory("web2", applied, reason=repr(applied["file[/a]"]))])
    with State.open(path) as state:
        assert state.hosts()["web2"].reason == "{'x': 'z'}"
