"""One connection pool: certificates, proxies, time-outs, and an end to every call. Only ``wire`` enters here.

Nothing of the environment counts but the proxy variables: no netrc, no SSL_CERT_FILE, no cookies, and no redirect
is followed here.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx2

import reconciler
from reconciler.errors import ConfigError, ForgeAway, ForgeRefused
from reconciler.wire.answers import MOST_BYTES, Answer, Unreadable, read_body
from reconciler.wire.words import Passing, clean

_LIMITS = httpx2.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=15.0)
_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError, UnicodeError)
"""How a call fails before the server can have heard of it; UnicodeError is a host that cannot be a name."""
# They log every address and every header that comes back; the path of a webhook may be its password.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)
_OURS = {"User-Agent": f"reconciler/{reconciler.__version__}", "Accept-Encoding": "gzip"}


class Line:
    """Calls one at a time; close it after use. ``patience`` is the most seconds that one call may take in all."""

    def __init__(
        self,
        scheme: str,
        *,
        ca: Path | None,
        proxy: str | None,
        timeout: float,
        patience: float,
        transport: httpx2.BaseTransport | None,
    ) -> None:
        self._patience = patience
        self._late = threading.Event()
        self._streams: list[Any] = []
        try:
            self._client = httpx2.Client(
                verify=_trust(ca),
                proxy=proxy,
                timeout=timeout,
                limits=_LIMITS,
                transport=transport,
                # Clear text stays on this machine: a proxy of the environment would read the token.
                trust_env=scheme == "https",
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            )
        except (ValueError, ImportError, httpx2.InvalidURL):
            raise ConfigError("The proxy cannot be used.", hint="It is a URL such as http://proxy:3128.") from None

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    @property
    def late(self) -> bool:
        """Whether the call at hand has used up its time."""
        return self._late.is_set()

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Let everything within take ``patience`` seconds at most: then its connections are shut.

        A time-out of each single read would let a server that sends a byte now and then hold us for hours.
        """
        self._late.clear()
        timer = threading.Timer(self._patience, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def call(
        self,
        what: str,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        most: int = MOST_BYTES,
    ) -> Answer:
        """Make one call; *what* names it in messages. Raises Passing where it failed on the way, ForgeRefused
        where it cannot be sent at all.
        """
        _check(what, headers)
        writes = method not in {"GET", "HEAD"}
        request = self._client.build_request(
            method, url, headers={**_OURS, **headers}, content=content, extensions={"trace": self._watch}
        )
        try:
            response = self._client.send(request, stream=True, follow_redirects=False, auth=httpx2.Auth())
            try:
                answer = Answer(response.status_code, response.headers, read_body(response, most))
            finally:
                response.close()
        except Unreadable as error:
            raise ForgeAway(f"{what}: {error}.", unsure=writes) from None
        except (httpx2.RequestError, ssl.SSLError, UnicodeError) as error:
            raise self._failure(what, error, headers, writes=writes) from None
        if self.late:
            raise self._too_late(what, writes=writes)
        return answer

    def _failure(self, what: str, error: Exception, headers: Mapping[str, str], *, writes: bool) -> Passing:
        if self.late:
            return self._too_late(what, writes=writes)
        reason = "it took too long" if isinstance(error, httpx2.TimeoutException) else clean(str(error), headers)
        hint = "Is its authority a private one? Then name its file as `ca`." if "CERTIFICATE" in reason else ""
        unsure = writes and not isinstance(error, _NOTHING_SENT)
        return Passing(f"{what}: the server was not reached: {reason}.", unsure=unsure, hint=hint)

    def _too_late(self, what: str, *, writes: bool) -> Passing:
        return Passing(f"{what}: the answer was not complete after {self._patience:g} seconds.", unsure=writes)

    def _watch(self, _event: str, info: Mapping[str, Any]) -> None:
        """Remember every connection as it is opened; httpx2's trace extension is the only place that tells."""
        stream = info.get("return_value")
        if hasattr(stream, "get_extra_info"):
            self._streams = [*(s for s in self._streams if _socket(s).fileno() >= 0), stream]

    def _cut(self) -> None:
        """Runs in the timer's thread: whoever reads or writes now gets an end of file."""
        self._late.set()
        for stream in list(self._streams):
            with suppress(OSError):
                _socket(stream).shutdown(socket.SHUT_RDWR)


def _socket(stream: Any) -> socket.socket:
    found: socket.socket = stream.get_extra_info("socket")
    return found


def _trust(ca: Path | None) -> ssl.SSLContext:
    """The system's authorities, and *ca* besides."""
    context = httpx2.create_ssl_context(trust_env=False)
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError):
            raise ConfigError(f"{ca} holds no certificates (PEM) that can be used.") from None
    return context


def _check(what: str, headers: Mapping[str, str]) -> None:
    """Refuse what HTTP cannot carry, before a library refuses it with the value in its message."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ForgeRefused(f"{what}: the value for {name} holds characters that no header may have.")
