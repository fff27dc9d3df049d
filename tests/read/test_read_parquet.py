"""Parquet: all rows that the footer promises, or a refusal."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputUnreadable
from pipeline.read.rows import rows
from pipeline.read.source import open_source

SUITE = Path(__file__).parents[3] / "shared" / "suites" / "parquet-testing"


def written(path: Path, columns: dict[str, object], **options: object) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputUnreadable) as caught:
        list(open_source([str(path)]).batches())
    assert str(path) in caught.value.message
    return caught.value.message


def test_the_suite_reads_whole_or_is_refused(tmp_path: Path) -> None:
    if not SUITE.is_dir():
        pytest.skip("the parquet-testing suite is not beside the checkout")
    whole, refused = set[str](), set[str]()
    for number, path in enumerate(sorted(SUITE.rglob("*.parquet*"))):
        named = tmp_path / f"{number}.parquet"  # some end in .encrypted
        named.symlink_to(path)
        try:
            source = open_source([str(named)])
            found = 0
            for batch in source.batches():
                found += len(rows(batch, source.schema.names, None))
        except InputUnreadable:
            refused.add(path.stem)
        else:
            assert found == pq.ParquetFile(path).metadata.num_rows, path
            whole.add(path.stem)
    assert len(whole) >= 60
    # pyarrow alone gives 6 rows where this footer says 0, and takes 4 GB for the other.
    assert {"repeated_no_annotation", "large_string_map.brotli", "datapage_v1-corrupt-checksum"} <= refused


def test_rows_come_in_order_across_row_groups(tmp_path: Path) -> None:
    path = written(tmp_path / "in.parquet", {"n": list(range(100))}, row_group_size=7)
    batches = list(open_source([str(path)]).batches(max_rows=3))
    assert [n for batch in batches for n in batch.table.column("n").to_pylist()] == list(range(100))
    assert [batch.start for batch in batches] == [batch.table.column("n")[0].as_py() for batch in batches]


def test_long_cells_make_short_batches(tmp_path: Path) -> None:
    path = written(tmp_path / "in.parquet", {"t": [str(n) * 5_000_000 for n in range(8)]}, use_dictionary=False)
    assert max(batch.table.num_rows for batch in open_source([str(path)]).batches()) <= 4


@pytest.mark.parametrize("wanted", [["a.b"], ["a"], ["a", "a.b"], []])
def test_a_name_with_a_dot_is_not_taken_for_a_path(tmp_path: Path, wanted: list[str]) -> None:
    path = written(tmp_path / "in.parquet", {"a.b": [1, 2], "a": [{"b": 3}, {"b": 4}]})
    [batch] = open_source([str(path)]).batches(wanted)
    assert batch.table.schema.names == wanted
    assert batch.table.num_rows == 2


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda whole: b"", id="empty"),
        pytest.param(lambda whole: b"id,text\n1,a\n", id="not Parquet"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="cut short"),
        pytest.param(lambda whole: whole[:100] + b"\xff" * 50 + whole[150:], id="a damaged page"),
        pytest.param(lambda whole: whole[:-100] + b"\xff" * 50 + whole[-50:], id="a damaged footer"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: object) -> None:
    path = written(tmp_path / "in.parquet", {"t": [str(n) for n in range(1000)]}, write_page_checksum=True)
    assert callable(content)
    path.write_bytes(content(path.read_bytes()))
    refusal(path)


def test_a_duplicate_name_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "in.parquet")
    assert "more than one column named 'a'" in refusal(tmp_path / "in.parquet")


def test_a_file_that_unpacks_like_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.read.format.UNPACKED_BYTES", 1 << 20)
    path = written(tmp_path / "in.parquet", {"id": [1], "t": ["x" * (4 << 20)]}, compression="zstd", use_dictionary=False)
    assert "decompression bomb" in refusal(path)


def test_text_that_is_not_utf8_is_a_fault_of_its_row(tmp_path: Path) -> None:
    bad = pa.array([b"good", b"caf\xe9", None]).view(pa.string())
    dates = pa.array([2**31 - 1, 0, 0], pa.int32()).cast(pa.date32())
    path = written(tmp_path / "in.parquet", {"id": [1, 2, 3], "t": bad, "d": dates})
    [batch] = open_source([str(path)]).batches()
    assert batch.table.column("t").to_pylist() == ["good", None, None]
    assert batch.table.column("id").to_pylist() == [1, 2, 3]
    assert batch.table.column("d").equals(dates)
    assert batch.faults == {1: f"{path}: row 2: column 't' holds bytes that are not UTF-8"}
