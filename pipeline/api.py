"""The job from Python: `run` a config, or give a table in memory its answers, with the promises of the command line.

What goes wrong is raised, as the tree of pipeline/errors.py; rows without an answer are no error, but have a `_status`. Runs of
one process go one after the other. In a notebook, whose event loop is running, a run has a thread of its own; an interrupt is
then sent on to it, so that replies in flight are awaited and kept, as ctrl-C does it for the command line.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.commands import frames
from pipeline.commands.files import schema as schema_in
from pipeline.commands.frames import Frame
from pipeline.commands.run import Options, carried_out
from pipeline.commands.wiring import Loaded
from pipeline.engine.local import RELAY, SIGNALS, Relay
from pipeline.errors import ConfigInvalid, StorageFailed, Terminated, UsageError
from pipeline.job.work import Result
from pipeline.measure.summary import Summary
from pipeline.records import Status
from pipeline.render.template import compiled
from pipeline.schema.arrow import fields
from pipeline.write.lock import locked
from pipeline.write.rundir import replace

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Prompt = str | Sequence[str] | Mapping[str, object]

FRAME = "frame"
"""The job of a frame."""
_ONE_AT_A_TIME = threading.Lock()
"""Runs of one process share its log."""
_UNSPEAKABLE = re.compile("[\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON takes as it is and YAML does not."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that has finished."""

    summary: Summary
    """The figures of `summary.json`; `summary.exit_code` is 1 where more rows than `run.max_failed` have no answer, else 0."""
    path: Path
    """The table that was published."""
    folder: Path
    """The run folder."""

    def table(self) -> pa.Table:
        """The published table. Raises ConfigInvalid where it is no Parquet file: the others have lost the types of columns."""
        if self.path.suffix != ".parquet":
            raise ConfigInvalid(
                f"output.path: {self.path} keeps no types of columns", todo="name a .parquet file there, or read it"
            )
        return pq.ParquetFile(self.path).read()

    def frame(self) -> pd.DataFrame:
        """The same as a pandas DataFrame: whole numbers and booleans keep their type where some are missing."""
        return frames.pandas(self.table())


def run(
    config: str | Path,
    *,
    limit: int | None = None,
    retry: str | None = None,
    accept_change: bool = False,
    wait: bool = False,
    progress: bool = True,
    **overrides: object,
) -> Ran:
    """Starts the job in a config file, or resumes it, or brings it up to date: `pipeline run`, with its options.

    `overrides` change keys of the config: a section as a mapping (`model={"max_tokens": 2048}`), or a dotted key
    (`**{"run.budget_usd": 5}`). `retry` is a status (`failed`, …) or `all-bad`. `progress`: lines on stderr, or a bar
    on a terminal.

    Raises a PipelineError where the run cannot begin or finish, KeyboardInterrupt where it was interrupted; either way what has
    come is kept, and the same call goes on.
    """
    options = Options([*_said(overrides)], limit, _statuses(retry), accept_change, wait, quiet=not progress)
    return _ran(Path(config), options)


def _ran(config: Path, options: Options) -> Ran:
    if options.wait and _loop_is_running():
        raise UsageError(
            "wait=True where an event loop is running could not be interrupted",
            todo="catch ComeBackLater, and call again later",
        )

    def work() -> tuple[Loaded, Result]:
        with _ONE_AT_A_TIME, _own_collecting():
            return carried_out(config, options)

    made, result = _beside_a_loop(work) if _loop_is_running() else work()
    if result.error is not None:
        raise result.error
    match result.summary.exit_code:
        case 130:
            raise KeyboardInterrupt
        case 143:
            raise Terminated(signal.SIGTERM)
    return Ran(result.summary, Path(made.job.output.path).absolute(), made.folder.path.absolute())


def analyse_frame(
    frame: Frame,
    *,
    schema: str | Path | Mapping[str, object],
    prompt: Prompt,
    model: str | Mapping[str, object],
    folder: str | Path,
    prefix: str = "",
    retry: str | None = None,
    accept_change: bool = False,
    wait: bool = False,
    progress: bool = True,
    **overrides: object,
) -> Frame:
    """The frame with its answers: the same rows in the same order, of the same kind (and index), and behind its columns those
    of the schema, then `_status`, `_error`, … of docs/output.md. The frame that is given is not changed.

    `schema`: a JSON Schema, or the path of one. `prompt`: the user's template (`"{{ text }}"`), several for turns, or the
    mapping under `prompt` of a config. `model`: a name, or the mapping under `model`. `overrides` and the rest are those of
    `run`.

    `folder` holds what is paid for, of this one analysis: the input as it was asked about, the run folder, the answers, and a
    config, so that `pipeline status FOLDER/job.yaml` works. Killed and called again, it goes on; with a changed frame it pays
    for what is new. Raises what `run` raises; TypeError where the frame is neither kind.
    """
    frames.names(frame)
    waits = wait and not _loop_is_running()  # for the folder in any case
    options = Options([*_said(overrides)], None, _statuses(retry), accept_change, waits, quiet=not progress)
    home = Path(folder).absolute()
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageFailed(f"{home} cannot be made: {error.strerror}") from error
    with locked(home / "lock", f"the folder {home}", FRAME, wait=wait, say=lambda _: None):
        config = _filed(home, frame, schema, prompt, model, prefix)
        return frames.with_answers(frame, _ran(config, options).table())


