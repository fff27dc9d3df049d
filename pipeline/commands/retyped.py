"""A command as a person would type it again for the same job."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def retyped(command: str, config: Path, overrides: Sequence[str]) -> str:
    """With every --set: without them it would be another job, perhaps a paid one."""
    sets = [word for override in overrides for word in ("--set", override)]
    return f"{command} {shlex.join([str(config), *sets])}"
