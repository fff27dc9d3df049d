"""Whole runs over PDF and text documents."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pypdf import PdfWriter

from tests.api import Api, Asked, Canned, message, serving
from tests.jobs import JobFolder
from tests.pictures import plain

ANSWER = json.dumps({"label": "yes", "length": 1})


def answers(_: Asked) -> Canned:
    return message(ANSWER)


def pdf(pages: int, password: str | None = None) -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(72, 72)
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def content(asked: Asked) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = asked.body["messages"][0]["content"]
    return listed


def job(folder: Path, api: Api, documents: list[bytes | None], **changes: Any) -> JobFolder:
    made = JobFolder(folder, [], api.url)
    table = pa.table({"id": [f"r{number}" for number in range(len(documents))], "paper": pa.array(documents, pa.binary())})
    pq.write_table(table, folder / "in.parquet")
    made.configure(input={"path": "in.parquet"}, prompt={"user": "Sum it up.", "documents": ["paper"]}, **changes)
    return made


def test_a_pdf_arrives_as_it_is_and_a_text_as_text(tmp_path: Path) -> None:
    paper = pdf(3)
    with serving(answers) as api:
        assert job(tmp_path, api, [paper, b"\xef\xbb\xbfF\xc3\xbcr dich."], call={"concurrency": 1}).run().code == 0
        first, second = (content(asked) for asked in api.asked)
    assert [block["type"] for block in first] == ["document", "text"]
    assert first[0]["source"]["media_type"] == "application/pdf"
    assert b64decode(first[0]["source"]["data"]) == paper
    assert second[0] == {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Für dich."}}


def test_documents_stand_before_pictures_and_the_same_are_paid_once(tmp_path: Path) -> None:
    with serving(answers) as api:
        made = JobFolder(tmp_path, [], api.url)
        pq.write_table(
            pa.table({"id": ["a", "b"], "paper": [pdf(1)] * 2, "photo": [plain("PNG")] * 2}), tmp_path / "in.parquet"
        )
        made.configure(
            input={"path": "in.parquet"}, prompt={"user": "Do they fit?", "documents": ["paper"], "images": ["photo"]}
        )
        assert made.run().summary["reused"] == 1
        assert made.run().summary["requests"] == 0
        assert [block["type"] for block in content(api.asked[0])] == ["document", "image", "text"]


ODD: dict[str, tuple[bytes | None, str]] = {
    "too many pages": (pdf(601), "more than 600 pages; split it"),
    "with a password": (pdf(2, "secret"), "is an encrypted PDF, which the API does not take; save it without password"),
    "with an empty password": (pdf(2, ""), "is an encrypted PDF"),
    "cut short": (pdf(2)[:60], "is a PDF that cannot be read: "),
    "no pages": (pdf(0), "is a PDF without pages"),
    "Word": (b"PK\x03\x04\xff\xfe", "is neither a PDF nor text in UTF-8: byte 4 (Word"),
    "Latin-1": (b"f\xfcr", "is neither a PDF nor text in UTF-8: byte 1; save it as PDF"),
    "NUL": (b"a\0b", "holds NUL bytes"),
    "blank": (b" \n", "is empty"),
    "null": (None, "nothing stands in paper"),
}


def test_documents_that_cannot_be_sent_end_their_rows_alone(tmp_path: Path) -> None:
    with serving(answers) as api:
        made = job(tmp_path, api, [pdf(600), *(held for held, _ in ODD.values())])
        assert made.run().code == 1
        assert len(api.asked) == 1
    first, *others = made.rows()
    assert first["_status"] == "ok"
    assert {row["_status"] for row in others} == {"input_error"}
    said = dict(zip(ODD, (row["_error"] for row in others), strict=True))
    assert [name for name, (_, words) in ODD.items() if words not in said[name]] == [], said


def test_a_model_with_a_small_window_takes_fewer_pages(tmp_path: Path) -> None:
    with serving(answers) as api:
        made = job(tmp_path, api, [pdf(100), pdf(101)], model={"name": "claude-haiku-4-5"})
        assert made.run().code == 1
    assert [row["_status"] for row in made.rows()] == ["ok", "input_error"]


def test_the_plan_counts_pages_and_the_budget_whatever_they_may_hold(tmp_path: Path) -> None:
    with serving(answers) as api:
        made = job(tmp_path, api, [pdf(2)])
        plan = json.loads(made.do("plan", "--json", "--sample", "0").out)
        assert 10_000 < plan["row_tokens"]["estimate"] < 20_000
        assert plan["worst_request_usd"] > 0.4  # a million tokens of claude-haiku-5-5 above 100,000
        made.configure(run={"budget_usd": 0.1})
        assert made.run().code == 75
        assert api.asked == []


@pytest.mark.parametrize("value", ["https://images.example.org/a.pdf", "http://x.example/a.pdf"])
def test_a_document_is_not_fetched_by_anybody(tmp_path: Path, value: str) -> None:
    with serving(answers) as api:
        made = job(tmp_path, api, [])
        pq.write_table(pa.table({"id": ["a"], "paper": [value]}), tmp_path / "in.parquet")
        made.configure(input={"allow_urls": ["images.example.org"]})
        assert made.run().code == 1
        assert api.asked == []
