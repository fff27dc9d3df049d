"""`pipeline run`: start, or resume, or bring up to date."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.commands.connecting import endpoint, mode, shown
from pipeline.commands.embedded import SMALL_MODEL, served
from pipeline.commands.media import notes
from pipeline.commands.metering import file_metrics
from pipeline.commands.prices import unpriced
from pipeline.commands.retyped import retyped
from pipeline.commands.tracing import run_span
from pipeline.commands.wiring import Loaded, loaded, read_job, sent_by, work
from pipeline.errors import Bug, ComeBackLater, ConfigInvalid, PipelineError, StorageFailed
from pipeline.events import Event
from pipeline.job.run import run
from pipeline.job.work import Result
from pipeline.measure.summary import Summary, Tally
from pipeline.records import Status
from pipeline.show.closing import Closing, GoldColumn, show
from pipeline.show.log import LogFile, Logged, stream_handler
from pipeline.show.progress import Progress
from pipeline.show.text import console

SMALL_MODEL_SAYS = (
    "smollm2-135m is a small local model: fair at one short label for a short English text, poor at extraction, "
    "other languages and long texts, blind to images; for real work ask Claude"
)
REHEARSAL_SAYS = "rehearsal answers fit the schema and mean nothing; nothing was spent, dollars are what the model would cost"


@dataclass(frozen=True, slots=True)
class Options:
    overrides: Sequence[str] = ()
    limit: int | None = None
    retry: frozenset[Status] = frozenset()
    accept_change: bool = False
    wait: bool = False
    detach: bool = False
    json: bool = False
    quiet: bool = False
    log_format: str | None = None


def execute(config: Path, options: Options) -> int:
    """Runs the job and says what came of it; its exit code. Raises PipelineError where the run cannot finish."""
    made, result = carried_out(config, options)
    if options.json:
        _answer(result.summary.json())
    elif not options.quiet and result.error is None:
        show(_closing(made, config, options.overrides, result), console(sys.stdout))
    if result.error is not None:
        raise result.error
    if result.summary.exit_code == 1 and options.quiet:
        todo = "look at _status and _error of the table; --retry STATUS asks such rows again"
        print(f"pipeline: {result.summary.reason}\nwhat to do: {todo}", file=sys.stderr)  # noqa: T201 for the mail of cron
    if result.summary.exit_code > 1:
        todo = "run the same command again to go on: finished rows are kept"
        print(f"pipeline: {result.summary.reason}\nwhat to do: {todo}", file=sys.stderr)  # noqa: T201 the last line
    return result.summary.exit_code


def carried_out(config: Path, options: Options) -> tuple[Loaded, Result]:
    """The run, with its progress, log, metrics and span. Raises PipelineError where it cannot begin."""
    with run_span() as traced:
        return _carried_out(config, options, traced)


def _carried_out(config: Path, options: Options, traced: Callable[[str, Summary], None]) -> tuple[Loaded, Result]:
    started_at = time.time()
    try:
        made = loaded(config, options.overrides, options.limit)
        result = _run(made, options)
    except BaseException as error:
        exit_code, reason = _ended_by(error)
        ended = Tally().summary(requests=0, started_at=started_at, ended_at=time.time(), exit_code=exit_code, reason=reason)
        if not isinstance(error, ComeBackLater):  # the run that holds the lock files its own metrics
            _meter(config, options, ended, began=False)
        traced(config.stem, ended)
        if options.json and isinstance(error, PipelineError):
            _answer(ended.json())
        raise
    _meter(config, options, result.summary, began=True)
    traced(made.job.name, result.summary)
    return made, result


def _ended_by(error: BaseException) -> tuple[int, str]:
    """Exit code, as the command line gives it, and reason of what ended a run before it began."""
    match error:
        case PipelineError():
            return error.exit_code, error.message.splitlines()[0]
        case OSError():
            return StorageFailed.exit_code, str(error)
        case Exception():
            return Bug.exit_code, type(error).__name__
        case _:
            return 128 + (signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM), "interrupted"


def _meter(config: Path, options: Options, summary: Summary, *, began: bool) -> None:
    """Files `run.metrics_file`, if the config can be read and names one."""
    try:
        job = read_job(config, options.overrides)
    except ConfigInvalid:
        return
    if job.run.metrics_file is not None:
        trouble = file_metrics(Path(job.run.metrics_file), job.name, summary, began=began)
        if trouble is not None:
            print(f"pipeline: {trouble}", file=sys.stderr)  # noqa: T201


def _answer(line: str) -> None:
    """The one thing that --json prints. Whoever read it may have gone: the run's exit code stands all the same."""
    try:
        print(line, flush=True)  # noqa: T201
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(made: Loaded, options: Options) -> Result:
    with ExitStack() as stack:
        made.folder.create()
        log = LogFile(made.folder.log)
        stack.callback(log.close)
        tell, tick = _listeners(stack, log, options)
        url = endpoint(made.job, os.environ)
        name = made.job.model.name
        where = f"the embedded server ({served(name)})" if made.local else shown(url, os.environ)
        _, why = mode(made.job)
        chosen = () if why is None else (why,)
        priced = () if made.prices.known(name) else (unpriced(name),)
        return run(
            work(made, url),
            retry=options.retry,
            accept_change=options.accept_change,
            wait=options.wait,
            detach=options.detach,
            opening=(
                f"{name} at {where}, asked by {made.form.way}",
                *made.form.notes,
                *notes(made.media),
                *priced,
                *chosen,
                *sent_by(made),
            ),
            tell=tell,
            tick=tick,
        )


