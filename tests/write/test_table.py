from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import Bug, ConfigInvalid, StorageFailed
from pipeline.records import FILE_SHIFT, JSON, Batch, Outcome, Status, Usage
from pipeline.write import table, table_parquet
from pipeline.write.table import Published, check_target, publish
from pipeline.write.table_columns import Columns, Piece
from pipeline.write.table_csv import restored

INPUTS = pa.schema([("id", pa.int64()), ("text", pa.string())])
ANSWERS = (pa.field("label", pa.string()), pa.field("score", pa.int64()), pa.field("tags", pa.list_(pa.string())))
COLUMNS = Columns.plan(INPUTS, "all", ANSWERS)
NAMES = [
    *("id", "text", "label", "score", "tags"),
    *("_status", "_error", "_repairs", "_asks", "_attempts", "_reused", "_model", "_stop_reason", "_message_id", "_request_id"),
    *("_input_tokens", "_output_tokens", "_cache_read_tokens", "_cache_write_tokens", "_thinking_tokens"),
    *("_cost_usd", "_latency_s", "_answered_at", "_raw"),
]
FORMATS = (".parquet", ".csv", ".jsonl")


def batch(texts: Sequence[str | None], *, file: int = 0, first: int = 0, ordinal: int = 0) -> Batch:
    ids = range(ordinal, ordinal + len(texts))
    rows = pa.RecordBatch.from_pydict({"id": list(ids), "text": list(texts)}, schema=INPUTS)
    return Batch(file << FILE_SHIFT | first, ordinal, rows)


def answered(position: int, value: dict[str, JSON], status: Status = Status.OK) -> Outcome:
    return Outcome(position, status, answer=json.dumps(value), asks=1, attempts=1)


def published(target: Path, batches: Iterable[Batch], outcomes: Iterable[Outcome], columns: Columns = COLUMNS) -> Published:
    return publish(target, batches, outcomes, columns, seal=lambda: "{}")


