"""Arguments in, exit code out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import __version__, cli
from pipeline.commands import check as check_command
from pipeline.errors import PipelineError, Terminated


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.exit_code(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["run"],
        ["run", "a.yaml", "--limit", "0"],
        ["run", "a.yaml", "--retry", "ok"],
        ["run", "a.yaml", "--log-format", "xml"],
        ["run", "a.yaml", "--nonsense"],
        ["serve", "--latency", "fast"],
        ["serve", "--latency", "xs"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_64(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = told(capsys, *arguments)
    assert (code, out) == (64, "")
    assert err.startswith("pipeline: ")
    assert err.splitlines()[-1].startswith("what to do: see pipeline --help")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["run", "--help"], ["check", "--help"], ["status", "-h"], ["serve", "-h"]]
)
def test_help_teaches_and_is_no_error(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = told(capsys, *arguments)
    assert (code, err) == (0, "")
    assert "Usage:" in out


def test_no_arguments_at_all_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys)
    assert code == 64
    assert "Usage:" in out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--version") == (0, f"pipeline {__version__}\n", "")


def test_a_config_that_is_not_there_is_78(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = told(capsys, "run", "nowhere/job.yaml")
    assert code == 78
    assert "nowhere/job.yaml cannot be read" in err


def fails_with(error: BaseException) -> Callable[..., str]:
    def fail(*_: object) -> str:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (Terminated(signal.SIGHUP), 143, "interrupted"),
        (OSError(28, "No space left on device", "file"), 74, "file: No space left on device"),
        (PipelineError("odd"), 70, "odd"),
        (LookupError("sk-ant-CANARY"), 70, "a bug of ours: LookupError"),
    ],
)
def test_whatever_happens_has_its_code_and_a_last_line_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    monkeypatch.setattr(check_command, "check", fails_with(error))
    got, out, err = told(capsys, "check", "job.yaml")
    assert (got, out) == (code, "")
    assert said in err
    assert err.splitlines()[-1].startswith("what to do: ")
    assert "CANARY" not in err


def test_importing_the_command_line_is_cheap() -> None:
    """`--help` must not wait for the SDK, pandas or pyarrow."""
    program = "import pipeline.cli, sys; print([m for m in ('anthropic', 'pandas', 'pyarrow', 'pydantic') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_a_run_that_has_nothing_to_do_imports_nothing_that_it_does_not_need() -> None:
    """The SDK, and what takes some 0.1 s of CPU or half as much."""
    heavy = ("anthropic", "pandas", "scipy", "sklearn", "pyarrow.compute", "pyarrow.dataset", "pipeline.local.script")
    program = f"import pipeline.commands.run, sys; print([m for m in {heavy} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_a_reader_that_goes_away_is_no_error(checkout: Path) -> None:
    """`pipeline check … | head -1`."""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "check", "configs/reviews.yaml"],
        cwd=checkout,
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_signal_while_the_command_is_made_ready_is_told_like_any_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.main.get_command", fails_with(Terminated(signal.SIGTERM)))
    code, out, err = told(capsys, "run", "job.yaml")
    assert (code, out) == (143, "")
    assert err.splitlines()[-1].startswith("what to do: run the same command again")
