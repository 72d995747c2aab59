"""One launch of Ansible: its files, its deadline, what is heard of it, its end.

Called by ``ansible`` only. Whatever Ansible does, the caller gets the events that came, and then one
sentence about the end if that was not an ordinary one. Nothing of a launch outlives it but ssh's
connection masters.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.ansible.process import Process
from reconciler.errors import LaunchError
from reconciler.testimony import last_said, printable

LINE_CAP = 8 * 1024 * 1024
TOTAL_CAP = 512 * 1024 * 1024
"""Bytes from one launch: a thousand hosts with half a megabyte each."""
POLL = 0.25
HOSTS_FAILED = (0, 2, 4, 6)
"""Exit codes of ansible-playbook that only say that some hosts failed (2), were unreachable (4), or both."""


@dataclass(frozen=True, slots=True)
class Order:
    """What one launch does: a playbook on an inventory, with files for its private folder.

    ``seconds`` is the deadline; ``task_seconds`` bounds each task; ``grace`` is how long a running
    task may go on after a stop, None to end it at once.
    """

    project: Path
    playbook: str
    inventory: Mapping[str, Any]
    files: Mapping[str, bytes]
    seconds: float
    task_seconds: int
    grace: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How a launch ended: no ``reason`` means as it should. ``said`` is what Ansible printed
    that is no event; ``ours``: it was late or stopped, and ended by us."""

    reason: str = ""
    said: str = ""
    ours: bool = False


Event = Mapping[str, Any]


def launch(
    order_for: Callable[[Path], Order], process: Process, stop: Callable[[], bool], clock: Callable[[], float]
) -> Iterator[Event | End]:
    """Yield the events of one launch as they come, then exactly one End. Raises LaunchError if nothing could start.

    ``order_for`` makes the order, given the private folder it will run in. A ``process`` that was started ahead must
    have been started with the order's playbook.
    """
    try:
        order = order_for(process.private)
        write_files(order, process.private)
        if process.child is None:
            process.start(order.project, order.playbook, order.task_seconds)
        process.begin()
        assert process.child is not None  # noqa: S101 - it has just been started
        yield from watch(process.child, order, process.private, stop, clock)
    finally:
        process.end()


def stop_file(private: Path) -> Path:
    """The file that tells the converge playbook to begin no further task."""
    return private / "stop"


def write_files(order: Order, private: Path) -> None:
    """Put the inventory and the order's files in place."""
    try:
        for name, data in {"inventory/hosts.json": json.dumps(order.inventory).encode(), **order.files}.items():
            path = private / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as problem:
        raise LaunchError(f"{private} cannot be written: {problem.strerror}", hint="is the disk full?") from problem


def watch(
    process: subprocess.Popen[bytes], order: Order, private: Path, stop: Callable[[], bool], clock: Callable[[], float]
) -> Iterator[Event | End]:
    """Yield events until the child has ended, is late, or has been stopped; then how it ended."""
    deadline = clock() + order.seconds
    reason = "no answer within the time limit"
    stopping = False
    ended: Event | None = None
    for event in lines(process):
        if event is not None and event.get("event") == "end":
            ended = event
            break
        elif event is not None:
            yield event
        if not stopping and stop():
            stopping = True
            reason = "stopped before it was done"
            stop_file(private).touch()
            deadline = min(deadline, clock() + (order.grace or 0))
        if clock() >= deadline:
            yield End(reason, ours=True)
            return
    yield End(reason, ours=True) if stopping else describe_end(process, ended, private)


def lines(process: subprocess.Popen[bytes]) -> Iterator[Event | None]:
    """The child's lines, parsed; None whenever POLL seconds pass without one."""
    assert process.stdout is not None  # noqa: S101 - Popen was given a pipe
    buffer = bytearray()
    total = 0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(buffer) <= LINE_CAP and total <= TOTAL_CAP:
            if not selector.select(POLL):
                yield None
                continue
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                return
            total += len(data)
            buffer += data
            if b"\n" in data:
                *whole, buffer = buffer.split(b"\n")
                yield from map(parse, whole)


def parse(line: bytes | bytearray) -> Event | None:
    """One event, or None for what is not one."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def describe_end(process: subprocess.Popen[bytes], ended: Event | None, private: Path) -> End:
    """How a run that was left alone ended; failed and unreachable hosts are no reason by themselves."""
    if ended is None:
        return died(process, private)
    said = printable(str(ended["said"]))
    if ended["rc"] in HOSTS_FAILED:
        return End(said=said)
    if ended["rc"] is None:  # ansible-runner does not say which one
        return End("ansible-playbook was killed by a signal", said=said)
    why = last_said(str(ended["said"]))
    return End(f"ansible-playbook ended with code {ended['rc']}" + (f": {why}" if why else ""), said=said)


def died(process: subprocess.Popen[bytes], private: Path) -> End:
    """How a child that said no last word ended."""
    try:
        code = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        return End("Ansible's process did not end")
    if code < 0:
        return End(f"Ansible's process was killed by {signal.Signals(-code).name}")
    return End(f"Ansible's process ended with code {code}: {last_line(private / 'stderr')}")


def last_line(path: Path) -> str:
    """The last line of a file, fit to be shown."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 2000))
        text = stream.read().decode(errors="replace").strip()
    return printable(text.rpartition("\n")[2])
