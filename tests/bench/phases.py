"""Where the time of a repair goes: the daemon with a clock at the doors between its rooms, and the sum of it.

``python -m tests.bench.phases TRACE …`` is the command ``reconciler …``, which also writes a line of JSON to the file
TRACE for each call of what is listed here. ``edits`` reads them with ``shares``. A door that is gone is left out.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TextIO

DOORS = {
    "cycle": "reconciler.daemon:cycle",
    "git asked": "reconciler.cycle:accept",
    "first look": "reconciler.cycle:observe",
    "planned": "reconciler.cycle:plan_for",
    "announced": "reconciler.cycle:announce",
    "converged and proved": "reconciler.cycle:converge",
    "intent written": "reconciler.state:State.begin",
    "lease taken": "reconciler.lease:Lease.acquire",
    "Ansible": "reconciler.ansible:Ansible.converge",
    "process started": "reconciler.ansible.process:Process.start",
    "process ended": "reconciler.ansible.process:Process.end",
    "second look": "reconciler.converge:observe",
    "lease given back": "reconciler.lease:Lease.release",
    "written down": "reconciler.cycle:write_down",
    "published": "reconciler.cycle:publish",
    "committed": "reconciler.audit:AuditBranch.append",
    "spoken": "reconciler.cycle:speak",
    "warmed": "reconciler.ansible:Ansible.warm",
}
"""What a call is called → module:name of what is called."""
NEWS, BEGINS, ANSWER = "host has news", "Ansible begins", "from Ansible's begin until its first "
MOMENTS = {
    NEWS: "reconciler.opening:wake",
    BEGINS: "reconciler.ansible.process:Process.begin",
}
ANSWERS = "reconciler.ansible:Log.take"
"""Every event of Ansible that is heard; its last argument is the event."""
GIT = "reconciler.repo:Repository.ask"
"""Every git that is run; its first argument is the name of the command."""


@dataclass(frozen=True, slots=True)
class Span:
    """One call: begin and end in seconds of the clock. ``depth`` counts the calls that it was made in."""

    name: str
    began: float
    ended: float
    depth: int


class Tracer:
    """Writes a line for each call, when it is over."""

    def __init__(self, sink: TextIO) -> None:
        self.sink = sink
        self.depth = 0

    def wrap(self, place: str, name_of: Callable[..., str], *, nested: bool = True) -> None:
        """Put a clock at one door, if it is there. What is not *nested* may be called from any thread."""
        module, _, path = place.partition(":")
        *rooms, last = path.split(".")
        with suppress(ImportError, AttributeError):
            room = functools.reduce(getattr, rooms, importlib.import_module(module))
            setattr(room, last, self.timed(getattr(room, last), name_of, int(nested)))

    def timed(self, inner: Callable[..., Any], name_of: Callable[..., str], step: int) -> Callable[..., Any]:
        """The same function, with its time written down."""

        @functools.wraps(inner)
        def outer(*args: Any, **more: Any) -> Any:
            began, depth = time.time(), self.depth
            self.depth += step
            try:
                return inner(*args, **more)
            finally:
                self.depth -= step
                self.sink.write(json.dumps([name_of(*args), began, time.time(), depth]) + "\n")

        return outer


def trace(path: Path) -> None:
    """Put clocks at all doors of this process."""
    tracer = Tracer(path.open("w", buffering=1, encoding="utf-8"))
    for name, place in DOORS.items():
        tracer.wrap(place, lambda *_args, name=name: name)
    for name, place in MOMENTS.items():
        tracer.wrap(place, lambda *_args, name=name: name, nested=False)
    tracer.wrap(ANSWERS, lambda *args: ANSWER + kind_of(args[-1]), nested=False)
    tracer.wrap(GIT, lambda *args: f"git {args[1]}")


def kind_of(event: Mapping[str, Any]) -> str:
    """What an event of Ansible is about."""
    return next((kind for kind in ("step", "handler", "report") if kind in event), "task")


def spans_of(path: Path) -> list[Span]:
    """All calls of a trace, in the order in which they began."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return sorted((Span(*json.loads(line)) for line in lines), key=lambda span: (span.began, -span.ended))


def named(spans: Iterable[Span], name: str) -> list[Span]:
    """The calls of one name."""
    return [span for span in spans if span.name == name]


def shares(spans: Sequence[Span], repairs: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    """Phase → its seconds in each repair, from the edit's end until the server had the commit."""
    found: dict[str, list[float]] = {}
    for began, ended in repairs:
        inside = [span for span in spans if began <= span.began <= ended]
        for name, seconds in phases(began, ended, inside).items():
            found.setdefault(name, []).append(seconds)
    return found


def phases(began: float, ended: float, inside: Sequence[Span]) -> dict[str, float]:
    """The phases of one repair in the order in which they first came; a name that comes again adds up."""
    found: dict[str, float] = {}
    cycles = named(inside, "cycle")
    if cycles and (news := [span for span in named(inside, NEWS) if span.began <= cycles[0].began]):
        found["until the host says so"] = news[0].began - began
    if cycles:
        found["until the first cycle begins"] = cycles[0].began - began
        inside = [span for span in inside if span.began >= cycles[0].began]
    for begin in named(inside, BEGINS)[:1]:
        for span in inside:
            if span.name.startswith(ANSWER):
                found.setdefault(span.name, span.began - begin.began)
    for span in inside:
        if span.name not in MOMENTS and not span.name.startswith(ANSWER):
            label = f"{'  ' * span.depth}{span.name}"
            found[label] = found.get(label, 0.0) + span.ended - span.began
    return found | {"from the edit until pushed": ended - began}


def told(found: dict[str, list[float]]) -> list[tuple[str, str]]:
    """Each phase with its median, and in how many repairs it came."""
    return [(name, f"{median(each) * 1000:.0f} ms, in {len(each)}") for name, each in found.items()]


if __name__ == "__main__":
    trace(Path(sys.argv.pop(1)))
    from reconciler.cli import main

    main()
