"""llama.cpp in this process: generation by token, token counts, and an end that does not hang.

xllamacpp starts llama.cpp's own HTTP server whether one wants it or not. It is bound to loopback and locked with a key
that only this process knows; token counts are the one thing that it is asked for, since the library offers no call.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

Chunk = dict[str, Any]
"""One event of llama.cpp's completion stream."""

MAX_THREADS = 8
"""Of computation. A model of 135 million parameters gains nothing from more."""
BATCH_TOKENS = 512
"""Prompts are read in steps of so many, and a call can be broken off between two steps (2 s on 2 cores)."""
COUNT_TIMEOUT_S = 60.0


class Library(Protocol):
    """What we use of xllamacpp.Server."""

    @property
    def listening_address(self) -> str: ...
    def handle_completions(self, request: Mapping[str, Any], heard: Callable[[Chunk], bool]) -> None: ...
    def handle_chat_completions(self, request: Mapping[str, Any], heard: Callable[[Chunk], bool]) -> None: ...


class Engine(Protocol):
    """A language model that runs."""

    def completion(self, request: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        """What follows a plain prompt, token by token. A chunk with `error` is the last. Closing it ends the work."""

    def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        """The same for a chat."""

    async def count(self, text: str) -> int:
        """Tokens of a prompt, control tokens read as such."""

    async def count_chat(self, messages: list[dict[str, str]]) -> int:
        """Tokens of a chat as the model's template renders it."""

    async def pieces(self, text: str) -> list[bytes]:
        """The tokens of a text that is no prompt, as the bytes that they stand for."""

    async def close(self) -> None:
        """Breaks off what is running and waits for it."""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Llama:
    """An Engine: a model file, loaded. Its methods may be called from one event loop, any number at once."""

    def __init__(self, weights: Path, *, slots: int, slot_tokens: int) -> None:
        # OpenMP threads that spin while they wait make everything four times slower beside other work (0.53 against
        # 2.09 documents/s on two busy cores). Both are read when the library is loaded, so it is imported after them.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("GOMP_SPINCOUNT", "0")
        import xllamacpp

        self._key = secrets.token_urlsafe(32)
        params = xllamacpp.CommonParams()
        params.model.path = str(weights)
        params.n_parallel = slots
        params.n_ctx = slot_tokens * slots
        params.n_batch = BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(cores(), MAX_THREADS)
        params.cache_ram_mib = 0  # the default of 8192 let memory grow to 5.5 GB after 2,800 requests
        params.verbosity = 0
        params.api_keys = [self._key]
        params.ui = False
        params.endpoint_slots = False
        self._library: Library = xllamacpp.Server(params)
        self._address = urlsplit(self._library.listening_address)
        self._generating = ThreadPoolExecutor(slots, thread_name_prefix="llama")
        self._counting = ThreadPoolExecutor(1, thread_name_prefix="llama-count")
        self._closing = threading.Event()

    async def completion(self, request: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        async for chunk in self._stream(self._library.handle_completions, request):
            yield chunk

    async def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        async for chunk in self._stream(self._library.handle_chat_completions, request):
            yield chunk

    async def _stream(
        self, call: Callable[[Mapping[str, Any], Callable[[Chunk], bool]], None], request: Mapping[str, Any]
    ) -> AsyncGenerator[Chunk]:
        """Waits for a free slot in the order of the calls. Closing the iterator breaks the generation off."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        unwanted = threading.Event()

        def heard(chunk: Chunk) -> bool:
            """In llama.cpp's thread; True stops it."""
            if unwanted.is_set() or self._closing.is_set():
                return True
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            return False

        # Progress of the prompt is asked for so that there is a moment to stop at before the first token.
        body = {**request, "stream": True, "return_progress": True, "timings_per_token": True}
        work = loop.run_in_executor(self._generating, call, body, heard)
        work.add_done_callback(lambda _: chunks.put_nowait(None))
        try:
            while (chunk := await chunks.get()) is not None:
                yield chunk
            await work
        finally:
            unwanted.set()
            work.cancel()

    async def count(self, text: str) -> int:
        answer = await self._ask("/tokenize", {"content": text, "add_special": True, "parse_special": True})
        return len(answer["tokens"])

    async def pieces(self, text: str) -> list[bytes]:
        request = {"content": text, "add_special": False, "parse_special": False, "with_pieces": True}
        tokens = (await self._ask("/tokenize", request))["tokens"]
        # A token that is no whole character comes as a list of its bytes.
        return [piece.encode() if isinstance(piece := token["piece"], str) else bytes(piece) for token in tokens]

    async def count_chat(self, messages: list[dict[str, str]]) -> int:
        return int((await self._ask("/v1/chat/completions/input_tokens", {"messages": messages}))["input_tokens"])

    async def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(self._counting, self._post, path, body)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=COUNT_TIMEOUT_S)
        try:
            headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.load(response)
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"llama.cpp answered {response.status} to {path}: {answer}")
        return answer

    async def close(self) -> None:
        """Waits at most for one step of a prompt."""
        self._closing.set()
        for pool in (self._generating, self._counting):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
