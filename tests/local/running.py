"""The embedded server, running: in a thread of this process, or in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from pipeline.local.server import run

PROGRAM = """
import sys
from pipeline.local.server import run
run({model!r}, announce=lambda url: print(url, flush=True), until_eof=sys.stdin.buffer if {child} else None, **{options!r})
print("ended", flush=True)
"""


@contextmanager
def in_thread(model: str, **options: Any) -> Iterator[str]:
    """The base URL of a server in this process, where coverage sees it."""
    reader, writer = os.pipe()
    urls: queue.Queue[str] = queue.Queue()
    with os.fdopen(reader, "rb") as until_eof:
        thread = threading.Thread(target=run, args=(model,), kwargs={"announce": urls.put, "until_eof": until_eof, **options})
        thread.start()
        try:
            yield urls.get(timeout=30)
        finally:
            os.close(writer)
            thread.join(timeout=30)
    assert not thread.is_alive(), "the server outlived the end of its pipe"


@contextmanager
def in_process(model: str, *, child: bool = True, **options: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and its base URL. Without `child` its standard input means nothing to it."""
    program = PROGRAM.format(model=model, child=child, options=options)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            if process.poll() is None:
                # Asked first, so that what it measured of itself (coverage) is written.
                process.terminate()
                try:
                    process.communicate(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def stats(base_url: str) -> dict[str, Any]:
    """What /stats tells, as a person with curl would ask: without a key."""
    with closing(http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=10)) as connection:
        connection.request("GET", "/stats")
        told: dict[str, Any] = json.loads(connection.getresponse().read())
        return told
