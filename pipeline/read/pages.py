"""How many pages a PDF has: `python -m pipeline.read.pages`, in a process that may fail.

By pypdf: its parser is pure Python, so a hostile file can waste the CPU and memory that it is given and nothing else.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from pipeline.read.confined import answered, asked_of

LOCKED = b"locked"


def pages(data: bytes) -> int | None:
    """The number of pages; None where a password is needed to see them. Raises confined.Unmade."""
    found = asked_of("pipeline.read.pages", {}, data)
    return None if found == LOCKED else int(found)


def _counted(_: dict[str, Any], data: bytes) -> bytes:
    # Only in this process, within its limits.
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    # Also one that opens without a password: the API takes none that is encrypted (build-with-claude/pdf-support).
    return LOCKED if reader.is_encrypted else str(len(reader.pages)).encode()


if __name__ == "__main__":
    sys.exit(answered(_counted))
