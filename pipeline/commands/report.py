"""`pipeline report`: the run as one HTML file, or as a summary in Markdown."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from pipeline import __version__
from pipeline.commands.embedded import SMALL_MODEL, served
from pipeline.commands.evaluation import Evaluation, Yardstick, evaluated
from pipeline.commands.findings import findings
from pipeline.commands.remembered import recalled
from pipeline.commands.telling import Told, told
from pipeline.commands.wiring import Loaded, loaded, parts, read_job
from pipeline.errors import PipelineError, StorageFailed, UsageError
from pipeline.job.run import CHECKED
from pipeline.measure.reasons import Trouble
from pipeline.read.fingerprint import Fingerprint, fingerprint
from pipeline.records import JSON
from pipeline.settings import Job
from pipeline.show.log import redact
from pipeline.show.markdown import markdown
from pipeline.show.page import page
from pipeline.show.report import Report
from pipeline.show.text import count, moment, plain
from pipeline.write.archive import Archive, archive
from pipeline.write.purge import PURGED_AT
from pipeline.write.rundir import RunFolder, replace

LOCAL_SAYS = "The answers are those of a small local model, not of Claude."
REHEARSAL_SAYS = (
    "This was a rehearsal: answers are valid under the schema and mean nothing; costs are what the model would have cost."
)
INPUTS = 5
"""Input files that are named."""


@dataclass(frozen=True, slots=True)
class Options:
    overrides: list[str]
    form: Literal["html", "md"] = "html"
    out: Path | None = None
    by: str | None = None
    yardstick: Yardstick = field(default_factory=Yardstick)
    """What the answers are held against; one that names nothing: what `pipeline evaluate` last held them against."""


def report(config: Path, options: Options) -> str:
    """Writes the report and says where it is; the Markdown itself where that has no file to go to.

    Reads only, beside that: a live run is not disturbed. UsageError where nothing has been run.
    """
    job = read_job(config, options.overrides)
    folder = RunFolder(Path(job.run.folder), job.name)
    described = folder.read_json(folder.job) or {}
    with archive(folder.journal) as kept:
        if kept is None or kept.rows is None:
            raise UsageError(*_nothing(folder, described, config))
        made = loaded(config, options.overrides, limit=kept.rows)
        _check_column(options.by, made)
        held = _evaluation(job, config, options)
        shown = told(findings(made, kept, options.by), _run(made, kept, folder, described, options.by, held))
    if options.form == "md" and options.out is None:
        return markdown(shown)
    return _written(shown, options, folder)


def _evaluation(job: Job, config: Path, options: Options) -> Evaluation | str | None:
    """What the answers are worth, where that was asked for, now or by `pipeline evaluate`; why it cannot be told again."""
    if options.yardstick.gold is not None or options.yardstick.against is not None:
        return evaluated(job, config, options.yardstick)
    try:
        yardstick = recalled(job)
        return None if yardstick is None else evaluated(job, config, yardstick)
    except PipelineError as error:
        return f"The evaluation of these answers could not be made again: {error.message.splitlines()[0]}."


def _written(shown: Report, options: Options, folder: RunFolder) -> str:
    """Readable by its owner only, wherever it is: it holds documents."""
    path = options.out or folder.report
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"{path.parent} cannot be made: {error.strerror}") from error
    text = markdown(shown) if options.form == "md" else page(shown)
    content = text.encode("utf-8", "replace")  # half a surrogate pair, in a name of the config, has no encoding
    replace(path, content)
    return f"{plain(str(path), 4096)} ({len(content) / 1e6:.2f} MB)"


def _nothing(folder: RunFolder, described: dict[str, JSON], config: Path) -> tuple[str]:
    if PURGED_AT in described:
        return (
            f"{folder.path}: its stored replies were forgotten at {described[PURGED_AT]}, and with them what a report tells",
        )
    return (f"{folder.path} holds no run to report on; start one: pipeline run {config}",)


def _check_column(by: str | None, made: Loaded) -> None:
    names = made.source.schema.names
    if by is None or names.count(by) == 1:
        return
    near = difflib.get_close_matches(by, names, n=1)
    there = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, names[:40]))}"
    raise UsageError(f"--by: the input has no column {by!r}; {there}")


def _run(
    made: Loaded, kept: Archive, folder: RunFolder, described: dict[str, JSON], by: str | None, held: Evaluation | str | None
) -> Told:
    last = folder.read_json(folder.summary) or {}
    holder = folder.holder()
    of_run = described.get("parts")
    digests = of_run if isinstance(of_run, dict) else {}
    return Told(
        name=made.job.name,
        life=_life(folder, holder, last),
        made=f"Reported at {moment(time.time())} by pipeline {__version__}.",
        warnings=[*_warnings(made, kept, folder, holder, digests), *([held] if isinstance(held, str) else [])],
        by=by,
        prefix=made.job.output.prefix,
        rates=made.prices.rates(made.job.model.name),
        last=last,
        facts=[*_facts(made, folder, described, last)],
        config=redact(json.dumps(described.get("config", {}), indent=2, ensure_ascii=False)),
        parts=[(name, str(digest)) for name, digest in digests.items()],
        trouble=_trouble(folder.log),
        evaluation=held if isinstance(held, Evaluation) else None,
    )


def _life(folder: RunFolder, holder: str | None, last: dict[str, JSON]) -> str:
    if holder is not None:
        return "It is running now: these are its figures so far."
    if folder.abandoned() or not last:
        return "The last run was killed before it could say how it ended."
    ended = last.get("ended_at")
    at = moment(datetime.fromisoformat(ended).timestamp()) if isinstance(ended, str) else "a time that is not known"
    return f"The last run ended at {at}: {last.get('reason')}."


def _warnings(made: Loaded, kept: Archive, folder: RunFolder, holder: str | None, digests: dict[str, JSON]) -> Iterator[str]:
    if made.local:
        yield LOCAL_SAYS if served(made.job.model.name) == SMALL_MODEL else REHEARSAL_SAYS
    if holder is None and folder.abandoned():
        yield "The last run was killed: run it again to go on."
    noted = kept.noted(CHECKED)
    if noted is not None:
        then = Fingerprint.from_json(json.loads(json.loads(noted)["state"])[0])
        changes = fingerprint(made.source.files).changes(then)
        if changes:
            yield (
                "The input is not what it was when it was run, so inputs may stand beside the answers of others: "
                f"{'; '.join(changes[:INPUTS])}."
            )
    now = parts(made)
    changed = [name for name, digest in digests.items() if name in now and name != "request" and now[name] != digest]
    if changed:
        yield f"The config has changed since the run ({', '.join(changed)}): answers are those of the config as it was."


def _facts(made: Loaded, folder: RunFolder, described: dict[str, JSON], last: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    model = made.job.model
    yield "model", f"{model.name}, asked by {made.form.way}, at most {count(made.form.max_tokens)} tokens"
    yield "asked at", "the embedded server" if made.local else made.job.call.base_url or "the API, or ANTHROPIC_BASE_URL"
    files = described.get("input")
    names = [str(file) for file in files] if isinstance(files, list) else []
    yield "input", ", ".join(names[:INPUTS]) + (f" and {count(len(names) - INPUTS)} more files" if len(names) > INPUTS else "")
    yield "schema", f"{made.job.schema} ({described.get('schema_digest', '')})"
    yield "output", made.job.output.path
    yield "run folder", str(folder.path)
    yield "version", str(described.get("version", ""))
    for name, said in (
        ("started_at", "last run began"),
        ("ended_at", "last run ended"),
        ("reason", "because"),
        ("exit_code", "exit code"),
    ):
        if name in last:
            yield said, str(last[name])
    for name, said in (
        ("requests", "its requests"),
        ("retries", "its retries"),
        ("asks_again", "asked again"),
        ("possible_double_charges", "possible double charges"),
    ):
        if isinstance(number := last.get(name), int):
            yield said, count(number)


def _trouble(log: Path) -> Trouble:
    found = Trouble()
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except ValueError:  # the half line of a machine that went down
                    continue
                if isinstance(line, dict):
                    found.add(line)
    except FileNotFoundError:
        pass
    return found
