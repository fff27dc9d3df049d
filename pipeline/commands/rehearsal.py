"""The file that tells a rehearsal how to go."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ConfigInvalid
from pipeline.local.script import Script, parsed


def read_script(path: Path, named: str) -> Script:
    """What the file says; `named` is the option or key that names it. ConfigInvalid with every fault."""
    try:
        return parsed(path.read_text("utf-8-sig"), str(path))
    except OSError as error:
        raise ConfigInvalid(f"{named}: {path} cannot be read: {error.strerror}", todo="mend the path") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{named}: {path} is not UTF-8 (byte {error.start})", todo="save it as UTF-8") from error
