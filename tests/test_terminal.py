"""A run on a terminal, a real one (a pty of 80 columns) with a real process, whatever the data holds."""

from __future__ import annotations

import csv
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from tests.api import Asked, Canned, error, message, serving
from tests.jobs import KEY, JobFolder, answer

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m漢字"
ALLOWED = re.compile(r"\x1b\[(?:\?25[lh]|2K|1A|[0-9;]*m)|\r|\n")
"""What the bar may do: hide the cursor and show it again, go up a line, empty it, colour."""


def on_terminal(job: JobFolder, *arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code, and all that `pipeline run` wrote to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "run", "job.yaml", *arguments],
        cwd=job.path,
        env={**os.environ, "ANTHROPIC_API_KEY": KEY, **environment},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65_536):
            written += chunk
    except OSError:  # EIO: nobody holds the other end any more
        pass
    os.close(ours)
    return process.wait(), written.decode()


def screen(written: str) -> Sequence[str]:
    """The lines that stand there at the end, once the cursor has gone up and lines were emptied."""
    lines, at = [""], 0
    for part in re.split(f"({ALLOWED.pattern})", written):
        match part:
            case "\r":
                pass
            case "\n":
                at += 1
                lines += [""] * (at + 1 - len(lines))
            case "\x1b[2K":
                lines[at] = ""
            case "\x1b[1A":
                at -= 1
            case text if text.startswith("\x1b"):
                pass
            case text:
                lines[at] += text
    return [line.rstrip() for line in lines]


def trouble(asked: Asked) -> Canned:
    if "odd" in asked.text:
        return error(400, "invalid_request_error", f"I do not take {EVIL}")
    return message(answer(asked.text))


def test_the_bar_keeps_to_80_columns_and_nothing_of_the_data_acts(tmp_path: Path) -> None:
    with serving(trouble) as api:
        job = JobFolder(tmp_path / "job", ["good one", "good two"], api.url, run={"max_failed": 1})
        with (job.path / "in.csv").open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([EVIL + "x" * 100, "odd"])
        code, written = on_terminal(job, environment={"TERM": "xterm", "NO_COLOR": "1"})
    assert code == 0
    assert not set(ALLOWED.sub("", written)) & set(map(chr, [*range(32), 127, *range(128, 160), 0x202E]))
    assert not re.search("\x1b\\[[0-9;]*[34][0-9]m", written), "colour, in spite of NO_COLOR"
    shown = [line for line in screen(written) if line]
    bar = next(at for at, line in enumerate(shown) if line.startswith("3/3 rows"))
    assert [line.split(" ")[0] for line in shown[bar : bar + 5]] == ["3/3", "speed", "spend", "rows", "error"]
    assert max(cell_len(line) for line in shown[bar : bar + 5]) <= 80
    assert "row \\x1b]0;owned\\x07" in shown[bar + 4]
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
