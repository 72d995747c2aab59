"""Five hundred reports through half an hour of outage, by a daemon that is killed over and over (F17, F1).

None is lost, none is there twice, each place sees its wishes in their order, and the forge never gets more writes
than it allows, restarts included. The forge is the fake one, which checks every request; client, git
and state are real.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from random import Random

import httpx2
import pytest
import stamina

from reconciler.deliver import about_pull_requests, tell_ears
from reconciler.desk import Desk
from reconciler.ears import Ear, WebhookEar
from reconciler.forge import TokenFile, open_forge
from reconciler.opening import SPENT
from reconciler.speak import converse
from reconciler.world import World
from tests.forge.fake import DOWN, SILENT, UNSURE, WRITES, Clock
from tests.forge.fake_github import FakeGitHub
from tests.loop import speaker
from tests.loop.bench import Bench, await_true, git
from tests.loop.outage import (
    Fate,
    Killed,
    Listener,
    Speech,
    Weather,
    check_all_said,
    check_budget,
    check_order,
    in_memory,
    listening,
    serving,
    slot_of,
)

OUTAGE, ROUGH = 1800.0, 5400.0
"""Seconds of no service at all, and until when one call in twenty-five still fails."""
EARS = ("steady", "shaky")


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Reads are tried again as ever, without the pause in between."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with in_memory(tmp_path) as place:
        yield place


def badness(at: float) -> float:
    """How many of the calls fail."""
    return 1.0 if at < OUTAGE else 0.04 if at < ROUGH else 0.0


def shaky(at: float) -> float:
    """The same of the other ear, which is away for a while of its own."""
    return 1.0 if 600 < at < 2400 else 0.05


@dataclass
class Story:
    """A bench, a fake forge, two ears, and a daemon that does nothing but speak, a cycle a minute."""

    bench: Bench
    seed: int
    fake: FakeGitHub = field(default_factory=lambda: FakeGitHub(Clock()))
    starts: int = 0
    cycles: int = 0
    rounds: list[tuple[list[str], list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.fate = Fate(self.random, every=400)
        self.weather = Weather(self.fake, self.random, badness, self.fate)
        self.listeners = {
            "steady": Listener(self.random, lambda: 0.0),
            "shaky": Listener(self.random, lambda: shaky(self.fake.clock.monotonic())),
        }
        (self.bench.folder / "token").write_text(self.fake.token)

    @contextmanager
    def world(self) -> Iterator[World]:
        """A daemon that starts: state, client and desk are new, and any of its calls may be its last."""
        self.starts += 1
        clock, token = self.fake.clock, TokenFile(self.bench.folder / "token")
        with self.bench.world() as world, ExitStack() as stack:
            self.fate.around(world.state, "refer", "holds", "heard", "put")
            self.fate.around(world.repository, "replace", "delete")
            spent = {"spent": world.state.get(SPENT) or (), "keep": lambda at: world.state.put(SPENT, at)}
            wiring = {**self.fake.wiring, "transport": self.weather}
            forge = stack.enter_context(open_forge(*self.fake.address, token, **wiring, **spent))
            ears = tuple(self.ear(name) for name in EARS)
            for ear in ears:
                stack.callback(ear.close)
            world.desk = Desk("main", forge, ears)
            world.clock, world.monotonic = clock.now, clock.monotonic
            yield world

    def ear(self, name: str) -> Ear:
        """The way to one of the listeners."""
        ear = WebhookEar(
            f"http://127.0.0.1:{self.listeners[name].port}/", "s", lambda: self.fake.clock.now().timestamp()
        )
        ear.name = name
        self.fate.around(ear, "hear")
        return ear

    def tell(self, speech: Speech) -> None:
        """A whole life of the story: wishes come while it is on, until nothing is left to say."""
        while True:
            try:
                with self.world() as world:
                    speech.repository = world.repository
                    while True:
                        if not self.wish(world, speech) and not self.left(world):
                            return
                        self.cycle(world)
            except Killed:
                self.fake.clock.sleep(2)

    def wish(self, world: World, speech: Speech) -> bool:
        """What a cycle finds to say; False where there will never be more."""
        self.cycles += 1
        if self.cycles == 1:
            for slots in speech.begin(comments=100, statuses=200, tickets=150, branches=50):
                world.state.say(slots)
        elif self.fake.clock.monotonic() < ROUGH:
            for slots in speech.change(4):
                world.state.say(slots)
        if speech.letters < 500:
            world.state.say({}, speech.write(10), EARS)
        return self.fake.clock.monotonic() < ROUGH or speech.letters < 500

    def left(self, world: World) -> bool:
        """Whether something still waits."""
        return bool(world.state.waiting()) or any(world.state.letters(name) for name in EARS)

    def cycle(self, world: World) -> None:
        """What ``speak`` does at the end of a cycle, and the rest of a minute."""
        before = sorted(world.state.waiting(), key=about_pull_requests)
        failed, first = self.weather.failed, len(self.fake.journal)
        try:
            converse(world)
        finally:
            written = [entry for entry in self.fake.journal[first:] if entry.method in WRITES and entry.applied]
            done = [slot_of(self.fake, entry) for entry in written]
            # Where something fails, a note may bring its ticket along again.
            done = [name for name in done if self.weather.failed == failed or not name.startswith("ticket/")]
            self.rounds.append((before, list(dict.fromkeys(done))))
        tell_ears(world)
        self.fake.clock.sleep(60)
        self.fake.check()

    def remote(self) -> dict[str, str]:
        """The branches of ours in the remote."""
        lines = git(
            "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads/reconciler", at=self.bench.remote
        )
        return dict(line.split(" ") for line in lines.splitlines())


@pytest.mark.parametrize("seed", [1])
def test_five_hundred_reports_through_an_outage(folder: Path, seed: int) -> None:
    bench = Bench(folder).build()
    story = Story(bench, seed)
    with bench.world() as world:
        base = world.repository.fetch("main", "refs/reconciler/base")
        speech = Speech(story.random, story.fake, world.repository, base)
    with listening(story.listeners["steady"]), listening(story.listeners["shaky"]):
        story.tell(speech)
    fake = story.fake
    with bench.world() as world:
        check_all_said(speech, world.state, fake, story.remote)
    check_order(fake)
    assert fake.breaches == 0
    minute, hour = check_budget(fake.writes)
    check_rounds(story)
    check_letters(story)
    deaths = story.fate.deaths
    print(
        f"\n{sum(len(wishes) for wishes in speech.wanted.values())} wishes for {len(speech.wanted)} places and "
        f"{speech.letters} letters to {len(EARS)} ears; {fake.clock.monotonic() / 60:.0f} simulated minutes, "
        f"{story.starts} starts after {sum(deaths.values())} kills; {story.weather.asked} calls of which "
        f"{story.weather.failed} failed; {len(fake.writes)} writes carried out, at most {minute} in a minute "
        f"and {hour} in an hour"
    )


def check_rounds(story: Story) -> None:
    """What waited longest was said first, by each round that could say something."""
    told = 0
    for waiting, done in story.rounds:
        where = [waiting.index(name) for name in done]
        assert where == sorted(where), done
        told += len(done)
    assert told > 500


def check_letters(story: Story) -> None:
    """Each ear heard every letter in order, and none again that it had said it had, but for a kill right then."""
    again = 0
    for listener in story.listeners.values():
        numbers = [int(delivery.partition("-")[2]) for delivery, _ in listener.got]
        assert numbers == sorted(numbers)
        assert listener.kept == [f"letter-{number}" for number in range(500)]
        answered = Counter(delivery for delivery, yes in listener.got if yes)
        again += sum(number - 1 for number in answered.values())
    assert again <= story.fate.deaths["after hear"] + story.fate.deaths["before heard"], "told though it had heard"


CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.loop.speaker"])
KILLS = 12


@dataclass
class FastClock(Clock):
    """The clock of the forge, as fast as the daemon's."""

    since: float = 0.0

    def monotonic(self) -> float:
        return speaker.fast(self.since)


