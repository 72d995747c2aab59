"""How a host is reached and asked: words for ssh, and the question in the form that hosts read.

Called by the edges that go to hosts, so that every lane goes the same way. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath
from typing import Any

from reconciler.model import Ask

PYTHONS = [*(f"/usr/bin/python3.{minor}" for minor in range(14, 7, -1)), "/usr/bin/python3", "python3"]
"""Where a host's Python is looked for, newest first as Ansible does, but the system's own before any in PATH."""
SAFE_WORD = re.compile(r"[A-Za-z0-9_.:%\[\]][A-Za-z0-9_.:%\[\]@-]*")
"""Addresses and users become words of ssh's command line, where a leading dash would be an option."""

LONGEST_SOCKET = 107 - len(".0123456789abcdef")
"""Bytes of a control socket's path: Linux takes 107, and ssh first makes it with a suffix."""


@dataclass(frozen=True, slots=True)
class SshWay:
    """What ssh needs to know beside the host: files of the operator, and the seconds that a connection may take."""

    key: PurePath | None = None
    known_hosts: PurePath | None = None
    config: PurePath | None = None
    connect_timeout: int = 10

    def words(self, **more: str) -> list[str]:
        """Options for ssh's command line: only the operator's own choices and known host keys, nothing interactive."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "GlobalKnownHostsFile": "/dev/null",
            "UserKnownHostsFile": quoted(self.known_hosts),
            "IdentitiesOnly": "yes",
            "ConnectTimeout": str(self.connect_timeout),
            "ServerAliveInterval": "10",
            "ServerAliveCountMax": "3",
            "ForwardAgent": "no",
            **({"IdentityFile": quoted(self.key)} if self.key is not None else {}),
            **more,
        }
        words = ["-F", str(self.config or "/dev/null")]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        return words


def quoted(path: PurePath | None) -> str:
    """A path as ssh's options want it: quoted, a percent sign doubled."""
    return '"{}"'.format(str(path).replace("%", "%%")) if path is not None else "/dev/null"


def refused(host: str, variables: Mapping[str, Any]) -> str:
    """Why this address or user is not handed to ssh, or nothing."""
    if variables.get("ansible_connection") == "local":
        return ""
    words = {"the address": variables.get("ansible_host", host), "the user": variables.get("ansible_user", "root")}
    bad = [name for name, word in words.items() if not SAFE_WORD.fullmatch(str(word))]
    return f"{bad[0]} is no plain word, so it is not handed to ssh" if bad else ""


def control_name(host: str, variables: Mapping[str, Any]) -> str:
    """The name of the control socket of one way to one host: 16 hex digits, the same in every lane.

    The host's own name is in it: an address may be another machine behind another jump host.
    """
    way = [host, *(variables.get(f"ansible_{name}") for name in ("host", "port", "user"))]
    return sha256(json.dumps(way).encode()).hexdigest()[:16]


def has_room(socket: PurePath) -> bool:
    """Whether a control socket can have this path, on which ssh says nothing and fails where it is too long."""
    return len(str(socket).encode("utf-8", "surrogateescape")) <= LONGEST_SOCKET


def question(asks: Iterable[Ask]) -> dict[str, dict[str, Any]]:
    """What to look at, as hosts read it: collector → key → parameters."""
    asked: dict[str, dict[str, Any]] = {}
    for ask in asks:
        asked.setdefault(ask.collector, {})[ask.key] = dict(ask.params)
    return asked
