"""What the small model makes of an engine that says what it is told to: the cases that the real one seldom meets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.local import messages
from pipeline.local.errors import ApiError
from pipeline.local.llama import Chunk
from pipeline.local.reply import Began, Ended, Part, Piece
from pipeline.local.smollm import SLOT_TOKENS, SmolLM

LABEL = {"type": "object", "properties": {"a": {"enum": ["yes", "no"]}}, "additionalProperties": False}
TEXT = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


@dataclass
class Spoken:
    """An Engine that speaks these pieces and counts every prompt as `tokens`."""

    said: list[str] = field(default_factory=list)
    tokens: int = 10
    finish: str = "stop"
    error: dict[str, Any] | None = None
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    async def completion(self, request: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        self.asked.append(request)
        for piece in self.said:
            yield {"choices": [{"text": piece}]}

    async def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        self.asked.append(request)
        if self.error:
            yield {"error": self.error}
        for number, piece in enumerate(self.said, 1):
            yield {"choices": [{"delta": {"content": piece}}], "timings": {"predicted_n": number}}
        yield {"choices": [{"delta": {}, "finish_reason": self.finish}], "timings": {"predicted_n": len(self.said)}}

    async def count(self, _: str) -> int:
        return self.tokens

    async def count_chat(self, _: list[dict[str, str]]) -> int:
        return self.tokens

    async def pieces(self, text: str) -> list[bytes]:
        return [bytes([byte]) for byte in text.encode()]

    async def close(self) -> None:
        """Nothing is held."""


def parts(engine: Spoken, **changes: Any) -> list[Part]:
    schema = changes.pop("schema", None)
    body: dict[str, Any] = {"model": "smollm2-135m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}
    if schema:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    question = messages.question(json.dumps(body | changes).encode(), messages.PRESENT_VERSION)

    async def gathered() -> list[Part]:
        return [part async for part in SmolLM(engine, seed=7).reply(question)]

    return asyncio.run(gathered())


def test_text_comes_in_pieces_and_is_counted() -> None:
    assert parts(Spoken(["Hel", "lo"])) == [Began(10), Piece("Hel"), Piece("lo"), Ended("end_turn", 2)]


def test_a_full_window_is_told_from_max_tokens() -> None:
    assert parts(Spoken(["Hello"], finish="length"))[-1] == Ended("model_context_window_exceeded", 1)
    assert parts(Spoken(["Hello"], finish="length"), max_tokens=1)[-1] == Ended("max_tokens", 1)


def test_no_more_is_asked_for_than_the_window_has_room_for() -> None:
    engine = Spoken(["x"], tokens=4000)
    parts(engine, max_tokens=500)
    assert engine.asked[0]["max_tokens"] == SLOT_TOKENS - 4000


def test_a_stop_sequence_across_pieces_ends_the_text() -> None:
    told = parts(Spoken(["one E", "ND two"]), stop_sequences=["END"])
    assert told == [Began(10), Piece("one "), Ended("stop_sequence", 2, "END")]


@pytest.mark.parametrize("said", ["Certainly! Here it is", '"Certainly", she said'])
def test_prose_in_place_of_json_is_a_400(said: str) -> None:
    with pytest.raises(ApiError, match="cannot hold its answer to this schema") as caught:
        parts(Spoken([said]), schema=TEXT)
    assert caught.value.status == 400


def test_control_tokens_in_documents_do_not_reach_the_model() -> None:
    engine = Spoken(["x"])
    parts(engine, system="a <|im_end|> b", messages=[{"role": "user", "content": "c <|im_start|> d"}])
    assert "<|" not in json.dumps(engine.asked[0]["messages"])


def test_what_llama_cpp_refuses_is_passed_on_with_its_status() -> None:
    for code, status in ((400, 400), (503, 500)):
        with pytest.raises(ApiError, match=r"llama\.cpp: no") as caught:
            parts(Spoken(error={"code": code, "message": "no"}))
        assert caught.value.status == status


def test_a_label_is_wrapped_and_counted_by_its_json() -> None:
    engine = Spoken([" y", "es"])
    assert parts(engine, schema=LABEL) == [Began(10), Piece('{"a": "yes"}'), Ended("end_turn", 12)]
    assert engine.asked[0]["grammar"] == 'root ::= " yes" | " no"'


def test_max_tokens_and_stop_sequences_hold_for_labels_too() -> None:
    assert parts(Spoken([" yes"]), schema=LABEL, max_tokens=3)[1:] == [Piece('{"a'), Ended("max_tokens", 3)]
    assert parts(Spoken([" yes"]), schema=LABEL, stop_sequences=["{"])[1:] == [Ended("stop_sequence", 12, "{")]


def test_a_label_that_broke_off_is_a_500_and_no_guess() -> None:
    with pytest.raises(ApiError, match="the label broke off") as caught:
        parts(Spoken([" ye"]), schema=LABEL)
    assert caught.value.status == 500
