"""Stop sequences in a text that comes in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.local.cut import Cut


def sent(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    cut = Cut(stops)
    text = "".join(cut.feed(piece) for piece in pieces)
    return text + cut.rest(), cut.found


def test_text_ends_before_the_stop_sequence_even_where_that_lies_across_pieces() -> None:
    assert sent(["one ", "tw", "o three"], ["two"]) == ("one ", "two")


def test_a_beginning_that_came_to_nothing_is_sent_after_all() -> None:
    assert sent(["one tw", "elve"], ["two"]) == ("one twelve", None)
    assert sent(["one tw"], ["two"]) == ("one tw", None)


def test_the_stop_sequence_that_is_complete_first_wins() -> None:
    assert sent(["xabc"], ["abc", "b"]) == ("xa", "b")
    assert sent(["xabc"], ["c", "bc"]) == ("xa", "bc")


def test_nothing_comes_after_a_stop_sequence() -> None:
    assert sent(["a|b", "c|d"], ["|"]) == ("a", "|")


def test_without_stop_sequences_everything_passes_at_once() -> None:
    cut = Cut([])
    assert cut.feed("whatever") == "whatever"
    assert cut.rest() == ""


@given(
    st.lists(st.text("ab", max_size=4), max_size=8),
    st.lists(st.text("ab", min_size=1, max_size=3), max_size=3),
)
def test_it_does_not_matter_how_the_text_is_cut_into_pieces(pieces: list[str], stops: list[str]) -> None:
    text, found = sent(pieces, stops)
    assert sent(list("".join(pieces)), stops) == (text, found)
    assert sent(["".join(pieces)], stops) == (text, found)
    assert not any(stop in text for stop in stops)
    assert "".join(pieces).startswith(text + (found or ""))
