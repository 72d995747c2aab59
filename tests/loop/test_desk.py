"""Corner cases of speaking: how long who is away is left alone, what a refusal means, what many slots cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
import stamina

from reconciler.deliver import deliver, tell_ears
from reconciler.desk import FIRST_REST, LONGEST_REST, Desk, Line
from reconciler.errors import ForgeAway, ForgeRefused, GitError
from reconciler.forge import TokenFile, open_forge
from reconciler.markdown import marker
from reconciler.opening import SPENT
from reconciler.state import State
from reconciler.talk import Letter
from reconciler.wire import Wire
from reconciler.world import World
from tests.forge.fake import SILENT, UNSURE, Clock, Fault
from tests.forge.fake_github import FakeGitHub
from tests.loop.bench import Bench
from tests.loop.outage import Killed, Speech, in_memory, slot_of

SHA = "b" * 40


def comment(number: int, text: str = "one") -> dict[str, dict[str, Any]]:
    return {f"comment/{number}": {"body": f"{marker('plan', f'main/{number}')}\n{text}", "digest": text}}


def ticket(text: str = "one", *, is_open: bool = True) -> dict[str, dict[str, Any]]:
    return {"ticket/aa": {"title": "drift", "body": f"{marker('ticket', 'main/aa')}\n{text}", "open": is_open}}


def note(key: str) -> dict[str, dict[str, Any]]:
    return {f"note/aa/{key}": {"body": f"{marker('note', f'main/aa/{key}')}\nnews", "ticket": "ticket/aa"}}


@pytest.fixture
def fake() -> FakeGitHub:
    return FakeGitHub(Clock())


@pytest.fixture
def world(tmp_path: Path, fake: FakeGitHub) -> Iterator[World]:
    """The real world with a forge to speak with; reads are tried again without a pause."""
    with ExitStack() as stack:
        folder = stack.enter_context(in_memory(tmp_path))
        (folder / "token").write_text(fake.token)
        stack.enter_context(stamina.set_testing(True, attempts=3, cap=True))
        world = stack.enter_context(Bench(folder).build().world())
        token = TokenFile(folder / "token")
        world.desk = Desk("main", stack.enter_context(open_forge(*fake.address, token, **fake.wiring)))
        world.clock, world.monotonic = fake.clock.now, fake.clock.monotonic
        yield world
    fake.check()


def said(fake: FakeGitHub) -> list[str]:
    return [slot_of(fake, entry) for entry in fake.writes]


def test_who_is_away_is_left_alone_twice_as_long_each_time_up_to_five_minutes() -> None:
    line, rests = Line(), []
    for _ in range(20):
        line.failed(ForgeAway("gone\n  with a hint"), 1000.0)
        rests.append(line.not_before - 1000)
    assert rests[:6] == [15, 30, 60, 120, 240, 300]
    assert set(rests[5:]) == {LONGEST_REST}
    assert line.trouble == "gone"
    line.worked()
    assert line == Line()
    line.failed(GitError("gone"), 7.0)
    assert line.not_before == 7 + FIRST_REST


def test_who_asks_for_more_time_gets_it() -> None:
    line = Line()
    line.failed(ForgeAway("later", wait=900), 0.0)
    assert line.not_before == 900
    line.failed(ForgeAway("later", wait=1), 0.0)
    assert line.not_before == 2 * FIRST_REST


def test_trouble_is_told_when_it_begins_and_when_it_ends() -> None:
    desk, told, now = Desk(), list[str](), [0.0]

    def speak(error: Exception | None = None) -> bool:
        with desk.speaking("chat", lambda: now[0], told.append) as speaking:
            if speaking and error:
                raise error
        return speaking

    assert speak()
    assert (speak(ForgeAway("gone")), speak(ForgeAway("gone"))) == (True, False)
    now[0] = FIRST_REST
    assert speak(ForgeAway("still gone"))
    now[0] = 3 * FIRST_REST
    assert speak()
    assert told == [
        "chat cannot be spoken with, what is to be said is kept: gone",
        "chat can be spoken with again",
    ]
    with pytest.raises(ValueError, match="a bug"):
        speak(ValueError("a bug"))


def test_one_place_that_fails_keeps_no_other_waiting(world: World, fake: FakeGitHub) -> None:
    pulls = [fake.add_pull_request(f"topic{n}", SHA).number for n in range(3)]
    for number in pulls:
        world.state.say(comment(number))
    world.desk.line(Desk.FORGE).failures = 5
    fake.fail_next(Fault(500, only=("POST",)))
    with pytest.raises(ForgeAway):
        deliver(world)
    assert said(fake) == [f"comment/{number}" for number in pulls[1:]]
    assert world.state.waiting() == [f"comment/{pulls[0]}"]
    assert world.desk.line(Desk.FORGE).failures == 0
    deliver(world)
    assert said(fake)[-1] == f"comment/{pulls[0]}"


@pytest.mark.parametrize(
    ("fault", "asked"), [(Fault(500, only=("POST",)), 2), (Fault(429, {"retry-after": "30"}, only=("POST",)), 1)]
)
def test_a_forge_that_is_down_is_not_asked_for_everything(
    world: World, fake: FakeGitHub, fault: Fault, asked: int
) -> None:
    for n in range(9):
        world.state.say(comment(fake.add_pull_request(f"topic{n}", SHA).number))
    fake.outage(60, fault)
    with pytest.raises(ForgeAway) as away:
        deliver(world)
    assert away.value.wait == (30 if fault.headers else 0)
    assert len([entry for entry in fake.journal if entry.method == "POST"]) == asked


@pytest.mark.parametrize("fault", [UNSURE, SILENT])
def test_what_may_have_been_said_is_looked_for(world: World, fake: FakeGitHub, fault: Fault) -> None:
    number = fake.add_pull_request("topic", SHA).number
    world.state.say(
        {**comment(number), **ticket(), f"status/{SHA}/x": {"standing": "success", "description": "d", "url": ""}}
    )
    for text in ("one", "two"):
        world.state.say({**comment(number, text), **ticket(text), **note(text)})
        for _ in range(8):
            fake.fail_next(fault)
            try:
                deliver(world)
            except ForgeAway:
                continue
        fake._next.clear()
        deliver(world)
        assert world.state.waiting() == []
    assert [entry.edits for entry in fake.comments if entry.number == number] == [1]
    assert len(fake.comments) == 3
    assert len(fake.issues) == len(fake.statuses) == 1
    assert len(said(fake)) == 7


def test_a_note_waits_for_its_ticket(world: World, fake: FakeGitHub) -> None:
    world.state.say(ticket())
    fake.fail_next(Fault(500, only=("POST",)))
    with pytest.raises(ForgeAway):
        deliver(world)
    world.state.say({**ticket("two"), **note("1")})
    fake.fail_next(UNSURE)
    with pytest.raises(ForgeAway):
        deliver(world)
    deliver(world)
    assert [comment.body.splitlines()[1] for comment in fake.comments] == ["news"]
    assert len(fake.issues) == 1


def dying_after(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, and then the daemon dies."""

    def dies(*arguments: Any) -> None:
        call(*arguments)
        raise Killed

    return dies


