"""Five real hosts of the test bed, without pytest: booted, trusted with a key, and taken away again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bed import hosts, image
from tests.bed.hosts import Host
from tests.bench.ground import make_key


@dataclass(frozen=True, slots=True)
class Fleet:
    """Booted hosts, the key that root takes, and their host keys, read past SSH."""

    hosts: list[Host]
    key: Path
    known_hosts: Path

    @property
    def inventory(self) -> str:
        """A static inventory of them, in YAML."""
        return hosts.inventory_yaml(self.hosts)


@contextmanager
def booted(folder: Path, count: int) -> Iterator[Fleet]:
    """``count`` hosts, web1 and on; what a killed bench left behind goes first."""
    hosts.sweep()
    key, known = make_key(folder / "id_ed25519"), folder / "known_hosts"
    try:
        found = hosts.boot(image.ensure(), [f"web{number}" for number in range(1, count + 1)])
        for host in found:
            host.trust(key.with_suffix(".pub").read_text(), "root")
        known.write_text("".join(f"{host.known_host}\n" for host in found), encoding="utf-8")
        yield Fleet(found, key, known)
    finally:
        hosts.sweep(ours=True)
