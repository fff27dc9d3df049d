"""A long text in pieces: nothing is lost, every piece fits, and cuts are made where the text allows."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.render.split import SMALLEST, Span, cut, size, spans

BLNS = Path(__file__).parents[3] / "shared" / "suites" / "blns" / "blns.json"
HARD = [
    "\r\n" * 300,
    "é\u0301" * 200,
    "👨‍👩‍👧‍👦" * 60,
    " " * 500,
    "a" * 500,
    "。" * 200,
    "\f" * 200,
    "x.\n\n" * 100,
    "\ud800" * 90,
    "e" + "\u0301" * 400,
]
texts = st.text(min_size=0, max_size=400) | st.lists(
    st.sampled_from(
        ["Word", " ", ".", "\n", "\n\n", "\r\n", "# Head", "日本", "。", "👩‍👧", "é", "\u0301", "\t", "\f", '."', "CHAPTER 1"]
    ),
    max_size=400,
).map("".join)


def whole(text: str, most: int, overlap: int) -> tuple[Span, ...]:
    """The pieces, with all that holds of any of them."""
    found = spans(text, most, overlap)
    assert "".join(text[one.core : one.end] for one in found) == text
    assert found[0].start == found[0].core == 0
    for before, one in pairwise(found):
        assert one.core == before.end
        assert one.start <= one.core < one.end
        assert size(text[one.start : one.core]) <= overlap
    assert all(size(text[one.start : one.end]) <= most for one in found)
    assert found == spans(text, most, overlap)
    return found


@given(text=texts, most=st.integers(SMALLEST, 300), share=st.integers(0, 49))
@example(text="", most=SMALLEST, share=0)
def test_nothing_is_lost_and_every_piece_fits(text: str, most: int, share: int) -> None:
    whole(text, most, most * share // 100)


@pytest.mark.parametrize("text", HARD, ids=ascii)
def test_hard_texts(text: str) -> None:
    for most in (SMALLEST, 101, 350):
        for overlap in (0, 20):
            whole(text, most, overlap)


@pytest.mark.skipif(not BLNS.exists(), reason="the suite is not here")
def test_naughty_strings_alone_and_all_together() -> None:
    strings = json.loads(BLNS.read_text())
    for text in [*(text * 20 for text in strings), "\n".join(strings), "".join(strings)]:
        whole(text, 200, 30)


@given(text=texts, most=st.integers(SMALLEST, 300))
def test_a_beginning_is_as_long_as_it_may_be(text: str, most: int) -> None:
    kept = cut(text, most)
    assert size(text[:kept]) <= most
    if size(text) <= most:
        assert kept == len(text)
    else:
        assert size(text[:kept]) >= most // 2


def test_a_beginning_ends_with_the_last_sentence_that_fits() -> None:
    text = PARAGRAPH * 100
    assert text[: cut(text, 1_000)] == PARAGRAPH * 14
    assert cut(PARAGRAPH * 10 + "\n\n" + "word " * 100, 750) == len(PARAGRAPH) * 10 + 2, "rather at the end of a paragraph"
    assert cut("word " * 100, 103) == 100


@pytest.mark.parametrize("one", ["e\u0301\u0302", "\r\n", "👩\u200d👧", "❤\ufe0f"])
def test_what_is_one_character_to_a_reader_is_not_cut_through(one: str) -> None:
    for most in range(SMALLEST, SMALLEST + 12):
        found = pieces(one * 100, most) + pieces(one * 100, most, 20)
        assert all(piece.startswith(one) and piece.endswith(one) for piece in found)


def pieces(text: str, most: int, overlap: int = 0) -> list[str]:
    return [text[one.start : one.end] for one in whole(text, most, overlap)]


PARAGRAPH = "One thing is said here. Another thing is said there, and it is longer. "


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        (f"{PARAGRAPH}\n\n{PARAGRAPH}\n\n## A heading\n\n{PARAGRAPH}\n\n{PARAGRAPH}", "## A heading"),
        (f"{PARAGRAPH}\n\n{PARAGRAPH}\n\nCHAPTER 2\n\n{PARAGRAPH}\n\n{PARAGRAPH}", "CHAPTER 2"),
        (f"{PARAGRAPH * 2}\n\nCHAPTER 2\n\nOf leases\n\n2.1 Parties\n\n{PARAGRAPH * 2}", "CHAPTER 2"),
        (f"{PARAGRAPH * 2}\f{PARAGRAPH * 2}", "One thing"),
        (f"{PARAGRAPH * 2}\r\n\r\n{PARAGRAPH * 2}", "One thing"),
        (PARAGRAPH * 4, "One thing"),
        ("no sentence ends here\n" * 12, "no sentence"),
        ("word " * 60, "word"),
        ("一つの文がここで終わる。" * 10, "一つの"),
        ("He wrote e.g. this and i.e. that, in approx. the same words as before, etc. and so on " * 4, "He wrote"),
    ],
)
def test_a_cut_is_made_at_the_strongest_boundary_near_the_middle(text: str, begins: str) -> None:
    first, second = pieces(text, int(size(text) * 0.6))
    assert second.startswith(begins)
    assert first + second == text


def test_pieces_are_of_about_equal_size() -> None:
    chance = random.Random(3)  # noqa: S311 nothing is kept secret with it
    text = "".join(
        f"\n\nCHAPTER {chapter}\n\n"
        + "".join(" ".join(["word"] * chance.randint(5, 30)) + ". " for _ in range(chance.randint(200, 900)))
        for chapter in range(14)
    )
    sizes = [size(piece) for piece in pieces(text, 40_000)]
    assert len(sizes) <= -(-size(text) // 40_000) * 1.25
    assert min(sizes) > 20_000


def test_an_overlap_begins_with_a_sentence_or_a_word() -> None:
    text = PARAGRAPH * 20
    again = [text[one.start : one.core] for one in whole(text, 400, 60)[1:]]
    assert set(again) <= {"One thing is said here. ", "Another thing is said there, and it is longer. "}
    text = "abcdefg " * 100
    assert {text[one.start : one.core] for one in whole(text, 200, 21)[1:]} == {"abcdefg " * 2}


def test_a_change_moves_no_cut_before_it() -> None:
    text = (PARAGRAPH + "\n\n") * 300
    changed = text[:15_000] + "And one word more. " + text[15_000:]
    before, after = pieces(text, 2000, 100), pieces(changed, 2000, 100)
    same = sum(1 for one, other in zip(before, after, strict=False) if one == other)
    assert same >= 7
    assert pieces(text + changed, 2000, 100)[: len(before) - 2] == before[:-2]


@pytest.mark.parametrize("unit", ["\n", " ", ". ", "x\n\n", "\f", "a\n \n", "é"])
def test_a_text_made_to_be_slow_is_not(unit: str) -> None:
    """It would take hours if a run of white space were looked at from each of its places."""
    text = unit * (400_000 // len(unit))
    found = spans(text, 100_000, 400)
    assert "".join(text[one.core : one.end] for one in found) == text


def test_sizes_that_make_no_pieces_are_refused() -> None:
    for most, overlap in ((SMALLEST - 1, 0), (100, 50), (100, -1)):
        with pytest.raises(ValueError, match="pieces of"):
            spans("text", most, overlap)
