from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.check.answer import MORE_ROOM, Judge, Repair
from pipeline.records import JSON, Answer, Rejection, Status
from pipeline.schema.load import load
from tests.check.replies import REVIEW, answered, judge, judged, rejected, reply

WHOLE: dict[str, JSON] = {
    "sentiment": "positive",
    "stars": 5,
    "note": "“Größe” \U0001f600",
    "price": None,
    "tags": ["a"],
    "place": {"city": "Köln"},
}


@pytest.mark.parametrize("stop_reason", ["end_turn", "tool_use", "stop_sequence"])
@pytest.mark.parametrize("repair", ["off", "wrappers", "full"])
def test_a_clean_reply_is_the_answer_without_repairs(stop_reason: str, repair: Repair) -> None:
    assert judge(repair).judge(reply(json.dumps(WHOLE), stop_reason)) == Answer(WHOLE, ())


def test_white_space_around_the_answer_is_no_repair() -> None:
    assert answered(f"\n  {json.dumps(WHOLE, indent=2)}\r\n\t") == (WHOLE, ())


@pytest.mark.parametrize("stop_reason", ["max_tokens", "model_context_window_exceeded"])
@pytest.mark.parametrize("repair", ["off", "wrappers", "full"])
def test_a_cut_reply_is_never_an_answer_wherever_it_was_cut(stop_reason: str, repair: Repair) -> None:
    text = json.dumps(WHOLE, ensure_ascii=False)
    judging = judge(repair)
    for end in range(len(text.encode()) + 1):
        verdict = judging.judge(reply(text.encode()[:end].decode(errors="replace"), stop_reason))
        assert isinstance(verdict, Rejection)
        assert verdict.status is Status.TRUNCATED
        assert verdict.complaint is None


def test_a_truncation_says_what_to_raise() -> None:
    verdict = judge().judge(reply("{", "max_tokens"))
    assert isinstance(verdict, Rejection)
    assert verdict.error == f"cut off at 7 output tokens; {MORE_ROOM}"


@pytest.mark.parametrize(
    ("text", "thinking", "said"),
    [
        ("", 4, "cut off before the answer began: thinking took 4 of the 7 output tokens; raise check.grow_max_tokens"),
        ("", 3, "cut off at 7 output tokens"),
        ("{", 6, "cut off at 7 output tokens"),
    ],
)
def test_a_truncation_by_thinking_says_so(text: str, thinking: int, said: str) -> None:
    whole = reply(text, "max_tokens")
    verdict = judge().judge(replace(whole, usage=replace(whole.usage, thinking_tokens=thinking)))
    assert isinstance(verdict, Rejection)
    assert verdict.error.startswith(said)


def test_a_refusal_is_one_though_its_text_is_valid() -> None:
    verdict = judge("full").judge(reply(json.dumps(WHOLE), "refusal", "bio: not to be told"))
    assert isinstance(verdict, Rejection)
    assert (verdict.status, verdict.complaint) == (Status.REFUSED, None)
    assert verdict.error == (
        "refused by the model: bio: not to be told; the same request is refused again: "
        "change the prompt or the text, or leave the row without an answer"
    )


@pytest.mark.parametrize("stop_reason", ["pause_turn", "", "null", "a_reason_of_tomorrow"])
def test_an_unknown_stop_reason_makes_no_answer_and_no_second_question(stop_reason: str) -> None:
    verdict = judge("full").judge(reply(json.dumps(WHOLE), stop_reason))
    assert isinstance(verdict, Rejection)
    assert verdict.status is Status.INVALID_OUTPUT
    assert repr(stop_reason) in verdict.error
    assert verdict.complaint is None


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_reply_is_not_asked_again(text: str) -> None:
    verdict = rejected(text)
    assert (verdict.status, verdict.complaint) == (Status.INVALID_OUTPUT, None)
    assert verdict.error.startswith("empty reply")


WRAPPED = [
    ("\ufeff%s", "stripped_bom"),
    ("```json\n%s\n```", "stripped_fence"),
    ("Here you are: %s", "stripped_prose"),
    ("<think>{}</think>%s", "stripped_thinking"),
]


