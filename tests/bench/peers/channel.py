"""Warm multiplexed SSH to every host: how the agents of peers are started, and the floor of any tool that uses SSH.

``python -m tests.bench.peers.channel`` holds one control master for each host as a child and runs commands through
them, all hosts at once; asked by lines of JSON on standard input, it answers each with a line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.fleet import Fleet
from tests.bench.measure import BenchFailed, Cost
from tests.bench.peers.base import ssh_options
from tests.bench.served import Served
from tests.bench.tree import adopt_orphans, timed_tree

CONNECT_SECONDS = 30


class Channel:
    """A process that keeps the connections; its CPU, that of the masters and of each client is what a run costs."""

    def __init__(self, fleet: Fleet) -> None:
        options = [word for name, value in ssh_options(fleet).items() for word in ("-o", f"{name}={value}")]
        hosts = {host.name: ["-p", str(host.port), f"root@{host.address}"] for host in fleet.hosts}
        self.served = Served("peers.channel", {"options": ["-q", "-F", "/dev/null", *options], "hosts": hosts})

    def run(self, command: str, fed: Mapping[str, str] | None = None) -> tuple[Cost, dict[str, tuple[int, str]]]:
        """Run a command on every host at once, fed with the host's text: its cost, and statuses and outputs."""
        answer = self.served.ask({"command": command, "fed": dict(fed or {})})
        return Cost(answer["wall"], answer["cpu"]), {host: (code, said) for host, code, said in answer["said"]}

    def close(self) -> None:
        """Hang up."""
        self.served.close()


class Masters:
    """The near end, inside the process: one master for each host, and clients through them."""

    def __init__(self, options: list[str], hosts: Mapping[str, list[str]], sockets: Path) -> None:
        self.options, self.hosts, self.sockets = options, hosts, sockets
        self.masters = [subprocess.Popen(self.client(host, "-M", "-N"), stdin=subprocess.DEVNULL) for host in hosts]
        deadline = time.monotonic() + CONNECT_SECONDS
        while not all((sockets / host).exists() for host in hosts):
            if time.monotonic() > deadline:
                raise BenchFailed("no connection to every host")
            time.sleep(0.05)

    def client(self, host: str, *more: str) -> list[str]:
        """The command line of an ssh client by the host's socket."""
        return ["ssh", *self.options, "-S", str(self.sockets / host), *more, *self.hosts[host]]

    def run(self, command: str, fed: Mapping[str, str]) -> dict[str, Any]:
        """One command everywhere; every host is fed whole before the first is read, for none answers before that."""
        with timed_tree() as cost:
            running = {host: self.start(host, command, fed=bool(fed)) for host in self.hosts}
            for host, text in fed.items():
                feed(running[host], text)
            said = {host: process.communicate()[0].decode(errors="replace") for host, process in running.items()}
        answers = [(host, process.returncode, said[host]) for host, process in running.items()]
        return {"wall": cost.wall, "cpu": cost.cpu, "said": answers}

    def start(self, host: str, command: str, *, fed: bool) -> subprocess.Popen[bytes]:
        """One client, both streams of the command together."""
        return subprocess.Popen(
            [*self.client(host), command],
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def close(self) -> None:
        """End the masters."""
        for master in self.masters:
            master.terminate()
            master.wait()


def feed(process: subprocess.Popen[bytes], text: str) -> None:
    """Write a client's whole input and end it."""
    assert process.stdin is not None
    process.stdin.write(text.encode())
    process.stdin.close()
    process.stdin = None


def main(given: Mapping[str, Any]) -> None:
    """Answer each question until there is none left."""
    adopt_orphans()
    with TemporaryDirectory(prefix="ch-") as sockets:
        masters = Masters(given["options"], given["hosts"], Path(sockets))
        try:
            for line in sys.stdin:
                print(json.dumps(masters.run(**json.loads(line))), flush=True)
        finally:
            masters.close()


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
