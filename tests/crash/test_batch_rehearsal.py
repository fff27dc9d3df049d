"""The same job online and in batches against one rehearsal: the same answers row by row, and half the cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.call.terms import Pace
from pipeline.commands import wiring
from tests.batches import texts
from tests.bench_batches import serving
from tests.crash.conftest import Size
from tests.jobs import JobFolder
from tests.local.running import stats

SAME = ("id", "text", "label", "length", "_status", "_error", "_repairs", "_asks", "_attempts", "_reused", "_model",
        "_stop_reason", "_input_tokens", "_output_tokens", "_thinking_tokens")  # fmt: skip


def test_in_batches_every_row_is_answered_as_online_for_half_the_price(
    tmp_path: Path, size: Size, tell: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = size.of(120, 20_000)
    monkeypatch.setattr(wiring, "PACE", Pace(first_s=0.1, longest_s=0.5, settle_s=1.0))
    tables, costs = [], []
    for mode in ("online", "batch"):
        with serving(batch_time_s=0.0) as url:
            call = {"mode": mode, "batch_size": rows // 4, "concurrency": 32}
            job = JobFolder(tmp_path / mode, texts(rows), url, call=call)
            ended = job.run("--quiet")
            assert ended.code == 0, ended.err
            told = stats(url)
            assert told["batches"]["submitted_again"] == {"custom_ids": 0, "bodies": 0}
            assert told["batches"]["requests"] == (rows - 1 if mode == "batch" else 0)
        tables.append(job.table())
        costs.append(ended.summary["cost_usd"])
    online, batch = tables
    assert batch.select(SAME).equals(online.select(SAME))
    first_usd = online["_cost_usd"][0].as_py()
    assert costs[1] == pytest.approx(first_usd + (costs[0] - first_usd) / 2), "the first of its form goes online"
    tell(f"{rows:,} rows, all as online; ${costs[1]:.4f} in batches, ${costs[0]:.4f} online")