@pytest.mark.parametrize(("around", "name"), WRAPPED)
def test_a_wrapping_is_taken_off_and_named(around: str, name: str) -> None:
    assert answered(around.replace("%s", json.dumps(WHOLE))) == (WHOLE, (name,))


@pytest.mark.parametrize(("around", "name"), WRAPPED)
def test_with_repair_off_a_wrapping_stays_on(around: str, name: str) -> None:
    verdict = rejected(around.replace("%s", json.dumps(WHOLE)), "off")
    assert verdict.error.startswith("not JSON: ")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Draft: {"sentiment": "negative"} Final: {"sentiment": "positive"}', {"sentiment": "positive"}),
        ('{"sentiment": "positive"} as {"reason": "tone"}', {"sentiment": "positive"}),
        ('{"sentiment": "negative"}\n{"sentiment": "positive"}\n{"stars": 9}', {"sentiment": "positive"}),
    ],
)
def test_of_several_objects_the_last_valid_one_is_the_answer(text: str, value: Any) -> None:
    assert answered(text) == (value, ("stripped_prose",))


@pytest.mark.parametrize(
    "text",
    [
        '{"sentiment": "positive"} or rather {"sentiment": negative}',
        '{"sentiment": "positive"} or rather {"sentiment": "negative", "stars": NaN}',
        '{"sentiment": "positive"} or rather {"sentiment": "mixed"}',
        '{"sentiment": "positive"} or rather {"sentiment": "negative", "stars": 9}',
        '{"a": {"sentiment": "positive"}}',
        'So: {"a": {"sentiment": "positive"}}',
        '[{"sentiment": "positive"}]',
        'So: [{"sentiment": "positive"}, {"sentiment": "negative"}]',
    ],
)
def test_a_draft_or_a_part_is_never_the_answer(text: str) -> None:
    assert rejected(text).status is Status.INVALID_OUTPUT


def test_damaged_json_is_mended_in_full_only() -> None:
    damaged = "```\n{'sentiment': 'positive', 'stars': 5,}\n```"
    assert rejected(damaged).status is Status.INVALID_OUTPUT
    assert answered(damaged, "full") == ({"sentiment": "positive", "stars": 5}, ("stripped_fence", "json_repair"))


def test_a_higher_level_of_repair_that_would_have_helped_is_named() -> None:
    assert rejected("```\n{'sentiment': 'positive'}\n```").error.endswith("; check.repair: full would have mended it")
    assert rejected('```\n{"sentiment": "Positive"}\n```', "off").error.endswith(
        "; check.repair: wrappers would have mended it"
    )
    assert rejected('{"sentiment": "Positive"}', "off").error.endswith("; check.repair: wrappers would have mended it")


def test_what_a_stop_sequence_has_cut_is_not_completed() -> None:
    verdict = judge("full").judge(reply('{"sentiment": "positive", "note": "x"', "stop_sequence"))
    assert isinstance(verdict, Rejection)
    assert verdict.error.endswith("; its text is in _raw")
    assert judge("full").judge(reply('```json\n{"sentiment": "Positive"}\n', "stop_sequence")) == Answer(
        {"sentiment": "positive"}, ("stripped_fence", "enum_case /sentiment")
    )


def test_a_mended_value_is_validated_like_any_other() -> None:
    verdict = rejected("{'sentiment': 'positive', 'stars': 9}", "full")
    assert (
        verdict.error == "not valid under the schema: /stars: the value is greater than the maximum of 5; its text is in _raw"
    )


def test_a_key_written_twice_and_half_a_surrogate_are_named_whatever_the_mode() -> None:
    text = '{"note": "\\ud83d", "sentiment": "negative", "sentiment": "positive"}'
    repairs = ("duplicate_key", "replaced_lone_surrogate")
    for repair in ("off", "wrappers", "full"):
        value, named = answered(text, repair)
        assert value == {"note": "\ufffd", "sentiment": "positive"}
        assert sorted(named) == sorted(repairs)


