"""The sample is what data/README.md promises."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[1]
BYTES = (ROOT / "data" / "reviews.csv").read_bytes()
ROWS = list(csv.DictReader(io.StringIO(BYTES.decode("utf-8"), newline=""), strict=True))
TEXTS = [row["text"] for row in ROWS]
SCHEMA: dict[str, Any] = json.loads((ROOT / "schemas" / "sentiment.json").read_text("utf-8"))
LABELS = SCHEMA["properties"]["sentiment"]["enum"]


def examples() -> list[dict[str, Any]]:
    lines = (ROOT / "configs" / "reviews.examples.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def short(text: str) -> bool:
    return len(text.split()) <= 45


def test_it_is_plain_utf8_with_lf_line_ends() -> None:
    assert BYTES.startswith(b"id,text,label\n")
    assert BYTES.endswith(b"\n")
    assert b"\r" not in BYTES


def test_every_record_has_three_fields() -> None:
    records = list(csv.reader(io.StringIO(BYTES.decode("utf-8"), newline=""), strict=True))
    assert {len(record) for record in records} == {3}


def test_there_are_200_rows_or_more_and_ids_name_them() -> None:
    assert len(ROWS) >= 200
    assert [row["id"] for row in ROWS] == [f"r{number:03d}" for number in range(1, len(ROWS) + 1)]


def test_labels_are_values_of_the_schema_about_balanced() -> None:
    counts = Counter(row["label"] for row in ROWS)
    assert set(counts) == {*LABELS, ""}
    assert abs(counts["positive"] - counts["negative"]) <= len(ROWS) * 0.05


def test_the_counts_in_its_readme_are_right() -> None:
    readme = (ROOT / "data" / "README.md").read_text("utf-8")
    counts = Counter(row["label"] for row in ROWS)
    assert f"holds {len(ROWS)} reviews" in readme
    assert f"`r001` to `{ROWS[-1]['id']}`" in readme
    assert f"`positive` ({counts['positive']}) or `negative` ({counts['negative']})" in readme


def test_one_text_is_empty_and_only_that_one_has_no_label() -> None:
    assert [row["text"] for row in ROWS if not row["label"]] == [""]
    assert [row["label"] for row in ROWS if not row["text"].strip()] == [""]


def test_one_text_occurs_twice_with_one_label() -> None:
    twice = [text for text, times in Counter(TEXTS).items() if times > 1]
    assert len(twice) == 1
    assert [row["label"] for row in ROWS if row["text"] == twice[0]] == ["negative", "negative"]


def test_most_are_short_and_some_are_long() -> None:
    assert sum(map(short, TEXTS)) >= 0.7 * len(TEXTS)
    assert sum(150 <= len(text.split()) <= 300 for text in TEXTS) >= 5
    assert max(len(text.split()) for text in TEXTS) <= 300


def test_it_holds_what_makes_real_files_hard() -> None:
    for trait in ("<br>", "&amp;", "<b>", '"', ",", "\n", "😡", "👍🏽", "ü", "日", "质", "منتج", "कपड़ा", "DO NOT BUY"):
        assert any(trait in text for text in TEXTS), trait


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert LABELS == ["positive", "negative"]


def test_the_examples_are_valid_under_the_schema() -> None:
    validator = Draft202012Validator(SCHEMA)
    assert examples()
    for example in examples():
        assert isinstance(example["input"]["text"], str)
        validator.validate(example["answer"])


def test_no_example_is_in_the_data() -> None:
    known = {" ".join(text.split()).casefold() for text in TEXTS}
    assert not [each for each in examples() if " ".join(each["input"]["text"].split()).casefold() in known]
