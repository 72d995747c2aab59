"""Open a World from a configuration: the lock first, then everything that a cycle stands on.

Called by ``cli``. A read-only world takes no lock, so that ``plan`` and ``why`` work beside the daemon. The libraries
behind the forge, the ears and the door are imported where one is opened: who has none starts faster without.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from reconciler.ansible import Ansible, AnsibleSettings
from reconciler.apart import Apart
from reconciler.audit import AuditBranch
from reconciler.bundle import playbooks_folder
from reconciler.config import Config, ForgeConfig, read_secret
from reconciler.desired import Workshop
from reconciler.desk import Desk
from reconciler.lease import Lease
from reconciler.reach import SshWay
from reconciler.repo import Remote, Repository, Signer
from reconciler.state import State, lock
from reconciler.world import World

if TYPE_CHECKING:
    from reconciler.ears import Ear
    from reconciler.forge import App, TokenFile
    from reconciler.stream import Stream

DATABASE = "state.db"
SPENT = "forge_writes"
"""The fact that says when the forge was last written to (epoch seconds), so that a restart fills no budget again."""


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
        ansible = Ansible(ansible_settings(config), monotonic)
        repository = open_repository(config, None if read_only else ansible.settings.sockets)
        made_anew = False
        if not read_only:
            made_anew = repository.heal()
            ansible.end_leftovers()
            open_things.callback(ansible.end_leftovers)  # the connections that ssh keeps open, at the end
        world = World(
            config=config,
            repository=repository,
            audit=AuditBranch(repository, config.shard),
            workshop=Workshop(allow_local=config.allow_local_connection),
            ansible=ansible,
            state=state,
            clock=clock,
            monotonic=monotonic,
            stop=lambda: False,
            say=say,
            progress=progress,
            desk=open_desk(config, state, open_things, clock, monotonic) if not read_only else Desk(),
            shard_lease=Lease(repository, config.shard, f"{socket.gethostname()}:{instance(folder)}"),
            apart=open_things.enter_context(closing(Apart(folder / DATABASE))),
            clone_is_new=made_anew,
        )
        open_things.callback(world.beside.close)
        if config.stream.sessions:
            world.stream = open_things.enter_context(closing(open_stream(config, world, ansible.settings, monotonic)))
        yield world


def open_stream(config: Config, world: World, other: AnsibleSettings, monotonic: Callable[[], float]) -> Stream:
    """The sessions to hosts; none is opened yet. Ansible (*other*) converges over the same connections."""
    from reconciler.stream import Stream, StreamSettings

    times = config.timeouts
    settings = StreamSettings(
        ssh=SshWay(config.ssh.key, config.ssh.known_hosts, config.ssh.config, int(times.connect.total_seconds())),
        playbooks=playbooks_folder(),
        observe_timeout=times.observe.total_seconds(),
        sessions=config.stream.sessions,
        connecting=config.forks,
        instance=other.instance,
        sockets=other.sockets,
    )
    return Stream(settings, partial(wake, world), monotonic)


def wake(world: World) -> None:
    """Wake whoever runs cycles in this world by now."""
    world.wake()


def open_desk(
    config: Config, state: State, open_things: ExitStack, clock: Callable[[], datetime], monotonic: Callable[[], float]
) -> Desk:
    """The forge and the ears of a configuration; nobody is spoken with yet. *state* keeps the budget of writes."""
    ears = ears_of(config, clock)
    for ear in ears:
        open_things.callback(ear.close)
    name = re.sub(r"\+|--+", ".", config.shard)  # a marker is a comment of HTML, in which -- has a meaning
    if (settings := config.forge) is None:
        return Desk(name, None, ears)
    from reconciler.forge import open_forge

    forge = open_forge(
        settings.kind,
        settings.url,
        settings.repository,
        credentials(settings),
        monotonic=monotonic,
        now=clock,
        password=partial(read_secret, settings.password) if settings.password else None,
        ca=settings.ca,
        proxy=settings.proxy,
        spent=state.get(SPENT) or (),
        keep=partial(state.put, SPENT),
    )
    return Desk(name, open_things.enter_context(forge), ears)


def ears_of(config: Config, clock: Callable[[], datetime]) -> tuple[Ear, ...]:
    """The other ears; nobody is spoken with yet."""
    if not config.ears:
        return ()
    from reconciler.ears import open_ears

    return open_ears(config.ears, read_secret, lambda: clock().timestamp())


def credentials(settings: ForgeConfig) -> TokenFile | App:
    """What the forge knows us by."""
    from reconciler.forge import App, TokenFile

    if settings.app:
        return App(settings.app.id, settings.app.installation, settings.app.key)
    assert settings.token is not None  # noqa: S101 - the configuration has one of the two
    return TokenFile(settings.token)


def open_door(config: Config, wake: Callable[[], None]) -> AbstractContextManager[object]:
    """Listen for the forge's webhooks, where a secret is configured to know them by; else nothing is listened for."""
    web, forge = config.web, config.forge
    if web is None or web.webhook_secret is None or forge is None:
        return nullcontext()
    from reconciler.web import Door

    return Door(web.listen, read_secret(web.webhook_secret), forge.kind, wake)


def open_audit(config: Config) -> AuditBranch:
    """The audit branch as it is on this machine, for reading."""
    return AuditBranch(open_repository(config), config.shard)


def open_repository(config: Config, sockets: Path | None = None) -> Repository:
    """The local clone with the keys it is reached and signed with; *sockets* is where connections are kept open."""
    source, person = config.repository, config.committer
    remote = Remote(source.url, source.ssh_key, source.known_hosts, config.ssh.config, sockets=sockets)
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