def test_a_property_that_an_open_schema_admits_and_that_has_no_column_is_dropped_and_that_is_said() -> None:
    schema = {key: held for key, held in REVIEW.items() if key != "additionalProperties"}
    assert answered('{"sentiment": "positive", "why": "tone"}', schema=schema) == (
        {"sentiment": "positive"},
        ("dropped_property",),
    )
    assert rejected('{"sentiment": "positive", "why": "tone"}').error == (
        "not valid under the schema: the root: has 'why', which the schema does not allow; its text is in _raw"
    )


def test_a_value_that_the_schema_refuses_is_told_by_pointer_to_the_person_and_to_the_model() -> None:
    verdict = rejected('{"sentiment": "Positive", "stars": 2.5, "price": "3", "tags": ["a", 1], "place": {"town": "x"}}')
    wrong = [
        '/sentiment: the value is not one of "positive" or "negative"',
        '/stars: the value is not of type "integer"',
        '/price: fits none of the forms allowed: the value is not of type "number"; or the value is not of type "null"',
        '/tags/1: the value is not of type "string"',
        "/place: has 'town', which the schema does not allow",
    ]
    assert verdict.status is Status.INVALID_OUTPUT
    assert verdict.complaint is not None
    assert verdict.error == f"not valid under the schema: {'; '.join([*wrong, 'and more'])}; its text is in _raw"
    lines = verdict.complaint.splitlines()
    assert lines[0] == "Your last reply is not a valid answer:"
    assert lines[1:-1] == [f"- {line}" for line in [*wrong, "and more"]]
    assert lines[-1].endswith("only the JSON object, without explanation, code fence or any other text.")


def test_of_a_very_large_value_only_the_first_fault_is_told() -> None:
    verdict = rejected(json.dumps({"sentiment": "positive", "tags": [1] * 3_000}))
    assert verdict.error == 'not valid under the schema: /tags/0: the value is not of type "string"; its text is in _raw'


def test_a_missing_property_is_told_with_the_form_it_should_have() -> None:
    assert rejected("{}").error == (
        'not valid under the schema: /sentiment: is missing; expected {"enum": ["positive", "negative"]}; its text is in _raw'
    )
    assert '/place/city: is missing; expected {"type": "string"}' in rejected('{"sentiment": "positive", "place": {}}').error


def test_a_missing_property_is_told_through_a_reference_too() -> None:
    schema = {
        "type": "object",
        "properties": {"p%25q": {"$ref": "#/$defs/a~1b"}},
        "$defs": {"a/b": {"type": "object", "properties": {"c": {"type": "string"}}, "required": ["c"]}},
    }
    assert '/p%25q/c: is missing; expected {"type": "string"}' in rejected('{"p%25q": {}}', schema=schema).error


def test_a_missing_property_is_told_below_a_name_that_looks_encoded() -> None:
    inner = {"type": "object", "properties": {"c": {"type": "string"}}, "required": ["c"]}
    schema = {"type": "object", "properties": {"p%25q": inner}}
    assert '/p%25q/c: is missing; expected {"type": "string"}' in rejected('{"p%25q": {}}', schema=schema).error


@pytest.mark.parametrize("text", ["5", '"positive"', "[]", "null", "true"])
def test_json_that_is_no_object_is_no_answer(text: str) -> None:
    verdict = rejected(text, "full")
    assert verdict.error == "the root: the value is not an object; its text is in _raw"
    assert verdict.complaint is not None


def test_what_cannot_be_read_is_told_with_its_place() -> None:
    verdict = rejected("I think it is positive.")
    assert verdict.error == "not JSON: Expecting value (line 1, column 1); its text is in _raw"
    assert verdict.complaint is not None
    assert "It is not JSON: Expecting value (line 1, column 1)." in verdict.complaint


def test_a_reply_beyond_the_size_that_is_read_is_not_sent_back() -> None:
    verdict = rejected('{"note": "' + "x" * (1 << 20) + '"}', "full")
    assert "more than the 1,048,576 that are read" in verdict.error
    assert verdict.complaint is None


