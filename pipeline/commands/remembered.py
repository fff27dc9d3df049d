"""What the answers of a run were last held against: `evaluate` notes it in the run folder, and `report` does it again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pipeline.commands.evaluation import Yardstick
from pipeline.errors import ConfigInvalid, StorageFailed
from pipeline.records import JSON
from pipeline.settings import Job
from pipeline.write.rundir import RunFolder

FILE = "evaluation.json"
"""Paths and names of columns, no labels and no answers."""


def keep(job: Job, yardstick: Yardstick) -> None:
    """Where there is a run folder. One that cannot be written, an archived one, say, is no reason to fail an evaluation."""
    folder = RunFolder(Path(job.run.folder), job.name)
    if not folder.path.is_dir():
        return
    noted: dict[str, JSON] = {
        "gold": _path(yardstick.gold),
        "on": yardstick.on,
        "labels": [*yardstick.labels],
        "confidence": yardstick.confidence,
        "against": _path(yardstick.against),
        "prevalence": yardstick.prevalence,
        "by": yardstick.by,
    }
    with suppress(StorageFailed):
        folder.write_json(folder.path / FILE, noted)


def recalled(job: Job) -> Yardstick | None:
    """None where nothing was noted. Raises ConfigInvalid where the note is damaged."""
    folder = RunFolder(Path(job.run.folder), job.name)
    path = folder.path / FILE
    match folder.read_json(path):
        case None:
            return None
        case {
            "gold": str(gold),
            "on": str() | None as on,
            "labels": list(labels),
            "confidence": str() | None as confidence,
            "against": str() | None as against,
            "prevalence": bool(prevalence),
            "by": str() | None as by,
        }:
            return Yardstick(
                gold=Path(gold),
                on=on,
                labels=[str(label) for label in labels],
                confidence=confidence,
                against=None if against is None else Path(against),
                prevalence=prevalence,
                by=by,
            )
    raise ConfigInvalid(f"{path} is not as pipeline evaluate writes it", todo=f"remove {path}")


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
