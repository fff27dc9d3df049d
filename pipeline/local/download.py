"""A file sent as fast as the client takes it: the results of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.local.broken import Connections, client_of
from pipeline.local.spool import Spool

PIECE_BYTES = 256 * 1024


class Download(Response):
    """The first `end` bytes, without a length told before. With `cut_off` the connection then breaks, as if there were more.

    `done` is called once, with whether all was sent to a client that was still there.
    """

    def __init__(
        self, spool: Spool, end: int, media_type: str, done: Callable[[bool], None], cut_off: Connections | None = None
    ) -> None:
        super().__init__(None, 200, None, media_type)
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        self._spool = spool
        self._end = end
        self._done = done
        self._cut_off = cut_off

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(_left(receive))
        sent, is_whole = 0, False
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while sent < self._end and not leaving.done():
                piece = self._spool.read(sent, min(PIECE_BYTES, self._end - sent))
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                sent += len(piece)
                await asyncio.sleep(0)
            if self._cut_off is not None:
                self._cut_off.close(client_of(scope))
                await leaving
            else:
                is_whole = sent == self._end and not leaving.done()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._done(is_whole)
            leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
