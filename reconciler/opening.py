"""Open a World from a configuration: the lock first, then everything that a cycle stands on.

Called by ``cli``. A read-only world takes no lock, so that ``plan`` and ``why`` work beside the daemon.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from reconciler.ansible import Ansible, AnsibleSettings
from reconciler.audit import AuditBranch
from reconciler.config import Config
from reconciler.lease import Lease
from reconciler.repo import Remote, Repository, Signer
from reconciler.state import State, lock
from reconciler.world import World

DATABASE = "state.db"


@contextmanager
def open_world(
    config: Config,
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
    say: Callable[[str], None],
    progress: Callable[[str], None],
    read_only: bool = False,
) -> Iterator[World]:
    """The world of one daemon, or of one command beside it. Raises StateError, GitError or ConfigError.

    A command that only looks, where no daemon has run yet, gets a folder of its own that goes with it.
    """
    with ExitStack() as open_things:
        folder = config.state_dir
        if read_only and not (folder / DATABASE).exists():
            folder = Path(open_things.enter_context(TemporaryDirectory(prefix="reconciler-")))
            read_only = False
        elif not read_only:
            open_things.enter_context(lock(folder))
        config = config.model_copy(update={"state_dir": folder})
        state = open_things.enter_context(State.open(folder / DATABASE, read_only=read_only))
        repository, ansible = open_repository(config), Ansible(ansible_settings(config), monotonic)
        made_anew = False
        if not read_only:
            made_anew = repository.heal()
            ansible.end_leftovers()
            open_things.callback(ansible.end_leftovers)  # the connections that ssh keeps open, at the end
        yield World(
            config=config,
            repository=repository,
            audit=AuditBranch(repository, config.shard),
            ansible=ansible,
            state=state,
            clock=clock,
            monotonic=monotonic,
            stop=lambda: False,
            say=say,
            progress=progress,
            shard_lease=Lease(repository, config.shard, f"{socket.gethostname()}:{instance(folder)}"),
            clone_is_new=made_anew,
        )


def open_audit(config: Config) -> AuditBranch:
    """The audit branch as it is on this machine, for reading."""
    return AuditBranch(open_repository(config), config.shard)


def open_repository(config: Config) -> Repository:
    """The local clone with the keys it is reached and signed with."""
    source, person = config.repository, config.committer
    remote = Remote(source.url, source.ssh_key, source.known_hosts, config.ssh.config)
    return Repository(config.state_dir / "repo.git", remote, Signer(person.name, person.email, config.signing_key))


def ansible_settings(config: Config) -> AnsibleSettings:
    """How Ansible reaches the hosts; its folders are below the state directory."""
    times = config.timeouts
    return AnsibleSettings(
        run_dir=config.state_dir / "run",
        instance=instance(config.state_dir),
        ssh_key=config.ssh.key,
        known_hosts=config.ssh.known_hosts,
        ssh_config=config.ssh.config,
        forks=config.forks,
        connect_timeout=int(times.connect.total_seconds()),
        observe_timeout=int(times.observe.total_seconds()),
        task_timeout=int(times.task.total_seconds()),
        converge_timeout=int(times.converge.total_seconds()),
    )


def instance(state_dir: Path) -> str:
    """A name for this daemon that survives its restarts: whose state directory it is."""
    return hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:12]
