"""What a host has used of the CPU, read from its control group outside of it, which costs the host nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.bed.hosts import Host
from tests.bench.measure import BenchFailed

CGROUPS = Path("/sys/fs/cgroup")


def mean_cpu(hosts: Iterable[Host]) -> float:
    """Seconds of CPU that a host has used since it booted, the mean of these hosts."""
    used = [host_cpu(host) for host in hosts]
    return sum(used) / len(used)


def host_cpu(host: Host) -> float:
    """Seconds of CPU of everything in one host's container; raises BenchFailed where its control group is not seen."""
    container = host.container.get_wrapped_container()
    container.reload()
    for line in Path(f"/proc/{container.attrs['State']['Pid']}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        # The group of the container, not the one below it that its systemd made for itself.
        group = re.sub(rf"({container.id}[^/]*).*", r"\1", path).lstrip("/")
        if "cpuacct" in controllers.split(","):
            return int((CGROUPS / "cpuacct" / group / "cpuacct.usage").read_text()) / 1e9
        if not controllers and (stat := CGROUPS / group / "cpu.stat").exists():
            return int(stat.read_text().split("usage_usec")[1].split()[0]) / 1e6
    raise BenchFailed(f"no control group tells the CPU of {host.name}")
