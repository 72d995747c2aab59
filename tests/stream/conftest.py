"""A stream over local processes, and what is left of it afterwards."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.model import Ask, HostAsk
from reconciler.reach import SshWay
from reconciler.stream import Link, Stream, StreamSettings, run
from tests.stream import farends
from tests.stream.waiting import STRANGERS, children, descriptors, every_child

ASKS = (Ask("path", "/etc/a", {"path": "/etc/a"}), Ask("path", "/etc/b", {"path": "/etc/b"}))
GENEROUS = 30.0
"""Seconds that something honest may take on a busy machine."""


class Bench:
    """Far ends by host: the host ``web1.Mute`` is a far end of the class Mute, its folder is ``<tmp>/web1.Mute``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.woken = 0
        self.wakes = threading.Semaphore(0)
        self.streams: list[Stream] = []
        self.started: list[str] = []

    def start(self, host: str, variables: Mapping[str, Any], _settings: StreamSettings) -> Link:
        """One process for one host."""
        self.started.append(host)
        mode = str(variables.get("mode") or host.partition(".")[2] or "Far")
        words = [sys.executable, "-I", str(Path(farends.__file__)), mode, str(self.of(host))]
        return run(words, b"", {"PATH": os.environ["PATH"]})

    def of(self, host: str) -> Path:
        """The folder of a host."""
        (self.folder / host).mkdir(exist_ok=True)
        return self.folder / host

    def wake(self) -> None:
        self.woken += 1
        self.wakes.release()

    def stream(self, **settings: Any) -> Stream:
        made = StreamSettings(SshWay(), **{"observe_timeout": GENEROUS, **settings})
        self.streams.append(Stream(made, self.wake, start=self.start))
        return self.streams[-1]

    def observe(self, stream: Stream, *hosts: str, **more: Any) -> dict[str, Any]:
        """Ask for two files on each host."""
        return stream.observe({host: asked() for host in hosts}, lambda: False, **more)

    def looks(self, host: str) -> int:
        """How often a far end was asked."""
        log = self.of(host) / "log"
        return log.read_text().count('"look"') if log.exists() else 0


def asked(**connection: Any) -> HostAsk:
    return HostAsk(connection, ASKS)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Far ends of a test's own. Afterwards no process and no descriptor of theirs is left."""
    STRANGERS.update(every_child())
    before = descriptors()
    bench = Bench(tmp_path)
    yield bench
    for stream in bench.streams:
        stream.close()
    assert children() == []
    assert descriptors() == before
