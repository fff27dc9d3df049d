"""The job that is measured: a short text a row, one label back."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any, Literal

from tests.bench.server import MODEL

SYSTEM = "Label it."
MAX_TOKENS = 64
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}
WORDS = re.findall(
    r"\w+", "the parcel came late and the box was dented but the lamp works and gives a warm light my mother likes it"
)


def made(folder: Path, rows: int, url: str, at_once: int, mode: Literal["online", "batch"] = "online") -> Path:
    """A folder with a config, job.yaml, over so many rows of about 240 characters; the folder."""
    folder.mkdir(parents=True)
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([number, text(number)] for number in range(rows))
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    config = {
        "name": "bench",
        "input": {"path": "rows.csv", "key": "id"},
        "schema": "schema.json",
        "prompt": {"system": SYSTEM, "user": "{{ text }}"},
        "model": {"name": MODEL, "max_tokens": MAX_TOKENS},
        "call": {"base_url": url, "concurrency": at_once, "mode": mode},
        "output": {"path": "out.parquet"},
    }
    (folder / "job.yaml").write_text(json.dumps(config))
    return folder


def text(number: int) -> str:
    """Different for every row: equal requests would be paid once."""
    turn = number % len(WORDS)
    return f"Review {number}: {' '.join([*WORDS[turn:], *WORDS[:turn]] * 2)}."