@dataclass
class Door:
    """The fake forge on a socket; a call in eight fails. One call at a time, as the fake is made for."""

    fake: FakeGitHub
    random: Random
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, handler: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes] | None:
        """What the fake says, None where it hangs up."""
        content = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = httpx2.Request(
            handler.command, f"{self.fake.web}{handler.path}", headers=dict(handler.headers.items()), content=content
        )
        with self.lock:
            if self.random.random() < 0.12:
                self.fake.fail_next(self.random.choice([f for f in (DOWN, UNSURE, SILENT) if request.method in f.only]))
            try:
                response = self.fake.transport.handle_request(request)
            except httpx2.ReadTimeout:
                return None
        kept = ("content-type", "etag", "link", "retry-after")
        return response.status_code, {n: v for n, v in response.headers.items() if n in kept}, response.content


def test_a_real_process_killed_while_it_speaks(folder: Path) -> None:
    """SIGKILL at any moment, a dozen times: over a real socket, by the real opening of a configuration."""
    random, since = Random(3), time.monotonic()
    fake = FakeGitHub(FastClock(since=since))
    listener = Listener(random, lambda: 0.1)
    bench = Bench(folder)
    (folder / "token").write_text(fake.token)
    (folder / "token").chmod(0o600)
    (folder / "secret").write_text("a secret that is long enough")
    (folder / "secret").chmod(0o600)
    kills = 0
    with serving(Door(fake, random).answer) as port, listening(listener):
        fake.web = f"http://127.0.0.1:{port}"
        bench.build(
            forge={"kind": "github", "url": fake.web, "repository": fake.repository, "token": str(folder / "token")},
            ears=[{"webhook": f"http://127.0.0.1:{listener.port}/", "secret": str(folder / "secret")}],
        )
        with bench.world() as world:
            base = world.repository.fetch("main", "refs/reconciler/base")
            speech = Speech(random, fake, world.repository, base)
            for slots in speech.begin(comments=40, statuses=60, tickets=40, branches=10):
                world.state.say(slots)
            world.state.say({}, speech.write(100), world.desk.ear_names)
        while True:
            ready = folder / "ready"
            ready.unlink(missing_ok=True)
            process = CONTEXT.Process(target=speaker.run, args=(bench.config, since, ready))
            process.start()
            await_true(ready.exists, "the daemon")
            process.join(0.05 + random.random() * 0.4 if kills < KILLS else 120)
            if process.is_alive():
                assert kills < KILLS, "it never ended"
                process.kill()
                kills += 1
            process.join()
            code = process.exitcode
            process.close()
            if code == 0:
                break
            assert code == -signal.SIGKILL
    fake.check()
    lines = git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads/reconciler", at=bench.remote)
    heads = dict(line.split(" ") for line in lines.splitlines())
    with bench.world() as world:
        check_all_said(speech, world.state, fake, lambda: heads)
    check_order(fake)
    assert fake.breaches == 0
    minute, _ = check_budget(fake.writes)
    assert listener.kept == [f"letter-{number}" for number in range(100)]
    assert kills == KILLS
    print(
        f"\n{len(speech.wanted)} places and {speech.letters} letters, {kills} times SIGKILL: "
        f"{len(fake.writes)} writes, {minute} in a minute at most, in {speaker.fast(since) / 60:.0f} fast minutes"
    )
