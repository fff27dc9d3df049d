"""Batch document analysis with Claude: a corpus in, a table of checked answers out.

    from pipeline import run, analyse_frame

run(config) does what `pipeline run` does; analyse_frame(frame, …) gives a pandas DataFrame or a pyarrow Table its answers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.api import Ran, analyse_frame, run
    from pipeline.errors import PipelineError

__all__ = ["PipelineError", "Ran", "__version__", "analyse_frame", "run"]

__version__ = "0.1.0"

_WHERE = {"Ran": "pipeline.api", "analyse_frame": "pipeline.api", "run": "pipeline.api", "PipelineError": "pipeline.errors"}


def __getattr__(name: str) -> object:
    # Only when asked for: the command line must not wait for libraries that it does not need.
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
