from __future__ import annotations

import pytest

from pipeline.check.extract import candidates

GOOD = '{"sentiment": "positive"}'


def found(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(candidate.span, candidate.repairs()) for candidate in candidates(text).candidates]


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        (f"\ufeff{GOOD}", ("stripped_bom",)),
        (f"```json\n{GOOD}\n```", ("stripped_fence",)),
        (f"```\n{GOOD}\n```\n", ("stripped_fence",)),
        (f"~~~json\n{GOOD}\n~~~", ("stripped_fence",)),
        (f"```json {GOOD}```", ("stripped_fence",)),
        (f"```json\n{GOOD}", ("stripped_fence",)),
        (f"Here it is: {GOOD}", ("stripped_prose",)),
        (f"{GOOD}\nI hope this helps {{as asked}}!", ("stripped_prose",)),
        (f"Sure:\n```json\n{GOOD}\n```\nBye.", ("stripped_fence", "stripped_prose")),
        (f"<think>so {{...}}</think>{GOOD}", ("stripped_thinking",)),
        (f"<thinking>a\nb</thinking>\n\n```json\n{GOOD}\n```", ("stripped_thinking", "stripped_fence")),
        (f"<THINK>x</THINK> ok {GOOD} <think>more", ("stripped_thinking", "stripped_prose")),
        (f"it is good, so\n</think>\n{GOOD}", ("stripped_thinking",)),
        (f"{GOOD};", ("stripped_prose",)),
        (f"{{{GOOD}}}", ("stripped_prose",)),
        (f"see [1] and [[wiki]] {GOOD}", ("stripped_prose",)),
    ],
)
def test_an_object_is_found_in_its_wrapping_and_the_wrapping_is_named(text: str, repairs: tuple[str, ...]) -> None:
    assert found(text) == [(GOOD, repairs)]


def test_objects_come_in_the_order_of_the_text() -> None:
    assert [span for span, _ in found('draft {"a": 1}, final {"a": 2}')] == ['{"a": 1}', '{"a": 2}']


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no object here",
        f"[{GOOD}, {GOOD}]!",
        f"list: [ {GOOD} ]",
        f"list: [{GOOD}, oops, {GOOD}]",
        f"<think>{GOOD}</think>",
        f"<think>{GOOD}",
        f"{GOOD}</think>",
        f'{{"draft": {GOOD}, "final": oops}}',
        f'{{"draft": {GOOD}, "final": ',
        f"{{'draft': {GOOD}, 'final': 'x'}}",
        f'{{"note": "a }} b {GOOD}", oops}}',
    ],
)
def test_a_fragment_of_something_else_is_no_candidate(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "later", ['{"sentiment": negative}', "{'sentiment': 'negative'}", '{sentiment: "negative"}', '{"sentiment": "neg']
)
def test_an_object_before_a_broken_one_is_a_draft(later: str) -> None:
    extraction = candidates(f"First {GOOD}, then {later}")
    assert extraction.candidates == ()
    assert extraction.broken is not None
    assert extraction.broken.span == later


def test_an_object_after_a_broken_one_counts() -> None:
    extraction = candidates(f'First {{"sentiment": negative}}, then {GOOD}')
    assert [candidate.span for candidate in extraction.candidates] == [GOOD]
    assert extraction.broken is None


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("```json\n{'a': 1}\n```\nBye", "{'a': 1}"),
        ("{'a': 1} is what I think.", "{'a': 1}"),
        ('{"a": {"b": 1}, "c": "x"\n```\nBye', '{"a": {"b": 1}, "c": "x"'),
        ('{"a": "50 % {off} now", "b": "c', '{"a": "50 % {off} now", "b": "c'),
        ("{'a': 'a {b} c', 'd': 'e'", "{'a': 'a {b} c', 'd': 'e'"),
        ("{'a': 1} It's good.", "{'a': 1}"),
        ('{"a": "smile :} here", b: 2}', '{"a": "smile :} here", b: 2}'),
    ],
)
def test_a_broken_object_reaches_to_its_last_brace_or_to_the_last_member(text: str, span: str) -> None:
    extraction = candidates(text)
    assert extraction.broken is not None
    assert extraction.broken.span == span


def test_what_looks_like_a_tag_inside_a_string_is_text() -> None:
    tagged = '{"note": "uses <think> and </think>"}'
    assert found(f"So: {tagged}") == [(tagged, ("stripped_prose",))]


@pytest.mark.parametrize(
    "text",
    [
        "{" * 1_000_000,
        '{"' * 500_000,
        '{"a":' * 200_000,
        '{"a" b}' * 150_000,
        "{}" * 500_000,
        "[{" * 500_000,
        "[{]" * 300_000,
        '[{"a":1},' * 100_000,
        "<think></think>" * 70_000,
        "</think>" * 125_000,
        "{x:" * 300_000,
        "}" * 1_000_000,
        "```\n" * 250_000 + GOOD,
        '{"a": "' + "\\" * 1_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_hostile_text_is_read_in_linear_time(text: str) -> None:
    """It finishes: quadratic reading of one of these takes minutes."""
    extraction = candidates(text)
    assert len(extraction.candidates) <= 100
    for candidate in extraction.candidates[-1:]:
        candidate.repairs()
