"""`pipeline evaluate`, by the console script, on tables and gold files of all formats."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.write.table_csv import CsvTable
from pipeline.write.table_jsonl import JsonlTable
from tests.jobs import Ended, JobFolder

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["yes", "no"]},
        "urgent": {"type": "boolean"},
        "amount": {"type": "number"},
        "name": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "confidence": {"type": "number"},
    },
    "required": ["label", "urgent", "amount", "name", "tags", "confidence"],
    "additionalProperties": False,
}
TYPES = {
    "id": pa.string(),
    "shop": pa.string(),
    "label": pa.string(),
    "urgent": pa.bool_(),
    "amount": pa.float64(),
    "name": pa.string(),
    "tags": pa.list_(pa.string()),
    "confidence": pa.float64(),
    "_status": pa.string(),
}
ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "shop": "N",
        "label": "yes",
        "urgent": True,
        "amount": 10.0,
        "name": "=Ann",
        "tags": ["x", "y"],
        "confidence": 0.9,
    },
    {"id": "b", "shop": "N", "label": "no", "urgent": False, "amount": 20.0, "name": "bob", "tags": [], "confidence": 0.8},
    {"id": "c", "shop": "S", "label": "yes", "urgent": True, "amount": 30.0, "name": "Cid", "tags": ["z"], "confidence": 0.95},
    {"id": "d", "shop": "S", "label": None, "urgent": None, "amount": None, "name": None, "tags": None, "confidence": None},
    {"id": "-e", "shop": "S", "label": "no", "urgent": True, "amount": 50.5, "name": "Eve", "tags": ["q"], "confidence": 0.6},
]
GOLD: list[dict[str, Any]] = [
    {"id": "a", "label": "YES", "urgent": True, "amount": 12, "name": "=ANN", "tags": ["x"]},
    {"id": "b", "label": "yes", "urgent": False, "amount": 20, "name": "bob", "tags": []},
    {"id": "c", "label": "no", "urgent": True, "amount": 20, "name": "Sid", "tags": ["z"]},
    {"id": "d", "label": "no", "urgent": False, "amount": 1, "name": "Dan", "tags": ["w"]},
    {"id": "-e", "label": "no", "urgent": True, "amount": 50.5, "name": "Eve", "tags": ["Q"]},
    {"id": "zz", "label": "no", "urgent": True, "amount": 0, "name": "-", "tags": []},
]


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path / "job", [], "local")
    (made.path / "schema.json").write_text(json.dumps(SCHEMA))
    (made.path / "out").mkdir()
    return made


def write(path: Path, rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType] = TYPES) -> None:
    """A table as the program writes it, in the format of the suffix."""
    table = pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return
    with path.open("wb") as file:
        writer = (CsvTable if path.suffix == ".csv" else JsonlTable)(file, table.schema)
        for batch in table.to_batches():
            writer.write(batch)


def gold(path: Path, rows: Sequence[Mapping[str, Any]] = GOLD) -> None:
    """As people have it: plain CSV, JSON lines, or Parquet."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            for row in rows:
                writer.writerow({name: json.dumps(one) if isinstance(one, list) else one for name, one in row.items()})


def found(job: JobFolder, *arguments: str) -> dict[str, Any]:
    ended = job.do("evaluate", "--json", *arguments)
    assert (ended.code, ended.err) == (0, "")
    read: dict[str, Any] = json.loads(ended.out)
    return read


