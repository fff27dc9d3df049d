"""The published table of a job: written when anything has changed, and left alone when nothing has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from pipeline.job.work import Work
from pipeline.measure.answers import Answers
from pipeline.measure.gold import Agreed, Agreement
from pipeline.measure.summary import Summary, Tally
from pipeline.read.union import is_text
from pipeline.records import JSON, Status
from pipeline.write.journal import Journal
from pipeline.write.table import publish
from pipeline.write.table_columns import Piece

PUBLISHED = "published"
"""Journal note: the table as it was published last, and what it holds."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a published table holds."""

    answers: Mapping[str, Mapping[str, int]]
    """Property → value → rows."""
    agreements: Sequence[Agreed]
    note: str | None = None
    """A sentence about the file that a person should know."""


def standing(work: Work, journal: Journal, state: str, tally: Tally) -> Table | None:
    """The table as it was published under this state, its rows told to `tally`; None where it must be written."""
    noted = journal.noted(PUBLISHED)
    last = json.loads(noted) if noted is not None else None
    if last is None or last["table"] != _identity(work, state):
        return None
    for status, reused, number in last["stands"]:
        tally.stands(Status(status), reused, number)
    return Table(last["answers"], [Agreed(**{**one, "confusion": {}}) for one in last["agreements"]])


def written(work: Work, journal: Journal, state: str, tally: Tally, seal: Callable[[], Summary]) -> Table:
    """Writes the table, its rows told to `tally`; `seal` is asked once, after the last of them."""
    answers = Answers(work.enums)
    agreement = Agreement(work.enums, [field.name for field in work.source.schema if is_text(field.type)])
    counted: Counter[tuple[Status, bool]] = Counter()

    def hear(piece: Piece) -> None:
        for outcome, answer in zip(piece.outcomes, piece.answers, strict=True):
            counted[outcome.status, outcome.reused] += 1
            tally.stands(outcome.status, outcome.reused)
            answers.add(answer)
        labels = piece.inputs.select(agreement.columns).to_pylist() if agreement.columns else []
        for values, answer, outcome in zip(labels, piece.answers, piece.outcomes, strict=bool(labels)):
            agreement.add(values, answer if outcome.status.answered else None)

    batches, outcomes = work.source.batches(), journal.outcomes()
    published = publish(work.output, batches, outcomes, work.columns, seal=lambda: seal().json(), tell=hear)
    found = agreement.results()
    noted = {
        "table": _identity(work, state),
        "stands": [[status, reused, number] for (status, reused), number in counted.items()],
        "answers": answers.results(),
        "agreements": [{**asdict(one), "confusion": None} for one in found],
    }
    journal.note(PUBLISHED, json.dumps(noted))
    return Table(answers.results(), found, published.note)


def _identity(work: Work, state: str) -> list[JSON]:
    """The published file and all that made it what it is; differs from every other state of it."""
    try:
        at = work.output.stat()
    except OSError:
        return []
    return [state, str(work.columns.schema), str(work.output.resolve()), at.st_size, at.st_mtime_ns]
