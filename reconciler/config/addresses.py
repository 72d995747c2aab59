"""Addresses to speak to and to listen on, each checked with a sentence that says what is allowed.

``config`` builds its models of them. No sentence repeats an address: what is in it may be a password.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from reconciler.config.values import is_loopback

_LONGEST_SOCKET = 107
"""Bytes that Linux keeps of a Unix socket's path (unix(7))."""


def _split(value: str) -> SplitResult:
    """The parts of a http(s) URL; https alone unless the host is this very machine."""
    if not value.isascii() or not value.isprintable() or any(c in value for c in ' \\"<>'):
        raise ValueError("this is not a URL")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("this is not a URL") from None
    if parts.scheme not in {"https", "http"}:
        raise ValueError("this is not an https:// URL")
    if not parts.hostname:
        raise ValueError("the URL names no host")
    return parts


def _https(value: str) -> SplitResult:
    parts = _split(value)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("http:// is for this machine only; use https://")
    return parts


def _web_root(value: str) -> str:
    """Where a forge's pages begin: nothing but host, port and path, without a slash at its end."""
    parts = _https(value)
    if "@" in parts.netloc:
        raise ValueError("a name or password does not belong here; the token is a file of its own")
    if parts.query or parts.fragment or ".." in parts.path:
        raise ValueError("this is where the forge's pages begin: https://host, with a path where it has one")
    return value.rstrip("/?#")


def _webhook(value: str) -> str:
    if "@" in _https(value).netloc:
        raise ValueError("a name or password does not belong here; the receiver checks the signature")
    if urlsplit(value).fragment:
        raise ValueError("a webhook's URL has no #fragment")
    return value


def _proxy(value: str) -> str:
    parts = _split(value)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("a proxy is http://host:port or https://host:port")
    return value


def _listen(value: str) -> str:
    """An address of this machine, or a Unix socket."""
    if value.startswith("unix:"):
        return _unix(value)
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9.]+):([0-9]{1,5})", value)
    if found is None or not _is_address(found[1]) or not 1 <= int(found[2]) <= 65535:
        raise ValueError("listen is 127.0.0.1:8471, [::1]:8471 or unix:/run/reconciler/web.sock")
    return value


def _is_address(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).version == (6 if host.startswith("[") else 4)
    except ValueError:
        return False


def _unix(value: str) -> str:
    path = value.removeprefix("unix:")
    if not path.startswith("/") or not path.isprintable() or path.endswith("/"):
        raise ValueError("a Unix socket is unix: and an absolute path")
    if len(path.encode()) > _LONGEST_SOCKET:
        raise ValueError(f"the path of a Unix socket has at most {_LONGEST_SOCKET} bytes")
    return value


def _project(value: str) -> str:
    """Words between slashes; how many there may be is up to the kind of forge."""
    parts = value.split("/")
    if len(value) > 255 or not all(re.fullmatch(r"[A-Za-z0-9_~.+-]+", part) and part.strip(".") for part in parts):
        raise ValueError("a repository is owner/name, as in the address of its page on the forge")
    if value.endswith(".git"):
        raise ValueError("a repository is named here as on its page, without .git")
    return value


WebRoot = Annotated[str, AfterValidator(_web_root)]
"""Where a forge's pages begin, without a slash at its end: ``https://git.example.org``."""
WebhookUrl = Annotated[str, AfterValidator(_webhook)]
"""Where a webhook is sent to."""
ProxyUrl = Annotated[str, AfterValidator(_proxy)]
"""A proxy; a name and a password may be in it."""
Listen = Annotated[str, AfterValidator(_listen)]
"""Where to listen: ``127.0.0.1:8471``, ``[::1]:8471`` or ``unix:/path``."""
Project = Annotated[str, AfterValidator(_project)]
"""A repository as a forge names it: ``owner/name``."""
