"""The file that tells a rehearsal how to go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigInvalid

if TYPE_CHECKING:
    from pipeline.local.script import Script


def read_script(path: Path, named: str) -> Script:
    """What the file says; `named` is the option or key that names it. ConfigInvalid with every fault."""
    from pipeline.local.script import parsed  # 0.09 s of CPU, for those who rehearse (measured 2026-11-26)

    try:
        return parsed(path.read_text("utf-8-sig"), str(path))
    except OSError as error:
        raise ConfigInvalid(f"{named}: {path} cannot be read: {error.strerror}", todo="mend the path") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{named}: {path} is not UTF-8 (byte {error.start})", todo="save it as UTF-8") from error