@pytest.fixture
def speech(world: World, fake: FakeGitHub) -> Speech:
    return Speech(Random(0), fake, world.repository, world.repository.fetch("main", "refs/reconciler/base"))


def test_a_branch_that_was_pushed_before_the_daemon_died_is_still_ours(world: World, speech: Speech) -> None:
    """Even where something else is wanted of it since; what a person pushes later is left alone."""
    world.state.say(speech.wish("branch/aa"))
    replace = world.repository.replace
    world.repository.replace = dying_after(replace)
    with pytest.raises(Killed):
        deliver(world)
    world.repository.replace = replace
    world.state.say(speech.wish("branch/aa"))
    deliver(world)
    wanted = speech.wanted["branch/aa"][-1]
    assert world.repository.tip(wanted["branch"]) == wanted["sha"]
    assert world.state.slot("branch/aa").ref == {"pushed": wanted["sha"]}
    assert replace("refs/reconciler/base", wanted["branch"], wanted["sha"])
    world.state.say({"branch/aa": {**wanted, "sha": None, "key": ""}})
    deliver(world)
    assert world.repository.tip(wanted["branch"]) == speech.base
    assert world.state.slot("branch/aa").ref["left"] == speech.base


@pytest.mark.parametrize("closer", ["us", "a person"])
def test_only_a_person_ends_a_proposal_for_good(world: World, fake: FakeGitHub, speech: Speech, closer: str) -> None:
    world.state.say(speech.wish("pull/aa"))
    deliver(world)
    ((number, _),) = fake.pulls.items()
    wanted = speech.wanted["pull/aa"][-1]
    if closer == "a person":
        fake.close(number)
    world.state.say({"pull/aa": {**wanted, "sha": None, "key": ""}})
    if closer == "us":
        fake.fail_next(UNSURE)
        with pytest.raises(ForgeAway):
            deliver(world)
    deliver(world)
    assert fake.pulls[number].state == "closed"
    world.state.say({"pull/aa": wanted})
    deliver(world)
    assert len(fake.pulls) == (2 if closer == "us" else 1)
    assert world.state.waiting() == []


def test_of_a_ticket_that_never_was_nobody_is_told(world: World, fake: FakeGitHub) -> None:
    world.state.say({**ticket(is_open=False), **note("1")})
    deliver(world)
    assert (fake.issues, fake.comments, world.state.waiting()) == ({}, [], [])


def test_what_is_refused_for_good_is_told_and_let_go(world: World, fake: FakeGitHub) -> None:
    world.state.say({**comment(77), **ticket()})
    told: list[str] = []
    world.say = told.append
    deliver(world)
    assert (len(fake.issues), world.state.waiting()) == (1, [])
    assert told[0].startswith("the forge will not take comment/77")
    deliver(world)
    assert len(told) == 1


