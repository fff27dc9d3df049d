"""The prompt of a config, with the files it names: templates, examples, and how each turn is asked for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.call.form import Form, form
from pipeline.check.answer import Judge
from pipeline.commands.files import schema as schema_in
from pipeline.commands.files import text
from pipeline.errors import ConfigInvalid
from pipeline.render.constant import Example
from pipeline.render.template import Templates
from pipeline.schema.load import Schema
from pipeline.schema.tool import tool_fault
from pipeline.settings import File, Model, Prompting, Question


def examples_of(path: str, templates: Templates, judge: Judge) -> list[Example]:
    """The few-shot examples, each answer valid under the schema. ConfigInvalid with every bad line."""
    found: list[Example] = []
    faults: list[str] = []
    # Not by splitlines, which also splits at line ends that JSON allows within a text, such as U+2028.
    for number, line in enumerate(text(Path(path), "prompt.examples").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            read = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            faults.append(f"{path}:{number}: not JSON: {error}")
            continue
        if not isinstance(read, dict) or not isinstance(read.get("input"), dict) or not isinstance(read.get("answer"), dict):
            faults.append(f'{path}:{number}: an example is {{"input": {{…columns…}}, "answer": {{…}}}}')
            continue
        missing = sorted(templates.columns - read["input"].keys()) if len(templates.users) == 1 else []
        if missing:
            faults.append(f"{path}:{number}: input lacks {', '.join(missing)}, which prompt.user takes")
        faults += [f"{path}:{number}: answer: {fault}" for fault in judge.faults(read["answer"])]
        found.append(Example(read["input"], read["answer"]))
    if faults:
        raise ConfigInvalid("the few-shot examples cannot be used", faults=faults)
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def users(prompt: Prompting) -> list[str]:
    """The templates of the user's turns."""
    return [
        turn if isinstance(turn, str) else turn.text if turn.text is not None else text(Path(turn.file or ""), where)
        for where, turn in _turns(prompt)
    ]


def earlier_schemas(prompt: Prompting) -> tuple[Schema | None, ...]:
    """The schema of each turn before the last; None where that is free text."""
    found: list[Schema | None] = []
    for number, (where, turn) in enumerate(_turns(prompt), start=1):
        named = turn.schema if isinstance(turn, Question) else None
        if number == len(prompt.user):
            if named is not None:
                raise ConfigInvalid(f"{where}.schema: the last turn is answered under `schema`; leave it out")
        else:
            found.append(None if named is None else schema_in(Path(named), f"{where}.schema"))
    return tuple(found)


def _turns(prompt: Prompting) -> list[tuple[str, str | Question]]:
    """Each turn with its key in the config."""
    several = len(prompt.user) > 1
    return [(f"prompt.user[{number}]" if several else "prompt.user", turn) for number, turn in enumerate(prompt.user)]


def forms_of(model: Model, schema: Schema, earlier: Sequence[Schema | None], *, timeout_s: float) -> tuple[Form, ...]:
    """How each turn asks. All in the same way: what one schema needs is good for the others, and tools that come and go
    would leave calls in the conversation that no tool explains."""
    schemas = [schema if one is None else one for one in (*earlier, schema)]
    forms = [form(model, one, timeout_s=timeout_s) for one in schemas]
    ways = {one.way for one in forms}
    if len(ways) > 1:
        by_tool = "prompt" not in ways and all(tool_fault(one) is None for one in schemas)
        way = dataclasses.replace(model, format="tool" if by_tool else "prompt")
        forms = [form(way, one, timeout_s=timeout_s) for one in schemas]
    return tuple(forms)


def refuse_unstated(templates: Templates, chosen: Form, earlier: Sequence[Schema | None]) -> None:
    """Raises ConfigInvalid where a schema is carried neither by the request nor by the system part."""
    if chosen.way != "prompt":
        return
    why = "and this model is asked for JSON by the prompt alone"
    if not templates.states_schema:
        raise ConfigInvalid(f"prompt.system does not show {{{{ schema }}}}, {why}")
    if any(one is not None for one in earlier) and not templates.states_schemas:
        raise ConfigInvalid(f"prompt.system does not show {{{{ schemas }}}}, those of every turn, {why}")


def template_text(value: str | File, where: str) -> str:
    return text(Path(value.file), where) if isinstance(value, File) else value