def _filed(
    home: Path,
    frame: object,
    schema: str | Path | Mapping[str, object],
    prompt: Prompt,
    model: str | Mapping[str, object],
    prefix: str,
) -> Path:
    """Writes the job of a frame into its folder; its config."""
    if isinstance(schema, Mapping):
        named = home / "schema.json"
        _keep(named, json.dumps(schema, indent=2).encode())
    else:
        named = Path(schema).absolute()
    frames.refuse_hidden(frame, [prefix + field.name for field in fields(schema_in(named))])
    templates = None if isinstance(prompt, Mapping) else [prompt] if isinstance(prompt, str) else [*prompt]
    parquet = io.BytesIO()
    pq.write_table(frames.taken(frame, None if templates is None else compiled(None, *templates).columns), parquet)
    _keep(home / "input.parquet", parquet.getvalue())
    config: dict[str, object] = {
        "name": FRAME,
        "input": {"path": str(home / "input.parquet")},
        "schema": str(named),
        "prompt": {"user": templates} if templates is not None else prompt,
        "model": model if isinstance(model, Mapping) else {"name": model},
        "run": {"folder": str(home)},
        "output": {"path": str(home / "answers.parquet"), "keep": [], "prefix": prefix},
    }
    path = home / "job.yaml"
    _keep(path, _yaml(config).encode())
    return path


def _keep(path: Path, content: bytes) -> None:
    """The file holds this. One that does already is left alone: a run tells by its time whether the input has changed."""
    try:
        if not path.exists() or path.read_bytes() != content:
            replace(path, content)
    except OSError as error:
        raise StorageFailed(f"{path} cannot be written: {error.strerror}") from error


def _yaml(value: object) -> str:
    """JSON that YAML reads as the same."""
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return _UNSPEAKABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return {**value}
        case tuple() | set() | frozenset():
            return [*value]
        case Path():
            return str(value)
    raise UsageError(f"{value!r} is no value of a config", todo="give texts, numbers, booleans, lists and mappings of them")


def _said(overrides: Mapping[str, object], section: str = "") -> Iterator[str]:
    """As --set has them. A section is changed key by key; what is not named in it stays."""
    for name, value in overrides.items():
        key = f"{section}{name}"
        if isinstance(value, Mapping) and key != "model.extra":
            yield from _said(value, f"{key}.")
        else:
            yield f"{key}={_yaml(value)}"


def _statuses(word: str | None) -> frozenset[Status]:
    if word is None:
        return frozenset()
    bad = {status.value: status for status in Status if not status.answered and status is not Status.PENDING}
    if word != "all-bad" and word not in bad:
        raise UsageError(f"retry: {word!r} is none of all-bad, {', '.join(bad)}", todo="name one of them")
    return frozenset(bad.values() if word == "all-bad" else [bad[word]])


def _loop_is_running() -> bool:
    """In this thread, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def _own_collecting() -> Iterator[None]:
    """A run collects garbage less often, and sets aside what was there when it began; but the process goes on after it."""
    thresholds = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _beside_a_loop(work: Callable[[], T]) -> T:
    """What the work gives or raises. It starts an event loop, so that where one is running it needs another thread."""
    relay, done, context = Relay(), Future[T](), copy_context()
    context.run(RELAY.set, relay)

    def body() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 it is raised where the work is waited for
            done.set_exception(error)

    thread = threading.Thread(target=body, name="pipeline run")
    with _sent_on(relay):
        thread.start()
        thread.join()
    if relay.received and done.exception() is None:  # also one that came while the table was being written
        raise KeyboardInterrupt if relay.received[0] is signal.SIGINT else Terminated(relay.received[0])
    return done.result()


@contextmanager
def _sent_on(relay: Relay) -> Iterator[None]:
    """Meanwhile the signals of this process go there. Only the main thread can take them; in another nothing is sent on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def receive(number: int, frame: FrameType | None) -> None:
        relay.send(number)

    before = {number: signal.signal(number, receive) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
