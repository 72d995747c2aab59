"""The configuration of one daemon: a YAML file in, a frozen Config or every mistake in it out.

``cli`` loads it. Policy is not here but in the state repository. ``docs/reconciler.example.yml`` shows every
key, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from reconciler import yamlfile
from reconciler.config.outward import AppConfig, EarConfig, ForgeConfig, WebConfig
from reconciler.config.settings import Settings, section
from reconciler.config.values import (
    Branch,
    Duration,
    KeyFile,
    Person,
    ReadableFile,
    RepositoryPath,
    Shard,
    StateDirectory,
    Url,
    state_directory,
)
from reconciler.errors import ConfigError
from reconciler.model import Mistake
from reconciler.yamlfile import Document

__all__ = [
    "AppConfig",
    "Committer",
    "Config",
    "EarConfig",
    "ForgeConfig",
    "RepositoryConfig",
    "SshConfig",
    "Timeouts",
    "WebConfig",
    "load",
    "read_secret",
    "section",
]

_HINT = "Every key is explained in docs/reconciler.example.yml."


class RepositoryConfig(Settings):
    """Where desired state is read, and where the audit branch is pushed."""

    url: Url = Field(repr=False)
    """The git repository: https://, ssh://, user@host:path, file:// or an absolute path; http:// on this machine only.
    No default: it has to be set."""
    branch: Branch = "main"
    """The branch that is followed and never written to. Default: main."""
    path: RepositoryPath = "desired-state"
    """The folder of desired state within the repository; "." for the whole of it. Default: desired-state."""
    ssh_key: KeyFile | None = None
    """The SSH private key for git. Default: that under ssh."""
    known_hosts: ReadableFile | None = None
    """The git server's SSH host keys. Default: those under ssh."""

    def within(self, file: str) -> str:
        """The path from the root of the repository of a *file* of the desired state."""
        prefix = self.path.strip("/.")
        return f"{prefix}/{file}" if prefix else file

    @property
    def shown_url(self) -> str:
        """The URL as it may be shown: a name is shown for SSH only, since over HTTP it may be a token."""
        parts = urlsplit(self.url)
        name, at, host = parts.netloc.rpartition("@")
        if not at or (parts.scheme == "ssh" and parts.password is None):
            return self.url
        return parts._replace(netloc=f"{name.partition(':')[0] if parts.scheme == 'ssh' else ''}***@{host}").geturl()

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield "url", self.shown_url
        yield from super().__repr_args__()


class SshConfig(Settings):
    """How hosts are reached. Host keys are always checked against known_hosts."""

    key: KeyFile | None = None
    """The SSH private key for the hosts. Default: what the daemon user's ssh offers by itself (agent, ~/.ssh)."""
    known_hosts: ReadableFile | None = None
    """The hosts' SSH host keys. Default: the daemon user's ~/.ssh/known_hosts."""
    config: ReadableFile | None = None
    """An ssh_config file of yours, for jump hosts and the like. Default: none."""


class StreamConfig(Settings):
    """The SSH sessions that stay open, so that looking at a host costs next to nothing."""

    sessions: int = Field(default=1000, ge=0, le=20_000)
    """At most this many stay open, some 3 MB of memory each; hosts beyond are asked over sessions that are closed
    again. Default: 1000; 0 to look at every host by launches of Ansible."""


class Timeouts(Settings):
    """How long to wait for hosts. None of them can be switched off: a silent host must not stop the others."""

    connect: Duration = timedelta(seconds=10)
    """Seconds until a host has to accept a connection. Default: 10s."""
    observe: Duration = timedelta(seconds=60)
    """Seconds one host may take to answer what it looks like. Default: 60s."""
    task: Duration = timedelta(minutes=15)
    """Seconds one task (a package to install, say) may take. Default: 15m."""
    converge: Duration = timedelta(minutes=60)
    """Seconds one whole converging launch may take. Default: 60m."""


class Committer(Settings):
    """Who signs the audit commits as their author."""

    name: Person = "reconciler"
    """Default: reconciler."""
    email: Person = "reconciler@localhost"
    """Default: reconciler@localhost."""


