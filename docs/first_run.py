"""docs/first-run.png: a command run in a terminal of its own, and the last screen of it as chromium draws it.

    python -m docs.first_run make run

Nothing in the picture is written by hand but the prompt before the command: the bytes that the command wrote go through the
terminal emulator pyte, cursor movements and colours included; what its screen holds at the end is the picture. Needs chromium.
"""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from html import escape
from itertools import groupby
from pathlib import Path

import pyte
from pyte.screens import Char

COLUMNS, LINES = 88, 60
PIXELS_A_COLUMN, PIXELS_A_LINE, MARGIN = 8.43, 19, 20
PICTURE = Path(__file__).parent / "first-run.png"
COLOURS = {"default": "#d8dee9", "green": "#8fce7e", "red": "#e06c75", "cyan": "#6cc7d9", "blue": "#7aa2f7"}
COLOURS |= {"brown": "#e5c07b", "magenta": "#c678dd", "white": "#ffffff", "black": "#5c6370", "brightblack": "#7f8794"}
"""pyte's names of colours; others come as six hexadecimal digits."""


def written(command: list[str]) -> bytes:
    """All that the command wrote to its terminal. Raises CalledProcessError where it did not exit with 0."""
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment) as process:  # noqa: S603 the caller's
        os.close(its)
        parts: list[bytes] = []
        try:
            while part := os.read(mine, 1 << 16):
                parts.append(part)
        except OSError:  # Linux says EIO where nobody has the other end open any more
            pass
    os.close(mine)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, b"".join(parts))
    return b"".join(parts)


def page(output: bytes) -> tuple[str, int]:
    """HTML of the last screen, and how many lines it takes."""
    screen = pyte.Screen(COLUMNS, LINES)
    pyte.ByteStream(screen).feed(output)
    rows = [[screen.buffer[line][column] for column in range(COLUMNS)] for line in range(LINES)]
    while rows and not "".join(char.data for char in rows[-1]).strip():
        rows.pop()
    text = "\n".join("".join(_span(style, list(run)) for style, run in groupby(row, _style)) for row in rows)
    return f"<meta charset=utf-8><style>{STYLE}</style><pre>{text}</pre>", len(rows)


STYLE = f"""body {{ margin: 0; background: #1b1f27; }}
pre {{ margin: {MARGIN}px; color: {COLOURS["default"]}; font: 14px/{PIXELS_A_LINE}px "DejaVu Sans Mono", monospace; }}"""


def _style(char: Char) -> str:
    colour = COLOURS.get(char.fg, f"#{char.fg}")
    return f"color:{colour};font-weight:{'bold' if char.bold else 'normal'}"


def _span(style: str, run: list[Char]) -> str:
    return f'<span style="{style}">{escape("".join(char.data for char in run))}</span>'


def drawn(html: str, lines: int) -> None:
    """The picture, as chromium draws the page."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed (apt-get install chromium)")
    width = round(COLUMNS * PIXELS_A_COLUMN) + 2 * MARGIN
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "screen.html"
        source.write_text(html, "utf-8")
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
        size = f"--window-size={width},{lines * PIXELS_A_LINE + 2 * MARGIN}"
        asked = [f"--user-data-dir={folder}/profile", size, f"--screenshot={PICTURE}", source.as_uri()]
        subprocess.run([chromium, *quiet, *asked], check=True, capture_output=True)  # noqa: S603 Debian's


def main(command: list[str]) -> None:
    output = written(command)
    drawn(*page(f"\x1b[1m$ {shlex.join(command)}\x1b[0m\r\n".encode() + output))


if __name__ == "__main__":
    main(sys.argv[1:])
