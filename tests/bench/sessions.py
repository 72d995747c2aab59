"""Two hundred real SSH sessions to real sshd, held open for ten minutes by the daemon, which sweeps every ten seconds.

Four booted hosts of the test bed stand for two hundred: each is in the inventory under fifty names, with fifty
resources. So there are two hundred of everything that a session takes: an ssh client here, an sshd and a Python
there. Every sweep is verified: all hosts in sync; at the end, no session was opened twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tests.bed.hosts import Host
from tests.bench import fleet, workload
from tests.bench.fleet import Fleet
from tests.bench.ground import make_remote, write_config
from tests.bench.hostcpu import host_cpu
from tests.bench.served import Served
from tests.bench.simulated import expect
from tests.bench.table import Row
from tests.bench.tree import descendants

CONTAINERS, NAMES = 4, 50
SECONDS, PAUSE = 600.0, 10.0

Answer = Mapping[str, Any]


@dataclass(slots=True)
class Held:
    """What was measured: the sweep that connects everybody, the sweeps and pauses after it, and who holds what.

    ``sizes``: who → how many processes, and their megabytes with what they share divided among them.
    """

    hosts: int
    first: Answer = field(default_factory=dict)
    sweeps: list[Answer] = field(default_factory=list)
    pauses: list[Answer] = field(default_factory=list)
    sizes: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    far_cpu: float = 0.0
    seconds: float = 0.0


def measure(
    folder: Path, hosts: Fleet, say: Callable[[str], None], seconds: float = SECONDS, names: int = NAMES
) -> Held:
    """Converge the hosts, connect all names, then hold and sweep for so many seconds."""
    say("first convergence")
    converge(folder / "converge", hosts)
    many = inventory(hosts.hosts, names)
    with closing(daemon(folder / "hold", hosts, many, "observe")) as held:
        say(f"{len(hosts.hosts) * names} sessions for {seconds:.0f} s")
        return hold(held, hosts, Held(len(hosts.hosts) * names), seconds)


def daemon(folder: Path, hosts: Fleet, inventory_text: str, mode: str) -> Served:
    """The real daemon in a process of its own."""
    folder.mkdir()
    state = workload.desired_state(inventory_text, mode=mode)
    # A host has fifty names here, and the files on it one content.
    state = {name: text.replace("inventory_hostname", "'everyone'") for name, text in state.items()}
    ssh = {"key": str(hosts.key), "known_hosts": str(hosts.known_hosts)}
    config = write_config(folder, make_remote(folder, state), ssh=ssh)
    return Served("fleetdaemon", {"config": str(config), "socket": ""})


def converge(folder: Path, hosts: Fleet) -> None:
    """Put the hosts right, each under one name."""
    with closing(daemon(folder, hosts, hosts.inventory, "enforce")) as once:
        for _ in range(2):
            last = once.ask({"poll": True})
        expect(last, len(hosts.hosts))


def inventory(hosts: Iterable[Host], names: int) -> str:
    """Every host under many names."""
    named = {
        f"{host.name}-{number:02}": {"ansible_host": host.address, "ansible_port": host.port, "ansible_user": "root"}
        for host in hosts
        for number in range(names)
    }
    return yaml.safe_dump({"all": {"hosts": named}}, sort_keys=False)


def hold(served: Served, hosts: Fleet, held: Held, seconds: float) -> Held:
    """Sweep and pause until the time is over; raises BenchFailed where a sweep finds anything."""
    held.first = expect(served.ask({"poll": True}), held.hosts)
    expect(served.ask({"poll": False}), held.hosts)
    began, far = time.monotonic(), sum(map(host_cpu, hosts.hosts))
    while time.monotonic() - began < seconds:
        held.pauses.append(served.ask({"idle": PAUSE}))
        held.sweeps.append(expect(served.ask({"poll": False}), held.hosts))
    held.seconds = time.monotonic() - began
    held.far_cpu = sum(map(host_cpu, hosts.hosts)) - far
    held.sizes = sizes(served.process.pid, hosts)
    return held


def sizes(pid: int, hosts: Fleet) -> dict[str, tuple[int, float]]:
    """Who holds how much memory, while the sessions are open."""
    far = [each for host in hosts.hosts for each in descendants(init_of(host))]
    return {
        "the daemon": size([pid]),
        "ssh clients": size(each for each in descendants(pid) if name_of(each) == "ssh"),
        "sshd at the far ends": size(each for each in far if name_of(each).startswith("sshd")),
        "Python at the far ends": size(each for each in far if name_of(each).startswith("python")),
    }


def init_of(host: Host) -> int:
    """The process that everything in a host's container descends from."""
    container = host.container.get_wrapped_container()
    container.reload()
    return int(container.attrs["State"]["Pid"])


def size(pids: Iterable[int]) -> tuple[int, float]:
    """How many processes, and their proportional size in MB; one that ends meanwhile is counted with nothing."""
    found = list(pids)
    return len(found), sum(map(proportional, found)) / 1024


def proportional(pid: int) -> int:
    """KiB of one process, what it shares divided by who shares it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def name_of(pid: int) -> str:
    """What the kernel calls a process; "" once it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def session_rows(held: Held) -> list[Row]:
    """What so many sessions cost."""
    last = held.sweeps[-1]
    lost = last["started"] - held.hosts
    idle = {name: sum(each[name] for each in held.pauses) for name in ("wall", "cpu", "clients")}
    wall, cpu, clients = (median(each[name] for each in held.sweeps) for name in ("wall", "cpu", "clients"))
    return [
        Row(f"{held.hosts} sessions opened, everything read", f"{held.first['wall']:.1f} s wall"),
        Row("sessions lost", f"{lost} in {held.seconds:.0f} s", "0", lost == 0),
        Row("open files of the daemon", f"{last['files']:.0f}", *files_target(last["files"], held.hosts)),
        Row(f"no-op sweep, median of {len(held.sweeps)}, wall", f"{wall * 1000:.0f} ms"),
        Row("no-op sweep, CPU", f"{cpu * 1000:.0f} ms, ssh clients {clients * 1000:.0f} ms"),
        Row(
            "no-op sweep, CPU for each host",
            f"{(cpu + clients) / held.hosts * 1000:.2f} ms",
            *each_target(held, cpu, clients),
        ),
        Row(
            "idle CPU", f"{idle['cpu'] / idle['wall']:.2%} of a core, ssh clients {idle['clients'] / idle['wall']:.2%}"
        ),
        Row("CPU of each far end in all", f"{held.far_cpu / held.hosts / held.seconds:.3%} of a core"),
        *(
            Row(f"memory of {who}", f"{mb:.0f} MB ({number} of {mb / max(1, number):.1f} MB)")
            for who, (number, mb) in held.sizes.items()
        ),
        Row("hosts that tell by themselves of changes", f"{last['watching']}"),
    ]


def files_target(files: float, hosts: int) -> tuple[str, bool]:
    """Three for each host and a hundred."""
    return f"≤ {3 * hosts + 100}", files <= 3 * hosts + 100


def each_target(held: Held, cpu: float, clients: float) -> tuple[str, bool]:
    """A millisecond of this side's CPU for each host and sweep."""
    return "< 1 ms", (cpu + clients) / held.hosts < 0.001


def main(words: Sequence[str]) -> None:
    """Run this part alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sessions")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--names", type=int, default=NAMES, help="for each host")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="sessions-") as name, fleet.booted(Path(name), CONTAINERS) as hosts:
        held = measure(Path(name), hosts, print, options.seconds, options.names)
        print(*(row.text() for row in session_rows(held)), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
