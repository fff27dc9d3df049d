"""The key column: it names every row, or nothing is spent."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.read import keys
from pipeline.read.keys import count
from pipeline.read.source import Source, open_source


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source(folder: Path, *ids: str | None, name: str = "in.parquet") -> Source:
    pq.write_table(pa.table({"id": pa.array(ids, pa.string()), "text": ["t"] * len(ids)}), folder / name)
    return open_source([name])


def refusal(opened: Source, key: str = "id") -> list[str]:
    with pytest.raises(InputUnreadable) as caught:
        count(opened, key)
    first, *faults = [line.strip() for line in caught.value.message.splitlines()]
    assert first == f"input.key: column '{key}' does not name the rows"
    return faults


def test_rows_are_counted(folder: Path) -> None:
    opened = source(folder, "a", "b", "c")
    assert sum(count(opened, "id")) == 3
    assert sum(count(opened, None)) == 3
    assert sum(count(opened, None, ["text"])) == 3


def test_no_rows_are_no_trouble(folder: Path) -> None:
    assert sum(count(source(folder), "id")) == 0


def test_rows_without_a_key_are_named(folder: Path) -> None:
    assert refusal(source(folder, "a", None, "")) == ["2 rows without a value: row 2 of in.parquet, row 3 of in.parquet"]


def test_rows_that_share_a_key_are_named(folder: Path) -> None:
    assert refusal(source(folder, "a", "b", "a", "c", "b", "a")) == [
        "5 rows share 2 keys: 'a' in row 1 of in.parquet, row 3 of in.parquet, row 6 of in.parquet; "
        "'b' in row 2 of in.parquet, row 5 of in.parquet"
    ]


def test_both_troubles_are_told_at_once(folder: Path) -> None:
    assert refusal(source(folder, "a", None, "a")) == [
        "1 row without a value: row 2 of in.parquet",
        "2 rows share 1 key: 'a' in row 1 of in.parquet, row 3 of in.parquet",
    ]


def test_a_key_shared_across_files_is_found(folder: Path) -> None:
    source(folder, "a", "b", name="1.parquet")
    source(folder, "c", "a", name="2.parquet")
    assert refusal(open_source(["?.parquet"])) == ["2 rows share 1 key: 'a' in row 1 of 1.parquet, row 2 of 2.parquet"]


def test_five_are_named_of_many(folder: Path) -> None:
    [nameless, shared] = refusal(source(folder, *[None] * 20, *[f"k{n % 10}" for n in range(70)]))
    assert nameless.startswith("20 rows without a value: row 1 of in.parquet, ")
    assert nameless.endswith("row 5 of in.parquet and 15 more")
    assert shared.startswith("70 rows share 10 keys: 'k0' in row 21 of in.parquet, ")
    assert shared.count(" and 2 more") == 5
    assert shared.endswith(" and 5 more")


def test_very_many_shared_keys_are_counted_without_keeping_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_MOST_COMPARED", 10)
    [shared] = refusal(source(folder, *[f"k{n % 1000}" for n in range(3000)], "alone"))
    assert shared.startswith("3000 rows share 1000 keys: ")
    assert shared.endswith(" and 995 more")


@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3), max_size=30))
def test_a_collision_of_hashes_is_no_shared_key(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    path = tmp_path_factory.mktemp("keys") / "in.parquet"
    pq.write_table(pa.table({"id": pa.array(ids, pa.string())}), path)
    opened = open_source([str(path)])
    if len(set(ids)) == len(ids):
        assert sum(count(opened, "id", digest=len)) == len(ids)
    else:
        with pytest.raises(InputUnreadable, match=f"share {sum(ids.count(each) > 1 for each in set(ids))} key"):
            count(opened, "id", digest=len)


def test_a_row_that_lost_its_key_counts_as_one_without(folder: Path) -> None:
    (folder / "in.csv").write_text("text,id\na,1\nb\nc,3\n")
    assert refusal(open_source(["in.csv"])) == ["1 row without a value: row 2 of in.csv"]


def test_a_faulty_row_that_has_its_key_is_no_trouble(folder: Path) -> None:
    (folder / "in.csv").write_text("id,text\n1,a\n2\n3,c,d\n")
    assert sum(count(open_source(["in.csv"]), "id")) == 3


def test_keys_that_are_no_strings_go_by_their_text(folder: Path) -> None:
    pq.write_table(pa.table({"id": [7, 8, 7]}), "in.parquet")
    assert refusal(open_source(["in.parquet"])) == ["2 rows share 1 key: '7' in row 1 of in.parquet, row 3 of in.parquet"]


def test_a_long_or_hostile_key_is_shown_short_and_escaped(folder: Path) -> None:
    [shared] = refusal(source(folder, *["\x1b]0;\n" + "x" * 1000] * 2))
    assert "'\\x1b]0;\\n" in shared
    assert len(shared) < 200


def test_a_limit_looks_at_the_first_rows_only(folder: Path) -> None:
    source(folder, "a", "b", "a")
    assert sum(count(open_source(["in.parquet"], limit=2), "id")) == 2


def test_a_key_column_that_is_not_there_is_named_with_the_nearest(folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"input\.key: the input has no column 'ids'; did you mean 'id'\?"):
        count(source(folder, "a"), "ids")


def test_a_damaged_page_of_a_named_column_is_found(folder: Path) -> None:
    table = pa.table({"id": [str(n) for n in range(1000)], "text": [f"text {n}" for n in range(1000)]})
    pq.write_table(table, "in.parquet", compression="none", use_dictionary=False, write_page_checksum=True)
    whole = Path("in.parquet").read_bytes()
    Path("in.parquet").write_bytes(whole.replace(b"text 500", b"TEXT 500"))
    opened = open_source(["in.parquet"])
    assert sum(count(opened, "id")) == 1000
    with pytest.raises(InputUnreadable, match="CRC"):
        count(opened, "id", ["text"])
