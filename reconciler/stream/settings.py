"""How sessions are opened and how many there may be. Called by whoever sets the stream lane up; starts nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reconciler.bundle import playbooks_folder
from reconciler.reach import SshWay


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How sessions are opened, and how many there may be. Times in seconds.

    ``observe_timeout`` is what one host may take from its turn to its answer, connecting included. The
    first ``sessions`` hosts keep theirs; others are connected, asked and closed again. At most
    ``connecting`` connections are being set up at a time. ``instance`` names the state directory this
    daemon owns, without a colon: what a killed daemon leaves is known by it. ``sockets`` is the folder of
    control sockets by which launches of Ansible use our connections; None: they make their own.
    """

    ssh: SshWay
    playbooks: Path = field(default_factory=playbooks_folder)
    observe_timeout: float = 60.0
    sessions: int = 1000
    connecting: int = 20
    instance: str = ""
    sockets: Path | None = None
