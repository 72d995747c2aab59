"""The repository elsewhere and who signs: values, and how they are told to git.

``repo`` turns them into the environment of its git processes. Nothing here starts a process or opens a
file; credentials leave this module only as variables for git, never as words.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.errors import ConfigError, GitError
from reconciler.reach import has_room

_SCHEMES = ("file", "ssh", "https", "http")
_SCP_LIKE = re.compile(r"(?:[\w.+-]+@)?(?:[\w][\w.-]*|\[[0-9A-Fa-f:.]+\]):(?!:)[^\s].*")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[./]$|^[-./]")

KEPT_OPEN = 120
"""Seconds that ssh keeps an unused connection open: longer than the daemon waits between two looks, as a rule."""

CREDENTIALS_FROM_ENVIRONMENT = (
    '!f() { test "$1" = get && '
    'printf "username=%s\\npassword=%s\\n" "$RECONCILER_GIT_USER" "$RECONCILER_GIT_PASSWORD"; }; f'
)
"""A credential helper without a program: the secret stays out of argument lists, which every local user can read."""

SETTINGS: Mapping[str, str] = {
    "protocol.allow": "never",  # ext:: and other helpers run commands named by the URL
    **{f"protocol.{scheme}.allow": "always" for scheme in _SCHEMES},
    "transfer.fsckObjects": "true",  # malformed objects are refused when they arrive
    "fetch.recurseSubmodules": "false",  # a revision must not name other repositories
    "core.bigFileThreshold": "8m",  # larger ones are never held in memory; what is read is far smaller
    "core.hooksPath": "/dev/null",  # nothing in the clone is ever run
    "core.attributesFile": "/dev/null",  # a user's attributes must not change what is read
    "core.fsync": "committed",  # refs never point at objects that a power cut took away
    "core.packedRefsTimeout": "3000",
    "core.logAllRefUpdates": "false",  # the audit branch is the log
    "http.followRedirects": "false",  # a redirect could lead to another host
    "http.lowSpeedLimit": "1000",  # bytes per second; slower for lowSpeedTime is a dead line
    "http.lowSpeedTime": "30",
    "credential.helper": "",  # no helper of the system or the user
    "gc.autoDetach": "false",  # nothing goes on after the command has returned
    "gc.pruneExpire": "now",  # one writer: what no ref names is not needed again
    "gc.auto": "2000",
    "gc.autoPackLimit": "20",
    "gpg.format": "ssh",
    "commit.gpgSign": "false",  # signing is asked for by commit, where a key is configured
    "advice.detachedHead": "false",
    "gc.writeCommitGraph": "false",  # a graph of a damaged clone would hide the damage
    "core.commitGraph": "false",
}
"""Every setting of our git processes; neither system nor user configuration is read."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository elsewhere. ``ssh_config`` None means none is read; ``patience`` is in seconds per network call.

    ``sockets`` is a private folder in which ssh keeps its connection open for the next call; None: each has its own.
    """

    url: str
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    ssh_config: Path | None = None
    patience: float = 300.0
    sockets: Path | None = None

    def __post_init__(self) -> None:
        if re.search(r"[\x00-\x20\x7f]", self.url):
            raise ConfigError("repository.url must not contain spaces or control characters.")
        if not self._is_allowed():
            raise ConfigError(
                f"repository.url is not an address that is used here: {self.shown}",
                hint="write https://…, ssh://…, user@host:path, file:///… or an absolute path",
            )

    def _is_allowed(self) -> bool:
        scheme, separator, rest = self.url.partition("://")
        if separator:
            host = urlsplit(self.url).hostname or ""
            return scheme in _SCHEMES and bool(rest) and not host.startswith("-")
        return self.url.startswith("/") or bool(_SCP_LIKE.fullmatch(self.url))

    @property
    def shown(self) -> str:
        """The URL without user, password, query and fragment: what messages may say."""
        if "://" not in self.url:
            return self.url
        parts = urlsplit(self.url)
        user = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
        return f"{parts.scheme}://{user}{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def _plain_url(self) -> str:
        """The URL as git gets it: http without its credentials, which travel beside it."""
        return self.shown if self.url.startswith(("http://", "https://")) else self.url

    def hide(self, text: str) -> str:
        """*text* without anything secret of this URL, and without the user part of any other URL in it."""
        password = urlsplit(self.url).password if "://" in self.url else None
        text = text.replace(self.url, self.shown)
        for secret in filter(None, (password, unquote(password or ""))):
            text = text.replace(secret, "…")
        return re.sub(r"(https?://)[^/@\s]+@", r"\1", text)

    def settings(self) -> dict[str, str]:
        """git settings that make this repository ``origin``."""
        parts = urlsplit(self.url) if self.url.startswith(("http://", "https://")) else None
        helper = CREDENTIALS_FROM_ENVIRONMENT if parts and (parts.username or parts.password) else ""
        return {"remote.origin.url": self._plain_url, "credential.helper": helper}

    def environment(self) -> dict[str, str]:
        """Variables git needs to reach this repository."""
        found = {"GIT_SSH_COMMAND": self.ssh_command(), "GIT_SSH_VARIANT": "ssh"}
        if self.url.startswith(("http://", "https://")):
            parts = urlsplit(self.url)
            found["RECONCILER_GIT_USER"] = unquote(parts.username or "")
            found["RECONCILER_GIT_PASSWORD"] = unquote(parts.password or "")
        return found

    def ssh_command(self) -> str:
        """The ssh that git starts: never asks, never learns a host key, never waits for ever."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "IdentitiesOnly": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "10",
            "ServerAliveCountMax": "3",
            **self._sharing(),
            "ForwardAgent": "no",
            "PermitLocalCommand": "no",
        }
        if self.known_hosts:
            options |= {"UserKnownHostsFile": _ssh_path(self.known_hosts), "GlobalKnownHostsFile": "/dev/null"}
        if self.ssh_key:
            options |= {"IdentityFile": _ssh_path(self.ssh_key), "IdentityAgent": "none"}
        config = str(self.ssh_config) if self.ssh_config else "none"
        return shlex.join(["ssh", "-F", config, *(f"-o{name}={value}" for name, value in options.items())])

    def _sharing(self) -> dict[str, str]:
        """Options that have calls share one connection, where a path for its socket is given and short enough.

        Its name holds all that the connection was made with, so a changed key or address never meets an old one.
        """
        way = "\n".join(str(part) for part in (self.url, self.ssh_key, self.known_hosts, self.ssh_config))
        path = self.sockets / f"git-{sha256(way.encode()).hexdigest()[:16]}" if self.sockets else None
        if path is None or not has_room(path):
            return {"ControlMaster": "no", "ControlPath": "none"}
        return {"ControlMaster": "auto", "ControlPath": _ssh_path(path), "ControlPersist": str(KEPT_OPEN)}


