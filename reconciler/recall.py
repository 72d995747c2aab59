"""Memory made again from the audit branch, where a state directory is new or was lost.

Called by ``accept``. Git is the truth, the state a cache: after this, drift is told from a new commit
as before, and a rewritten history is still noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import yaml

from reconciler.errors import Gone
from reconciler.memory import from_host_file
from reconciler.model import Desired, HostMemory
from reconciler.world import World

REF = "refs/reconciler/head"
"""Where the followed branch is fetched to."""


def recall(world: World, compiled: Callable[[World, str], Desired]) -> None:
    """Fill an empty state from the audit branch, if the remote has one. Raises Unreachable if it cannot be asked."""
    if world.clone_is_new:
        world.mend()
    if world.state.get("recalled"):
        return
    world.audit.refresh()
    with suppress(Gone):  # the values last applied are those of the revisions that the records name
        world.repository.fetch(world.config.repository.branch, REF)
    records = {host: read(text) for host, text in world.audit.records().items()}
    accepted = read(world.audit.file("revision.yml") or b"").get("accepted")
    memories = [memory_of(world, record, compiled) for record in records.values() if record.get("host")]
    world.state.finish(memories, (), (), {"accepted": accepted, "recorded": accepted, "recalled": True})


def read(text: bytes) -> Mapping[str, Any]:
    """A record as the daemon wrote it; empty where it is none."""
    try:
        record = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return record if isinstance(record, dict) else {}


def memory_of(world: World, record: Mapping[str, Any], compiled: Callable[[World, str], Desired]) -> HostMemory:
    """One host's memory, with the values of the revision that was applied to it."""
    revision = record.get("revision")
    if not isinstance(revision, str) or not world.repository.has(revision):
        return from_host_file(record, None)
    return from_host_file(record, compiled(world, revision).hosts.get(str(record["host"])))