def by_name(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    return {one["answer"]: one for one in evaluation["labels"]}


@pytest.mark.parametrize("table", ["out.parquet", "out.csv", "out.jsonl"])
@pytest.mark.parametrize("file", ["gold.parquet", "gold.csv", "gold.jsonl"])
def test_every_kind_of_column_in_every_format(job: JobFolder, table: str, file: str) -> None:
    job.configure(output={"path": f"out/{table}"})
    write(job.path / "out" / table, ROWS)
    gold(job.path / file)
    all_of_it = found(job, "--gold", file, "--confidence", "confidence")
    assert (all_of_it["matched"], all_of_it["missing"], all_of_it["unlabelled"]) == (5, ["zz"], 0)
    one = by_name(all_of_it)
    assert list(one) == ["label", "urgent", "amount", "name", "tags"]
    label, amount, name, tags = (one[column]["figures"] for column in ("label", "amount", "name", "tags"))
    assert (label["accuracy"]["hits"], label["accuracy"]["of"], label["accuracy_all"]["of"]) == (2, 4, 5)
    assert label["confusion"] == [[1, 1, 0], [1, 1, 1]]
    assert one["urgent"]["figures"]["accuracy"]["value"] == 1.0
    assert amount["mae"]["value"] == pytest.approx(3.0)
    assert amount["bias"]["value"] == pytest.approx(2.0)
    assert (name["exact"]["hits"], name["normalised"]["hits"], name["exact"]["of"]) == (2, 3, 5)
    assert (tags["exact"]["hits"], tags["normalised"]["hits"]) == (2, 3)
    assert (tags["elements"]["precision"]["hits"], tags["elements"]["precision"]["of"]) == (3, 4)
    assert [each["key"] for each in one["label"]["disagreements"]] == ["c", "b"]
    assert [each["key"] for each in one["amount"]["disagreements"]] == ["c", "a"]
    assert one["label"]["calibration"]["brier"]["value"] == pytest.approx((0.1**2 + 0.8**2 + 0.95**2 + 0.4**2) / 4)


def test_the_text_fits_80_columns_and_nothing_from_the_data_acts_on_the_terminal(job: JobFolder) -> None:
    evil = "\x1b[2J\u202e" + "long " * 60
    rows = [{**row, "id": f"{row['id']}{evil}", "name": evil} for row in ROWS]
    write(job.path / "out" / "out.parquet", rows)
    gold(job.path / "gold.jsonl", [{**row, "id": f"{row['id']}{evil}", "label": evil} for row in GOLD])
    write(job.path / "other.parquet", [{**row, "label": "yes"} for row in rows])
    ended = job.do(
        "evaluate", "--gold", "gold.jsonl", "--confidence", "confidence", "--by", "shop", "--against", "other.parquet"
    )
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


def test_the_text_tells_what_it_is_about(job: JobFolder) -> None:
    write(job.path / "out" / "out.parquet", ROWS)
    gold(job.path / "gold.csv")
    out = " ".join(job.do("evaluate", "--gold", "gold.csv", "--label", "label", "--show", "1").out.split())
    assert "accuracy, answered rows 2 of 4 50.0% [15, 85]" in out
    assert "accuracy, all rows 2 of 5 40.0% [12, 77]" in out
    assert "in the gold file only 1 rows" in out
    assert "not in the table: zz" in out
    assert "1 of 2 disagreements" in out
    assert "Wilson" in out
    assert "seed" in out


def test_duplicates_are_told_and_contradictions_left_out(job: JobFolder) -> None:
    write(job.path / "out" / "out.parquet", ROWS)
    gold(job.path / "gold.csv", [*GOLD, GOLD[0], {**GOLD[1], "label": "no"}, {**GOLD[2], "id": ""}])
    all_of_it = found(job, "--gold", "gold.csv")
    assert (all_of_it["gold_repeated"], all_of_it["gold_conflicting"], all_of_it["gold_keyless"]) == (1, ["b"], 1)
    assert all_of_it["matched"] == 4


def test_a_label_that_is_not_there_yet_is_no_label(job: JobFolder) -> None:
    write(job.path / "out" / "out.parquet", ROWS)
    gold(job.path / "gold.csv", [{"id": "a", "mine": "yes"}, {"id": "b", "mine": " "}, {"id": "c", "mine": "maybe"}])
    label = by_name(found(job, "--gold", "gold.csv", "--label", "label=mine"))["label"]
    assert (label["unlabelled"], label["figures"]["rows"], label["unknown"]) == (1, 2, {"maybe": 1})


def test_a_prefix_and_another_key(job: JobFolder) -> None:
    job.configure(output={"path": "out/out.parquet", "prefix": "ai_"}, input={"path": "in.csv", "key": None})
    types = {"id": pa.string(), "ai_label": pa.string()}
    write(job.path / "out" / "out.parquet", [{"id": row["id"], "ai_label": row["label"]} for row in ROWS], types)
    gold(job.path / "gold.csv")
    assert (
        by_name(found(job, "--gold", "gold.csv", "--on", "id", "--label", "ai_label=label"))["ai_label"]["figures"]["rows"] == 5
    )
    assert refused(job, 64, "--gold", "gold.csv", "--label", "ai_label=label").err.startswith(
        "pipeline: rows of this job have no key"
    )


def test_two_runs_against_each_other_without_gold(job: JobFolder) -> None:
    write(job.path / "out" / "out.parquet", ROWS)
    write(job.path / "other.csv", [{**row, "label": "yes"} for row in ROWS[:4]])
    all_of_it = found(job, "--against", "other.csv", "--label", "label", "--label", "amount")
    label, amount = all_of_it["comparisons"]
    assert (all_of_it["table_only"], all_of_it["against_only"]) == (1, 0)
    assert (label["agreement"]["rows"], label["agreement"]["answered"], label["agreement"]["agreeing"]["hits"]) == (4, 3, 2)
    assert [(one["key"], one["this"], one["other"]) for one in label["differing"]] == [("b", "no", "yes"), ("d", None, "yes")]
    assert label["paired"] is None
    assert amount["differing"] == []


def test_with_gold_it_is_told_which_run_is_right_more_often(job: JobFolder) -> None:
    rows = [{"id": f"r{number}", "label": "yes" if number < 15 else "no"} for number in range(20)]
    write(job.path / "out" / "out.parquet", [{**ROWS[0], **row, "label": "yes"} for row in rows])
    write(job.path / "other.parquet", [{**ROWS[0], **row, "label": "no"} for row in rows])
    gold(job.path / "gold.csv", rows)
    test = found(job, "--gold", "gold.csv", "--label", "label", "--against", "other.parquet")["comparisons"][0]["paired"]
    assert (test["only_this"], test["only_other"]) == (15, 5)
    assert test["p"] == pytest.approx(0.04138946533203125, abs=1e-12)


def refused(job: JobFolder, code: int, *arguments: str) -> Ended:
    ended = job.do("evaluate", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.splitlines()[-1].startswith("what to do: ")
    return ended


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (64, [], "nothing to hold the answers against"),
        (64, ["--gold", "gold.csv", "--label", "labl"], "'labl' is no answer column"),
        (64, ["--gold", "gold.csv", "--label", "label=lable"], "no column 'lable'; did you mean 'label'?"),
        (64, ["--gold", "gold.csv", "--on", "key"], "has no column 'key'"),
        (64, ["--gold", "gold.csv", "--confidence", "sure"], "--confidence: the table"),
        (64, ["--sample", "5"], "--out"),
        (64, ["--sample", "5", "--out", "s.csv", "--gold", "gold.csv"], "--sample only draws"),
        (64, ["--sample", "1", "--out", "s.csv"], "too few"),
        (64, ["--sample", "3", "--out", "gold.csv"], "is there already"),
        (64, ["--sample", "3", "--out", "s.parquet"], "is a .csv"),
        (64, ["--against", "out/out.parquet", "--prevalence"], "need gold labels"),
        (65, ["--gold", "nowhere.csv"], "nowhere.csv: the gold file is not there"),
        (65, ["--gold", "bad.csv"], "bad.csv"),
        (65, ["--gold", "broken.parquet"], "broken.parquet"),
        (65, ["--gold", "words.csv"], "row a: 'ten' is no number"),
        (65, ["--against", "broken.parquet"], "the other table"),
        (65, ["--gold", "gold.csv", "--set", "output.path=out/none.parquet"], "the table is not there"),
        (78, ["--gold", "gold.csv", "--set", "schema=none.json"], "none.json"),
    ],
)
def test_what_is_wrong_has_its_code_and_is_said(job: JobFolder, code: int, arguments: list[str], said: str) -> None:
    write(job.path / "out" / "out.parquet", ROWS)
    gold(job.path / "gold.csv")
    (job.path / "bad.csv").write_text("id,label\na,yes,more\n")
    (job.path / "words.csv").write_text("id,amount\na,ten\n")
    (job.path / "broken.parquet").write_bytes(b"PAR1 no")
    assert said in refused(job, code, *arguments).err


