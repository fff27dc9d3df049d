"""Tables for a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline.show.blocks import Block, blocks_text


def test_a_table_as_it_is_seen() -> None:
    block = Block("label", ("class", "rows", "share"), [("yes", "1,000", "90.0%"), ("no", "7", "0.6%")], ["told below"])
    assert blocks_text([block, Block("next")]) == (
        "label\n"
        "  class   rows  share\n"
        "  yes    1,000  90.0%\n"
        "  no         7   0.6%\n"
        "  told below\n"
        "\n"
        "next"
    )  # fmt: skip


def test_the_widest_column_is_cut_and_the_cut_shown() -> None:
    text = blocks_text([Block("", ("key", "gold"), [("k" * 50, "short")], left=2)], width=30)
    assert text.splitlines()[2] == "  kkkkkkkkkkkkkkkkkkkk…  short"


def test_wide_characters_take_two_columns() -> None:
    text = blocks_text([Block("", (), [("漢字", "1"), ("ab", "2")])])
    assert text.splitlines()[1:] == ["  漢字  1", "  ab    2"]


def test_sentences_of_wide_characters_are_cut_by_their_columns() -> None:
    text = blocks_text([Block("漢" * 50, notes=["字" * 50])])
    assert [cell_len(line) for line in text.splitlines()] == [80, 20, 80, 24]


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=5), st.text())
def test_no_line_is_too_long_whatever_the_texts(rows: list[tuple[str, str, str]], title: str) -> None:
    text = blocks_text([Block(title, (), rows, [title])])
    assert max(map(cell_len, text.split("\n"))) <= 80
    assert "\x1b" not in text