def records(path: Path) -> list[dict[str, object]]:
    """The rows of a published file, all cells as their format gives them."""
    match path.suffix:
        case ".parquet":
            return list(pq.read_table(path).to_pylist())
        case ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                return [{name: restored(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
        case _:
            return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


WHOLE = Outcome(
    position=0,
    status=Status.OK_REPAIRED,
    answer='{"label":"good","score":3,"tags":["a","b"]}',
    repairs=("fence", "trailing comma"),
    asks=2,
    attempts=3,
    model="claude-haiku-5-5",
    stop_reason="end_turn",
    message_id="msg_1",
    request_id="req_1",
    usage=Usage(10, 20, 30, 4, 5, 6),
    cost_usd=0.25,
    latency_s=0.1,
    answered_at=1_795_395_600.25,
)
FAILED = Outcome(
    1,
    Status.INVALID_OUTPUT,
    error="/label: not one of …",
    asks=1,
    attempts=1,
    usage=Usage(1, 2),
    cost_usd=None,
    raw="=good\ud800",
)


def test_parquet_holds_every_column_with_the_promised_type(tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    assert published(target, [batch(["x", None])], [WHOLE, FAILED]) == Published(2, None)
    assert str(pq.read_schema(target).remove_metadata()) == "\n".join(
        [
            "id: int64",
            "text: string",
            "label: string",
            "score: int64",
            "tags: list<element: string>",
            "  child 0, element: string",
            "_status: string",
            "_error: string",
            "_repairs: list<element: string>",
            "  child 0, element: string",
            "_asks: int32",
            "_attempts: int32",
            "_reused: bool",
            "_model: string",
            "_stop_reason: string",
            "_message_id: string",
            "_request_id: string",
            "_input_tokens: int64",
            "_output_tokens: int64",
            "_cache_read_tokens: int64",
            "_cache_write_tokens: int64",
            "_thinking_tokens: int64",
            "_cost_usd: double",
            "_latency_s: float",
            "_answered_at: timestamp[us, tz=UTC]",
            "_raw: string",
        ]
    )
    whole, failed = records(target)
    assert list(whole.values()) == [
        *(0, "x", "good", 3, ["a", "b"]),
        *("ok_repaired", None, ["fence", "trailing comma"], 2, 3, False, "claude-haiku-5-5", "end_turn", "msg_1", "req_1"),
        *(10, 20, 30, 9, 6),
        *(0.25, pytest.approx(0.1), datetime(2026, 11, 23, 1, 0, 0, 250_000, UTC), None),
    ]
    assert [failed[name] for name in ("label", "_status", "_error", "_repairs", "_cost_usd", "_answered_at", "_raw")] == [
        *(None, "invalid_output", "/label: not one of …", [], None, None, "=good\ufffd")
    ]


def test_the_csv_as_a_spreadsheet_reads_it(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    note = published(target, [batch(['=1+1,"x"\r\n', None])], [WHOLE, FAILED]).note
    assert target.read_bytes().decode() == (
        ",".join(NAMES) + "\r\n"
        '0,"\'=1+1,""x""\r\n",good,3,"[""a"",""b""]",ok_repaired,,"[""fence"",""trailing comma""]",2,3,false,'
        "claude-haiku-5-5,end_turn,msg_1,req_1,10,20,30,9,6,0.25,0.1,2026-11-23T01:00:00.250000Z,\r\n"
        "1,,,,,invalid_output,/label: not one of …,[],1,1,false,,,,,1,2,0,0,0,,,,'=good\ufffd\r\n"
    )
    assert note is not None
    assert note.startswith("2 cells ")


def test_json_lines_hold_values_as_they_are(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    assert published(target, [batch(["=1+1"])], [WHOLE]).note is None
    assert target.read_text().splitlines() == [
        '{"id":0,"text":"=1+1","label":"good","score":3,"tags":["a","b"],"_status":"ok_repaired","_error":null,'
        '"_repairs":["fence","trailing comma"],"_asks":2,"_attempts":3,"_reused":false,"_model":"claude-haiku-5-5",'
        '"_stop_reason":"end_turn","_message_id":"msg_1","_request_id":"req_1","_input_tokens":10,"_output_tokens":20,'
        '"_cache_read_tokens":30,"_cache_write_tokens":9,"_thinking_tokens":6,"_cost_usd":0.25,"_latency_s":0.1,'
        '"_answered_at":"2026-11-23T01:00:00.250000Z","_raw":null}'
    ]


OUTCOMES = st.dictionaries(
    st.integers(0, 40),
    st.tuples(st.sampled_from([status for status in Status if not status.answered]), st.text(), st.text()),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), max_size=9), max_size=4), OUTCOMES, st.sampled_from(FORMATS))
def test_every_row_comes_out_once_and_in_order_whatever_became_of_it(
    files: list[list[str]], ends: dict[int, tuple[Status, str, str]], suffix: str
) -> None:
    batches: list[Batch] = []
    positions: list[int] = []
    for number, texts in enumerate(files):
        batches.append(batch(texts, file=number, ordinal=len(positions)))
        positions += [number << FILE_SHIFT | index for index in range(len(texts))]
    ended = {(key % 4) << FILE_SHIFT | key // 4: end for key, end in ends.items()}
    outcomes = [Outcome(position, status, error=error, raw=raw) for position, (status, error, raw) in sorted(ended.items())]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"out{suffix}")
        assert published(target, batches, outcomes).rows == len(positions)
        found = records(target)
        assert list(Path(folder).iterdir()) == [target]
    assert [int(str(row["id"])) for row in found] == list(range(len(positions)))
    texts = [text for file in files for text in file]
    assert [row["text"] for row in found] == [text.replace("\0", "␀") if suffix == ".csv" else text for text in texts]
    assert [row["_status"] for row in found] == [
        ended[position][0].value if position in ended else "pending" for position in positions
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["label", "score", "tags", "more"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
                st.lists,
                max_leaves=4,
            ),
        ),
        min_size=1,
    ),
    st.sampled_from(FORMATS),
)
def test_any_answer_comes_out_equal_or_its_row_says_why_not(values: list[dict[str, JSON]], suffix: str) -> None:
    outcomes = [answered(position, value) for position, value in enumerate(values)]
    heard: list[Piece] = []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"out{suffix}")
        publish(target, [batch(["t"] * len(values))], outcomes, COLUMNS, seal=lambda: "{}", tell=heard.append)
        found = records(target)
    final = [outcome for piece in heard for outcome in piece.outcomes]
    assert [row["_status"] for row in found] == [outcome.status.value for outcome in final]
    for row, outcome, value in zip(found, final, values, strict=True):
        if outcome.status is Status.OK:
            if suffix != ".csv":
                assert [row[name] for name in ("label", "score", "tags")] == [
                    value.get(name) for name in ("label", "score", "tags")
                ]
        else:
            assert outcome.status is Status.INVALID_OUTPUT
            assert outcome.error
            assert outcome.raw == json.dumps(value)
            assert not any(row[name] for name in ("label", "score", "tags"))


