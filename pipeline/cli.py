"""Arguments in, exit code out. What a command does is in pipeline/commands; they are imported only when called, since a
`--help` must not wait for libraries it does not need."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import Exit, TyperException

from pipeline import __version__
from pipeline.errors import Bug, PipelineError, StorageFailed, Terminated, UsageError

USAGE = 64
INTERRUPTED = 130
TERMINATED = 143


app = typer.Typer(
    name="pipeline",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Batch document analysis with Claude: a corpus in, a table of checked answers out; nothing lost, nothing paid twice.",
    epilog="Exit codes: 0 every row has an answer · 1 finished, some have none · 64 usage · 65 input · 69 service down · "
    "74 disk · 75 locked, or come back later · 77 credentials or billing · 78 config · 130/143 interrupted. "
    "After anything but 0, 64, 65 and 78 just run the same command again: finished rows are kept.",
)

Config = Annotated[Path, typer.Argument(help="The job's YAML file.", metavar="CONFIG")]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the config, e.g. `--set model.max_tokens=2048`. Repeatable."
    ),
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pipeline {__version__}")
        raise Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="What the job is called.", metavar="NAME")],
    data: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="Your table: .csv, .tsv, .jsonl or .parquet. [a small sample]")
    ] = None,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="What is asked: sentiment, classification, extraction or scoring.")
    ] = "sentiment",
) -> None:
    """Begin a new job that runs as it stands, without a key: a config that explains itself, a schema, and a sample.

    Asks nothing and overwrites nothing. From your own table it picks the column that names the rows and the one that holds
    the text, and says which.

    Try: `pipeline init tickets --from tickets.csv --kind classification`
    """
    from pipeline.commands.init import init as begin
    from pipeline.commands.kinds import KINDS

    _one_of("--kind", kind, tuple(KINDS))
    typer.echo(begin(name, data=data, kind=kind))


@app.command()
def run(
    config: Config,
    input_paths: Annotated[
        list[str] | None, typer.Option("--input", metavar="PATH", help="Read this instead of input.path. Repeatable.")
    ] = None,
    output: Annotated[str | None, typer.Option(metavar="PATH", help="Write this instead of output.path.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Take only the first N rows of the input, to try.")
    ] = None,
    retry: Annotated[
        str | None,
        typer.Option(metavar="STATUS", help="Ask again about rows that ended so: `failed`, `refused`, … or `all-bad`."),
    ] = None,
    accept_change: Annotated[
        bool,
        typer.Option(
            "--accept-change",
            help="Go on although prompt, schema or model changed, or replies were purged: rows are paid again.",
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="While another run of this job goes on, wait for its end instead of exiting with 75.")
    ] = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", help="Do not wait for batches: send, collect what has ended, and exit with 75 while any is out."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object on stdout, nothing else.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no closing table; errors still show.")] = False,
    log_format: Annotated[
        str | None, typer.Option(metavar="json|text", help="Log lines on stderr instead of the progress display.")
    ] = None,
    sets: Sets = None,
) -> None:
    """Start a job, or resume it, or bring it up to date.

    This one command is all that is needed after anything: a crash, a full disk, a new night's rows. Rows that have an answer
    are never asked again; after success it sends nothing. ctrl-C stops politely: replies in flight are awaited and kept.

    Try: `pipeline run configs/reviews.yaml --limit 20`
    """
    from pipeline.commands.run import Options, execute

    options = Options(
        overrides=[*(sets or ()), *_paths(input_paths, output)],
        limit=limit,
        retry=_statuses(retry),
        accept_change=accept_change,
        wait=wait,
        detach=detach,
        json=as_json,
        quiet=quiet,
        log_format=_one_of("--log-format", log_format, ("json", "text")),
    )
    raise Exit(execute(config, options))


@app.command()
def check(config: Config, sets: Sets = None) -> None:
    """Everything but the calls: config, schema, template, input, and one rendered prompt. Spends nothing.

    Try: `pipeline check configs/reviews.yaml`
    """
    from pipeline.commands.check import check as text

    typer.echo(text(config, sets or []))


@app.command(name="try")
def try_(
    config: Config,
    row: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The row to try, as input.key names it; without a key its position. [the first]"),
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="Try this text, for a prompt that takes one column.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What came of it as one JSON object on stdout.")] = False,
    sets: Sets = None,
) -> None:
    """Ask about one row, watch the reply come, and see it judged and priced: for working on a prompt.

    It is paid for once: the same row under the same prompt costs nothing the next time, here or in a run. Exit code 0 where
    there is an answer, 1 where there is none.

    Try: `pipeline try configs/reviews.yaml --text "Left earbud died after nine days."`
    """
    from pipeline.commands.trial import attempt

    raise Exit(attempt(config, sets or [], named=row, text=text, as_json=as_json))


@app.command()
def plan(
    config: Config,
    sample: Annotated[
        int, typer.Option(min=0, metavar="N", help="Count the tokens of so many rows, which is free; 0: send nothing.")
    ] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    sets: Sets = None,
) -> None:
    """What a run would take: rows to buy, tokens and dollars with an interval, online against batch, time. Spends nothing.

    It learns from rows that were bought: run a few first (`pipeline run CONFIG --limit 20`), then plan the rest.

    Try: `pipeline plan configs/reviews-claude.yaml`
    """
    from pipeline.commands.plan import plan as text

    typer.echo(text(config, sets or [], sample, as_json))


@app.command()
def status(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    sets: Sets = None,
) -> None:
    """Where a run is, live or not: rows, spend, rate, time left. Does not disturb it."""
    from pipeline.commands.status import status as text

    typer.echo(text(config, sets or [], as_json))


@app.command()
def report(
    config: Config,
    out: Annotated[Path | None, typer.Option(metavar="PATH", help="Write it there. [report.html in the run folder]")] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="html|md", help="A page, or a summary in Markdown on stdout.")
    ] = "html",
    by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Show the answers for each value of this input column, too.")
    ] = None,
    gold: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Gold labels: how good the answers are. [those last evaluated with]")
    ] = None,
    on: Annotated[str | None, typer.Option(metavar="KEY", help="The column that pairs rows. [input.key]")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="`answer=gold`, or one name for both. Repeatable. [same names]")
    ] = None,
    confidence: Annotated[str | None, typer.Option(metavar="COL", help="A column from 0 to 1: is it right?")] = None,
    against: Annotated[Path | None, typer.Option(metavar="TABLE", help="The table of another run.")] = None,
    sets: Sets = None,
) -> None:
    """The run as one HTML file that works offline: totals, cost, answers, speed, trouble, and rows to look at.

    It can be made at any time, also while the run goes on. It holds input texts and answers: share it as you would share them.
    How good the answers are is in it once `pipeline evaluate` was told of gold labels, or with `--gold` here, as there.

    Try: `pipeline report configs/reviews.yaml`
    """
    _one_of("--format", form, ("html", "md"))
    from pipeline.commands.evaluation import Yardstick
    from pipeline.commands.report import Options
    from pipeline.commands.report import report as write

    if gold is None and (on or label or confidence) and against is None:
        raise UsageError("--on, --label and --confidence need gold labels: --gold FILE")
    yardstick = Yardstick(gold=gold, on=on, labels=label or (), confidence=confidence, against=against)
    options = Options(overrides=sets or [], form="md" if form == "md" else "html", out=out, by=by, yardstick=yardstick)
    typer.echo(write(config, options))


@app.command()
def evaluate(
    config: Config,
    gold: Annotated[Path | None, typer.Option(metavar="FILE", help="Gold labels: Parquet, CSV or JSONL.")] = None,
    on: Annotated[str | None, typer.Option(metavar="KEY", help="The column that pairs rows. [input.key]")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="`answer=gold`, or one name for both. Repeatable. [columns of the same name]"),
    ] = None,
    confidence: Annotated[
        str | None, typer.Option(metavar="COL", help="A column from 0 to 1: is it right? Also orders disagreements.")
    ] = None,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="So many rows that disagree.")] = 10,
    against: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="The table of another run: which is better, and where they differ.")
    ] = None,
    prevalence: Annotated[
        bool, typer.Option("--prevalence", help="Shares and means of the whole table, corrected by gold rows drawn at random.")
    ] = False,
    by: Annotated[str | None, typer.Option(metavar="COL", help="The same for each value of this column.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, metavar="N", help="Draw N rows to label next, into --out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="The file to fill in.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    sets: Sets = None,
) -> None:
    """How good the answers are, held against gold labels or another run; which rows to label next. Spends nothing.

    Try: `pipeline evaluate configs/reviews.yaml --gold data/reviews.csv --label sentiment=label`
    """
    from pipeline.commands.evaluate import Options
    from pipeline.commands.evaluate import evaluate as text
    from pipeline.commands.evaluation import Yardstick

    options = Options(
        yardstick=Yardstick(
            gold=gold,
            on=on,
            labels=label or (),
            confidence=confidence,
            against=against,
            prevalence=prevalence,
            by=by,
        ),
        show=show,
        sample=sample,
        seed=seed,
        out=out,
        json=as_json,
    )
    typer.echo(text(config, sets or [], options))


@app.command()
def cancel(
    config: Config,
    forget: Annotated[
        str | None,
        typer.Option(metavar="BATCH_ID", help="Give up this one, which the service has lost: its requests are sent again."),
    ] = None,
    sets: Sets = None,
) -> None:
    """End the batches of a run that are at the service. What is done of them by then is paid, and the next run collects it.

    A run that waits for them must be stopped first (ctrl-C leaves batches running).

    A batch that was deleted at the service brings nothing any more, and a run that waits for it stops with exit code 77.
    `--forget` gives it up: the next run sends its requests again and counts them as perhaps paid twice. `pipeline status`
    names the batches that are out. One that the service still knows is not forgotten.
    """
    from pipeline.commands import cancel as command

    typer.echo(command.cancel(config, sets or []) if forget is None else command.forget(config, sets or [], forget))


@app.command()
def purge(
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    abandon_batches: Annotated[
        bool, typer.Option("--abandon-batches", help="Also while batches are out: what they bring is paid and lost.")
    ] = False,
    sets: Sets = None,
) -> None:
    """Forget stored replies, keep the output table and the figures of past runs.

    The run folder then holds nothing of what was asked and answered. Another `pipeline run` would pay for every row again: it
    refuses to, unless it is told `--accept-change`. This asks first; where there is no terminal to ask on, say `--yes`.
    """
    from pipeline.commands.purge import purge as forget

    told = forget(config, sets or [], lambda text: yes or _agreed(text), abandons=abandon_batches)
    if told is None:
        _say("nothing was forgotten", "say yes, or --yes, to forget it")
        raise Exit(INTERRUPTED)
    typer.echo(told)


@app.command()
def serve(
    model: Annotated[str, typer.Option(help="`smollm2-135m`, a real small model, or `rehearsal`, valid answers at once.")] = (
        "smollm2-135m"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8787,
    latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="Before every reply: `800ms`, `2s`. Spread out: see --faults.")
    ] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    burst: Annotated[
        int | None, typer.Option(min=1, help="Requests at once, while the limit is rested. [a minute's worth]")
    ] = (None),
    itpm: Annotated[int | None, typer.Option(min=1, help="Input tokens a minute; what the prompt cache gives is free.")] = None,
    itpm_burst: Annotated[int | None, typer.Option(min=1, help="Input tokens at once. [a minute's worth]")] = None,
    otpm: Annotated[int | None, typer.Option(min=1, help="Output tokens a minute.")] = None,
    otpm_burst: Annotated[int | None, typer.Option(min=1, help="Output tokens at once. [a minute's worth]")] = None,
    batch_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="From the creation of a batch to its end: `2s`, `10m`. [2s]")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: what goes wrong and how often; sizes, latency, limits.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of answers and faults. [0]")] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Requests the small model works on at once.")] = None,
    until_eof: Annotated[bool, typer.Option("--until-eof", help="Stop when standard input ends.", hidden=True)] = False,
) -> None:
    """A local server that speaks the Anthropic Messages API, so that everything runs without a key and offline.

    It listens on 127.0.0.1 only. `/stats` tells what it answered and what that would have cost. Limits, sizes and faults
    are for `rehearsal` (docs/rehearsal.md).

    Try: `pipeline serve --model rehearsal --latency 800ms --rpm 1000`
    """
    latency_s = None if latency is None else _seconds(latency, "--latency")
    batch_time_s = None if batch_time is None else _seconds(batch_time, "--batch-time")
    from pipeline.commands.serve import Options
    from pipeline.commands.serve import serve as forever

    forever(
        Options(
            model=model,
            port=port,
            latency_s=latency_s,
            seed=seed,
            slots=slots,
            faults=faults,
            rpm=rpm,
            burst=burst,
            itpm=itpm,
            itpm_burst=itpm_burst,
            otpm=otpm,
            otpm_burst=otpm_burst,
            until_eof=until_eof,
            batch_time_s=batch_time_s,
        )
    )


def _agreed(text: str) -> bool:
    """Asks a person. UsageError where there is none."""
    if not sys.stdin.isatty():
        raise UsageError("purge asks before it forgets what was paid for, and there is no terminal to ask on", todo="say --yes")
    typer.echo(text, err=True)
    try:
        return typer.confirm("Forget them?", err=True)
    except typer.Abort:  # ctrl-C, or the end of the input
        typer.echo(err=True)  # ends the line of the question
        return False


def _paths(inputs: list[str] | None, output: str | None) -> list[str]:
    import json

    said = [f"input.path={json.dumps(inputs)}"] if inputs else []
    return [*said, *([f"output.path={json.dumps(output)}"] if output else [])]


def _statuses(word: str | None) -> frozenset:  # type: ignore[type-arg]
    from pipeline.records import Status

    if word is None:
        return frozenset()
    bad = {status.value: status for status in Status if not status.answered and status is not Status.PENDING}
    if word == "all-bad":
        return frozenset(bad.values())
    _one_of("--retry", word, ("all-bad", *bad))
    return frozenset({bad[word]})


def _one_of(option: str, word: str | None, known: tuple[str, ...]) -> str | None:
    if word is not None and word not in known:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(known)}", param_hint=option)
    return word


def _seconds(text: str, option: str) -> float:
    from pipeline.local.script import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def main() -> NoReturn:
    """The console script: runs the command and ends the process with its exit code. Never a traceback but for a bug of ours."""
    # What is imported stays: to collect it 400 times costs a sixth of a short command (measured 2026-11-26).
    gc.set_threshold(50_000, 20, 100)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has its way
                signal.signal(number, _terminate)
        code = exit_code()
        _rest()
    except (KeyboardInterrupt, Terminated) as stop:  # while the command was made ready, or its end was told
        code = _interrupted(stop)
        _rest()
    sys.exit(code)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(signal.Signals(number))


def _rest() -> None:
    """All is told and on disk. What comes now is Python's own end, which a signal may cut short, but not with a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _interrupted(stop: KeyboardInterrupt | Terminated) -> int:
    _say("interrupted; state kept", "run the same command again to go on: finished rows are kept")
    return INTERRUPTED if isinstance(stop, KeyboardInterrupt) else TERMINATED


