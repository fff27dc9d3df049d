from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.show.text import dollars, duration, percent, plain


@given(st.text(alphabet=st.characters(exclude_categories=())), st.integers(1, 300))
def test_nothing_in_plain_text_acts_on_a_terminal(text: str, limit: int) -> None:
    shown = plain(text, limit)
    shown.encode("utf-8")
    assert len(shown) <= limit
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs")]
    assert not [
        char
        for char in shown
        if unicodedata.bidirectional(char) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("日本 🙂 naïve", "日本 🙂 naïve"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202ecba", r"abc\u202ecba"),
        ("\ud83d", r"\ud83d"),
        ("hid\U000e0041den", r"hid\U000e0041den"),
        ("x\u2028y", r"x\u2028y"),
    ],
)
def test_what_could_act_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_long_text_ends_with_an_ellipsis_at_the_limit() -> None:
    assert plain("abcdef", 4) == "abc…"
    assert plain("abcd", 4) == "abcd"
    assert plain("\n" * 10, 5) == "\\n\\n…"


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0.0, "$0.00"),
        (0.000123, "$0.00012"),
        (0.0099, "$0.0099"),
        (0.01, "$0.01"),
        (1234.5, "$1,234.50"),
        (None, "unknown (a model without a price)"),
    ],
)
def test_dollars(usd: float | None, shown: str) -> None:
    assert dollars(usd) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (192, "3 min 12 s"),
        (3780, "1 h 03 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 0, "0.0%"), (0, 7, "0.0%"), (7, 7, "100.0%"), (1, 3, "33.3%"), (1, 10**6, "0.1%"), (10**6 - 1, 10**6, "99.9%")],
)
def test_a_share_is_none_or_all_only_when_it_is(part: int, whole: int, shown: str) -> None:
    assert percent(part, whole) == shown
