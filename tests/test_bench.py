"""What `make bench` measures with: its server answers as the API does, whatever is asked of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.call.caller import Response
from pipeline.call.client import Client
from pipeline.call.wire import read
from pipeline.records import Reply
from tests.bench.jobs import SCHEMA, made, text
from tests.bench.load import most
from tests.bench.process import PIPELINE, measured, serving
from tests.call.fakes import FORM, SHAPE, prompt


async def _asked(url: str) -> Response:
    client = Client(base_url=url, api_key="local", timeout_s=30, connections=4, proxied=False)
    try:
        response = await client.send(SHAPE.body(prompt("Fine.")))
    finally:
        await client.close()
    assert isinstance(response, Response)
    return response


def test_its_server_answers_each_request_once_and_counts_them() -> None:
    with serving(0) as server:
        response = asyncio.run(_asked(server.url))
        reply = read(response.body, FORM, request_id=None, latency_s=0, at=0, attempts=1)
        assert isinstance(reply, Reply)
        assert json.loads(reply.text)["label"] in SCHEMA["properties"]["label"]["enum"]
        assert response.headers["request-id"] == "req_000000000001"
        assert response.headers["anthropic-ratelimit-requests-remaining"] > "0"
        asyncio.run(most(server.url, 40, 4))
        assert server.stats()["requests"] == 41


def test_a_batch_of_it_brings_an_answer_for_every_row(tmp_path: Path) -> None:
    with serving(0) as server:
        folder = made(tmp_path / "job", 20, server.url, 4, "batch")
        used = measured([*PIPELINE, "run", "job.yaml", "--quiet"], folder, server)
    table = pq.read_table(folder / "out.parquet")
    assert table["text"].to_pylist() == [text(number) for number in range(20)]
    assert set(table["_status"].to_pylist()) == {"ok"}
    assert used.cpu_s > 0
    assert used.peak_mb > 0
