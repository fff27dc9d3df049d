"""A source: several files of several formats as one run of rows, as often as asked."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.read.source import open_source
from pipeline.records import FILE_SHIFT

CSV = "id,text\n1,Ä\n2,b\n3,c\n"
JSONL = '{"id":"1","text":"Ä"}\n{"id":"2","text":"b"}\n{"id":"3","text":"c"}\n'
ROWS = [{"id": "1", "text": "Ä"}, {"id": "2", "text": "b"}, {"id": "3", "text": "c"}]


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


def plain(content: bytes) -> bytes:
    return content


def parquet(path: Path, columns: dict[str, object]) -> None:
    pq.write_table(pa.table(columns), path)


def records(*paths: Path | str, limit: int | None = None) -> list[dict[str, object]]:
    source = open_source([str(path) for path in paths], limit=limit)
    return [record for batch in source.batches() for record in batch.table.to_pylist()]


@pytest.mark.parametrize(("ending", "pack"), [("", plain), (".gz", gzip.compress), (".zst", zstd), (".GZ", gzip.compress)])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", CSV),
        ("in.TSV", CSV.replace(",", "\t")),
        ("in.jsonl", JSONL),
        ("in.v2.ndjson", JSONL),
    ],
)
def test_every_text_format_packed_and_plain(
    tmp_path: Path, name: str, content: str, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / (name + ending)
    path.write_bytes(pack(content.encode()))
    assert records(path) == ROWS


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_packed_members_one_after_another_are_one_file(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"in.csv.{'gz' if pack is gzip.compress else 'zst'}"
    path.write_bytes(pack(CSV[:10].encode()) + pack(b"") + pack(CSV[10:].encode()))
    assert records(path) == ROWS


@pytest.mark.parametrize("damage", [lambda whole: whole[:-6], lambda whole: b"", lambda whole: b"plain text"])
@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".zst", zstd)])
@pytest.mark.parametrize(("name", "content"), [("in.csv", CSV), ("in.jsonl", JSONL)])
def test_a_packed_file_that_is_damaged_is_refused(
    tmp_path: Path,
    name: str,
    content: str,
    ending: str,
    pack: Callable[[bytes], bytes],
    damage: Callable[[bytes], bytes],
) -> None:
    path = tmp_path / (name + ending)
    path.write_bytes(damage(pack(content.encode())))
    with pytest.raises(InputUnreadable, match=path.name):
        records(path)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.read.format.UNPACKED_BYTES", 2 << 20)
    path = tmp_path / "in.csv.gz"
    path.write_bytes(gzip.compress(b"id,text\n" + b"1,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" * (1 << 17)))
    with pytest.raises(InputUnreadable, match="decompression bomb"):
        records(path)


def test_files_come_in_the_order_given_and_globs_sorted(tmp_path: Path) -> None:
    for name in ("b1", "b10", "b2", "a"):
        (tmp_path / f"{name}.csv").write_text(f"id\n{name}\n")
    source = open_source([str(tmp_path / "b*.csv"), str(tmp_path / "a.csv")])
    assert [Path(str(path)).stem for path in source.files] == ["b1", "b10", "b2", "a"]
    batches = list(source.batches())
    assert [batch.table.column("id").to_pylist() for batch in batches] == [["b1"], ["b10"], ["b2"], ["a"]]
    assert [batch.start for batch in batches] == [file << FILE_SHIFT for file in range(4)]
    assert [batch.ordinal for batch in batches] == [0, 1, 2, 3]


def test_positions_count_in_the_file_and_ordinals_over_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(CSV)
    batches = list(open_source([str(tmp_path / "*.csv")]).batches(max_rows=2))
    assert [(batch.start, batch.ordinal, batch.table.num_rows) for batch in batches] == [
        (0, 0, 2),
        (2, 2, 1),
        (1 << FILE_SHIFT, 3, 2),
        ((1 << FILE_SHIFT) + 2, 5, 1),
    ]


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("max_rows", [1, 2, 4, 1024])
def test_a_limit_takes_the_first_rows_over_all_files(tmp_path: Path, limit: int, max_rows: int) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    parquet(tmp_path / "b.parquet", {"id": ["4", "5", "6", "7", "8"], "text": ["d", "e", "f", "g", "h"]})
    source = open_source([str(tmp_path / "a.csv"), str(tmp_path / "b.parquet")], limit=limit)
    found = [key for batch in source.batches(["id"], max_rows=max_rows) for key in batch.table.column("id").to_pylist()]
    assert found == ["1", "2", "3", "4", "5", "6", "7", "8"][:limit]


def test_nothing_beyond_the_limit_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b'id,text\n1,a\n2\n3,"c\n')
    batches = list(open_source([str(path)], limit=2).batches())
    assert sum(batch.table.num_rows for batch in batches) == 2
    assert list(batches[0].faults) == [1]


def test_a_source_can_be_read_again_and_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    source = open_source([str(tmp_path / "in.csv")])
    pairs = zip(source.batches(max_rows=1), source.batches(max_rows=1), strict=True)
    assert [(one.start, other.start) for one, other in pairs] == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.csv.gz", "in.parquet"])
@pytest.mark.parametrize("wanted", [[], ["text"], ["text", "id"], ["id", "id"]])
def test_columns_come_as_asked(tmp_path: Path, name: str, wanted: list[str]) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        parquet(path, {"id": ["1", "2", "3"], "text": ["Ä", "b", "c"]})
    else:
        content = (JSONL if "json" in name else CSV).encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    [batch] = open_source([str(path)]).batches(wanted)
    expected = list(dict.fromkeys(wanted))
    assert batch.table.schema.names == expected
    assert batch.table.num_rows == 3
    assert batch.table.to_pylist() == [{name: row[name] for name in expected} for row in ROWS]


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    with pytest.raises(ConfigInvalid, match=r"no column 'txt'; did you mean 'text'\?"):
        open_source([str(tmp_path / "in.csv")]).batches(["id", "txt"])


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="the system does not list open files")
@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize("stop", ["exhausted", "closed", "dropped"])
def test_files_are_closed(tmp_path: Path, name: str, stop: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        parquet(path, {"id": ["1", "2"]})
    else:
        content = (JSONL if "json" in name else CSV).encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208 (Path.iterdir keeps one open itself)
    batches = open_source([str(path)]).batches(max_rows=1)
    next(batches)
    assert len(os.listdir("/dev/fd")) == before + 1  # noqa: PTH208
    match stop:
        case "exhausted":
            assert list(batches)
        case "closed":
            batches.close()  # type: ignore[attr-defined]
        case _:
            del batches
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (["missing.csv"], "missing.csv: no such file"),
        (["*.none"], r"\*.none: no file matches"),
        (["dir*"], r"dir\*: no file matches"),
        (["in.csv", "./in.csv"], "the same file is given twice"),
        (["in.csv", "*.csv"], "the same file is given twice"),
        (["in.csv", "link.csv"], "the same file is given twice, also as in.csv"),
        (["in.xlsx"], r"Known are .parquet, .csv, .tsv, .jsonl, .ndjson"),
        (["in.parquet.gz"], r"Known are .parquet"),
        (["noending"], r"Known are .parquet"),
        (["pipe.csv"], "is no regular file"),
        (["in.csv/x.csv"], "no such file"),
        (["x" * 300 + ".csv"], "cannot be read: File name too long|no such file"),  # Python 3.14 says the second
    ],
)
def test_what_is_no_input_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: list[str], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(CSV)
    (tmp_path / "link.csv").symlink_to("in.csv")
    (tmp_path / "dir1").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("in.xlsx", "in.parquet.gz", "noending"):
        (tmp_path / name).touch()
    with pytest.raises(InputUnreadable, match=said):
        open_source(named)


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "in[1].csv").write_text(CSV)
    assert records(tmp_path / "in[1].csv") == ROWS


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("id,txt\n4,d\n", "b.csv: lacks 'text', which a.csv has"),
        ("id,txt\n4,d\n", "b.csv: has 'txt', which a.csv lacks"),
        ("id,text,more\n4,d,e\n", "b.csv: has 'more', which a.csv lacks"),
    ],
)
def test_files_with_other_columns_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b.csv").write_text(second)
    with pytest.raises(InputUnreadable) as caught:
        open_source(["*.csv"])
    assert said in caught.value.message


def test_columns_in_another_order_come_in_that_of_the_first_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n1,a\n")
    (tmp_path / "b.csv").write_text("text,id\nb,2\n")
    assert records(tmp_path / "*.csv") == [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.string(), pa.string_view(), pa.string()),
        (pa.dictionary(pa.int32(), pa.string()), pa.string(), pa.string()),
        (pa.null(), pa.string(), pa.string()),
        (pa.int64(), pa.null(), pa.int64()),
        (pa.null(), pa.null(), pa.null()),
    ],
)
def test_types_that_agree_are_joined(tmp_path: Path, first: pa.DataType, second: pa.DataType, joined: pa.DataType) -> None:
    for name, kind in (("a", first), ("b", second)):
        parquet(tmp_path / f"{name}.parquet", {"v": pa.array([None], pa.null()).cast(kind)})
    source = open_source([str(tmp_path / "*.parquet")])
    assert source.schema.field("v").type == joined
    assert {batch.table.schema.field("v").type for batch in source.batches()} == {joined}


def test_types_that_differ_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"n": [1], "t": ["x"]})
    parquet(tmp_path / "b.parquet", {"n": ["1"], "t": ["x"]})
    with pytest.raises(InputUnreadable, match=r"b\.parquet: column 'n' is (large_)?string, but int64 before"):
        open_source([str(tmp_path / "*.parquet")])


def test_all_that_differs_is_told_but_not_more_than_five(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    for number in range(9):
        (tmp_path / f"b{number}.csv").write_text("id\n1\n")
    with pytest.raises(InputUnreadable, match="and 4 more"):
        open_source([str(tmp_path / "*.csv")])


def test_a_file_without_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}).select([]), tmp_path / "in.parquet")
    with pytest.raises(InputUnreadable, match="has no columns"):
        open_source([str(tmp_path / "in.parquet")])


def test_a_file_that_vanishes_is_refused_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    source = open_source([str(tmp_path / "in.csv")])
    (tmp_path / "in.csv").unlink()
    with pytest.raises(InputUnreadable, match=r"in\.csv: cannot be read: No such file or directory$"):
        list(source.batches())
