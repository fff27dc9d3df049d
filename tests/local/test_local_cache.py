"""The prompt cache: by itself, and as the SDK sees it in usage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from pipeline.local.cache import Cache, Cached
from pipeline.local.question import Prefix
from tests.local.running import in_thread

HOUR, FIVE = 3600.0, 300.0


def prefix(name: str, tokens: int, life_s: float | None = FIVE) -> Prefix:
    return Prefix(name.encode(), tokens, life_s)


def numbers(cached: Cached) -> tuple[int, int, int]:
    return cached.read, cached.written_5m, cached.written_1h


def asked(cache: Cache, *prefixes: Prefix, now: float = 0.0, minimum: int | None = 512) -> Cached:
    cached = cache.look(prefixes, minimum, 10**9, now)
    cache.begin(cached, now)
    return cached


def test_the_first_writes_and_the_next_reads() -> None:
    cache = Cache()
    assert numbers(asked(cache, prefix("a", 600))) == (0, 600, 0)
    assert numbers(asked(cache, prefix("a", 600))) == (600, 0, 0)


def test_what_is_written_can_be_read_only_once_the_response_began() -> None:
    cache = Cache()
    first = cache.look([prefix("a", 600)], 512, 1000, 0.0)
    assert numbers(cache.look([prefix("a", 600)], 512, 1000, 1.0)) == (0, 600, 0), "at the same time: each pays for a write"
    cache.begin(first, 2.0)
    assert numbers(cache.look([prefix("a", 600)], 512, 1000, 3.0)) == (600, 0, 0)


@pytest.mark.parametrize(("minimum", "expected"), [(512, (0, 512, 0)), (513, (0, 0, 0)), (None, (0, 0, 0))])
def test_below_the_minimum_nothing_is_cached(minimum: int | None, expected: tuple[int, int, int]) -> None:
    cache = Cache()
    assert numbers(asked(cache, prefix("a", 512), minimum=minimum)) == expected
    again = numbers(asked(cache, prefix("a", 512), minimum=minimum))
    assert again == ((512, 0, 0) if expected[1] else (0, 0, 0))


def test_an_entry_dies_after_its_life_and_reading_renews_it() -> None:
    cache = Cache()
    asked(cache, prefix("a", 600))
    assert numbers(asked(cache, prefix("a", 600), now=299)) == (600, 0, 0)
    assert numbers(asked(cache, prefix("a", 600), now=598)) == (600, 0, 0)
    assert numbers(asked(cache, prefix("a", 600), now=899)) == (0, 600, 0)


def test_reading_renews_an_entry_that_is_only_a_part_of_what_the_reader_marks() -> None:
    cache = Cache()
    asked(cache, prefix("a", 600))
    assert asked(cache, prefix("a", 600, None), prefix("ab", 900), now=299).read == 600
    assert asked(cache, prefix("a", 600), now=590).read == 600


def test_an_hour_is_an_hour() -> None:
    cache = Cache()
    assert numbers(asked(cache, prefix("a", 600, HOUR))) == (0, 0, 600)
    assert numbers(asked(cache, prefix("a", 600, HOUR), now=3599)) == (600, 0, 0)


def test_each_breakpoint_pays_for_its_own_part() -> None:
    cache = Cache()
    both = (prefix("a", 600, HOUR), prefix("ab", 1_000))
    assert numbers(asked(cache, *both)) == (0, 400, 600)
    assert numbers(asked(cache, both[0], prefix("ac", 900))) == (600, 300, 0)


def test_only_what_was_written_at_a_breakpoint_is_found() -> None:
    """A block that merely was part of a longer prefix is no entry: the mark belongs on the last block that stays the same."""
    cache = Cache()
    asked(cache, prefix("a", 600, None), prefix("ab", 900))
    assert numbers(asked(cache, prefix("a", 600, None), prefix("ac", 900))) == (0, 900, 0)


@pytest.mark.parametrize(("between", "read"), [(19, 600), (20, 0)])
def test_it_looks_back_20_blocks(between: int, read: int) -> None:
    cache = Cache()
    start = prefix("start", 600)
    asked(cache, start)
    blocks = [prefix(f"b{number}", 600 + number, None) for number in range(1, between + 1)]
    late = prefix("end", 900)
    assert cache.look([prefix("start", 600, None), *blocks, late], 512, 10**9, 0.0).read == read


def test_no_more_is_cached_than_there_is() -> None:
    assert numbers(Cache().look([prefix("a", 600)], 512, 550, 0.0)) == (0, 550, 0)


# -- through the SDK ------------------------------------------------------------------------------------------------

LONG = "You label product reviews. " * 100  # 2,700 bytes, 675 tokens
MARK: Any = {"type": "ephemeral"}


@pytest.fixture
def fresh() -> Iterator[Anthropic]:
    with in_thread("rehearsal") as url, Anthropic(api_key="any", base_url=url, max_retries=0) as made:
        yield made


def usage(client: Anthropic, text: str, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "model": "claude-haiku-5-5",
        "max_tokens": 99,
        "thinking": {"type": "disabled"},
        "system": [{"type": "text", "text": LONG, "cache_control": MARK}],
        "messages": [{"role": "user", "content": text}],
    }
    told = client.messages.create(**{**arguments, **changes}).usage
    return told.cache_creation_input_tokens, told.cache_read_input_tokens, told.input_tokens


def test_usage_tells_of_writes_and_reads(fresh: Anthropic) -> None:
    assert usage(fresh, "one.") == (675, 0, 1)
    assert usage(fresh, "two!") == (0, 675, 1)
    hour: Any = [{"type": "text", "text": LONG + "x", "cache_control": {**MARK, "ttl": "1h"}}]
    told = fresh.messages.create(
        model="claude-haiku-5-5", max_tokens=9, system=hour, messages=[{"role": "user", "content": "a"}]
    ).usage
    assert told.cache_creation is not None
    assert (told.cache_creation.ephemeral_5m_input_tokens, told.cache_creation.ephemeral_1h_input_tokens) == (0, 675)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "claude-opus-5"},
        {"thinking": {"type": "adaptive"}},
        {"output_config": {"effort": "low"}},
        {"system": [{"type": "text", "text": LONG + "!", "cache_control": MARK}]},
    ],
)
def test_another_model_or_setting_or_text_is_another_prefix(fresh: Anthropic, changes: dict[str, Any]) -> None:
    usage(fresh, "one.")
    assert usage(fresh, "two!", **changes)[0] >= 675


def test_a_model_with_a_longer_minimum_does_not_cache_it(fresh: Anthropic) -> None:
    for _ in range(2):
        assert usage(fresh, "one.", model="claude-haiku-4-5") == (0, 0, 676)


def test_max_tokens_0_warms_it(fresh: Anthropic) -> None:
    usage(fresh, "one.", max_tokens=0)
    assert usage(fresh, "two!") == (0, 675, 1)


def test_a_mark_on_the_whole_body_marks_its_last_block(fresh: Anthropic) -> None:
    bare: Any = [{"type": "text", "text": LONG}]
    assert usage(fresh, "one.", system=bare, cache_control=MARK) == (676, 0, 0)
    assert usage(fresh, "two!", system=bare, cache_control=MARK) == (676, 0, 0), "another document: nothing to read"
    assert usage(fresh, "one.", system=bare, cache_control=MARK) == (0, 676, 0)


def test_a_string_and_one_text_block_are_the_same_prompt(fresh: Anthropic) -> None:
    usage(fresh, "x", messages=[{"role": "user", "content": [{"type": "text", "text": "one.", "cache_control": MARK}]}])
    marked: Any = [{"role": "user", "content": "one."}]
    assert usage(fresh, "", messages=marked, cache_control=MARK)[0] == 0


def test_longer_lives_come_first(fresh: Anthropic) -> None:
    late: Any = {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {**MARK, "ttl": "1h"}}]}
    with pytest.raises(anthropic.BadRequestError, match="ttl='1h' cache_control block must not come after"):
        usage(fresh, "x", messages=[late])
