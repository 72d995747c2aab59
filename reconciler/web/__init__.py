"""The door: webhooks of the forge come in, and all that one of them does is to wake the daemon.

The only importer of starlette and uvicorn. The shell opens a Door where a secret is configured. Nothing of a
webhook but its signature and its event's name is looked at, and nothing of it is kept, logged or passed on: whoever
replays or floods wins a look at git that would have come anyway. It decides nothing and reads no clock.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from reconciler.errors import ConfigError
from reconciler.web.dialects import DIALECTS, Seal
from reconciler.web.server import Polite, quiet_server
from reconciler.web.sockets import listen_on

LARGEST = 3 * 1024 * 1024
"""Bytes of a webhook. Those of busy repositories have some hundred kilobytes."""


class Door:
    """A server in a thread of its own, from ``start`` to ``stop``; a context manager.

    ``wake`` is called in the server's thread for every push and pull request that the forge tells of.
    """

    def __init__(self, listen: str, secret: str, kind: str, wake: Callable[[], None]) -> None:
        if not secret:
            raise ConfigError("the webhook's secret is empty, so anybody could sign with it")
        self.listen = listen
        self._socket: socket.socket | None = None
        self._server = quiet_server(_application(kind, secret.encode(), wake))

    def start(self) -> Self:
        """Listen from now on, or raise ConfigError where that cannot be."""
        self._socket = listen_on(self.listen)
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="web", daemon=True)
        self._thread.start()
        return self

    @property
    def address(self) -> str:
        """Where it listens, once it does: host:port, or unix: and a path."""
        if self._socket is None or self._socket.family == socket.AF_UNIX:
            return self.listen
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def stop(self) -> None:
        """Listen no more; requests that are being answered have a moment to end."""
        if self._socket is None:
            return
        self._server.should_exit = True
        self._thread.join()
        self._socket = None
        if self.listen.startswith("unix:"):
            with suppress(OSError):
                Path(self.listen.removeprefix("unix:")).unlink()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _application(kind: str, secret: bytes, wake: Callable[[], None]) -> ASGIApp:
    """POST /hooks/<kind>, and nothing else: no other method, no other path, no slash more or less."""
    dialect = DIALECTS[kind]

    async def hear(request: Request) -> Response:
        seal, header = Seal(dialect, secret), dict(request.headers.raw).get
        if not await _read(request, seal):
            return PlainTextResponse("too large\n", 413)
        if not seal.is_genuine(header):
            return PlainTextResponse("bad signature\n", 401)
        event = dialect.event(header)
        if event in dialect.wakes:
            wake()
            return PlainTextResponse("a look now\n", 202)
        return PlainTextResponse("here\n" if event in dialect.pings else "not of interest\n")

    application = Starlette(routes=[Route(f"/hooks/{kind}", hear, methods=["POST"])])
    application.router.redirect_slashes = False
    return Polite(application)


async def _read(request: Request, seal: Seal) -> bool:
    """Feed the body to *seal*; False where it says that it is too large, or turns out to be."""
    announced, read = request.headers.get("content-length", "0"), 0
    if len(announced) > len(str(LARGEST)) or int(announced) > LARGEST:
        return False
    with suppress(ClientDisconnect):  # nobody is there any more to hear the answer
        async for part in request.stream():
            read += len(part)
            if read > LARGEST:
                return False
            seal.feed(part)
    return True
