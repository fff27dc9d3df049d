"""The parts of these pages that the code tells, between two comments each: `make reference` writes them anew.

They are committed, so that a code host shows them, and tests/test_docs.py holds every page equal to what stands here.
What a config key means is said once, beside it in the config of docs/config.md; what it takes and what it is if left out come
from pipeline/settings.py, exit codes from pipeline/errors.py, commands and their options from pipeline/cli.py.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import typer

from pipeline import cli
from pipeline.config import tree
from pipeline.config.tree import Key
from pipeline.config.wording import expected
from pipeline.errors import PipelineError
from pipeline.settings import Job

DOCS = Path(__file__).parent
BLOCK = re.compile(
    r"(?P<head><!-- (?P<name>[a-z ]+): told by the code[^\n]*-->\n)(?P<body>.*?)(?P<tail><!-- end -->)", re.DOTALL
)


def whole(page: str) -> str:
    """The page with each of its blocks as the code has it. KeyError: for a block of another name."""
    return BLOCK.sub(lambda found: f"{found['head']}\n{BLOCKS[found['name']]()}\n\n{found['tail']}", page)


def config_keys() -> str:
    """A table a section: what each key of a config takes, what it is if left out, and what it is for."""
    meanings = _meanings((DOCS / "config.md").read_text("utf-8"))
    kinds = get_type_hints(Job)
    sections = [str(name) for name in dict.fromkeys(key[0] for key in meanings) if is_dataclass(kinds[str(name)])]
    parts = ["## At the top", _keys((), Job, [one for one in fields(Job) if one.name not in sections], meanings)]
    for section in sections:
        parts += [f"## {section}", _keys((section,), kinds[section], fields(kinds[section]), meanings)]
    return "\n\n".join(parts)


def exit_codes() -> str:
    """What each code says, by the errors that end a run with it. 0, 1, 130 and 143 are no errors and not among them."""
    rows = [
        (str(kind.exit_code), f"`{kind.__name__}`", _first_line(kind.__doc__), kind.todo) for kind in _leaves(PipelineError)
    ]
    return _table(("code", "in Python", "when", "what to do"), sorted(rows))


def commands() -> str:
    """Every command with its options, as `--help` tells them."""
    known: Mapping[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    return "\n\n".join(part for name, command in known.items() for part in _command(name, command))


BLOCKS: Mapping[str, Callable[[], str]] = {"config keys": config_keys, "exit codes": exit_codes, "commands": commands}


def _keys(section: Key, kind: type, known: Iterable[Field[Any]], meanings: Mapping[Key, str]) -> str:
    hints = get_type_hints(kind, include_extras=True)
    rows = [(f"`{one.name}`", meanings[*section, one.name], _takes(hints[one.name]), _default(one)) for one in known]
    return _table(("key", "what it is", "takes", "if left out"), rows)


def _takes(kind: object) -> str:
    return expected(kind) + (", or null" if NoneType in get_args(kind) else "")


def _default(field: Field[Any]) -> str:
    return "*required*" if field.default is MISSING else _written(field.default)


def _written(value: object) -> str:
    """As it would stand in the config."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {one.name: getattr(value, one.name) for one in fields(value) if getattr(value, one.name) != one.default}
    if isinstance(value, dict) and value.keys() == {"do"}:
        value = value["do"]  # a section that may be one word
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _meanings(page: str) -> dict[Key, str]:
    """The comment beside each key of the config that a page shows, pages that it names as links."""
    block = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert block, "docs/config.md shows no config"
    lines = block[1].split("\n")
    root = tree.read(block[1])
    assert isinstance(root, tree.Tree), root
    comments = {key: re.search(r"\s#\s(?:required: )?(.*)$", lines[line - 1]) for key, line in root.lines.items() if key}
    return {key: _linked(found[1].strip()) for key, found in comments.items() if found}


def _linked(text: str) -> str:
    text = text.replace("<", "\\<").replace("see below", "see config.md")
    return re.sub(r"(?:docs/)?\b([a-z-]+)\.md\b", r"[\1](\1.md)", text)


def _leaves(kind: type[PipelineError]) -> Iterator[type[PipelineError]]:
    """The errors that can end a run, without the branches of their tree; what other rooms make of them for themselves is
    theirs, and is known only where they were imported."""
    for below in kind.__subclasses__():
        if below.__module__ == kind.__module__:
            inner = [*_leaves(below)]
            if "exit_code" in vars(below) or not inner:
                yield below
            yield from inner


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().split("\n")[0]


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [one.metavar for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    yield f"## pipeline {name}"
    yield "    " + " ".join(["pipeline", name, *arguments, *(["[OPTIONS]"] if options else [])])
    yield inspect.cleandoc(command.help)
    if options:
        yield _table(("option", ""), [_option(option) for option in options])


def _option(option: Any) -> tuple[str, str]:
    names = ", ".join(f"`{name}`" for name in option.opts)
    takes = "" if option.is_flag else f" `{option.metavar or option.name.upper()}`"
    default = "" if option.default in (None, False) else f" [{option.default}]"
    return names + takes, f"{option.help}{default}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def main() -> None:
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text("utf-8")
        if (anew := whole(page)) != page:
            path.write_text(anew, "utf-8")
            typer.echo(f"{path.relative_to(DOCS.parent)}: written anew")


if __name__ == "__main__":
    main()
