"""CSV and TSV: every record comes back, cell for cell, and what does not fit says so."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputUnreadable
from pipeline.read.source import open_source

SPECTRUM = Path(__file__).parents[3] / "shared" / "suites" / "csv-spectrum"

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def read(path: Path, max_rows: int = 1024) -> tuple[list[dict[str, str | None]], dict[int, str]]:
    """All records, and the faults by row index."""
    records: list[dict[str, str | None]] = []
    faults: dict[int, str] = {}
    for batch in open_source([str(path)]).batches(max_rows=max_rows):
        faults |= {len(records) + offset: fault for offset, fault in batch.faults.items()}
        records += batch.table.to_pylist()
    return records, faults


def written(tmp_path: Path, content: str | bytes, name: str = "in.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputUnreadable) as caught:
        read(path)
    assert str(path) in caught.value.message
    return caught.value.message


def test_csv_spectrum() -> None:
    if not SPECTRUM.is_dir():
        pytest.skip("the csv-spectrum suite is not beside the checkout")
    cases = sorted((SPECTRUM / "csvs").glob("*.csv"))
    assert len(cases) >= 11
    for case in cases:
        content = case.read_bytes()
        if "crlf" in case.stem and b"\r" not in content:  # a checkout may have normalised the line ends away
            content = content.replace(b"\n", b"\r\n")
        with tempfile.TemporaryDirectory() as folder:
            records, faults = read(written(Path(folder), content))
        assert records == json.loads((SPECTRUM / "json" / f"{case.stem}.json").read_text()), case.name
        assert not faults


@given(
    table=st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width))),
    delimiter=st.sampled_from(",;\t|"),
    max_rows=st.integers(1, 5),
    quote_all=st.booleans(),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_what_a_csv_writer_wrote_reads_back_equal(
    table: list[list[str]], delimiter: str, max_rows: int, quote_all: bool, mark: str
) -> None:
    header = [f"c{number}" for number in range(len(table[0]) if table else 2)]
    if len(header) == 1:
        delimiter = ","  # nothing in such a file tells of another, and a comma in it would not have been quoted
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL).writerows([header, *table])
    with tempfile.TemporaryDirectory() as folder:
        records, faults = read(written(Path(folder), mark + text.getvalue()), max_rows)
    assert [list(record.values()) for record in records] == table
    assert all(list(record) == header for record in records)
    assert not faults


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param('id,text\n1,"a\nb"\n', [["1", "a\nb"]], id="newline in quotes"),
        pytest.param("id,text\r1,a\r2,b\r", [["1", "a"], ["2", "b"]], id="old Macintosh line ends"),
        pytest.param("id,text\r\n1,a\u2028b\x0bc\x85d\r\n", [["1", "a\u2028b\x0bc\x85d"]], id="other separators are text"),
        pytest.param("id,text\n00123,1e5\n", [["00123", "1e5"]], id="nothing becomes a number"),
        pytest.param("id,text\n\n1,a\n\n", [["1", "a"]], id="blank lines are no records"),
        pytest.param('text\na\n\n""\n', [["a"], [""]], id="an empty cell of a single column is quoted"),
        pytest.param("id;text\n1;a, b\n2;c\n", [["1", "a, b"], ["2", "c"]], id="semicolons, commas in the text"),
        pytest.param("id,text\n1,a; b\n2,c; d\n", [["1", "a; b"], ["2", "c; d"]], id="commas, semicolons in the text"),
        pytest.param("id|te,xt\n1|a\n2|b\n3|c,d\n", [["1", "a"], ["2", "b"], ["3", "c,d"]], id="comma in the header"),
        pytest.param("text\na, b\nc, d\n", [["a"], ["c"]], id="one column, unquoted commas: surplus is dropped"),
        pytest.param("text; raw\na\nb; c; d\n", [["a"], ["b; c; d"]], id="one column, a semicolon in its name"),
        pytest.param("id,text\n", [], id="header only"),
        pytest.param("id,text", [], id="header only, no line end"),
        pytest.param("id,text\n1,", [["1", ""]], id="an empty cell is an empty string"),
        pytest.param('id,text\n1,5" screen\n', [["1", '5" screen']], id="a quote inside an unquoted cell"),
    ],
)
def test_dialects(tmp_path: Path, content: str, expected: Sequence[Sequence[str]]) -> None:
    records, _ = read(written(tmp_path, content))
    assert [list(record.values()) for record in records] == expected


def test_a_tsv_is_cut_at_tabs_whatever_else_it_holds(tmp_path: Path) -> None:
    records, _ = read(written(tmp_path, "id,a\ttext,b\n1,2\t3,4\n", "in.tsv"))
    assert records == [{"id,a": "1,2", "text,b": "3,4"}]


def test_a_long_cell_is_no_trouble(tmp_path: Path) -> None:
    cell = "word " * 1_000_000
    records, _ = read(written(tmp_path, f'id,text\n1,"{cell}"\n'))
    assert records[0]["text"] == cell


def test_long_records_make_short_batches(tmp_path: Path) -> None:
    path = written(tmp_path, "id,text\n" + "".join(f"{row},{'x' * 5_000_000}\n" for row in range(8)))
    assert [batch.table.num_rows for batch in open_source([str(path)]).batches()] == [4, 4]


@pytest.mark.parametrize(
    ("line", "cells", "fault"),
    [
        pytest.param("1,a", ["1", "a", None], "2 cells where the header has 3", id="too few"),
        pytest.param("1,a,b,c", ["1", "a", "b"], "4 cells where the header has 3", id="too many"),
        pytest.param('1,"a "b", c",d', ["1", 'a b"', ' c"'], "text follows a closing quote", id="inner quotes"),
        pytest.param('1,"a" x,"b\nc"', ["1", "a x", "b\nc"], "text follows a closing quote", id="and a newline"),
        pytest.param("1,a\0,b", ["1", "a\0", "b"], "NUL", id="NUL"),
    ],
)
@pytest.mark.parametrize("max_rows", [1, 2, 1024])
def test_a_record_that_does_not_fit_is_kept_with_a_fault(
    tmp_path: Path, line: str, cells: list[str | None], fault: str, max_rows: int
) -> None:
    path = written(tmp_path, f'id,text,label\n0,"good\nrow",x\n{line}\n9,good,y\n')
    records, faults = read(path, max_rows)
    good = [["0", "good\nrow", "x"], ["9", "good", "y"]]
    assert [list(record.values()) for record in records] == [good[0], cells, good[1]]
    assert list(faults) == [1]
    assert faults[1].startswith(f"{path}: line 4: ")
    assert fault in faults[1]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('id,text\n1,a\n2,"b\n3,c\n', id="plain"),
        pytest.param('id,text\n1,a\n2,"b" x,"c\n3,d\n', id="after another fault of quoting"),
    ],
)
def test_a_quote_that_is_never_closed_ends_the_job_and_names_its_line(tmp_path: Path, content: str) -> None:
    message = refusal(written(tmp_path, content))
    assert "line 3: a quote opens in this record and is not closed before the end of the file" in message


def test_a_quote_that_swallows_too_much_is_stopped_before_the_end(tmp_path: Path) -> None:
    lines = ("x" * 99 + "\n") * 400_000
    for before in ("", '"a" b,'):
        path = written(tmp_path, f'id,text\n1,{before}"{lines}')
        assert "line 2: a quote opens in this record and is not closed before 32 MiB of text" in refusal(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf", "is empty", id="a byte order mark only"),
        pytest.param(b"\n\n", "is empty", id="blank lines only"),
        pytest.param(b"id,text,id\n1,a,2\n", "more than one column named 'id'", id="duplicate names"),
        pytest.param(b",text,\n0,a,\n", "column 1, 3 of 3 has no name", id="nameless columns"),
        pytest.param(b"id,text\n1,caf\xe9\n", "line 2: byte 13 of the text is 0xe9", id="Latin-1"),
        pytest.param(b"\xef\xbb\xbfid,text\n1,caf\xe9\n", "line 2: byte 16 of the text is 0xe9", id="Latin-1, with a mark"),
        pytest.param("id,text\n1,a\n".encode("utf-16"), "is UTF-16", id="UTF-16"),
        pytest.param("id,text\n1,a\n".encode("utf-16-le"), "NUL", id="UTF-16 without a mark"),
        pytest.param(b'"id"x,text\n1,a\n', "line 1: text follows a closing quote", id="a header that breaks the rules"),
        pytest.param(b"id,text\n" + b"x" * (33 << 20), "a line of more than 32 MiB", id="an endless line"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refusal(written(tmp_path, content))


@given(content=st.binary(max_size=200) | st.text('ab,;"\n\r\t|\0', max_size=60).map(str.encode))
def test_any_bytes_read_or_are_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), content)
        try:
            records, faults = read(path)
        except InputUnreadable:
            return
    assert all(0 <= offset < len(records) for offset in faults)