def labelled(job: JobFolder, path: str, truth: Mapping[str, str]) -> None:
    """Somebody fills in the file."""
    with (job.path / path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = truth[row["id"]]
    with (job.path / path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def many(rows: int = 400) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows whose answers are right but for every tenth, and the truth."""
    truth = {f"-r{number}": "yes" if number % 4 == 0 else "no" for number in range(rows)}
    other = {"yes": "no", "no": "yes"}
    table = [
        {**ROWS[0], "id": key, "shop": "NS"[number % 2], "label": other[one] if number % 10 == 3 else one, "name": f"={number}"}
        | {"confidence": 0.5 + (number % 50) / 100}
        for number, (key, one) in enumerate(truth.items())
    ]
    return table, truth


def test_rows_to_label_are_drawn_filled_in_and_estimated_from(job: JobFolder) -> None:
    table, truth = many()
    write(job.path / "out" / "out.parquet", table)
    ended = job.do(
        "evaluate", "--sample", "80", "--seed", "4", "--out", "s.csv", "--label", "label", "--confidence", "confidence"
    )
    assert ended.code == 0
    assert "80 of 400 rows to label, drawn from 4 strata, seed 4" in ended.out
    with (job.path / "s.csv").open(newline="", encoding="utf-8") as file:
        drawn = list(csv.DictReader(file))
    assert list(drawn[0]) == ["id", "shop", "label", "_stratum", "_stratum_rows", "_probability"]
    assert len({row["id"] for row in drawn}) == 80
    assert {row["label"] for row in drawn} == {""}
    assert drawn[0]["id"].startswith("'-r")
    assert sum(1 / float(row["_probability"]) for row in drawn) == pytest.approx(400)
    labelled(job, "s.csv", {f"'{key}": one for key, one in truth.items()})
    all_of_it = found(job, "--gold", "s.csv", "--label", "label", "--by", "shop")
    assert all_of_it["matched"] == 80
    shares = all_of_it["prevalences"][0]
    assert shares["by_stratum"] is True
    assert shares["notes"] == []
    whole = {one["label"]: one for one in shares["found"] if one["group"] is None}
    assert whole["yes"]["estimate"]["low"] < 0.25 < whole["yes"]["estimate"]["high"]
    assert whole["yes"]["counted"] != 0.25
    assert {one["group"] for one in shares["found"]} == {None, "N", "S"}


def test_strata_that_nobody_labelled_give_advice_and_no_estimate(job: JobFolder) -> None:
    table, truth = many(40)
    write(job.path / "out" / "out.parquet", table)
    assert job.do("evaluate", "--sample", "10", "--out", "s.csv", "--label", "label").code == 0
    labelled(job, "s.csv", {f"'{key}": one if one == "yes" else "" for key, one in truth.items()})
    lines = (job.path / "s.csv").read_text().splitlines()
    (job.path / "s.csv").write_text("\n".join([lines[0], *(line for line in lines[1:] if ",yes," not in line)]) + "\n")
    shares = found(job, "--gold", "s.csv", "--label", "label")["prevalences"][0]
    assert shares["found"] == []
    assert "no estimate yet" in " ".join(shares["notes"])


def test_gold_rows_drawn_at_random_correct_shares_and_means(job: JobFolder) -> None:
    table, truth = many()
    write(job.path / "out" / "out.parquet", table)
    gold(job.path / "gold.csv", [{"id": key, "label": one, "amount": 11} for key, one in list(truth.items())[::7]])
    shares, means = found(job, "--gold", "gold.csv", "--prevalence")["prevalences"]
    assert shares["by_stratum"] is False
    assert "drawn at random" in shares["notes"][0]
    assert shares["found"][0]["estimate"]["labelled"] == 58
    assert means["found"][0]["counted"] == 10
    assert means["found"][0]["estimate"]["value"] == pytest.approx(11)


def test_a_table_that_has_changed_since_the_draw_is_told(job: JobFolder) -> None:
    table, truth = many(40)
    write(job.path / "out" / "out.parquet", table)
    assert job.do("evaluate", "--sample", "20", "--out", "s.csv", "--label", "label").code == 0
    labelled(job, "s.csv", {f"'{key}": one for key, one in truth.items()})
    write(job.path / "out" / "out.parquet", [*table, {**table[0], "id": "new"}])
    notes = found(job, "--gold", "s.csv", "--label", "label")["prevalences"][0]["notes"]
    assert "40 rows and the table has 41" in notes[0]


def test_scikit_learn_is_imported_only_where_there_is_something_to_compute() -> None:
    program = (
        "import pipeline.commands.evaluate, sys; print([m for m in ('sklearn', 'scipy', 'anthropic') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_many_classes_give_no_matrix_but_the_most_frequent_mistakes(job: JobFolder) -> None:
    labels = [f"class {number:02}" for number in range(40)]
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "label": {"type": "string", "enum": labels}}}
    (job.path / "schema.json").write_text(json.dumps(schema))
    write(job.path / "out" / "out.parquet", [{**ROWS[0], "id": f"r{n}", "label": labels[n % 40]} for n in range(80)])
    gold(job.path / "gold.csv", [{"id": f"r{n}", "label": labels[(n + (n < 40)) % 40]} for n in range(80)])
    out = job.do("evaluate", "--gold", "gold.csv", "--label", "label").out
    assert "gold down, answers across" not in out
    assert "label: taken for what, the most frequent" in out
    assert "  class 00  class 39     1\n" in out
    assert "20 more classes: see --json" in out
