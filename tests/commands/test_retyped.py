"""The command that a person is told to type next."""

from __future__ import annotations

import shlex
from pathlib import Path

from pipeline.commands.retyped import retyped


def test_it_is_about_the_same_job() -> None:
    typed = retyped("pipeline run", Path("my jobs/a.yaml"), ["name=rehearsal", "input.path=[a.csv, b.csv]"])
    assert shlex.split(typed) == [
        *("pipeline", "run", "my jobs/a.yaml"),
        *("--set", "name=rehearsal", "--set", "input.path=[a.csv, b.csv]"),
    ]
