"""Every edit by hand on a real host is recorded in git, and repaired where it is to be, without anybody asking.

What it takes is the bench's to measure, with the same code; here it has to happen at all, and exactly once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bed.hosts import Host
from tests.bench import edits
from tests.bench.fleet import Fleet
from tests.bench.workload import sized

EDITS = 3
RESOURCES = 12


def test_edits_are_detected_and_repaired_while_nobody_sweeps(
    tmp_path: Path, ssh_key: Path, new_host: Callable[[str], Host]
) -> None:
    """A sweep is due after ten minutes only, so what is found here was told by the host itself."""
    host = new_host("web1")
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"{host.known_host}\n")
    found = edits.measure(
        tmp_path, Fleet([host], ssh_key, known_hosts), print, EDITS, traced=1, resources=sized(RESOURCES)
    )
    assert [len(each) for each in (found.detected, found.back, found.pushed)] == [EDITS, EDITS, EDITS]
    # Nothing is on the server before it is in the clone, nor recorded as converged before the file is back.
    for local, server in zip(found.detected, found.detected_on_server, strict=True):
        assert 0 < local <= server
    for back, local, server in zip(found.back, found.converged, found.pushed, strict=True):
        assert 0 < back < local <= server
    doors = {"cycle", "first look", "planned", "lease taken", "Ansible", "second look", "written down", "committed"}
    assert doors <= {name.strip() for name in found.shares}
