"""`pipeline init`: a new job that runs as it stands."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import cli
from pipeline.commands.kinds import KINDS
from pipeline.errors import InputUnreadable
from pipeline.read.pick import Picked, pick
from pipeline.read.source import open_source

pytest.importorskip("starlette")
from tests.local.running import in_thread


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[str]:
    with in_thread("rehearsal") as url:
        yield url


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def runs(name: str, *arguments: str) -> list[dict[str, Any]]:
    """Checks and runs the job; its table."""
    config = f"configs/{name}.yaml"
    assert cli.exit_code(["check", config, *arguments]) == 0
    assert cli.exit_code(["run", config, "--quiet", *arguments]) == 0
    rows: list[dict[str, Any]] = pq.read_table(f"out/{name}.parquet").to_pylist()
    return rows


def table(path: str, columns: list[str], *rows: tuple[object, ...]) -> str:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_a_new_job_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["init", "first"]) == 0
    said = capsys.readouterr().out
    for line in ("pipeline check configs/first.yaml", "pipeline run configs/first.yaml", "make run CONFIG=configs/first.yaml"):
        assert line in said
    rows = runs("first")
    assert [row["_status"] for row in rows] == ["ok"] * len(KINDS["sentiment"].sample)
    assert {row["_model"] for row in rows} == {"rehearsal/claude-haiku-5-5"}


@pytest.mark.parametrize("kind", [*KINDS])
def test_every_kind_runs(kind: str, rehearsal: str) -> None:
    assert cli.exit_code(["init", "job", "--kind", kind]) == 0
    rows = runs("job", "--set", f"call.base_url={rehearsal}")
    assert len(rows) == len(KINDS[kind].sample)
    assert all(row["_status"] == "ok" for row in rows)
    assert KINDS[kind].properties.keys() <= rows[0].keys()


def test_your_own_table_is_read_and_what_was_picked_is_said(rehearsal: str, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["label", "Ticket No", "What they say", "sentiment", "_cost_usd"]
    path = table(
        "my.csv", named, ("x", 7, "It broke on day two.", "?", 1), ("x", 8, "", "?", 1), ("y", 9, "Fine, and yours?", "?", 1)
    )
    assert cli.exit_code(["init", "job", "--from", path]) == 0
    said = capsys.readouterr().out
    assert "my.csv: 3 rows; Ticket No names them" in said
    assert "text       What they say, the longest of " in said
    assert "1 rows have none" in said
    rows = runs("job", "--set", f"call.base_url={rehearsal}")
    assert [row["_status"] for row in rows] == ["ok", "input_error", "ok"]
    assert [row["sentiment"] for row in rows] == ["?"] * 3
    assert rows[0]["answer_sentiment"] in ("positive", "negative", "mixed", "neutral")
    assert not Path("data").exists(), "no sample beside a table of one's own"


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("schemas").mkdir()
    Path("schemas/job.json").write_text("mine")
    assert cli.exit_code(["init", "job"]) == 64
    assert "schemas/job.json is there already; nothing was written" in capsys.readouterr().err
    assert Path("schemas/job.json").read_text() == "mine"
    assert not Path("configs").exists()


@pytest.mark.parametrize("arguments", [["../evil"], ["a b"], [""], ["job", "--kind", "poetry"]])
def test_what_makes_no_sense_is_usage_and_writes_nothing(arguments: list[str], tmp_path: Path) -> None:
    assert cli.exit_code(["init", *arguments]) == 64
    assert not list(tmp_path.iterdir())


def test_a_table_that_cannot_be_read_is_input() -> None:
    assert cli.exit_code(["init", "job", "--from", "none.csv"]) == 65
    assert not Path("configs").exists()


@pytest.mark.parametrize("column", ["in", "row", "two words", 'a "quote" }}', "größe", "true", "yes", "1", "replies", "#"])
def test_odd_names_of_columns_are_written_so_that_they_are_read(column: str) -> None:
    table("odd.csv", ["uid", column], ("a", "some text that is long"), ("b", "another long text"))
    assert cli.exit_code(["init", "job", "--from", "odd.csv"]) == 0
    assert cli.exit_code(["check", "configs/job.yaml"]) == 0


PICKED: dict[str, tuple[dict[str, list[object]], tuple[str | None, str]]] = {
    "by its name": ({"code": ["a", "b"], "review_id": [1, 2], "text": ["long text", "text"]}, ("code", "text")),
    "the name ends in Id": ({"body": ["long text", "text"], "orderId": ["a b", "c d"]}, ("orderId", "body")),
    "not where two share it": ({"id": [1, 1], "slug": ["a", "b"], "text": ["long text", "text"]}, ("slug", "text")),
    "not where one has none": ({"id": [1, None], "text": ["long text", "text"]}, (None, "text")),
    "no number by chance": ({"price": [1, 2], "text": ["long text", "text"]}, (None, "text")),
    "no word that only ends so": ({"paid": [1, 2], "text": ["long text", "text"]}, (None, "text")),
    "the longest text": ({"id": [1, 2], "title": ["aa", "bb"], "body": ["aaa b", ""]}, ("id", "body")),
}


@pytest.mark.parametrize(("columns", "expected"), PICKED.values(), ids=PICKED)
def test_the_key_and_the_text_are_picked(columns: dict[str, list[object]], expected: tuple[str | None, str]) -> None:
    pq.write_table(pa.table(columns), "t.parquet")
    picked = pick(open_source(["t.parquet"]))
    assert (picked.key, picked.text) == expected


def test_a_key_is_proven_on_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 6_000
    keys = [*range(rows - 1), 0]
    pq.write_table(pa.table({"id": keys, "text": [f"text {number}" for number in range(rows)]}), "t.parquet")
    assert pick(open_source(["t.parquet"])) == Picked(None, "text", rows, 0)


@pytest.mark.parametrize("columns", [{"id": [1, 2]}, {"text": pa.array([], pa.string())}])
def test_a_table_without_texts_is_no_corpus(columns: dict[str, Any]) -> None:
    pq.write_table(pa.table(columns), "t.parquet")
    with pytest.raises(InputUnreadable):
        pick(open_source(["t.parquet"]))


def test_jsonl_is_read_too() -> None:
    Path("t.jsonl").write_text("".join(json.dumps({"uuid": f"u{n}", "text": f"text of {n}"}) + "\n" for n in range(3)))
    assert pick(open_source(["t.jsonl"])) == Picked("uuid", "text", 3, 0)