def test_values_of_the_reply_are_in_no_message() -> None:
    quoted = "the patient is called Rumpelstiltskin"
    for text in (
        f'{{"sentiment": "{quoted}"}}',
        f'{{"sentiment": "positive", "stars": "{quoted}"}}',
        f"{quoted} {{",
        f'{{"price": "{quoted}"}}',
    ):
        verdict = rejected(text, "full")
        assert quoted not in verdict.error
        assert quoted not in (verdict.complaint or "")


def test_a_format_is_checked() -> None:
    schema = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}
    assert answered('{"day": "2026-11-23"}', schema=schema) == ({"day": "2026-11-23"}, ())
    assert rejected('{"day": "23/11/2026"}', schema=schema).error.startswith(
        'not valid under the schema: /day: the value is not a "date"; '
    )


def test_a_pattern_takes_linear_time() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}, "b": {"pattern": "(x+x+)+y"}}}
    assert rejected(json.dumps({"a": "a" * 100_000 + "!", "b": "x" * 100_000}), schema=schema)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "{" * 1_000_000,
        '{"sentiment": "positive", "stars": ' + "9" * 100_000 + "}",
        "\ud800",
        "\0",
    ],
    ids=lambda text: ascii(text[:8]),
)
def test_a_hostile_reply_is_a_rejection(text: str) -> None:
    assert rejected(text, "full").status is Status.INVALID_OUTPUT


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters() | st.sampled_from('{}[]":,<think>/`\\'), max_size=60), st.sampled_from(["off", "wrappers", "full"])
)
def test_any_text_gets_a_verdict(text: str, repair: Repair) -> None:
    schema = load('{"type": "object", "properties": {"a": true}}', "s.json")
    verdict = Judge(schema, repair).judge(reply(text))
    if isinstance(verdict, Answer):
        json.dumps(verdict.value, ensure_ascii=False, allow_nan=False).encode()


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries(
        {"sentiment": st.sampled_from(["positive", "negative"])},
        optional={
            "note": st.text(st.characters(exclude_categories=["Cs"])),
            "stars": st.integers(1, 5),
            "tags": st.lists(st.text(st.sampled_from('{}[]"\\ <think></think>```'))),
        },
    ),
    st.sampled_from(["%s", "```json\n%s\n```", "Sure, here it is:\n%s\nBye", "<think>well…</think>\n%s"]),
    st.sampled_from(["wrappers", "full"]),
)
def test_a_valid_answer_comes_out_of_any_wrapping_unchanged(value: dict[str, Any], around: str, repair: Repair) -> None:
    verdict = judged(around.replace("%s", json.dumps(value, ensure_ascii=False)), repair)
    assert isinstance(verdict, Answer)
    assert verdict.value == value
    assert bool(verdict.repairs) == (around != "%s")


COUNTED = """{"type": "object", "properties":
    {"count": {"type": "integer"}, "share": {"type": "number"}, "id": {"type": "string"}}}"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"count": 1000000000000000000000000000000, "share": 1}', "/count: an integer beyond 64 bits"),
        ('{"count": 1e30, "share": 1}', "/count: an integer beyond 64 bits"),
        ('{"count": 1, "share": 9007199254740993}', "/share: a number that a double cannot hold exactly"),
    ],
)
def test_a_number_that_no_column_carries_is_asked_again(text: str, said: str) -> None:
    verdict = Judge(load(COUNTED, "schema.json"), "wrappers").judge(reply(text))
    assert isinstance(verdict, Rejection)
    assert verdict.status is Status.INVALID_OUTPUT
    assert said in verdict.error
    assert verdict.complaint is not None
    assert said in verdict.complaint


def test_large_numbers_that_fit_are_answers() -> None:
    value: dict[str, JSON] = {"count": 2**63 - 1, "share": 1e300, "id": "12345678901234567890"}
    assert Judge(load(COUNTED, "schema.json"), "off").judge(reply(json.dumps(value))) == Answer(value, ())
