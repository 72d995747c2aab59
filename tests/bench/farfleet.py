"""The far ends of a simulated fleet, all in one process, answering from memory: behind ``Served``.

Given ``{"socket": path, "hosts": number}`` as its first line. Whoever connects to the
socket says a host's name and from then on speaks with that host's far end. Further lines on standard input change how
hosts are (``{"drift": number}``: that many differ from now on) and are answered with the CPU seconds used so far.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from tests.bench import synthetic
from tests.bench.scale import compiled

DRIFTED = "/etc/static1.conf"
"""The file that somebody has changed on a host with drift; it is declared on every host."""
CHUNK = 1024 * 1024


def drifting(hosts: int) -> int:
    """How many hosts of a fleet may drift: one in a hundred."""
    return max(1, hosts // 100)


class State:
    """How one host is: the body of its answer, kept small, and its digest."""

    __slots__ = ("digest", "packed")

    def __init__(self, facts: Any) -> None:
        body = json.dumps({"observed": facts}, ensure_ascii=False, sort_keys=True).encode()
        self.packed = zlib.compress(body, 1)
        self.digest = sha256(body).hexdigest()


class FarEnd:
    """One connection: first the name of a host, then the lines of the protocol."""

    __slots__ = ("channel", "fleet", "host", "rest")

    def __init__(self, channel: socket.socket, fleet: FarFleet) -> None:
        self.channel = channel
        self.fleet = fleet
        self.host = ""
        self.rest = b""

    def hear(self) -> None:
        """Answer what has come; an end is the end of this far end."""
        data = self.channel.recv(CHUNK)
        if not data:
            self.fleet.close(self.channel)
            return
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if self.host:
                self.take(json.loads(line))
            else:
                self.host = line.decode()
                self.say({"hello": 1, "watches": ["inotify", "systemd"]})

    def take(self, message: dict[str, Any]) -> None:
        """Answer a look; a question is known already."""
        if "look" not in message:
            return
        state = self.fleet.states[self.host]
        if message["known"] == state.digest:
            self.say({"nonce": message["look"], "digest": state.digest})
        else:
            body = zlib.decompress(state.packed)
            self.say({"nonce": message["look"], "digest": state.digest, "bytes": len(body)}, body + b"\n")

    def say(self, message: dict[str, Any], more: bytes = b"") -> None:
        """Send a line, and what follows it; the near end always reads."""
        self.channel.sendall(json.dumps(message).encode() + b"\n" + more)


class FarFleet:
    """Every far end, and the door they are reached by."""

    def __init__(self, path: str, hosts: int) -> None:
        desired = compiled(hosts)
        self.drifted = 0
        some = sorted(desired.hosts)[: drifting(hosts)]
        self.clean = {name: synthetic.facts_of(desired.hosts[name]) for name in some}
        self.changed = {name: synthetic.facts_of(desired.hosts[name], drifted=DRIFTED) for name in self.clean}
        self.states = {name: State(synthetic.facts_of(host)) for name, host in desired.hosts.items()}
        self.poll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(path)
        self.door.listen(1024)
        self.watch(self.door.fileno(), self.accept)

    def watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        """Call *handler* when there is something to read."""
        self.handlers[descriptor] = handler
        self.poll.register(descriptor, select.EPOLLIN)

    def accept(self) -> None:
        """A new far end."""
        channel, _ = self.door.accept()
        self.watch(channel.fileno(), FarEnd(channel, self).hear)

    def close(self, channel: socket.socket) -> None:
        """The end of one."""
        del self.handlers[channel.fileno()]
        channel.close()

    def drift(self, number: int) -> None:
        """Let exactly so many hosts differ from what is declared; at most one in a hundred."""
        for rank, name in enumerate(self.clean):
            self.states[name] = State((self.changed if rank < number else self.clean)[name])

    def serve(self, commands: Iterator[Any]) -> None:
        """Answer far ends and standard input until that ends."""
        self.watch(0, lambda: next(commands))
        try:
            while True:
                for descriptor, _ in self.poll.poll():
                    if (handler := self.handlers.get(descriptor)) is not None:
                        handler()
        except StopIteration:
            return


def commands(fleet: FarFleet) -> Iterator[None]:
    """Do what a line of standard input says and answer it; ends with the input."""
    rest = b""
    while data := os.read(0, CHUNK):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if "drift" in (wanted := json.loads(line)):
                fleet.drift(wanted["drift"])
            print(json.dumps({"cpu": time.process_time()}), flush=True)
        yield


def first_line() -> Any:
    """The first line of standard input, and not a byte more."""
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1)
    return json.loads(line)


def main() -> None:
    """Build the fleet, say so, and serve it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = first_line()
    fleet = FarFleet(wanted["socket"], wanted["hosts"])
    fleet.serve(commands(fleet))


if __name__ == "__main__":
    main()