@dataclass(frozen=True, slots=True)
class Signer:
    """Who writes audit commits. ``key`` is the private SSH key that signs them, ``allowed`` an allowed-signers file."""

    name: str
    email: str
    key: Path | None = None
    allowed: Path | None = None

    def settings(self) -> dict[str, str]:
        """git settings that sign and check with these files."""
        found = {"user.signingKey": str(self.key)} if self.key else {}
        return found | ({"gpg.ssh.allowedSignersFile": str(self.allowed)} if self.allowed else {})

    def environment(self) -> dict[str, str]:
        """Variables that name author and committer, without the characters git gives a meaning."""
        name, email = (re.sub(r"[<>\x00-\x1f\x7f]", "", value).strip() for value in (self.name, self.email))
        return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", name or "reconciler"), ("EMAIL", email))}  # fmt: skip


def full_ref(name: str) -> str:
    """The whole name of a ref: *name* itself below ``refs/``, else the branch *name*; raises GitError for no name."""
    if not name or _BAD_REF.search(name):
        raise GitError(f"{name!r} is not a name for a branch.")
    return name if name.startswith("refs/") else f"refs/heads/{name}"


def as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """*settings* as variables, which reach git's children too and stay out of argument lists."""
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _ssh_path(path: Path) -> str:
    """*path* for an ssh option: quoted, and with ssh's own percent signs doubled."""
    return '"' + str(path).replace("%", "%%") + '"'
