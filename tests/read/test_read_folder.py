"""A folder of files as a table."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.read.fingerprint import fingerprint
from pipeline.read.rows import rows
from pipeline.read.source import open_source


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fill(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())


def paths(*named: str, **options: Any) -> list[object]:
    source = open_source(named)
    return [row.values["path"] for batch in source.batches(**options) for row in rows(batch, ["path"], None)]


def test_each_file_is_a_row_in_the_order_of_the_paths_without_hidden_ones() -> None:
    fill("s/b.png", "s/a/2.png", "s/a/10.png", "s/c", "s/.hidden.png", "s/.git/x.png", "s/a/.DS_Store")
    Path("s/empty").mkdir()
    assert paths("s") == paths("s/") == ["a/10.png", "a/2.png", "b.png", "c"]
    assert paths("s", max_rows=1) == paths("s")
    assert paths("s", start=2) == ["b.png", "c"]


def test_the_columns_say_what_is_known_of_a_file() -> None:
    fill("s/a/1.png")
    os.utime("s/a/1.png", ns=(0, 1_700_000_000_123_456_789))
    (batch,) = open_source(["s"]).batches()
    assert batch.table.to_pylist() == [
        {
            "path": "a/1.png",
            "name": "1.png",
            "size": 9,
            "modified": datetime(2023, 11, 14, 22, 13, 20, 123_456, UTC),
        }
    ]


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("s/*.png", ["1.png"]),
        ("s/**/*.png", ["1.png", "a/2.png", "a/b/3.png"]),
        ("s/a/*", ["2.png", "4.PDF"]),
        ("s/*/*.p*", ["a/2.png"]),
        ("s/[0-9].png", ["1.png"]),
        ("*/1.png", ["s/1.png"]),
    ],
)
def test_a_glob_over_images_and_documents_is_a_table_of_them(glob: str, found: list[str]) -> None:
    fill("s/1.png", "s/a/2.png", "s/a/b/3.png", "s/a/4.PDF", "s/.x/5.png")
    assert paths(glob) == found


def test_pipes_and_links_are_rows_and_a_link_to_a_folder_is_not_entered() -> None:
    fill("s/1.png", "elsewhere/2.png")
    os.mkfifo("s/pipe")
    Path("s/folder").symlink_to("../elsewhere")
    Path("s/loop").symlink_to("loop")
    assert paths("s") == ["1.png", "folder", "loop", "pipe"]


def test_a_name_that_is_not_utf_8_is_a_fault_of_its_row() -> None:
    fill("s/1.png")
    Path(os.fsdecode(b"s/\xff.png")).write_bytes(b"x")
    (batch,) = open_source(["s"]).batches()
    assert [row.fault for row in rows(batch, ["path"], "path")] == [None, "the name '\ufffd.png' is not UTF-8: rename the file"]


def test_the_fingerprint_tells_of_every_file() -> None:
    fill("s/1.png", "s/a/2.png")
    before = fingerprint(open_source(["s"]).files)
    assert fingerprint(open_source(["s"]).files) == before
    os.utime("s/a/2.png", ns=(0, 1))
    after = fingerprint(open_source(["s"]).files)
    assert after.changes(before) == ["s has changed: same size, another list of files"]
    fill("s/a/3.png")
    assert fingerprint(open_source(["s"]).files).changes(after) == ["s has changed from 16 to 25 bytes"]


def test_what_a_folder_cannot_be_is_refused() -> None:
    fill("tables/1.parquet", "tables/2.csv", "s/1.png", "x.csv")
    Path("empty").mkdir()
    with pytest.raises(ConfigInvalid, match=r"holds tables, .* use a glob such as tables/\*.parquet"):
        open_source(["tables"])
    with pytest.raises(ConfigInvalid, match="must be the only input"):
        open_source(["s", "x.csv"])
    with pytest.raises(InputUnreadable, match="empty: holds no file"):
        open_source(["empty"])
    with pytest.raises(InputUnreadable, match=r"s/\*.jpg: no file matches"):
        open_source(["s/*.jpg"])
