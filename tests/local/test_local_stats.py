"""The ledger at /stats: counts, money, flight and limits, against what the SDK was told."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from pipeline.commands.prices import shipped_prices
from pipeline.local.faults import Rule
from pipeline.local.ledger import Bill, Ledger
from pipeline.local.limits import Limit, Limits
from pipeline.local.script import Latency, Script, Size
from pipeline.records import Usage
from tests.local.running import in_thread, stats

HAIKU = "claude-haiku-5-5"
LONG: Any = [{"type": "text", "text": "You label product reviews. " * 100, "cache_control": {"type": "ephemeral"}}]
PRICES = shipped_prices()


def price(model: str, usage: Usage, geo: str | None, tier: str) -> float | None:
    return PRICES.cost_usd(model, usage, geo=geo, tier=tier)


def ask(client: Anthropic, text: str, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"model": HAIKU, "max_tokens": 500, "thinking": {"type": "disabled"}}
    return client.messages.create(messages=[{"role": "user", "content": text}], **{**arguments, **changes})


@pytest.fixture
def serving() -> Iterator[Callable[..., tuple[str, Anthropic]]]:
    """Starts a rehearsal with a script; gives its URL and a client."""
    with ExitStack() as stack:

        def start(script: Script | None = None, **options: Any) -> tuple[str, Anthropic]:
            url = stack.enter_context(in_thread("rehearsal", script=script, price=price, **options))
            return url, stack.enter_context(Anthropic(api_key="any", base_url=url, max_retries=0, timeout=10))

        yield start


def test_dollars_are_those_of_the_price_file_for_the_usage_that_was_told(serving: Any) -> None:
    url, client = serving()
    replies = [ask(client, f"Text {number}", system=LONG) for number in range(3)]
    replies.append(ask(client, "Text 0", system=LONG, model="claude-sonnet-5-5", thinking={"type": "adaptive"}))
    replies.append(ask(client, "Text 0", inference_geo="us"))
    expected = 0.0
    for reply in replies:
        told = reply.usage
        usage = Usage(
            told.input_tokens,
            told.output_tokens,
            told.cache_read_input_tokens,
            told.cache_creation.ephemeral_5m_input_tokens,
            told.cache_creation.ephemeral_1h_input_tokens,
        )
        cost = PRICES.cost_usd(reply.model, usage, geo=told.inference_geo)
        assert cost is not None
        expected += cost
    billed = stats(url)["billed"]
    assert billed["usd"] == pytest.approx(expected, abs=1e-9)
    assert billed["requests"] == 5
    assert billed["output_tokens"] == sum(reply.usage.output_tokens for reply in replies)
    assert (billed["cache_write_5m_tokens"], billed["cache_read_tokens"]) == (1350, 1350)
    assert {model: each["requests"] for model, each in billed["by_model"].items()} == {
        "rehearsal/claude-haiku-5-5": 4,
        "rehearsal/claude-sonnet-5-5": 1,
    }


def test_a_model_without_a_price_is_counted_as_such(serving: Any) -> None:
    url, client = serving()
    ask(client, "Text", model="tomorrow-9")
    assert (stats(url)["billed"]["usd"], stats(url)["billed"]["unpriced"]) == (0, 1)


def test_the_same_body_answered_again_is_a_duplicate(serving: Any) -> None:
    url, client = serving(Script(rules=(Rule("overloaded", until_request=1),)))
    with pytest.raises(anthropic.OverloadedError):
        ask(client, "one")
    for text in ("one", "two", "two", "two"):
        ask(client, text)
    assert stats(url)["duplicates"] == {"replies": 2, "bodies": 1}


def test_what_is_wrong_with_a_request_is_counted_by_status_and_not_billed(serving: Any) -> None:
    url, client = serving()
    with pytest.raises(anthropic.BadRequestError):
        ask(client, "x", thinking={"type": "enabled", "budget_tokens": 1024})
    with pytest.raises(anthropic.NotFoundError, match="model: claude-sonnet-9"):
        ask(client, "x", model="claude-sonnet-9")
    told = stats(url)
    assert (told["by_status"], told["billed"]["requests"], told["in_flight"]) == ({"400": 1, "404": 1}, 0, 0)


def test_counting_tokens_is_no_request_for_a_message(serving: Any) -> None:
    url, client = serving()
    client.messages.count_tokens(model=HAIKU, messages=[{"role": "user", "content": "x"}])
    assert (stats(url)["requests"], stats(url)["count_tokens"]) == (0, 1)


def test_how_many_were_in_flight_at_most(serving: Any) -> None:
    url, client = serving(Script(rules=(Rule("hang"),)))
    impatient = client.with_options(timeout=0.4)
    together = threading.Barrier(4)

    def one(number: int) -> str:
        together.wait()
        with pytest.raises(anthropic.APITimeoutError):
            ask(impatient, f"Text {number}")
        return "timed out"

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == ["timed out"] * 4
    assert stats(url)["max_in_flight"] == 4


def test_a_client_that_leaves_while_its_reply_is_made_pays_for_it(serving: Any) -> None:
    url, client = serving(Script(Latency(30.0)))
    with pytest.raises(anthropic.APITimeoutError):
        ask(client.with_options(timeout=0.2), "Text")
    while (told := stats(url))["in_flight"]:
        pass  # the end of the connection is on its way
    assert (told["by_status"], told["billed"]["requests"], told["billed"]["unread"]) == ({"left": 1}, 1, 1)


def test_a_limit_is_kept_told_and_counted(serving: Any) -> None:
    url, client = serving(Script(limits=Limits(requests=Limit(60, 2))))
    raw = client.messages.with_raw_response.create(model=HAIKU, max_tokens=9, messages=[{"role": "user", "content": "one"}])
    assert raw.headers["anthropic-ratelimit-requests-limit"] == "60"
    assert raw.headers["anthropic-ratelimit-requests-remaining"] == "1"
    ask(client, "two")
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask(client, "three")
    error = caught.value
    assert error.response.headers["retry-after"] == "1"
    assert error.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert error.api_message == "This request would exceed your organization's rate limit of 60 requests per minute."
    told = stats(url)
    assert told["by_status"] == {"200": 2, "429": 1}
    assert (told["limits"]["requests"]["used"], told["limits"]["requests"]["refused"]) == (2, 1)
    assert told["by_fault"] == {}


def test_cache_reads_do_not_count_against_the_input_limit(serving: Any) -> None:
    url, client = serving(Script(limits=Limits(input_tokens=Limit(60, 750))))
    for number in range(20):
        ask(client, f"{number:04}", system=LONG)
    used = stats(url)["limits"]["input_tokens"]["used"]
    assert used == 675 + 20, "one write, and one token of each text"


def test_output_counts_as_generated_and_not_by_max_tokens(serving: Any) -> None:
    url, client = serving(Script(output=Size(40), limits=Limits(output_tokens=Limit(60, 100))))
    for number in range(3):
        ask(client, f"Text {number}", max_tokens=20_000)
    with pytest.raises(anthropic.RateLimitError, match="rate limit of 60 output tokens per minute"):
        ask(client, "Text 3")
    assert stats(url)["limits"]["output_tokens"]["used"] == 120


def test_a_request_that_failed_gives_its_input_back(serving: Any) -> None:
    url, client = serving(Script(rules=(Rule("overloaded"),), limits=Limits(requests=Limit(600), input_tokens=Limit(600))))
    with pytest.raises(anthropic.OverloadedError):
        ask(client, "x" * 400)
    limits = stats(url)["limits"]
    assert (limits["requests"]["used"], limits["input_tokens"]["used"]) == (1, 0)


def test_trouble_with_the_account_is_told_before_any_limit(serving: Any) -> None:
    url, client = serving(Script(rules=(Rule("low_credit"),), limits=Limits(requests=Limit(1, 1))))
    for number in range(3):
        with pytest.raises(anthropic.BadRequestError, match="credit balance is too low"):
            ask(client, f"Text {number}")
    assert stats(url)["limits"]["requests"]["used"] == 0


def test_sizes_of_output_and_thinking_are_those_of_the_script(serving: Any) -> None:
    _, client = serving(Script(output=Size(100), thinking=Size(300)))
    usage = ask(client, "Text", thinking={"type": "adaptive"}).usage
    assert (usage.output_tokens, usage.output_tokens_details.thinking_tokens) == (400, 300)
    short = ask(client, "Text", thinking={"type": "adaptive"}, max_tokens=350)
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 350)
    whole = ask(client, "Text", thinking={"type": "adaptive"}).content[1].text
    assert whole.startswith(short.content[1].text)
    assert len(short.content[1].text) == pytest.approx(len(whole) / 2, abs=1)


def test_a_reset_begins_a_new_ledger_with_full_buckets_and_an_empty_cache(serving: Any) -> None:
    url, client = serving(Script(limits=Limits(requests=Limit(60, 1))))
    ask(client, "one", system=LONG)
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection:
        connection.request("POST", "/reset")
        assert connection.getresponse().status == 401, "it changes something, so it takes a key"
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)) as connection:
        connection.request("POST", "/reset", headers={"x-api-key": "any"})
        assert connection.getresponse().status == 200
    assert stats(url)["requests"] == 0
    assert ask(client, "one", system=LONG).usage.cache_read_input_tokens == 0
    assert stats(url)["duplicates"] == {"replies": 0, "bodies": 0}


# -- the ledger by itself -------------------------------------------------------------------------------------------


def test_the_rate_over_time_is_told_second_by_second() -> None:
    ledger = Ledger(lambda *_: None, 100.0)
    for now in (103.2, 103.9, 104.3, 107.0):
        ledger.arrives(now)
    rate = ledger.figures(110.0)["rate"]
    assert rate == {"mean_per_s": 1.053, "from_s": 0, "per_s": [2, 1, 0, 1]}


def test_only_the_last_ten_minutes_are_told() -> None:
    ledger = Ledger(lambda *_: None, 0.0)
    ledger.arrives(0.0)
    ledger.arrives(700.0)
    rate = ledger.figures(701.0)["rate"]
    assert (rate["from_s"], len(rate["per_s"]), rate["per_s"][-1]) == (101, 600, 1)


def test_attempts_and_answers_of_one_body_are_kept_apart() -> None:
    ledger = Ledger(lambda *_: 0.25, 0.0)
    for _ in range(5):
        ledger.attempted(9)
    for _ in range(3):
        ledger.book(Bill(9, "m", Usage(1, 1), None), unread=False)
    assert ledger.attempts(9) == 5
    assert (ledger.duplicates, ledger.bodies_again, ledger.usd) == (2, 1, 0.75)