def test_an_answer_that_no_column_carries_loses_its_columns_not_its_row(tmp_path: Path) -> None:
    target, heard = tmp_path / "out.parquet", list[Piece]()
    outcomes = [
        answered(0, {"label": "a", "score": 1}),
        answered(1, {"label": "b", "score": 10**30}),
        answered(2, {"label": "c"}),
    ]
    publish(target, [batch(["x", "y", "z"])], outcomes, COLUMNS, seal=lambda: "{}", tell=heard.append)
    lost = records(target)[1]
    assert [row["label"] for row in records(target)] == ["a", None, "c"]
    assert (lost["_status"], lost["_raw"], lost["text"]) == (
        "invalid_output",
        '{"label": "b", "score": ' + str(10**30) + "}",
        "y",
    )
    assert lost["_error"] == "no column can carry the answer: /score: an integer beyond 64 bits, which the column cannot hold"
    assert [piece.answers for piece in heard] == [({"label": "a", "score": 1}, {}, {"label": "c"})]


@pytest.mark.parametrize("stored", [None, "", "[1]", '{"label"', "[" * 100_000, '{"score":' + "9" * 5_000 + "}"])
def test_a_stored_answer_that_cannot_be_read_is_no_answer(tmp_path: Path, stored: str | None) -> None:
    target = tmp_path / "out.parquet"
    published(target, [batch(["x"])], [Outcome(0, Status.OK, answer=stored)])
    assert records(target)[0]["_status"] == "invalid_output"
    assert records(target)[0]["_raw"] == stored


def test_outcomes_of_rows_that_left_the_input_are_left_out(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    outcomes = [Outcome(position, Status.FAILED) for position in (0, 5, 1 << FILE_SHIFT, 7 << FILE_SHIFT)]
    assert published(target, [batch(["a", "b"]), batch(["c"], file=1, ordinal=2)], outcomes).rows == 3
    assert [row["_status"] for row in records(target)] == ["failed", "pending", "failed"]


@pytest.mark.parametrize("positions", [(1, 0), (0, 0)])
def test_outcomes_out_of_order_are_our_bug(tmp_path: Path, positions: tuple[int, int]) -> None:
    with pytest.raises(Bug, match="outcomes out of order"):
        published(tmp_path / "out.csv", [batch(["a", "b"])], [Outcome(position, Status.FAILED) for position in positions])
    assert list(tmp_path.iterdir()) == []


def test_input_out_of_order_is_our_bug(tmp_path: Path) -> None:
    with pytest.raises(Bug, match="input rows out of order"):
        published(tmp_path / "out.csv", [batch(["a", "b"]), batch(["c"], first=1)], [])


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_input_gives_an_empty_table_with_its_columns(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    assert published(target, [], []).rows == 0
    assert records(target) == []
    if suffix == ".parquet":
        assert pq.read_schema(target).names == NAMES


def test_the_footer_carries_the_summary_that_is_made_last(tmp_path: Path) -> None:
    target, said = tmp_path / "out.parquet", list[str]()

    def seal() -> str:
        said.append("seal")
        return '{"rows": 2}'

    publish(
        target, [batch(["a", "b"])], [], COLUMNS, seal=seal, tell=lambda piece: said.extend(o.status for o in piece.outcomes)
    )
    metadata = pq.read_metadata(target).metadata
    assert said == ["pending", "pending", "seal"]
    assert metadata[b"pipeline"] == b'{"rows": 2}'
    assert b"ARROW:schema" in metadata


def test_rows_are_finished_in_small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PIECE_ROWS", 4)
    monkeypatch.setattr(table, "PIECE_BYTES", 1_000)
    heard: list[Piece] = []
    outcomes = [Outcome(position, Status.FAILED, raw="r" * (600 if position >= 10 else 0)) for position in range(16)]
    publish(tmp_path / "o.jsonl", [batch(["t"] * 16)], outcomes, COLUMNS, seal=lambda: "", tell=heard.append)
    assert [len(piece.outcomes) for piece in heard] == [4, 4, 4, 2, 2]
    assert [piece.inputs.column("id").to_pylist() for piece in heard][3] == [12, 13]
    assert [row["id"] for row in records(tmp_path / "o.jsonl")] == list(range(16))


def test_row_groups_are_filled_across_pieces(tmp_path: Path) -> None:
    target, rows = tmp_path / "out.parquet", 40_000
    many = (batch(["t"] * 10_000, first=first, ordinal=first) for first in range(0, rows, 10_000))
    published(target, many, [])
    metadata = pq.read_metadata(target)
    first, last = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    assert table_parquet.GROUP_ROWS <= first.num_rows < table_parquet.GROUP_ROWS + table.PIECE_ROWS
    assert first.num_rows + last.num_rows == rows
    assert first.column(0).compression == "ZSTD"


def test_rows_of_long_texts_make_small_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_parquet, "GROUP_BYTES", 10_000)
    target = tmp_path / "out.parquet"
    published(target, (batch(["t" * 9_900], first=first, ordinal=first) for first in range(3)), [])
    assert pq.read_metadata(target).num_row_groups == 3


def stop() -> Iterator[Batch]:
    yield batch(["a"])
    raise RuntimeError("the input broke")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="the input broke"):
        published(target, stop(), [])
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "old"


