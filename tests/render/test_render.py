"""Templates and prompts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import ConfigInvalid
from pipeline.records import Constant, Row, Text, Turn
from pipeline.render.constant import Example, constant
from pipeline.render.prompt import Unaskable, prompt
from pipeline.render.template import compiled
from pipeline.schema.load import load

SCHEMA = load('{"type": "object", "properties": {"label": {"enum": ["yes", "no"]}}, "required": ["label"]}', "s.json")
EXAMPLE = Example({"text": "Great."}, {"label": "yes"})


def asked(user: str, fault: str | None = None, **values: object) -> str | Unaskable:
    made = prompt(Row(7, "k7", values, fault), compiled(None, user), Constant("s"))
    if isinstance(made, Unaskable):
        return made
    (turn,) = made.turns
    (block,) = turn.blocks
    assert isinstance(block, Text)
    return block.text


def test_columns_are_variables() -> None:
    assert asked("{{ title }}: {{ text }}", title="T", text="Fine.") == "T: Fine."


def test_a_column_whose_name_is_no_variable_is_reached_through_the_row() -> None:
    user = '{{ row["Review Text"] }} {{ row["a"] }}{{ b }}'
    assert compiled(None, user).columns == {"Review Text", "a", "b"}
    values: dict[str, Any] = {"Review Text": "Fine.", "a": 1, "b": 2}
    assert asked(user, **values) == "Fine. 12"


def test_a_null_is_nothing_and_not_the_word_none() -> None:
    assert asked("[{{ text }}]", text=None) == "[]"


def test_a_row_is_never_a_template() -> None:
    text = "{{ 7 * 7 }}{% for x in y %}${7*7}#{7*7}"
    assert asked("{{ text }}", text=text) == text


@pytest.mark.parametrize("text", ["", "  \n\t ", None])
def test_an_empty_prompt_is_not_asked(text: str | None) -> None:
    made = asked("{{ text }}", text=text)
    assert isinstance(made, Unaskable)
    assert "empty" in made.reason


def test_what_the_reader_could_not_give_whole_is_not_asked() -> None:
    assert asked("{{ text }}", fault="line 3: 2 cells, expected 3", text="x") == Unaskable("line 3: 2 cells, expected 3")


def test_half_a_surrogate_pair_is_not_asked() -> None:
    made = asked("{{ text }}", text="bad \ud83d")
    assert isinstance(made, Unaskable)
    assert "surrogate" in made.reason


@pytest.mark.parametrize(
    "user",
    [
        "{{ meta.author }}",
        "{{ text.missing }}",
        "{{ 1 // 0 }}",
        "{{ text + 1 }}",
        "{{ text.__class__ }}",
        "{{ number | wordwrap }}",
    ],
)
def test_what_a_template_cannot_do_with_a_row_concerns_that_row(user: str) -> None:
    made = asked(f"About:\n{user}", text="x", meta={}, number=7)
    assert isinstance(made, Unaskable)
    assert made.reason.startswith("prompt.user, line 2: cannot be rendered for this row: ")


def test_syntax_errors_of_both_templates_are_told_with_their_lines() -> None:
    with pytest.raises(ConfigInvalid) as raised:
        compiled("ok\n{{ schema", "{% if %}")
    assert [fault.split(":")[0] for fault in raised.value.faults] == ["prompt.system, line 2", "prompt.user, line 1"]


def test_the_system_part_knows_no_row() -> None:
    with pytest.raises(ConfigInvalid, match="'text' is not available there"):
        compiled("{{ text }}", "{{ text }}")


def test_the_user_templates_columns_are_found() -> None:
    assert compiled(None, "{% for x in items %}{{ x }}{{ text|upper }}{% endfor %}").columns == {"items", "text"}


def test_the_built_in_system_part_states_the_schema_and_examples_are_turns() -> None:
    made = constant(compiled(None, "{{ text }}"), SCHEMA, [EXAMPLE])
    assert json.dumps(SCHEMA.document, indent=2) in made.system
    assert made.examples == (Turn("user", (Text("Great."),)), Turn("assistant", (Text('{"label":"yes"}'),)))


def test_a_schema_and_examples_may_hold_integers_of_any_size() -> None:
    big = load('{"type": "object", "properties": {"n": {"type": "integer", "maximum": 1000000000000000000000}}}', "b.json")
    made = constant(compiled(None, "{{ text }}"), big, [Example({"text": "x"}, {"n": 10**20})])
    assert "1000000000000000000000" in made.system
    assert made.examples[1].blocks == (Text('{"n":100000000000000000000}'),)


def test_examples_stand_in_the_system_part_where_it_names_them() -> None:
    made = constant(compiled("S {{ examples }}", "{{ text }}"), SCHEMA, [EXAMPLE])
    assert made.system == 'S Input: {"text":"Great."}\nAnswer: {"label":"yes"}'
    assert made.examples == ()


def test_examples_can_be_looped_over() -> None:
    text = "{% for one in examples %}{{ one.input.text }}={{ one.answer.label }}{% endfor %}"
    assert constant(compiled(text, "{{ text }}"), SCHEMA, [EXAMPLE]).system == "Great.=yes"


def test_an_example_that_the_user_template_cannot_render_is_named() -> None:
    with pytest.raises(ConfigInvalid, match="example 1"):
        constant(compiled(None, "{{ text.x.y }}"), SCHEMA, [EXAMPLE])


def test_a_system_template_that_fails_is_told() -> None:
    with pytest.raises(ConfigInvalid, match=r"prompt\.system, line 1, cannot be rendered"):
        constant(compiled("{{ schema.a.b }}", "{{ text }}"), SCHEMA, [])
