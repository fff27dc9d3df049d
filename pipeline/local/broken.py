"""Connections that break: what HTTP cannot say is done to the transport below it."""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset and drops what is not sent yet."""


class Connections:
    """The open connections of one server, by the client's address."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}
        self._hung: set[tuple[str, int]] = set()

    def opened(self, transport: asyncio.Transport) -> None:
        self._transports[transport.get_extra_info("peername")[:2]] = transport

    def closed(self, transport: asyncio.Transport) -> None:
        client = transport.get_extra_info("peername")[:2]
        self._transports.pop(client, None)
        self._hung.discard(client)

    def hangs(self, client: tuple[str, int]) -> None:
        """Nobody will ever answer there: the server need not wait for it when it ends."""
        self._hung.add(client)

    def end_hung(self) -> None:
        for client in list(self._hung):
            self.reset(client)

    def end_all(self) -> None:
        """Whatever is still being made has nobody left to go to, and so comes to its end."""
        for client in list(self._transports):
            self.reset(client)

    def reset(self, client: tuple[str, int]) -> None:
        """The client sees ECONNRESET."""
        if (transport := self._transports.get(client)) is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            transport.abort()

    def close(self, client: tuple[str, int]) -> None:
        """What was sent still arrives; then the connection ends."""
        if (transport := self._transports.get(client)) is not None:
            transport.close()


def protocol(connections: Connections) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which tells of its connections: the ASGI scope has only the client's address."""

    class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _mine: asyncio.Transport

        def connection_made(self, transport: asyncio.Transport) -> None:
            self._mine = transport
            connections.opened(transport)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self._mine)
            super().connection_lost(exc)

    return Protocol


class Cut(Response):
    """Sends a part of a body and then closes the connection, though more was promised.

    `whole` is the length that is promised; None: a stream without a length.
    """

    def __init__(
        self, part: bytes, whole: int | None, connections: Connections, headers: dict[str, str], media_type: str
    ) -> None:
        super().__init__(None, 200, headers, media_type)
        self._part = part
        self._connections = connections
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        if whole is not None:
            self.raw_headers.append((b"content-length", str(whole).encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._part, "more_body": True})
        self._connections.close(client_of(scope))
        while (await receive())["type"] != "http.disconnect":
            pass


def client_of(scope: Scope) -> tuple[str, int]:
    """The client's address, by which its connection is known."""
    host, port = scope["client"]
    return host, port
