"""PDFs of more pages than one request may hold: whole jobs against an API on loopback that keeps a ledger."""

from __future__ import annotations

import io
import json
import signal
import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pypdf import PdfReader

from pipeline.render.combine import BUILT_IN
from tests.api import Api, Asked, Canned, error, message, serving
from tests.jobs import JobFolder
from tests.pictures import plain
from tests.read.test_read_excerpts import book

REDUCERS = {"do": "fail", "combine": {"label": "majority", "length": "max"}}


def documents(asked: Asked) -> list[dict[str, Any]]:
    return [block for block in asked.body["messages"][0]["content"] if block["type"] == "document"]


def pages(document: dict[str, Any]) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(b64decode(document["source"]["data"]))).pages]


def combines(asked: Asked) -> bool:
    return str(asked.body["system"][0]["text"]).endswith(BUILT_IN)


def counting(asked: Asked) -> Canned:
    """As many pages as it was shown; where it is shown answers, 1000."""
    number = sum(len(pages(one)) for one in documents(asked) if one["source"]["type"] == "base64")
    return message(json.dumps({"label": "yes", "length": 1000 if combines(asked) else number}))


def job(folder: Path, api: Api, papers: list[bytes | list[bytes] | None], **changes: Any) -> JobFolder:
    made = JobFolder(folder / "job", [], api.url)
    kind = pa.list_(pa.binary()) if any(isinstance(paper, list) for paper in papers) else pa.binary()
    table = pa.table({"id": [f"r{number}" for number in range(len(papers))], "paper": pa.array(papers, kind)})
    pq.write_table(table, made.path / "in.parquet")
    prompt = {"user": "Sum it up.", "documents": ["paper"], "long": REDUCERS, **changes.pop("prompt", {})}
    made.configure(input={"path": "in.parquet", "pages_per_request": 10}, prompt=prompt, output={"keep": ["id"]}, **changes)
    return made


def test_a_long_pdf_goes_in_several_requests_and_their_answers_become_one(tmp_path: Path) -> None:
    with serving(counting) as api:
        made = job(tmp_path, api, [book(4), book(25)], call={"concurrency": 1})
        ended = made.run()
        assert ended.code == 0, ended.err
        asked = [document for request in api.asked for document in documents(request)]
        assert [document.get("title") for document in asked] == [
            None,
            "pages 1 to 10 of 25",
            "pages 11 to 20 of 25",
            "pages 21 to 25 of 25",
        ]
        assert [text for document in asked[1:] for text in pages(document)] == [f"page {number}" for number in range(1, 26)]
        short, long = made.rows()
        assert (short["_pieces"], short["length"], long["_pieces"], long["length"]) == (1, 4, 3, 10)
        assert (long["_asks"], long["_input_tokens"]) == (3, 30)
        assert made.run().summary["requests"] == 0


def test_one_more_question_combines_where_no_reducers_are_named(tmp_path: Path) -> None:
    with serving(counting) as api:
        made = job(tmp_path, api, [book(25)], prompt={"long": "fail"})
        assert made.run().code == 0
        assert [combines(request) for request in api.asked] == [False, False, False, True]
        assert [made.rows()[0][name] for name in ("length", "_pieces", "_asks")] == [1000, 3, 4]


def test_short_documents_of_a_row_share_a_request_and_none_is_left_out(tmp_path: Path) -> None:
    with serving(counting) as api:
        papers = [book(3), b"a text", book(4), book(12), b"another text"]
        made = job(tmp_path, api, [papers], call={"concurrency": 1})
        assert made.run().code == 0
        shares = [documents(request) for request in api.asked]
    shown = [[one["source"]["data"] if one["source"]["type"] == "text" else len(pages(one)) for one in each] for each in shares]
    assert shown == [[3, "a text", 4], [10], [2, "another text"]]


def test_a_changed_page_asks_about_its_pdf_anew_and_a_changed_number_is_told_first(tmp_path: Path) -> None:
    with serving(counting) as api:
        made = job(tmp_path, api, [book(12), book(25)])
        assert made.run().summary["requests"] == 5
        made.configure(input={"pages_per_request": 5})
        refused = made.run()
        assert refused.code == 78
        assert "input.pages_per_request" in refused.err
        assert len(api.asked) == 5
        assert made.run("--accept-change").summary["requests"] == 6, "the last pages of both are what they were"
        assert made.run().summary["requests"] == 0


def test_a_row_ends_where_a_part_of_its_pdf_has_no_answer(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        if documents(asked)[0].get("title") == "pages 11 to 20 of 25":
            return error(400, "invalid_request_error", "Could not process PDF")
        return counting(asked)

    with serving(script) as api:
        made = job(tmp_path, api, [book(25), book(3)], call={"concurrency": 1})
        assert made.run().code == 1
    first, second = made.rows()
    assert (first["_status"], second["_status"]) == ("request_error", "ok")
    assert first["_error"].startswith("piece 2 of 3: ")


def test_pieces_that_are_paid_are_not_bought_again_after_a_kill(tmp_path: Path) -> None:
    reached, held = threading.Event(), threading.Event()

    def script(asked: Asked) -> Canned:
        if len(api.asked) == 6:
            reached.set()
            held.wait(60)
        return counting(asked)

    with serving(script) as api:
        made = job(tmp_path, api, [book(100)], call={"concurrency": 2})
        running = made.start("run")
        assert reached.wait(60)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        held.set()
        ended = made.run()
    assert ended.code == 0, ended.err
    asked = Counter(documents(request)[0]["title"] for request in api.asked)
    assert len(asked) == made.rows()[0]["_pieces"] == 10
    assert 1 <= sum(asked.values()) - 10 <= ended.summary["possible_double_charges"] <= 2


def test_the_plan_counts_the_requests(tmp_path: Path) -> None:
    with serving(counting) as api:
        made = job(tmp_path, api, [book(25), book(4)])
        plan = json.loads(made.do("plan", "--json", "--sample", "0").out)
        assert api.asked == []
        assert (plan["rows"], plan["requests"]) == (2, 4)
        assert "PDFs of more than 10 pages go in several requests" in made.do("check").out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: made.configure(model={"name": "claude-haiku-4-5"}, input={"pages_per_request": 101}), "takes 100 pages"),
        (lambda made: made.configure(prompt={"documents": None}), "has no use without prompt.documents"),
        (lambda made: made.configure(prompt={"images": ["photo"]}), "would go, and be paid, with each part of a PDF"),
        (lambda made: made.configure(prompt={"user": ["One.", "Two."]}), "is for a prompt of one turn"),
        (lambda made: made.configure(prompt={"long": "split"}), "split is for texts"),
        (lambda made: made.configure(input={"pages_per_request": 0}), "a whole number from 1 to 600"),
        (lambda made: made.configure(input={"pages_per_request": None}), "prompt.long.combine: has no use"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_before_anything_is_paid(
    tmp_path: Path, change: Callable[[JobFolder], None], said: str
) -> None:
    with serving(counting) as api:
        made = job(tmp_path, api, [book(2)])
        pq.write_table(pa.table({"id": ["a"], "paper": [book(2)], "photo": [plain("PNG")]}), made.path / "in.parquet")
        change(made)
        refused = made.do("check")
    assert refused.code == 78
    assert said in refused.err
