"""Whole jobs by the console script with the embedded server in a process of its own: no key, no network."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.jobs import JobFolder

LOCAL = {"base_url": "local", "concurrency": "auto"}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def servers(parent: int) -> list[int]:
    """The embedded servers that this run has started."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if " serve " in line]


def test_a_rehearsal_of_a_job_gives_every_row_an_answer_under_the_schema(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job", [f"text {number}" for number in range(120)], "", call=LOCAL)
    process = job.start("run", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["ok"] == 120
    rows = job.rows()
    assert {row["label"] for row in rows} == {"yes", "no"}
    assert {row["_model"] for row in rows} == {"rehearsal/claude-haiku-5-5"}
    assert all(row["_cost_usd"] > 0 for row in rows), "a rehearsal rehearses the price too"


@pytest.mark.parametrize("way", ["native", "tool", "prompt"])
def test_a_rehearsal_heeds_what_only_words_say_of_the_answer(way: str, tmp_path: Path) -> None:
    """Bounds, which the API's form does not take; and with `format: prompt` the whole schema."""
    job = JobFolder(tmp_path / "job", [f"text {number}" for number in range(30)], "", call=LOCAL, model={"format": way})
    stars = {"type": "integer", "minimum": 1, "maximum": 5}
    schema = {"type": "object", "properties": {"stars": stars}, "required": ["stars"], "additionalProperties": False}
    (job.path / "schema.json").write_text(json.dumps(schema))
    told = job.run()
    assert told.code == 0, told.err
    assert {row["stars"] for row in job.rows()} == {1, 2, 3, 4, 5}
    assert told.summary["asks_again"] == 0


def test_a_job_can_name_what_goes_wrong_in_its_rehearsal(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job", [f"text {number}" for number in range(40)], "", call={**LOCAL, "rehearsal": "f.yaml"})
    (job.path / "f.yaml").write_text("faults: [{fault: refusal, rate: 50%}, {fault: overloaded, rate: 10%, attempts: 1}]")
    out, err = job.start("run", "--json").communicate(timeout=120)
    told = json.loads(out)
    assert told["refused"] > 5, err
    assert told["ok"] + told["refused"] == 40
    (job.path / "f.yaml").write_text("faults: [{fault: refusals}]")
    refused = job.start("check")
    assert "did you mean refusal?" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 78


def test_a_rehearsal_s_file_is_for_the_embedded_server_alone(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job", ["text"], "https://api.example", call={"rehearsal": "f.yaml"})
    refused = job.start("check")
    assert "call.rehearsal needs call.base_url: local" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 78


def test_the_embedded_server_ends_with_a_run_that_was_killed(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job", [f"text {number}" for number in range(5000)], "", call=LOCAL)
    process = job.start("run", "--log-format", "text")
    assert process.stderr is not None
    while "the first ask is through" not in (line := process.stderr.readline()):
        assert line, "the run ended before it began"
    (server,) = servers(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for _ in range(100):
        if not alive(server):
            break
        # The server sees the end of its standard input; this only gives it the processor.
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.1)"], check=True)
    assert not alive(server)


def test_ctrl_c_on_a_terminal_reaches_the_run_and_not_its_server(tmp_path: Path) -> None:
    """The terminal signals the whole foreground group; replies in flight still come while the run drains."""
    job = JobFolder(tmp_path / "job", [f"text {number}" for number in range(5000)], "", call=LOCAL)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "run", "job.yaml", "--json", "--log-format", "text"],
        cwd=job.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    while "the first ask is through" not in (line := process.stderr.readline()):
        assert line, "the run ended before it began"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out)["failed"] == 0
    assert json.loads(out)["in_doubt"] == 0


def test_the_small_model_labels_obvious_reviews(tmp_path: Path, checkout: Path) -> None:
    """The sample job as `make run` runs it, on a few rows of its own corpus."""
    for name in ("configs", "schemas", "data"):
        shutil.copytree(checkout / name, tmp_path / name)
    (tmp_path / "data" / "reviews.csv").write_text(
        "id,text,label\n"
        "a,I love it. Works perfectly and looks great.,positive\n"
        "b,Terrible. It broke after one day and they refused a refund.,negative\n"
        "c,Excellent quality and very comfortable.,positive\n"
        "d,Waste of money. Do not buy this.,negative\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "run", "configs/reviews.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    table = pq.read_table(tmp_path / "out" / "reviews.parquet").to_pydict()
    assert table["sentiment"] == ["positive", "negative", "positive", "negative"]
    assert set(table["_model"]) == {"smollm2-135m"}
    assert "sentiment = label in 4 of 4 rows" in ended.stdout
    assert re.search(r"small local model", ended.stdout)


def test_a_model_that_cannot_be_served_is_told_with_the_servers_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.commands.embedded.served", lambda _: "no-such-model")
    job = JobFolder(tmp_path / "job", ["x"], "", call=LOCAL)
    ended = job.run()
    assert ended.code == 78
    assert "no-such-model" in ended.err
