"""The standings as rows: each contender's times with what it found beside them, then our ratios with their targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from reconciler.wording import count
from tests.bench.fleet import Fleet
from tests.bench.peers.contest import Sizes, Standing
from tests.bench.table import Row

TARGETS = (
    ("check", "ours", "wall", 1000.0),
    ("check", "ours", "cpu", 3000.0),
    ("pyinfra", "ours", "wall", 300.0),
    ("check", "launch", "wall", 15.0),
    ("check", "launch", "cpu", 8.0),
)
"""Peer, who of ours, what, and how many times more the peer has to take."""
SHORT = {"check": "check mode", "pyinfra": "pyinfra", "ours": "our sweep", "launch": "our sweep, Ansible lane"}
"""Names that fit into a row of two."""
OF_COLLECTOR = 0.2
"""Our sweep may take this share of the collector sent over warm SSH."""
HOST_SECONDS = 0.001
"""Controller CPU of one host in one sweep."""
GROWTH = 2.0
"""From ten to a hundred resources."""
NAMES = {"wall": "wall time", "cpu": "controller CPU", "hosts": "host CPU"}


def peer_rows(standings: Mapping[str, Standing], sizes: Sizes, fleet: Fleet) -> list[Row]:
    """The whole table."""
    head = Row("", columns("wall", "controller", "each host", "found", "invented"))
    ordered = sorted(standings.values(), key=lambda standing: -standing.middle("wall") if standing.costs else 0.0)
    table = [row for standing in ordered for row in contender_rows(standing)]
    return [head, *table, *target_rows(standings, len(fleet.hosts)), *size_rows(sizes)]


def contender_rows(one: Standing) -> Iterator[Row]:
    """One contender: medians; below its version and the range of the wall time."""
    if one.reason:
        yield Row(one.name, one.reason)
        return
    found = f"{one.score.found}/{one.score.found + one.score.missed}" if one.score else "-"
    invented = str(one.imagined + one.score.invented) if one.score else "-"
    times = [seconds(one.middle("wall")), seconds(one.middle("cpu")), seconds(median(one.hosts))]
    yield Row(one.name, columns(*times, found, invented))
    walls = [cost.wall for cost in one.costs]
    yield Row(
        f"  {one.version}".rstrip(), f"{seconds(min(walls)):>11} to {seconds(max(walls))}, {count(len(walls), 'run')}"
    )


def columns(*words: str) -> str:
    """Words under each other."""
    return "".join(f"{word:>11}" for word in words)


def seconds(value: float) -> str:
    """A time with three digits, in the unit that suits it."""
    if value < 0.9995:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s"


def target_rows(standings: Mapping[str, Standing], hosts: int) -> Iterator[Row]:
    """Our lanes beside the others; a peer that is out has no ratio, and no target is met by it."""
    for peer, lane, what, least in TARGETS:
        if not {peer, lane} <= standings.keys():
            continue
        theirs, mine = standings[peer], standings[lane]
        name, target = f"{SHORT[peer]} ÷ {SHORT[lane]}, {NAMES[what]}", f"≥ {least:.0f}"
        if theirs.reason:
            yield Row(name, "not measured", target, met=False)
        else:
            times = theirs.middle(what) / mine.middle(what)
            yield Row(name, f"{times:.0f} times", target, times >= least)
    ours = standings["ours"]
    if "collector" in standings:
        share = ours.middle("wall") / standings["collector"].middle("wall")
        name = "our sweep ÷ our collector over warm SSH, wall time"
        yield Row(name, f"{share:.3f}", f"≤ {OF_COLLECTOR}", share <= OF_COLLECTOR)
    each = ours.middle("cpu") / hosts
    yield Row("our sweep, controller CPU for each host", seconds(each), "< 1 ms", each < HOST_SECONDS)
    if ours.score:
        exact = not (ours.score.missed or ours.score.invented or ours.imagined)
        yield Row("our sweep finds what was planted and nothing else", str(exact).lower(), "true", exact)


def size_rows(sizes: Sizes) -> Iterator[Row]:
    """How our sweep's cost grows with the resources of a host."""
    for size, one in sizes.standings.items():
        times = [seconds(one.middle("wall")), seconds(one.middle("cpu")), seconds(median(one.hosts))]
        yield Row(f"our sweep, {size} resources on each host", columns(*times))
    for what in ("cpu", "hosts"):
        times_more = sizes.growth(what)
        yield Row(
            f"{max(sizes.standings)} resources ÷ {min(sizes.standings)}, {NAMES[what]}",
            f"{times_more:.2f} times",
            f"< {GROWTH:.0f}",
            times_more < GROWTH,
        )
