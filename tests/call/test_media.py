"""Pictures and documents in a request: their blocks, their part of the key, and how much they count for."""

from __future__ import annotations

import json
import tracemalloc
from base64 import b64encode
from dataclasses import replace
from typing import Any

import orjson
import pytest

from pipeline.call.budget import MESSAGE_TOKENS, MOST_TOKENS, Bound
from pipeline.call.limit import size
from pipeline.call.media import CHARACTERS_A_TOKEN, apart, held_bytes
from pipeline.records import Complaint, Document, Image, Link, Medium, Prompt, Text, Turn, Verbatim
from tests.call.fakes import CONSTANT, SHAPE

IMAGE = Image("image/png", b"\x89PNG", "d1", 121)
PDF = Document("application/pdf", b"%PDF-1.7", "d2", 7_000)
NOTE = Document("text/plain", "für dich".encode(), "d3", 3)
LINK = Link("https://images.example.org/a.png")
BOUND = Bound.of(SHAPE.fixed, SHAPE.messages, "off")


def shown(*media: Medium, text: str = "What?") -> Prompt:
    return Prompt(0, "k", CONSTANT, (Turn("user", (*media, Text(text))),))


def content(asked: Prompt) -> Any:
    messages: Any = SHAPE.body(asked)["messages"]
    return messages[0]["content"]


def test_each_medium_has_its_block_and_stands_before_the_text() -> None:
    transformations = {"oversized_image": "error"}
    assert content(shown(PDF, NOTE, IMAGE, LINK)) == [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjc="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "für dich"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="},
            "transformations": transformations,
        },
        {"type": "image", "source": {"type": "url", "url": LINK.url}, "transformations": transformations},
        {"type": "text", "text": "What?"},
    ]


@pytest.mark.parametrize("encode", [json.dumps, orjson.dumps], ids=["json", "orjson"])
def test_what_knows_its_tokens_is_written_as_the_text_it_is(encode: Any) -> None:
    assert json.loads(encode(SHAPE.body(shown(IMAGE))))["messages"][0]["content"][0]["source"]["data"] == "iVBORw=="


def test_the_key_tells_media_apart_by_their_digests_order_and_kind() -> None:
    asked = [
        shown(IMAGE),
        shown(replace(IMAGE, digest="d9")),
        shown(replace(IMAGE, media_type="image/gif")),
        shown(IMAGE, IMAGE),
        shown(PDF),
        shown(PDF, IMAGE),
        shown(IMAGE, PDF),
        shown(NOTE),
        shown(LINK),
        shown(Link("https://images.example.org/b.png")),
        shown(),
        shown(IMAGE, text="Which?"),
    ]
    assert len({SHAPE.key(each) for each in asked}) == len(asked)
    assert SHAPE.key(shown(IMAGE)) == SHAPE.key(shown(replace(IMAGE, data=b"made anew by another encoder")))


def test_the_key_of_a_large_picture_neither_encodes_nor_copies_it() -> None:
    asked = shown(replace(IMAGE, data=bytes(8_000_000)))
    tracemalloc.start()
    SHAPE.key(asked)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_media_stay_in_the_conversation_when_a_question_is_asked_again() -> None:
    first = shown(IMAGE)
    said = (Turn("assistant", (Verbatim('[{"type":"text","text":"{}"}]'),)), Turn("user", (Complaint("no"),)))
    messages: Any = SHAPE.body(replace(first, turns=(*first.turns, *said)))["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == content(first)


def test_a_picture_is_bounded_by_its_tokens_and_a_pdf_by_the_window() -> None:
    nothing = BOUND.usage(SHAPE.body(shown())).input_tokens
    large = replace(IMAGE, data=bytes(1_000_000))
    assert BOUND.usage(SHAPE.body(shown(large))).input_tokens == nothing + 121 + MESSAGE_TOKENS
    assert BOUND.usage(SHAPE.body(shown(PDF))).prompt_tokens == MOST_TOKENS
    assert BOUND.usage(SHAPE.body(shown(LINK))).input_tokens >= nothing + 4_784
    assert BOUND.usage(SHAPE.body(shown(NOTE))).input_tokens >= nothing + len(NOTE.data)


def test_the_limiter_sees_a_picture_as_a_text_of_as_many_tokens() -> None:
    assert size(shown(IMAGE, PDF)) - size(shown()) == CHARACTERS_A_TOKEN * (121 + 7_000)


def test_a_request_without_its_media_and_what_they_likely_count_for() -> None:
    body = SHAPE.body(shown(IMAGE, PDF, NOTE))
    texts, tokens = apart(body)
    assert tokens == 7_121
    assert texts == SHAPE.body(shown(NOTE))
    assert body == SHAPE.body(shown(IMAGE, PDF, NOTE)), "the request itself stays whole"


def test_what_a_prompt_holds_is_its_text_and_the_bytes_of_all_its_media() -> None:
    assert held_bytes(shown(IMAGE, PDF, LINK)) - held_bytes(shown()) == len(IMAGE.data) + len(PDF.data)
    assert held_bytes(shown()) == len("What?")
    assert b64encode(IMAGE.data).decode() not in repr(shown(IMAGE)), "and no traceback shows them"
    assert "PNG" not in repr(shown(IMAGE))
