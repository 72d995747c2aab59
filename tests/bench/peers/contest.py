"""The contest: everybody asked in turns, on one fleet, first where nothing differs and then where drift is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.hostcpu import mean_cpu
from tests.bench.measure import BenchFailed, Cost
from tests.bench.peers import drift
from tests.bench.peers.base import CannotInstall, Contender
from tests.bench.peers.cfengine import Cfengine
from tests.bench.peers.channel import Channel
from tests.bench.peers.drift import Score
from tests.bench.peers.floors import Collector, WarmTrue
from tests.bench.peers.ours import Ours, PlanCommand
from tests.bench.peers.playbook import Mitogen, Playbook, Runner
from tests.bench.peers.puppet import Puppet
from tests.bench.peers.pyinfra import Pyinfra
from tests.bench.peers.salt import Salt

HOSTS = 5
ROUNDS = 3
FAST = 17
"""Looks of a fast contender in one round, so that three rounds are fifty."""
SEED = 20261123

Say = Callable[[str], None]


@dataclass(slots=True)
class Standing:
    """How one contender did. ``costs`` and ``hosts`` (CPU of each host) are of the looks at a converged fleet."""

    name: str
    version: str = ""
    reason: str = ""
    costs: list[Cost] = field(default_factory=list)
    hosts: list[float] = field(default_factory=list)
    imagined: int = 0
    """What it said differs where nothing does, at worst."""
    score: Score | None = None

    def middle(self, what: str) -> float:
        """The median of ``wall`` or ``cpu`` in seconds."""
        return median(float(getattr(cost, what)) for cost in self.costs)


@dataclass(slots=True)
class Contest:
    """Who takes part, and how they do. ``ours`` is our stream lane; it is asked last, for it repairs what it finds."""

    fleet: Fleet
    say: Say
    contenders: dict[str, Contender]
    standings: dict[str, Standing]

    def round(self) -> None:
        """Everybody once, or a fast one a few times, where nothing differs."""
        for key, contender in self.standing():
            self.ask(key, contender)

    def standing(self) -> list[tuple[str, Contender]]:
        """Who is still in."""
        return [(key, contender) for key, contender in self.contenders.items() if not self.standings[key].reason]

    def ask(self, key: str, contender: Contender) -> None:
        """One contender's looks of one round; one that fails is out, with the reason."""
        mine, before = self.standings[key], mean_cpu(self.fleet.hosts)
        try:
            looks = contender.look(contender.looks)
        except BenchFailed as failure:
            self.drop(key, str(failure))
            return
        mine.costs += [look.cost for look in looks]
        mine.hosts.append((mean_cpu(self.fleet.hosts) - before) / len(looks))
        mine.imagined = max(mine.imagined, *(len(look.found or ()) for look in looks))
        self.say(f"{mine.name}: {mine.costs[-1]}, {mine.imagined} differences")

    def drop(self, key: str, why: str) -> None:
        """Take a peer out; our own rows and the floors must work."""
        self.standings[key].reason = why.strip().splitlines()[0][:160]
        self.say(f"{self.standings[key].name} is out: {why}")
        if isinstance(self.contenders[key], Ours | PlanCommand | WarmTrue | Collector):
            raise BenchFailed(why)

    def plant(self) -> None:
        """Plant drift and see what everybody makes of it; who gives up has found nothing."""
        expected = drift.plant(SEED, self.fleet.hosts)
        self.say(f"planted {len(expected)} differences")
        for key, contender in self.standing():
            try:
                found = contender.look(1)[0].found
            except BenchFailed as failure:
                self.say(f"{contender.name} gave up: {failure}")
                found = frozenset()
            if found is not None:
                self.standings[key].score = drift.score(found, expected)
                self.say(f"{contender.name}: {self.standings[key].score} {sorted(found ^ expected)}")


def assemble(folder: Path, fleet: Fleet, channel: Channel, say: Say, wanted: frozenset[str]) -> Contest:
    """Install everybody; our own stream lane converges the fleet first."""
    stream = Ours(folder / "stream", fleet, "stream", "our sweep, stream lane", FAST)
    contest = Contest(fleet, say, {}, {})
    enter(contest, "ours", stream)
    peers: dict[str, Contender] = {
        "check": Playbook(folder / "check", fleet),
        "mitogen": Mitogen(folder / "mitogen", fleet),
        "runner": Runner(folder / "runner", fleet),
        "salt": Salt(folder / "salt", fleet),
        "pyinfra": Pyinfra(folder / "pyinfra", fleet),
        "puppet": Puppet(fleet, channel),
        "cfengine": Cfengine(fleet, channel),
        "plan": PlanCommand(folder / "plan", fleet),
        "launch": Ours(folder / "launch", fleet, "ansible", "our sweep, Ansible lane", 1, mode="observe"),
        "collector": Collector(channel, stream.asks(), FAST),
        "true": WarmTrue(channel, FAST),
    }
    for key, contender in peers.items():
        if not wanted or key in wanted:
            enter(contest, key, contender)
    # What peers do in their own way, and we in ours, is to be seen in the table as what they invent.
    stream.converge()
    # It puts right what it finds, so it is asked after everybody else.
    contest.contenders["ours"] = contest.contenders.pop("ours")
    return contest


def enter(contest: Contest, key: str, contender: Contender) -> None:
    """Install one contender; one that is not to be had stays in the table with the reason."""
    contest.say(f"installing {contender.name}")
    contest.contenders[key], standing = contender, Standing(contender.name)
    contest.standings[key] = standing
    try:
        standing.version = contender.install()
    except CannotInstall as missing:
        contest.drop(key, f"not installed: {missing}")


@dataclass(slots=True)
class Sizes:
    """The cost of our sweep by the number of resources on each host."""

    standings: dict[int, Standing]

    def growth(self, what: str) -> float:
        """How many times more the largest costs than the smallest: ``wall``, ``cpu`` or ``hosts``."""
        small, large = (self.standings[size] for size in (min(self.standings), max(self.standings)))
        if what == "hosts":
            return median(large.hosts) / median(small.hosts)
        return large.middle(what) / small.middle(what)


def compare_sizes(folder: Path, fleet: Fleet, say: Say, sizes: tuple[int, ...] = (10, 100)) -> Sizes:
    """Our sweep with few and with many resources, in turns."""
    contest = Contest(fleet, say, {}, {})
    try:
        for size in sizes:
            name = f"our sweep, stream lane, {size} resources"
            ours = Ours(folder / f"size-{size}", fleet, "stream", name, FAST, workload.sized(size))
            enter(contest, str(size), ours)
        for _ in range(ROUNDS):
            contest.round()
    finally:
        for contender in contest.contenders.values():
            contender.close()
    return Sizes({int(key): standing for key, standing in contest.standings.items()})


def measure(
    folder: Path, fleet: Fleet, say: Say, rounds: int = ROUNDS, wanted: frozenset[str] = frozenset()
) -> tuple[dict[str, Standing], Sizes]:
    """The whole contest: the standings by key, and our cost by size. *wanted* names peers; empty means all."""
    channel = Channel(fleet)
    contest: Contest | None = None
    try:
        contest = assemble(folder, fleet, channel, say, wanted)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            contest.round()
        contest.plant()
    finally:
        for contender in contest.contenders.values() if contest else ():
            contender.close()
        channel.close()
    return contest.standings, compare_sizes(folder, fleet, say)
