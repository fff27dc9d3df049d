"""Whole jobs in a folder, run by the console script: in this process, or in one of its own that can be killed."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import cli

KEY = "sk-ant-CANARY-key"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["yes", "no"]}, "length": {"type": "integer"}},
    "required": ["label", "length"],
    "additionalProperties": False,
}


def answer(text: str) -> str:
    """The right answer about a text: it tells whether an answer landed on its own row."""
    return json.dumps({"label": "yes" if "good" in text else "no", "length": len(text)})


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """Of a run with --json."""
        read: dict[str, Any] = json.loads(self.out)
        return read


class JobFolder:
    """A job in a folder: its config, schema, input; and what running it leaves there."""

    def __init__(self, path: Path, texts: Sequence[str | None], url: str, **changes: Any) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.input(texts)
        (path / "schema.json").write_text(json.dumps(SCHEMA))
        self.config: dict[str, Any] = {
            "name": "job",
            "input": {"path": "in.csv", "key": "id"},
            "schema": "schema.json",
            "prompt": {"user": "{{ text }}"},
            "model": {"name": "claude-haiku-5-5"},
            "call": {"base_url": url, "concurrency": 8},
            "output": {"path": "out/out.parquet"},
        }
        self.configure(**changes)

    def configure(self, **changes: Any) -> None:
        """Changes sections of the config; a mapping is merged into its section."""
        for name, value in changes.items():
            if isinstance(value, dict) and isinstance(self.config.get(name), dict):
                self.config[name] = {**self.config[name], **value}
            else:
                self.config[name] = value
        (self.path / "job.yaml").write_text(json.dumps(self.config))

    def input(self, texts: Sequence[str | None]) -> None:
        with (self.path / "in.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text"])
            writer.writerows([f"r{number}", text] for number, text in enumerate(texts))

    def start(self, command: str, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", command, "job.yaml", *arguments],
            cwd=self.path,
            env={**os.environ, "ANTHROPIC_API_KEY": KEY, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def do(self, command: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
        """The command in this process: the SDK is imported once for all tests."""
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(self.path)
            for name, value in {"ANTHROPIC_API_KEY": KEY, **(environment or {})}.items():
                patch.setenv(name, value)
            code = cli.exit_code([command, "job.yaml", *arguments])
        return Ended(code, out.getvalue(), err.getvalue())

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
        """`pipeline run --json`."""
        return self.do("run", "--json", *arguments, environment=environment)

    def table(self) -> pa.Table:
        return pq.read_table(self.path / "out" / "out.parquet")

    def rows(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.table().to_pylist()
        return listed
