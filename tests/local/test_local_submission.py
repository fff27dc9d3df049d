"""The body of a batch in pieces of any size: the same requests, or the same refusal, and no more held than one request."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.local import submission
from pipeline.local.errors import ApiError
from pipeline.local.submission import Submission, Submitted

GOOD = [
    {"custom_id": "a-1", "params": {"model": "m", "text": 'say "}]," and \\ and é 🙂 \u2028', "n": [1, -2.5, None, True]}},
    {"custom_id": "Z" * 64, "params": {}},
    {"params": {"deep": [[[{"": {}}]]]}, "custom_id": "_"},
]


def taken(body: bytes, size: int) -> list[Submitted]:
    made = Submission()
    found = [each for start in range(0, len(body), size) for each in made.feed(body[start : start + size])]
    return [*found, *made.feed(b"", last=True)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
def test_pieces_of_any_size_give_the_same_requests(size: int, indent: int | None) -> None:
    for is_ascii in (True, False):
        body = json.dumps({"requests": GOOD}, indent=indent, ensure_ascii=is_ascii).encode()
        assert [(each.custom_id, orjson.loads(each.params)) for each in taken(body, size)] == [
            (each["custom_id"], each["params"]) for each in GOOD
        ]


def test_a_request_leaves_with_its_last_byte() -> None:
    made = Submission()
    assert [each.custom_id for each in made.feed(b'{"requests":[{"custom_id":"a","params":{}},{"custom_id":"b"')] == ["a"]
    assert [each.custom_id for each in made.feed(b',"params":{}}')] == ["b"]


def test_a_long_request_is_not_read_again_with_each_piece() -> None:
    text = "x" * 5_000_000
    (found,) = taken(json.dumps({"requests": [{"custom_id": "a", "params": {"text": text}}]}).encode(), 65_536)
    assert orjson.loads(found.params) == {"text": text}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(), json_values, max_size=4), min_size=1, max_size=4), st.integers(1, 60))
def test_parameters_are_those_that_were_sent(all_params: list[dict[str, Any]], size: int) -> None:
    requests = [{"custom_id": str(number), "params": each} for number, each in enumerate(all_params)]
    found = taken(json.dumps({"requests": requests}).encode(), size)
    assert [json.loads(each.params) for each in found] == all_params


WRONG = {
    "": "EOF while parsing",
    "{": "EOF while parsing",
    "[]": "unexpected '['",
    "{}": "requests: Field required",
    '{"requests": {}}': "requests: Input should be a valid list",
    '{"requests": []}': "at least 1 item",
    '{"requests": [{"custom_id": "a", "params": {}}': "EOF while parsing",
    '{"requests": [{"custom_id": "a", "params": {}}]} {': "unexpected '{'",
    '{"requests": [{"custom_id": "a", "params": {}}], "betas": []}': "betas: Extra inputs are not permitted",
    '{"requests": [{"custom_id": "a", "params": {"x": 1, }}]}': "not valid JSON",
    '{"requests": [{"custom_id": "a", "params": {"x": NaN}}]}': "NaN is no number of JSON",
    '{"requests": [7]}': "requests.0: Input should be an object",
    '{"requests": [{"params": {}}]}': "requests.0.custom_id: Field required",
    '{"requests": [{"custom_id": "a"}]}': "requests.0.params: Field required",
    '{"requests": [{"custom_id": 1, "params": {}}]}': "requests.0.custom_id: Input should be a valid string",
    '{"requests": [{"custom_id": "a", "params": []}]}': "requests.0.params: Input should be an object",
    '{"requests": [{"custom_id": "a", "params": {}, "x": 1}]}': "requests.0.x: Extra inputs are not permitted",
    '{"requests": [{"custom_id": "", "params": {}}]}': "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
    '{"requests": [{"custom_id": "a.b", "params": {}}]}': "String should match pattern",
    '{"requests": [{"custom_id": "a\\n", "params": {}}]}': "String should match pattern",
    f'{{"requests": [{{"custom_id": "{"a" * 65}", "params": {{}}}}]}}': "String should match pattern",
    '{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]}': "requests.1.custom_id: each",
    f'{{"requests": [{{"custom_id": "a", "params": {{"x": {"[" * 100_000}}}}}]}}': "not valid JSON",
}


@pytest.mark.parametrize("body", WRONG, ids=lambda each: each[:60])
@pytest.mark.parametrize("size", [1_000_000, 5])
def test_what_is_no_batch_is_refused(body: str, size: int) -> None:
    with pytest.raises(ApiError) as caught:
        taken(body.encode(), size)
    assert caught.value.status == 400
    assert WRONG[body] in caught.value.message


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(ApiError, match="it is not UTF-8"):
        taken(b'{"requests": [{"custom_id": "\xe9"', 100)


def test_no_more_than_100_000_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    assert submission.MAX_REQUESTS == 100_000
    monkeypatch.setattr(submission, "MAX_REQUESTS", 2)
    body = orjson.dumps({"requests": [{"custom_id": str(number), "params": {}} for number in range(3)]})
    with pytest.raises(ApiError, match="at most 2 items"):
        taken(body, 1_000)