FULL_DISK = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from pipeline.errors import StorageFailed
from pipeline.records import Batch
from pipeline.write.table import publish
from pipeline.write.table_columns import Columns

schema = pa.schema([("noise", pa.int64())])
columns = Columns.plan(schema, "all", ())
batches = (
    Batch(first, first, pa.RecordBatch.from_pydict({"noise": [hash((first, n)) for n in range(10_000)]}, schema=schema))
    for first in range(0, 200_000, 10_000)
)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    publish(Path(sys.argv[1]), batches, [], columns, seal=lambda: "{}")
except StorageFailed as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    target.write_text("old")
    # A separate process: its limit on the size of a file stands for a full disk (EFBIG instead of ENOSPC).
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(target)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == (f"cannot write {target}: File too large\n", "")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "old"


def test_a_place_that_cannot_be_written_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match=r"cannot write .*out\.csv"):
        published(tmp_path / "file" / "out.csv", [], [])


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_file_is_private_until_it_is_published(tmp_path: Path, umask: int) -> None:
    target, modes = tmp_path / "new" / "folder" / "out.csv", list[int]()

    def look(piece: Piece) -> None:
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in target.parent.iterdir())

    before = os.umask(umask)
    try:
        publish(target, [batch(["a"])], [], COLUMNS, seal=lambda: "", tell=look)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.csv"
    link.symlink_to(tmp_path / "disk" / "real.csv")
    published(link, [batch(["a"])], [])
    assert link.is_symlink()
    assert len(records(tmp_path / "disk" / "real.csv")) == 1


def test_what_a_killed_run_left_is_swept_but_not_what_is_being_written(tmp_path: Path) -> None:
    target, left = tmp_path / "out.csv", tmp_path / ".out.csv.0123abcd.partial"
    left.write_text("half")

    def other(piece: Piece) -> None:
        writing = sorted(path.name for path in tmp_path.iterdir())
        published(target, [batch(["other"])], [])
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*writing, "out.csv"])

    publish(target, [batch(["a"])], [], COLUMNS, seal=lambda: "", tell=other)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert records(target)[0]["text"] == "a"


def no_parquet() -> Columns:
    return Columns.plan(pa.schema([("empty", pa.struct([]))]), "all", ())


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("out.xlsx", lambda: COLUMNS, r"output\.path: 'out\.xlsx' must end in \.parquet, \.csv, \.jsonl"),
        ("out.csv.gz", lambda: COLUMNS, "must end in"),
        ("folder.csv", lambda: COLUMNS, "is a folder"),
        ("out.parquet", no_parquet, "Parquet cannot hold column 'empty'"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_anything_is_paid(
    tmp_path: Path, name: str, columns: Callable[[], Columns], message: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigInvalid, match=message):
        check_target(tmp_path / name, columns())


@pytest.mark.parametrize("name", ["out.parquet", "out.CSV", "out.jsonl"])
def test_a_target_that_can_be_is_not_refused(tmp_path: Path, name: str) -> None:
    check_target(tmp_path / name, COLUMNS)
    assert published(tmp_path / name, [batch(["a"])], []).rows == 1