class Config(Settings):
    """One daemon. Relative paths are relative to the configuration file."""

    repository: RepositoryConfig
    """Where desired state is read. Has to be set."""
    state_dir: StateDirectory = Field(default_factory=state_directory)
    """The daemon's own directory, made 0700. Default: $STATE_DIRECTORY, which systemd sets, or /var/lib/reconciler."""
    shard: Shard = "main"
    """The part of the fleet this daemon keeps, and the name of its audit branch audit/<shard>. Default: main."""
    interval: Duration = timedelta(seconds=60)
    """Seconds between two looks at git. Default: 60s; a long one and SIGHUP instead of switching it off."""
    sweep_interval: Duration = timedelta(minutes=10)
    """Seconds between two looks at the fleet while git says nothing new. Default: 10m; a long one to switch it off."""
    ssh: SshConfig = SshConfig()
    """How hosts are reached."""
    signing_key: KeyFile | None = None
    """The SSH private key that signs audit commits. Default: none, and they are not signed."""
    allow_local_connection: bool = False
    """Let an inventory manage this very machine (ansible_connection: local). Default: false."""
    forks: int = Field(default=20, ge=1, le=500)
    """How many hosts are worked on at once. Default: 20; 1 for one after another."""
    stream: StreamConfig = StreamConfig()
    """How hosts are looked at over SSH; reconciler.yml of the repository can say lane: ansible for a group or host."""
    timeouts: Timeouts = Timeouts()
    """How long to wait for hosts."""
    committer: Committer = Committer()
    """Who signs the audit commits as their author."""
    forge: ForgeConfig | None = None
    """Where people read what a pull request would do, and what drifted. Default: none; the loop runs without one."""
    web: WebConfig | None = None
    """What is listened for. Default: none, and no port is open."""
    ears: list[EarConfig] = Field(default_factory=list)
    """Who else hears what needs a person. Default: nobody."""

    @field_validator("web")
    @classmethod
    def _knows_who_sends(cls, value: WebConfig | None, info: ValidationInfo) -> WebConfig | None:
        """Refuse a secret without a forge; a forge that was refused itself is not in the data."""
        if value and value.webhook_secret and info.data.get("forge", value) is None:
            raise ValueError("webhook_secret needs the section forge, which says who sends webhooks, and how they sign")
        return value


def load(path: Path) -> Config:
    """Return the configuration in *path*, or raise ConfigError with every mistake in it."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the configuration cannot be read: {error.strerror}", hint=_HINT) from error
    document, mistakes = yamlfile.load(str(path), text)
    if document is None:
        raise _refusal(mistakes)
    try:
        config = Config.model_validate(document.value, context={"folder": path.resolve().parent})
    except ValidationError as error:
        found = [_mistake(document, each) for each in error.errors(include_url=False)]
        raise _refusal([*mistakes, *found]) from None
    if mistakes:
        raise _refusal(mistakes)
    return _with_git_defaults(config)


def read_secret(path: Path) -> str:
    """Return the one line that a secret's file holds (a token, a webhook's secret), or raise ConfigError."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {(error.strerror or 'no such file').lower()}") from error
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        raise ConfigError(f"{path} has to hold one line of text, the secret, and nothing else", hint=_HINT)
    return text


def _with_git_defaults(config: Config) -> Config:
    """Let git use the key and the known hosts of the hosts where it has none of its own."""
    repository, ssh = config.repository, config.ssh
    own = {"ssh_key": repository.ssh_key or ssh.key, "known_hosts": repository.known_hosts or ssh.known_hosts}
    return config.model_copy(update={"repository": repository.model_copy(update=own)})


def _refusal(mistakes: Iterable[Mistake]) -> ConfigError:
    return ConfigError("\n".join(str(mistake) for mistake in sorted(mistakes)), hint=_HINT)


def _mistake(document: Document, found: ErrorDetails) -> Mistake:
    """Return what pydantic found as a sentence at the user's own line."""
    where = tuple(found["loc"])
    match found["type"]:
        case "extra_forbidden":
            return Mistake(document.key_place(where), f"unknown key '{where[-1]}'{_nearest(where)}")
        case "missing":
            return Mistake(document.place(where[:-1]), f"the key '{where[-1]}' is missing")
        case "model_type" | "dict_type":
            return Mistake(document.place(where), f"{_key(where)} has to be a mapping of keys to values")
        case "value_error":
            return Mistake(document.place(where), f"{_key(where)}: {found['ctx']['error']}")
        case _:
            said = found["msg"].removeprefix("Input should be ")
            return Mistake(document.place(where), f"{_key(where)} should be {said}")


def _key(where: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in where) or "the configuration"


def _nearest(where: tuple[int | str, ...]) -> str:
    """Return the valid key that was probably meant, among those of the same mapping."""
    model: type[BaseModel] = Config
    for step in where[:-1]:
        if isinstance(step, str):  # a number is a place in a list, whose field has been entered already
            model = section(model.model_fields[step].annotation) or model
    close = get_close_matches(str(where[-1]), model.model_fields, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(model.model_fields)}"
