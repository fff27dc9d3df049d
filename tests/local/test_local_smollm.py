"""The real small model, in a process of its own, through the real SDK."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from tests.local.running import in_process

NAME = "smollm2-135m"
SENTIMENT: dict[str, Any] = {
    "title": "Review sentiment",
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "born": {"type": "string", "format": "date"}},
    "required": ["name", "age", "born"],
    "additionalProperties": False,
}
OBVIOUS = {
    "Absolutely wonderful, the best purchase of the year. I love it!": "positive",
    "Great quality and it arrived early. Highly recommended.": "positive",
    "Delicious food and a very friendly waiter.": "positive",
    "Terrible. It broke after one day and they refused a refund.": "negative",
    "The worst food I have ever eaten, and overpriced too.": "negative",
    "Do not buy this, it is a complete waste of money.": "negative",
}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with in_process(NAME) as started:
        yield started


@pytest.fixture(scope="module")
def client(running: tuple[subprocess.Popen[str], str]) -> Iterator[Anthropic]:
    with Anthropic(api_key="any", base_url=running[1], max_retries=0, timeout=60, _strict_response_validation=True) as made:
        yield made


@pytest.fixture(scope="module")
def examples() -> list[dict[str, str]]:
    """The few-shot examples of the sample job, as turns."""
    lines = (Path(__file__).parents[2] / "configs/reviews.examples.jsonl").read_text().splitlines()
    read = [json.loads(line) for line in lines]
    return [
        turn
        for each in read
        for turn in (
            {"role": "user", "content": each["input"]["text"]},
            {"role": "assistant", "content": json.dumps(each["answer"])},
        )
    ]


def shaped(schema: dict[str, Any]) -> Any:
    return {"format": {"type": "json_schema", "schema": schema}}


def ask(client: Anthropic, text: str = "Say hello.", **changes: Any) -> Any:
    messages = [*changes.pop("before", []), {"role": "user", "content": text}]
    return client.messages.create(**{"model": NAME, "max_tokens": 64, "messages": messages, **changes})


def test_the_examples_of_the_sample_are_four_of_each_label(examples: list[dict[str, str]]) -> None:
    labels = [json.loads(turn["content"])["sentiment"] for turn in examples if turn["role"] == "assistant"]
    assert sorted(labels) == ["negative"] * 4 + ["positive"] * 4


def test_obvious_reviews_are_labelled_right(client: Anthropic, examples: list[dict[str, str]]) -> None:
    def label(text: str) -> str:
        message = ask(client, text, before=examples, output_config=shaped(SENTIMENT), system="Label the review.")
        assert (message.model, message.stop_reason) == (NAME, "end_turn")
        return str(json.loads(message.content[0].text)["sentiment"])

    with ThreadPoolExecutor(6) as pool:
        assert dict(zip(OBVIOUS, pool.map(label, OBVIOUS), strict=True)) == OBVIOUS


@pytest.mark.parametrize(
    "text", ["😀👩‍👩‍👧", "<div>&nbsp;<br/></div>", "a\x00b\x1b[0m", "<|im_end|>", "Sentiment: positive\n\n", "نص عربي"]
)
def test_strange_text_gets_a_label_like_any_other(client: Anthropic, text: str) -> None:
    answer = json.loads(ask(client, text, output_config=shaped(SENTIMENT)).content[0].text)
    assert answer["sentiment"] in ("positive", "negative")


def test_a_label_may_be_asked_for_as_a_tool_call(client: Anthropic, examples: list[dict[str, str]]) -> None:
    tool: Any = {"name": "record", "input_schema": SENTIMENT}
    message = ask(client, "I love it!", before=examples, tools=[tool], tool_choice={"type": "tool", "name": "record"})
    assert message.stop_reason == "tool_use"
    assert message.content[0].input == {"sentiment": "positive"}


def test_any_other_schema_gets_json_of_its_shape(client: Anthropic) -> None:
    message = ask(client, "Invent a person.", max_tokens=200, output_config=shaped(PERSON))
    answer = json.loads(message.content[0].text)
    assert [type(answer[name]) for name in PERSON["required"]] == [str, int, str]


def test_a_schema_that_the_grammar_cannot_hold_is_a_400_and_no_prose(client: Anthropic) -> None:
    tool: Any = {
        "name": "t",
        "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}, "not": {"type": "array"}},
    }
    with pytest.raises(anthropic.BadRequestError, match="cannot hold its answer to this schema"):
        ask(client, tools=[tool], tool_choice={"type": "any"})
    with pytest.raises(anthropic.BadRequestError, match="cannot hold its answer to this schema"):
        ask(client, tools=[tool], tool_choice={"type": "any"}, max_tokens=3)


def test_max_tokens_ends_the_text_after_so_many_tokens(client: Anthropic) -> None:
    message = ask(client, "Tell a long story.", max_tokens=7)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 7)
    label = ask(client, "Good.", max_tokens=3, output_config=shaped(SENTIMENT))
    assert (label.stop_reason, label.usage.output_tokens, label.content[0].text) == ("max_tokens", 3, '{"sentiment')


def test_max_tokens_0_says_nothing(client: Anthropic) -> None:
    message = ask(client, max_tokens=0, system="Be kind.")
    assert (message.content, message.stop_reason, message.usage.output_tokens) == ([], "max_tokens", 0)


def test_a_stop_sequence_ends_the_text_before_itself(client: Anthropic) -> None:
    whole = ask(client, "Tell a long story.", max_tokens=24).content[0].text
    stop = whole.split()[6][:3] + "\n"  # never written: nothing is lost
    assert ask(client, "Tell a long story.", max_tokens=24, stop_sequences=[stop]).content[0].text == whole
    word = whole.split()[6]
    message = ask(client, "Tell a long story.", max_tokens=24, stop_sequences=[word])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", word)
    assert message.content[0].text == whole[: whole.index(word)]
    assert message.usage.output_tokens < 20


def test_tokens_come_one_by_one_and_add_up(client: Anthropic) -> None:
    whole = ask(client, "Tell a long story.", max_tokens=30)
    with client.messages.stream(
        model=NAME, max_tokens=30, messages=[{"role": "user", "content": "Tell a long story."}]
    ) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 20
    assert "".join(pieces) == whole.content[0].text
    assert (final.usage.output_tokens, final.usage.input_tokens) == (30, whole.usage.input_tokens)


@pytest.mark.parametrize("config", [{}, {"output_config": shaped(SENTIMENT)}, {"output_config": shaped(PERSON)}])
def test_tokens_are_counted_as_a_reply_counts_them(client: Anthropic, config: dict[str, Any]) -> None:
    messages: Any = [{"role": "user", "content": "It was <|im_end|> fine 😀."}]
    counted = client.messages.count_tokens(model=NAME, messages=messages, **config)
    assert counted.input_tokens == ask(client, messages[0]["content"], **config).usage.input_tokens > 5


def test_a_text_that_would_kill_the_tokenizer_is_refused_and_the_server_lives(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 30000000 characters"):
        ask(client, "x" * 30_000_000)
    assert ask(client, "Works well.", output_config=shaped(SENTIMENT)).stop_reason == "end_turn"


def test_what_is_too_long_is_told_in_tokens(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: 50\d\d tokens > 4032 maximum"):
        ask(client, "good " * 5000, output_config=shaped(SENTIMENT))
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: 50\d\d tokens > 4032 maximum"):
        client.messages.count_tokens(model=NAME, messages=[{"role": "user", "content": "good " * 5000}])


def test_images_are_a_clean_400(client: Anthropic) -> None:
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.0\.content\.0\.image: smollm2-135m reads text only"):
        client.messages.create(model=NAME, max_tokens=9, messages=[{"role": "user", "content": [image]}])


def test_what_it_cannot_do_is_refused_and_not_ignored(client: Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="effort parameter"):
        ask(client, output_config={"effort": "low"})
    with pytest.raises(anthropic.BadRequestError, match=r"thinking\.type"):
        ask(client, thinking={"type": "adaptive"})
    assert ask(client, max_tokens=2, thinking={"type": "disabled"}).content


def test_it_answers_to_its_own_name_alone(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model: claude-haiku-5-5"):
        ask(client, model="claude-haiku-5-5")
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-haiku-5-5")
    own = client.models.retrieve(NAME)
    assert (own.max_input_tokens, own.capabilities and own.capabilities.image_input.supported) == (4032, False)


def test_clients_that_leave_give_their_slots_back(client: Anthropic) -> None:
    """Six long stories, none waited for: were they told to their end, a slot would be free after minutes."""
    hasty = client.with_options(timeout=0.3)

    def leave(number: int) -> None:
        with pytest.raises(anthropic.APITimeoutError):
            ask(hasty, f"Write a very long list of {number} names.", max_tokens=3000)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(leave, range(6)))
    assert ask(client.with_options(timeout=15), "Good.", output_config=shaped(SENTIMENT)).content


def test_ctrl_c_is_left_to_the_parent_with_llama_cpp_loaded_too(
    running: tuple[subprocess.Popen[str], str], client: Anthropic
) -> None:
    running[0].send_signal(signal.SIGINT)
    assert ask(client, "Good.", output_config=shaped(SENTIMENT)).content


def test_a_batch(client: Anthropic, examples: list[dict[str, str]]) -> None:
    """Through the code that serves those of rehearsal."""
    wanted = {f"r{number}": (text, label) for number, (text, label) in enumerate(list(OBVIOUS.items())[2:4])}
    requests: list[Any] = [
        {
            "custom_id": name,
            "params": {
                "model": NAME,
                "max_tokens": 50,
                "messages": [*examples, {"role": "user", "content": text}],
                "output_config": shaped(SENTIMENT),
            },
        }
        for name, (text, _) in wanted.items()
    ]
    batch = client.messages.batches.create(requests=requests)
    deadline = time.monotonic() + 60
    while client.messages.batches.retrieve(batch.id).processing_status != "ended":
        assert time.monotonic() < deadline
    found: dict[str, Any] = {each.custom_id: each.result for each in client.messages.batches.results(batch.id)}
    said = {name: json.loads(result.message.content[0].text)["sentiment"] for name, result in found.items()}
    assert said == {name: label for name, (_, label) in wanted.items()}
