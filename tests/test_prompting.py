"""The prompt of a config: what `pipeline check` shows of it, and what it refuses before anything is paid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import JobFolder

UNUSED = "http://127.0.0.1:1"
TOPIC = {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"topic": {"type": "object", "additionalProperties": {"type": "string"}}}}
"""Structured outputs cannot carry it."""


def job(path: Path, **changes: Any) -> JobFolder:
    made = JobFolder(path / "job", ["a good lamp"], UNUSED, **changes)
    (made.path / "topic.json").write_text(json.dumps(TOPIC))
    (made.path / "open.json").write_text(json.dumps(OPEN))
    return made


def checked(path: Path, **changes: Any) -> str:
    ended = job(path, **changes).do("check")
    assert ended.code == 0, ended.err
    return ended.out


def refused(path: Path, files: Mapping[str, str] | None = None, **changes: Any) -> str:
    made = job(path, **changes)
    for name, content in (files or {}).items():
        (made.path / name).write_text(content, encoding="utf-8")
    ended = made.do("check")
    assert ended.code == 78, ended.out
    return ended.err


def block(out: str, title: str) -> str:
    """What stands below a title of the shown prompt."""
    return out.split(f"── {title}\n")[1].split("── ")[0]


def test_one_prompt_of_every_turn_is_shown(tmp_path: Path) -> None:
    user = [
        "About this:\n{{ text | document }}",
        {"text": "Which topic?", "schema": "topic.json"},
        "Now {{ replies[1].topic }}: label it.",
    ]
    out = checked(tmp_path, prompt={"user": user})
    assert "<document-" in block(out, "user, turn 1 of 3")
    assert "a good lamp" in block(out, "user, turn 1 of 3")
    assert "── answered in free text\n── user, turn 2 of 3\n   Which topic?\n── schema, native form" in out
    assert block(out, "user, turn 3 of 3, template: it takes replies").strip() == "Now {{ replies[1].topic }}: label it."
    assert "at most 2 times each of 3 turns" in out
    assert "cut off is asked for once more, with max_tokens 2,048" in out
    assert "advice" not in out


def test_room_is_not_promised_where_none_is_given(tmp_path: Path) -> None:
    assert "once more" not in checked(tmp_path, check={"asks": 1})


def test_words_beside_a_bare_column_are_advised_against(tmp_path: Path) -> None:
    out = checked(tmp_path, prompt={"user": "Is this good? {{ text }}"})
    assert "advice     prompt.user has words of its own beside text" in out
    assert "{{ text | document }}" in out


@pytest.mark.parametrize("user", ["{{ text }}", "Is this good? {{ text | document }}"])
def test_no_advice_where_a_document_cannot_pass_for_instructions(tmp_path: Path, user: str) -> None:
    assert "advice" not in checked(tmp_path, prompt={"user": user})


def test_turns_ask_in_one_way(tmp_path: Path) -> None:
    """A schema that structured outputs cannot carry takes the others with it."""
    out = checked(tmp_path, prompt={"user": [{"text": "{{ text }}", "schema": "open.json"}, "Label it."]})
    assert out.count("── schema, tool form") == 2
    assert "native form" not in out


def test_the_answers_of_the_last_turn_have_one_schema(tmp_path: Path) -> None:
    err = refused(tmp_path, prompt={"user": ["{{ text }}", {"text": "Label it.", "schema": "topic.json"}]})
    assert "prompt.user[1].schema: the last turn is answered under `schema`" in err


def test_a_missing_file_is_told_with_its_turn(tmp_path: Path) -> None:
    assert "prompt.user[0]: no.j2 cannot be read" in refused(tmp_path, prompt={"user": [{"file": "no.j2"}, "Label it."]})
    user = [{"text": "{{ text }}", "schema": "no.json"}, "Label it."]
    assert "prompt.user[0].schema: no.json cannot be read" in refused(tmp_path, prompt={"user": user})


def test_a_missing_column_is_told_with_template_and_line(tmp_path: Path) -> None:
    err = refused(tmp_path, prompt={"user": ["{{ text }}", "And\n{{ txt }}?"]})
    assert "prompt.user[1], line 2: the input has no column 'txt'; did you mean 'text'?" in err


def test_what_a_reply_cannot_hold_is_told_before_it_is_paid(tmp_path: Path) -> None:
    user = [{"text": "{{ text }}", "schema": "topic.json"}, "{{ replies[0].topics }}"]
    assert "replies[0] has no 'topics': it has topic" in refused(tmp_path, prompt={"user": user})


def test_a_schema_that_only_the_prompt_can_carry_must_stand_there(tmp_path: Path) -> None:
    user = [{"text": "{{ text }}", "schema": "topic.json"}, "Label it."]
    form = {"format": "prompt"}
    assert "does not show {{ schemas }}" in refused(tmp_path, prompt={"user": user, "system": "{{ schema }}"}, model=form)
    assert "does not show {{ schema }}" in refused(tmp_path, prompt={"user": "{{ text }}", "system": "Label it."}, model=form)
    assert "in order" in checked(tmp_path, prompt={"user": user, "system": "{{ schemas[0] }} {{ schema }}"}, model=form)


GOOD_EXAMPLE = '{"input": {"text": "bad"}, "answer": {"label": "no", "length": 3}}\n'


def test_examples_are_checked_line_by_line(tmp_path: Path) -> None:
    lines = [
        GOOD_EXAMPLE.strip(),
        '{"input": {"text": "x"}, "answer": {"label": "maybe", "length": 1}}',
        '{"input": {"body": "x"}, "answer": {"label": "no", "length": 1}}',
        '{"input": {"text": "x"}, "answer": {"label": "no", "length": NaN}}',
        '{"input": "x"}',
        "{",
    ]
    err = refused(tmp_path, {"few.jsonl": "\n".join(lines)}, prompt={"examples": "few.jsonl"})
    told = [line.strip() for line in err.splitlines() if line.strip().startswith("few.jsonl:")]
    assert [line.split(":")[1] for line in told] == ["2", "3", "4", "5", "6"]
    assert "/label" in told[0]
    assert "lacks text" in told[1]
    assert "NaN" in told[2]


def test_an_example_may_hold_line_ends_that_json_allows(tmp_path: Path) -> None:
    made = job(tmp_path, prompt={"examples": "few.jsonl"})
    (made.path / "few.jsonl").write_text(GOOD_EXAMPLE.replace("bad", "b\u2028a\u0085d"), encoding="utf-8")
    ended = made.do("check")
    assert ended.code == 0, ended.err
    assert "── user (example)\n" in ended.out


def test_examples_of_a_conversation_stand_in_the_system_part(tmp_path: Path) -> None:
    made = job(tmp_path, prompt={"examples": "few.jsonl", "user": ["{{ text }}", "Label it."]})
    (made.path / "few.jsonl").write_text(GOOD_EXAMPLE)
    out = made.do("check").out
    assert 'Input: {"text":"bad"}' in block(out, "system")
    assert "(example)" not in out
    made.configure(prompt={"system": "Label it. {{ schema }}"})
    assert "prompt.examples have no place" in made.do("check").err


def test_a_conversation_can_be_rehearsed(tmp_path: Path) -> None:
    """The embedded server holds requests to the rules of the API, and the answers to the schema of each turn."""
    for form in ("native", "tool"):
        user = ["{{ text | document }}", {"text": "Which topic?", "schema": "topic.json"}, "{{ replies[1].topic }}: label it."]
        made = job(tmp_path / form, prompt={"user": user}, call={"base_url": "local"}, model={"format": form})
        ended = made.run()
        assert ended.code == 0, ended.err
        assert (ended.summary["ok"], ended.summary["requests"]) == (1, 3)
        assert made.rows()[0]["label"] in ("yes", "no")