def test_a_repository_that_is_gone_refuses_nothing_for_good(world: World, fake: FakeGitHub) -> None:
    world.state.say({**comment(fake.add_pull_request("topic", SHA).number), **ticket()})
    fake.repository = "ops/renamed"  # what a token that lost its right to the repository sees: 404 everywhere
    with pytest.raises(ForgeAway):
        deliver(world)
    assert len(world.state.waiting()) == 2
    fake.repository = "ops/fleet"
    deliver(world)
    assert (len(fake.issues), len(fake.comments), world.state.waiting()) == (1, 1, [])


def test_a_wrong_token_loses_nothing(world: World, fake: FakeGitHub) -> None:
    world.state.say(ticket())
    fake.logins.clear()
    with pytest.raises(ForgeAway, match="401"):
        deliver(world)
    assert world.state.waiting() == ["ticket/aa"]


@dataclass
class Slow:
    """An ear that takes its time, or refuses."""

    name: str
    clock: Clock
    seconds: float = 0.0
    refuses: str = ""
    got: list[str] = field(default_factory=list)

    def hear(self, letter: Letter) -> None:
        self.clock.sleep(self.seconds)
        if letter.id == self.refuses:
            raise ForgeRefused("no", status=413)
        self.got.append(letter.id)

    def close(self) -> None:
        pass


def test_a_slow_ear_keeps_no_other_waiting(world: World, fake: FakeGitHub) -> None:
    slow, quick = Slow("slow", fake.clock, 15), Slow("quick", fake.clock, refuses="1")
    world.desk.ears = (slow, quick)
    world.state.say({}, [Letter(f"{n}", "2026", "opened", "t", "x") for n in range(5)], ("slow", "quick"))
    tell_ears(world)
    assert (slow.got, quick.got) == (["0", "1"], ["0", "2", "3", "4"])
    assert world.state.letters("quick") == []
    tell_ears(world)
    tell_ears(world)
    assert slow.got == ["0", "1", "2", "3", "4"]


def kept_budget(state: State, at: Clock, sent: list[float]) -> Wire:
    transport = httpx2.MockTransport(lambda _request: sent.append(at.elapsed) or httpx2.Response(201, json={}))
    return Wire(
        "https://forge.test",
        headers=dict,
        monotonic=at.monotonic,
        now=lambda: at.now().timestamp(),
        spent=state.get(SPENT) or (),
        keep=lambda times: state.put(SPENT, times),
        transport=transport,
    )


def test_a_restart_fills_no_budget(tmp_path: Path) -> None:
    """The budget counts on with another monotonic clock, and what was killed before it was sent counts as sent."""
    clock, sent = Clock(), list[float]()
    with in_memory(tmp_path) as folder, State.open(folder / "state.db") as state:
        for _ in range(50):
            with kept_budget(state, clock, sent) as wire, suppress(ForgeAway):
                for _ in range(100):
                    wire.send("POST", "/x", {})
            clock.sleep(25 if clock.elapsed < 400 else 100)
        assert len(state.get(SPENT)) <= 500
    assert 500 < len(sent) <= 1000, "the second hour has begun"
    for first, last in zip(sent, sent[80:], strict=False):
        assert last - first >= 60
    for first, last in zip(sent, sent[500:], strict=False):
        assert last - first >= 3600


def test_a_clock_that_was_put_back_stops_the_budget_for_an_hour_at_most(tmp_path: Path) -> None:
    clock, sent = Clock(elapsed=10 * 3600.0), list[float]()
    with State.open(tmp_path / "state.db") as state:
        state.put(SPENT, [clock.now().timestamp() + 86400.0] * 500)
        with kept_budget(state, clock, sent) as wire, pytest.raises(ForgeAway) as away:
            wire.send("POST", "/x", {})
        assert away.value.wait == 3600


def steps(state: State, work: Callable[[], object]) -> int:
    """What SQLite has to do for it, in thousands of its own instructions; and no seconds."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    state._connection.set_progress_handler(count, 100)
    work()
    state._connection.set_progress_handler(None, 0)
    return counted[0]


def test_ten_times_as_many_slots_cost_ten_times_as_much(world: World, fake: FakeGitHub) -> None:
    """Statements and their work, for slots that are refused at once by a forge that knows no such pull request."""
    cost: dict[int, tuple[int, int]] = {}
    world.say = lambda _text: None
    world.desk.forge = Refusing()
    for many in (500, 5000):
        world.state.vacate([slot.name for slot in world.state.slots("")])
        world.state.say({name: wish for n in range(many) for name, wish in comment(n).items()})
        statements: list[str] = []
        world.state._connection.set_trace_callback(statements.append)
        work = steps(world.state, lambda: deliver(world))
        world.state._connection.set_trace_callback(None)
        assert world.state.waiting() == []
        cost[many] = (len(statements), work)
    print(cost)
    assert cost[5000][0] <= 10.5 * cost[500][0]
    assert cost[5000][1] <= 12 * cost[500][1]


class Refusing:
    """A forge that answers at once and takes no comment."""

    def whoami(self) -> str:
        return "reconciler-bot"

    def pull_requests(self, _base: str) -> list[object]:
        return []

    def comments(self, _number: int) -> list[object]:
        return []

    def add_comment(self, number: int, _body: str) -> object:
        raise ForgeRefused(f"no {number}", status=404)