def exit_code(arguments: list[str] | None = None) -> int:
    """Runs one command; None: with the arguments of the process. What went wrong is said on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        command = typer.main.get_command(app)
        # Not `app()`: it would turn exceptions into exit codes of its own before they are told here.
        with command.make_context("pipeline", list(given) or ["--help"]) as context:
            command.invoke(context)
    except Exit as ended:
        return ended.exit_code if given else USAGE
    except TyperException as error:
        _say(str(error.format_message()), "see pipeline --help, or pipeline COMMAND --help")
        return USAGE
    except PipelineError as error:
        _say(str(error), error.next_step)
        return error.exit_code
    except (KeyboardInterrupt, Terminated) as stop:
        return _interrupted(stop)
    except BrokenPipeError:
        # Whoever read our output has gone. Nothing is lost; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        failed = StorageFailed(f"{error.filename or 'the disk'}: {error.strerror or error}")
        _say(str(failed), failed.next_step)
        return failed.exit_code
    except Exception as error:  # noqa: BLE001 the last door: whatever comes here is our bug
        import traceback

        from pipeline.show.log import redact

        print(redact("".join(traceback.format_exception(error))), file=sys.stderr)  # noqa: T201
        _say(f"a bug of ours: {type(error).__name__}", Bug.todo)
        return Bug.exit_code
    return 0


def _say(what: str, todo: str) -> None:
    from pipeline.show.log import redact

    print(redact(f"pipeline: {what}\nwhat to do: {todo}"), file=sys.stderr)  # noqa: T201
