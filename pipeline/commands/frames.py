"""Tables in memory: a pandas DataFrame or a pyarrow Table, as what a job reads, and with the columns that it answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from pipeline.errors import ConfigInvalid, InputUnreadable
from pipeline.read.union import require
from pipeline.write.table_columns import OWN

if TYPE_CHECKING:
    import pandas as pd

Frame = TypeVar("Frame")
"""A pandas DataFrame or a pyarrow Table: the kind that is given is the kind that comes back."""

POSITION = "position"
"""The column of a table whose prompt takes none: it still has rows."""


def names(frame: object) -> list[object]:
    """Its columns. TypeError where it is neither kind of frame."""
    if isinstance(frame, pa.Table):
        return list(frame.column_names)
    import pandas as pd  # 0.3 s, for those who have none

    if isinstance(frame, pd.DataFrame):
        return list(frame.columns)
    raise TypeError(f"a pandas DataFrame or a pyarrow Table is expected, not {type(frame).__name__}")


def taken(frame: object, columns: Collection[str] | None) -> pa.Table:
    """What a job reads of the frame: these columns, or all (None). Others may hold what no file can.

    Raises ConfigInvalid for one that is not there, InputUnreadable for one that Arrow has no type for.
    """
    there = [name for name in names(frame) if isinstance(name, str)]
    if columns is not None:
        require(pa.schema([(name, pa.null()) for name in there]), sorted(columns), "prompt.user")
        there = [name for name in there if name in columns]
    table = frame.select(there) if isinstance(frame, pa.Table) else _from_pandas(frame, there)
    if not there:
        return pa.table({POSITION: pa.array(range(len(frame)), pa.int64())})  # type: ignore[arg-type]
    return table.replace_schema_metadata(None)


def _from_pandas(frame: object, columns: Sequence[str]) -> pa.Table:
    import pandas as pd

    assert isinstance(frame, pd.DataFrame), "names has seen to it"
    try:
        return pa.Table.from_pandas(frame[columns], preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise InputUnreadable(
            f"the frame cannot be written as a table: {error}",
            todo="give each column that the prompt takes a name of its own and one type of value",
        ) from error


def refuse_hidden(frame: object, answers: Sequence[str]) -> None:
    """Raises ConfigInvalid where a column that comes would have the name of one that is there."""
    there = names(frame)
    own = [field.name for field in OWN if field.name in there]
    if own:
        raise ConfigInvalid(
            f"the frame has columns {', '.join(own)}, as if it came from here",
            todo="give the frame that was analysed, without them",
        )
    hidden = [name for name in answers if name in there]
    if hidden:
        raise ConfigInvalid(
            f"the answer brings columns {', '.join(hidden)}, and the frame has them already", todo="give a prefix, or drop them"
        )


def with_answers(frame: Frame, answers: pa.Table) -> Frame:
    """A new frame: the columns of this one, and behind them those of a table that has its rows in its order."""
    if isinstance(frame, pa.Table):
        table = frame
        for field in answers.schema:
            table = table.append_column(field, answers.column(field.name))
        return table
    import pandas as pd

    assert isinstance(frame, pd.DataFrame), "names has seen to it"
    columns = pandas(answers).set_axis(frame.index)
    return pd.concat([frame, columns], axis="columns")  # type: ignore[return-value]


def pandas(table: pa.Table) -> pd.DataFrame:
    """The table as a DataFrame whose whole numbers and booleans keep their type where some are missing."""
    import pandas as pd

    kinds = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    made: pd.DataFrame = table.to_pandas(types_mapper=kinds.get)
    return made
