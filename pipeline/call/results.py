"""The results of a batch, on their way to this disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.call.asking import Asking
from pipeline.call.parcel import Remote, line
from pipeline.records import Parcel


@dataclass(frozen=True, slots=True)
class Results:
    asking: Asking
    folder: Path
    clock: Callable[[], float]
    """Unix time."""

    async def fetched(self, remote: Remote, parcel: Parcel, which: str) -> Path | None:
        """In a file, which belongs to the caller; None where they are gone, or the run halts."""
        path = self.folder / f"results-{parcel.nonce}.jsonl"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if remote.are_results_gone(self.clock()):
            return None
        told = await self.asking.told(lambda: self.asking.server.results(remote.batch_id, path), f"the results of {which}")
        return None if told is None else path


def first_name(path: Path) -> str | None:
    """The `custom_id` of the first result that can be read."""
    with path.open("rb") as file:
        return next((told.custom_id for raw in file if (told := line(raw)) is not None), None)