def _listeners(stack: ExitStack, log: LogFile, options: Options) -> tuple[Callable[[Event], None], Callable[[], None]]:
    """Who hears of the run: log.jsonl always; a bar or plain lines on stderr, or log lines there if asked for."""
    logger = logging.getLogger("pipeline")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handlers: list[logging.Handler] = [log]
    if options.log_format is not None:
        handlers.append(stream_handler(sys.stderr, "json" if options.log_format == "json" else "text"))
    for handler in handlers:
        logger.addHandler(handler)
        stack.callback(logger.removeHandler, handler)
    logged = Logged(logger)
    quiet = options.quiet or options.log_format is not None
    progress = stack.enter_context(Progress(sys.stderr, clock=time.monotonic, quiet=quiet))

    def tell(event: Event) -> None:
        logged(event)
        progress(event)

    return tell, progress.tick


def _closing(made: Loaded, config: Path, overrides: Sequence[str], result: Result) -> Closing:
    summary = asdict(result.summary)
    notes = [note for note in (result.note,) if note is not None]
    if made.local:
        notes.append(SMALL_MODEL_SAYS if served(made.job.model.name) == SMALL_MODEL else REHEARSAL_SAYS)
    return Closing(
        name=made.job.name,
        statuses={status.value: summary[status.value] for status in Status if summary[status.value]},
        answers=result.answers,
        reused=result.summary.reused,
        requests=result.summary.requests,
        input_tokens=result.summary.input_tokens,
        output_tokens=result.summary.output_tokens,
        cache_read_tokens=result.summary.cache_read_tokens,
        cache_write_tokens=result.summary.cache_write_tokens,
        cost_usd=result.summary.cost_usd,
        seconds=result.summary.seconds,
        rows_per_second=result.summary.rows_per_second,
        agreement=tuple(
            GoldColumn(
                property=agreed.property_name,
                column=agreed.column,
                answered=agreed.answered,
                agreeing=agreed.agreeing,
                interval=agreed.interval,
            )
            for agreed in result.agreements
        ),
        path=made.job.output.path if result.summary.exit_code <= 1 else "not written: the run did not finish",
        notes=tuple(notes),
        next_command=_next(made, config, overrides, result),
    )


def _next(made: Loaded, config: Path, overrides: Sequence[str], result: Result) -> str:
    """A command to try, under the name by which this program was called."""
    if result.summary.exit_code > 1:
        return retyped(f"{_program()} run", config, overrides)
    claude = config.with_name(f"{config.stem}-claude{config.suffix}")
    if made.local and claude.is_file() and not overrides:
        return f"ANTHROPIC_API_KEY=… {_program()} run {claude}"
    return retyped(f"{_program()} report", config, overrides)


def _program() -> str:
    called = Path(sys.argv[0])
    if called.name != "pipeline":
        return "python -m pipeline"
    found = shutil.which("pipeline")
    return "pipeline" if found is not None and called.exists() and Path(found).samefile(called) else str(called)
