"""Templates and prompts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import ConfigInvalid
from pipeline.records import Constant, Row, Text, Turn
from pipeline.render.constant import Example, constant
from pipeline.render.prompt import Unaskable, prompt
from pipeline.render.template import compiled, refuse_unknown_replies
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


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ("x\n{{ replies[2] }}", "prompt.user[2], line 2: replies[2] is not there yet: this turn knows 2 replies, from 0"),
        ("{{ replies[-3] }}", "prompt.user[2], line 1: replies[-3] is not there yet: this turn knows 2 replies, from 0"),
        ("{{ replies[0].label }}", "prompt.user[2], line 1: replies[0] has no 'label': it is a text"),
        ('{{ replies[1]["lable"] }}', "prompt.user[2], line 1: replies[1] has no 'lable': it has label"),
    ],
)
def test_what_no_reply_will_hold_is_told_before_any_turn_is_paid(template: str, wrong: str) -> None:
    with pytest.raises(ConfigInvalid) as raised:
        refuse_unknown_replies(compiled(None, "a", "b", template), [None, SCHEMA.properties])
    assert raised.value.faults == (wrong,)


@pytest.mark.parametrize(
    "template",
    [
        "{{ replies[0] }} {{ replies[-1].label }}",
        "{{ replies[0].strip() }}",
        '{{ replies[1]["label"] | upper }}',
        "{{ replies }}",
    ],
)
def test_what_a_reply_may_hold_is_taken(template: str) -> None:
    refuse_unknown_replies(compiled(None, "a", "b", template), [None, SCHEMA.properties])


def test_replies_is_an_ordinary_column_of_the_first_turn() -> None:
    assert compiled(None, "{{ replies }}", "{{ replies }} {{ row.x }} {{ row['replies'] }}").columns == {"replies"}
    assert asked("{{ replies }}", replies="many") == "many"


@pytest.mark.parametrize(
    ("template", "words", "bare"),
    [
        ("{{ text }}", False, ("text",)),
        (" {{ title }}\n\n{{ text }}", False, ("title", "text")),
        ("Say: {{ text | upper }}", True, ("text",)),
        ("Say: {{ text | document }} {{ row['a b'] }}", True, ("a b",)),
        ("Say: {{ (text ~ title) | document }}", True, ()),
        ("{% for x in items %}{{ x }}{% endfor %}", False, ()),
    ],
)
def test_words_beside_a_column_that_stands_without_tags_are_seen(template: str, words: bool, bare: tuple[str, ...]) -> None:
    (user,) = compiled(None, template).users
    assert (user.has_words, user.bare) == (words, bare)


def test_unknown_filters_are_told_with_template_and_line() -> None:
    with pytest.raises(ConfigInvalid) as raised:
        compiled(None, "a", "b\n{{ text | docment }}")
    assert raised.value.faults == ("prompt.user[1], line 2: No filter named 'docment'.",)


def test_the_built_in_system_part_says_where_the_document_is() -> None:
    systems = [constant(compiled(None, user), SCHEMA, []).system for user in ("{{ text }}", "{{ text | document }}")]
    assert "The user's message is the document." in systems[0]
    assert "between a tag such as <document-0123456789abcdef>" in systems[1]
    assert systems[0].splitlines()[1:] == systems[1].splitlines()[1:]


def test_in_a_conversation_the_built_in_system_part_says_how_each_turn_is_answered() -> None:
    made = constant(compiled(None, "{{ text }}", "Why?"), SCHEMA, [EXAMPLE], [None])
    assert "Answer question 1 in plain text." in made.system
    assert "Answer question 2 with one JSON object that is valid under this JSON Schema" in made.system
    assert json.dumps(SCHEMA.document, indent=2) in made.system
    assert 'Input: {"text":"Great."}' in made.system, "an example is no conversation: it is shown, not told as turns"
    assert made.examples == ()


def test_a_system_template_may_show_the_schemas_of_all_turns() -> None:
    templates = compiled("{{ schemas[0] }} {{ schemas[1] }} {{ schema }}", "a", "b")
    assert templates.states_schema
    assert templates.states_schemas
    made = constant(templates, SCHEMA, [], [None])
    shown = json.dumps(SCHEMA.document, indent=2)
    assert made.system == f"{shown} {shown}"


def test_examples_of_a_conversation_need_a_place_in_the_system_part() -> None:
    with pytest.raises(ConfigInvalid, match=r"examples have no place"):
        constant(compiled("{{ schema }}", "a", "b"), SCHEMA, [EXAMPLE], [None])
