"""The server behind the door: uvicorn with an end to every connection, in a thread that touches no signal and no log.

Only ``web`` enters here. Whoever may be on the other side, it cannot make the daemon hold more than a few connections,
a few kilobytes each, for a few seconds.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 32
"""Connections at once; one more is closed unheard, so that the daemon keeps its file descriptors for its work."""
LONGEST = 10.0
"""Seconds from a connection's beginning to its end, however slowly it speaks; forges give up after about as many."""
_STOPPING = 1
"""Seconds that requests may still take once the door is being closed."""
_LONGEST_HEAD = 16 * 1024
"""Bytes of a request before its body."""


class Polite:
    """One request for each connection, and no answer is lost to a sender that is still speaking.

    Were the connection closed with bytes of the request unread, TCP would reset it and take the answer along. So
    what is left of a request is read, and dropped, before the answer ends; LONGEST holds for this too.
    """

    def __init__(self, application: ASGIApp) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        heard_all = False

        async def listen() -> Message:
            nonlocal heard_all
            message = await receive()
            heard_all = not message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
                return await send(message)
            await send({**message, "more_body": True})
            while not heard_all:
                await listen()
            return await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.application(scope, listen, answer)


class _Hasty(H11Protocol):
    """uvicorn's own, which would wait for the first byte of a request for ever, with an end to every connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._end = self.loop.call_later(LONGEST, transport.abort)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


def quiet_server(application: ASGIApp) -> Server:
    """uvicorn without what it says, logs, adds and looks up by itself."""
    for name in ("uvicorn.error", "uvicorn.access", "asyncio"):
        # To what callers do wrong there is no end, none of it is news, and a traceback is not for users.
        logging.getLogger(name).disabled = True
    settings = Config(
        application,
        http=_Hasty,
        ws="none",
        loop="asyncio",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=MOST_CONNECTIONS,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=_STOPPING,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
    )
    return Server(settings)
