"""Tables as they are in the world, through the whole program."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.write.table_csv import restored
from tests.api import Api, Asked, Canned, message, serving
from tests.jobs import JobFolder, answer

NAUGHTY = Path(__file__).parents[2] / "shared" / "suites" / "blns" / "blns.json"


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(right) as made:
        yield made


def test_naughty_strings_come_through_everything_byte_for_byte(tmp_path: Path, api: Api) -> None:
    """CSV → prompt → server → Parquet → prompt → server → CSV."""
    if not NAUGHTY.is_file():
        pytest.skip("the Big List of Naughty Strings is not beside the checkout")
    naughty: list[str] = json.loads(NAUGHTY.read_text("utf-8"))
    assert len(naughty) == 515
    expected = [text.encode() for text in naughty]
    keep = {"keep": ["id", "text"]}
    job = JobFolder(tmp_path / "job", naughty, api.url, prompt={"user": "{{ id }}:{{ text }}"}, output=keep)
    ended = job.run()
    assert ended.code == 0, ended.err

    def sent() -> list[bytes]:
        texts = dict(text.split(":", 1) for text in api.texts())
        return [texts[key].encode() for key in sorted(texts, key=lambda key: int(key[1:]))]

    assert sent() == expected
    assert [text.encode() for text in job.table().column("text").to_pylist()] == expected

    del api.asked[:]
    job.configure(name="second", input={"path": "out/out.parquet"}, output={"path": "out/out.csv"})
    ended = job.run()
    assert ended.code == 0, ended.err
    assert sent() == expected
    rows = list(csv.DictReader(io.StringIO((job.path / "out" / "out.csv").read_bytes().decode(), newline="")))
    assert [restored(row["text"]).encode() for row in rows] == expected


def test_what_is_wrong_in_a_table_costs_its_own_row_alone(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", [], api.url, input={"types": {"n": "int"}, "encoding": "cp1252"})
    (job.path / "in.csv").write_bytes('id;text;n\n1;gut für;1\n2;zu;viele;1\n3;x\n4;schön;vier\n5;"a\nb";\n'.encode("cp1252"))
    ended = job.run()
    assert ended.code == 1, ended.err
    rows = job.rows()
    assert [(row["id"], row["text"], row["n"], row["_status"]) for row in rows] == [
        ("1", "gut für", 1, "ok"),
        ("2", "zu", None, "input_error"),
        ("3", "x", None, "input_error"),
        ("4", "schön", None, "input_error"),
        ("5", "a\nb", None, "ok"),
    ]
    assert [row["_error"] and row["_error"].split(": ", 1)[1].split(" (")[0] for row in rows] == [
        None,
        "line 3: 4 cells where the header has 3",
        "line 4: 2 cells where the header has 3",
        "line 5: column 'n' holds 'vier', which is not a whole number of at most 64 bits",
        None,
    ]
    assert sorted(api.texts()) == ["a\nb", "gut für"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"id,text\n1,caf\xe9\n", "set input.encoding: cp1252", id="not UTF-8"),
        pytest.param(b'id,text\n1,a\n2,"b\n3,c\n', "line 3: a quote opens in this record", id="an open quote"),
        pytest.param(b"id,text,\n1,a,\n", "column 3 of 3 has no name", id="trailing commas"),
    ],
)
def test_a_table_that_cannot_be_read_ends_the_run_before_anything_is_bought(
    tmp_path: Path, api: Api, content: bytes, said: str
) -> None:
    job = JobFolder(tmp_path / "job", [], api.url)
    (job.path / "in.csv").write_bytes(content)
    ended = job.run()
    assert ended.code == 65
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not api.asked


def test_a_header_alone_is_a_table_of_no_rows(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", [], api.url)
    ended = job.run()
    assert (ended.code, ended.summary["rows"]) == (0, 0)
    assert pq.read_metadata(job.path / "out" / "out.parquet").num_rows == 0


def test_check_shows_how_each_file_is_read(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", [], api.url)
    (job.path / "in.csv").write_text("id;text\n1;a\n")
    shown = job.do("check").out
    assert 'in.csv: CSV, UTF-8, cut at semicolons (by its header), quoted by "' in shown


def test_damage_in_a_column_that_no_prompt_takes_is_found_before_anything_is_bought(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", [], api.url, input={"path": "in.parquet"})
    path = job.path / "in.parquet"
    ids, texts = [f"r{number}" for number in range(100)], [f"good {number}" for number in range(100)]
    pq.write_table(pa.table({"id": ids, "text": texts, "kept": ids}), path, write_page_checksum=True, use_dictionary=False)
    whole = bytearray(path.read_bytes())
    at = pq.read_metadata(path).row_group(0).column(2).data_page_offset
    whole[at + 60 : at + 80] = b"\xff" * 20
    path.write_bytes(whole)
    ended = job.run()
    assert ended.code == 65
    assert "in.parquet: cannot be read" in ended.err
    assert "Traceback" not in ended.err
    assert not api.asked


def test_a_kept_value_that_cannot_be_read_is_told_where_its_row_has_an_answer(tmp_path: Path, api: Api) -> None:
    job = JobFolder(tmp_path / "job", [], api.url, input={"path": "in.parquet"})
    bad = pa.array([b"fine", b"caf\xe9", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"id": ["r0", "r1", "r2"], "text": ["good", "good", "good"], "kept": bad}), job.path / "in.parquet")
    ended = job.do("run")
    assert ended.code == 0, ended.err
    assert [row["kept"] for row in job.rows()] == ["fine", None, None]
    said = " ".join(ended.out.split())
    assert "2 rows have a value that could not be read and is null in the table" in said
    assert "row 2: column 'kept' holds bytes that are not UTF-8" in said
