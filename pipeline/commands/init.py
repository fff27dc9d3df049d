"""`pipeline init`: a new job that runs as it stands, on the embedded rehearsal, without a key."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands.kinds import KINDS, Kind
from pipeline.errors import UsageError
from pipeline.read.pick import Picked, pick
from pipeline.read.source import open_source
from pipeline.render.template import REPLIES, ROW
from pipeline.show.text import plain
from pipeline.write.table_columns import OWN

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,59}")
_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {
    *("and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"),
    *("import", "recursive", "loop", "self", "super", "varargs", "kwargs", "caller", "range", "dict", "lipsum", "cycler"),
    *("joiner", "namespace", "context", "with", "without", "ignore", "missing", "for", "set", "block", ROW, REPLIES),
}
"""Names that mean something else in a template."""


def init(name: str, *, data: str | None, kind: str) -> str:
    """Writes config, schema and, without `data`, a sample; what was written and what to do next, for a person.

    Raises UsageError where the name is none, or a file would be overwritten; then nothing is written. InputUnreadable where
    `data` cannot be read.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{plain(name)!r} is no name for a job: letters, digits, . _ - and at most 60 of them, not starting with a dot",
            todo="choose another name",
        )
    chosen = KINDS[kind]
    config, schema = Path(f"configs/{name}.yaml"), Path(f"schemas/{name}.json")
    sample = Path(f"data/{name}.csv")
    files = {schema: json.dumps(chosen.schema(), indent=2, ensure_ascii=False) + "\n"}
    if data is None:
        files[sample] = _sample(chosen)
        picked, columns, path = Picked("id", "text", len(chosen.sample), 0), ["id", "text"], str(sample)
        read = [f"data       {sample}: {picked.rows} texts of ours; put yours in their place"]
    else:
        source = open_source([data])
        picked, columns, path = pick(source), source.schema.names, data
        read = _told(data, picked, columns)
    files[config] = _config(name, chosen, path, schema, picked, columns)
    _refuse_existing([*files, Path(f"out/{name}.parquet"), Path("runs") / name])
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="") as opened:  # x: also not what another has made just now
            opened.write(text)
    return "\n".join(
        [
            f"config     {config}: the job, with a word on each part of it",
            f"schema     {schema}: what an answer looks like; {chosen.advice}",
            *read,
            "",
            "It runs as it stands, without a key: the embedded rehearsal makes up answers that fit the schema. Next:",
            "",
            f"    pipeline check {config}",
            f"    pipeline run {config}",
            "",
            f"or, from a checkout, make run CONFIG={config}; with Claude, take out call.base_url there.",
        ]
    )


def _told(data: str, picked: Picked, columns: Sequence[str]) -> list[str]:
    key = f"{plain(picked.key)} names them" if picked.key is not None else "no column names them: they go by their position"
    lines = [
        f"data       {plain(data)}: {picked.rows:,} rows; {key}",
        f"text       {plain(picked.text)}, the longest of {', '.join(map(plain, columns))}",
    ]
    if picked.blank:
        lines.append(f"           {picked.blank:,} rows have none: they end as input_error, which run.max_failed lets pass")
    return lines


def _refuse_existing(paths: Sequence[Path]) -> None:
    there = [path for path in paths if path.exists() or path.is_symlink()]
    if there:
        raise UsageError(
            f"{', '.join(map(str, there))} {'is' if len(there) == 1 else 'are'} there already; nothing was written",
            todo="choose another name, or move what is there",
        )


def _sample(kind: Kind) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([("id", "text"), *((f"{number:03}", text) for number, text in enumerate(kind.sample, start=1))])
    return out.getvalue()


def _config(name: str, kind: Kind, path: str, schema: Path, picked: Picked, columns: Sequence[str]) -> str:
    if picked.key is None:
        key = "  # key: id                    # a column that names every row; without one, rows go by their position"
    else:
        key = f"  key: {_quoted(picked.key)}  # names a row: unique, never empty"
    own = {field.name for field in OWN}
    keep = [] if not own & {*columns} else [f"  keep: {_listed([one for one in columns if one not in own])}"]
    failed = f"  max_failed: {picked.blank}  # so many rows have no text" if picked.blank else "  max_failed: 0"
    prefix = _prefix(columns, kind)
    lines = [
        f"# {kind.description}",
        f"# Look:  pipeline check configs/{name}.yaml          Every key is told in docs/config.md.",
        f"# Try:   pipeline try configs/{name}.yaml            one row, for working on the prompt",
        f"# Run:   pipeline run configs/{name}.yaml            starts, resumes, or brings up to date",
        f"name: {_quoted(name)}  # names the run folder, runs/{name}: replies are kept there, and paid once",
        "input:",
        f"  path: {_quoted(path)}  # .csv, .tsv, .jsonl or .parquet; a glob; or a list of them",
        key,
        f"schema: {_quoted(str(schema))}  # {kind.advice}",
        "prompt:",
        "  # Jinja2: the columns of a row are variables. `document` puts a text between tags that it cannot close. The task is",
        "  # said by the `description`s in the schema, which the built-in system prompt states; `system: |` brings your own.",
        "  user: |",
        f"    {{{{ {_expression(picked.text)} | document }}}}",
        "model:",
        "  name: claude-haiku-5-5",
        "  max_tokens: 1024  # the longest reply",
        "call:",
        "  # local: a server on this machine makes up answers that fit the schema, free and without a key. To ask Claude, take",
        "  # this line out, set ANTHROPIC_API_KEY, and give the first run --accept-change: what was made up never stands",
        "  # for an answer of Claude, and every row is asked anew.",
        "  base_url: local",
        "run:",
        failed,
        "  # budget_usd: 5              # never more than this; pipeline plan tells what a run will take",
        "output:",
        f"  path: {_quoted(f'out/{name}.parquet')}  # or .csv, .jsonl: each input row with its answer, status, tokens and cost",
        *keep,
        *(
            [f"  prefix: {_quoted(prefix)}  # before the answer's columns, since the input has some of their names"]
            if prefix
            else []
        ),
    ]
    return "\n".join(lines) + "\n"


def _prefix(columns: Sequence[str], kind: Kind) -> str:
    """What tells the answer's columns from those of the input; empty where they differ anyhow."""
    prefix = ""
    while any(prefix + name in columns for name in kind.properties):
        prefix += "answer_"
    return prefix


def _expression(column: str) -> str:
    if _SIMPLE.fullmatch(column) and column not in _WORDS:
        return column
    return f"{ROW}[{json.dumps(column, ensure_ascii=False)}]"


def _quoted(text: str) -> str:
    """As YAML: bare where that is plainly a text."""
    return (
        text
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*[A-Za-z_-]", text) and text.lower() not in _YAML
        else json.dumps(text, ensure_ascii=False)
    )


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, names))}]"


_YAML = {"true", "false", "null", "yes", "no", "on", "off"}
