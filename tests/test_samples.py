"""The example jobs of the checkout, as a newcomer runs them, and what of their data would reach the API."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from base64 import b64decode
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import cli
from pipeline.schema.load import load
from tests.api import Api, Asked, Canned, message, serving

ROWS = {"receipts": 12, "tickets": 24, "contracts": 6}


@pytest.fixture
def folder(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What of a checkout a job takes, as the working folder."""
    for name in ("configs", "schemas", "data"):
        shutil.copytree(checkout / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-CANARY-key")
    return tmp_path


def run(name: str, *arguments: str) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.exit_code(["run", f"configs/{name}.yaml", "--json", *arguments])
    assert code == 0, err.getvalue()
    summary: dict[str, Any] = json.loads(out.getvalue())
    return summary


def asked(name: str, answer: dict[str, Any]) -> list[Asked]:
    """The requests of the job where it asks an API."""

    def always(_: Asked) -> Canned:
        return message(json.dumps(answer))

    with serving(always) as api:
        _run_against(name, api)
        return list(api.asked)


def _run_against(name: str, api: Api) -> None:
    run(name, "--set", f"call.base_url={api.url}", "--set", "call.concurrency=1")


def content(request: Asked) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = request.body["messages"][0]["content"]
    return blocks


@pytest.mark.parametrize("name", ROWS)
def test_a_sample_runs_without_a_key_and_answers_every_row(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    summary = run(name)
    assert (summary["rows"], summary["ok"]) == (ROWS[name], ROWS[name])
    rows = pq.read_table(f"out/{name}.parquet").to_pylist()
    assert {row["_model"] for row in rows} == {"rehearsal/claude-haiku-5-5"}
    assert summary["reused"] == (1 if name == "receipts" else 0), "one receipt is there twice"


def test_receipts_arrive_upright_and_small_enough_to_be_sent_as_they_are(folder: Path) -> None:
    empty: dict[str, Any] = {
        "merchant": None,
        "date": None,
        "currency": None,
        "total": None,
        "tax": None,
        "paid_by": None,
        "items": [],
    }
    sent = [b64decode(content(request)[0]["source"]["data"]) for request in asked("receipts", empty)]
    files = {path.read_bytes(): path.name for path in sorted((folder / "data" / "receipts").iterdir())}
    assert sum(map(len, files)) < 300_000
    assert len(sent) == len(files) == 11
    turned = [data for data in sent if data not in files]
    assert len(turned) == 2, "those that a phone has stored on their side"
    for data in sent:
        with Image.open(io.BytesIO(data)) as seen:
            assert seen.height > seen.width or files.get(data) in ("10-parking.png",), "a receipt is taller than wide"


def test_a_ticket_s_orders_stay_within_its_own_tags(folder: Path) -> None:
    requests = asked("tickets", {"team": "none", "urgency": "low", "summary": "x", "order": None})
    (hostile,) = [request for request in requests if "Ignore everything" in request.text]
    begin = hostile.text.index("Ignore everything")
    assert hostile.text.rindex("<document-", 0, begin) > hostile.text.rindex("</document-", 0, begin)
    assert "Ignore everything" not in json.dumps(hostile.body["system"])
    assert not any("_label" in request.text for request in requests), "what a reader took it for is not told"


def test_a_contract_arrives_whole(folder: Path) -> None:
    answer = dict.fromkeys(("begins", "term_months", "notice_days", "liability_cap", "governing_law"))
    fixed = {"kind": "other", "parties": [], "renews_by_itself": False, "ends_without_breach": "neither", "unusual": []}
    texts = [request.text for request in asked("contracts", {**fixed, **answer})]
    with (folder / "data" / "contracts.csv").open(newline="", encoding="utf-8") as file:
        held = [row["text"] for row in csv.DictReader(file)]
    assert [text in whole for text, whole in zip(held, texts, strict=True)] == [True] * ROWS["contracts"]


@pytest.mark.parametrize(
    ("gold", "schema", "columns"),
    [
        ("receipts-gold.csv", "receipt", {}),
        ("contracts-gold.csv", "contract", {}),
        ("tickets.jsonl", "ticket", {"team": "team_label", "urgency": "urgency_label"}),
    ],
)
def test_labels_are_values_that_the_schema_has(folder: Path, gold: str, schema: str, columns: dict[str, str]) -> None:
    file = folder / "data" / gold
    if file.suffix == ".csv":
        with file.open(newline="", encoding="utf-8") as opened:
            rows: list[dict[str, Any]] = list(csv.DictReader(opened))
    else:
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == ROWS[f"{schema}s"]
    enums = load((folder / "schemas" / f"{schema}.json").read_text(), schema).enums()
    for name, values in enums.items():
        assert {row[columns.get(name, name)] for row in rows} <= set(values), name
