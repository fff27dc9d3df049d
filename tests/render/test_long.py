"""What becomes of a row that is longer than a request holds."""

from __future__ import annotations

from functools import partial
from typing import Literal

import pytest

from pipeline.records import Constant, Image, Pieces, Prompt, Row, Text
from pipeline.render.long import Asked, Fit, fitted, tokens
from pipeline.render.prompt import Unaskable, prompt
from pipeline.render.template import compiled

CONSTANT = Constant("s")
WORDS = "One sentence of this text. "
SPLIT = Fit("split", window=None, reserved=0, tokens=200, overlap=20, columns=("text", "title"))


def asked(fit: Fit, template: str = "{{ text }}", **values: object) -> Asked:
    whole = partial(prompt, templates=compiled(None, template), constant=CONSTANT)
    return fitted(Row(7, "k", {"title": "A title", **values}), fit=fit, prompt=whole)


def words(one: Prompt) -> str:
    return "".join(block.text for block in one.turns[0].blocks if isinstance(block, Text))


def pieces(made: Asked) -> list[str]:
    assert isinstance(made, Pieces), made
    assert [one.piece for one in made.prompts] == list(range(1, len(made.prompts) + 1))
    return [words(one) for one in made.prompts]


def reason(made: Asked) -> str:
    assert isinstance(made, Unaskable), made
    return made.reason


def test_a_row_that_fits_is_asked_as_it_is() -> None:
    ways: tuple[Literal["truncate", "split"], ...] = ("truncate", "split")
    for do in ways:
        made = asked(Fit(do, None, 0, 200, 20, ("text",)), text="x" * 400)
        assert isinstance(made, Prompt)
        assert (words(made), made.piece, made.left_out, made.place) == ("x" * 400, 0, 0, 1)
        assert not isinstance(asked(Fit(do, None, 0, 200, 20, ("text",)), text="x" * 401), Prompt) or do == "truncate"


def test_each_piece_fits_with_what_stands_beside_it() -> None:
    template = "{{ title }}: {{ text | document }} What is it?"
    made = asked(SPLIT, template, text=WORDS * 60)
    assert isinstance(made, Pieces)
    assert max(map(tokens, made.prompts)) <= 200
    assert all(one.startswith("A title: <document-") and one.endswith("> What is it?") for one in pieces(made))
    assert [one.place for one in made.prompts[:3]] == [101, 201, 301]


def test_the_longest_text_is_cut_or_the_one_that_is_named() -> None:
    template = "{{ title }}|{{ text }}"
    longest = pieces(asked(SPLIT, template, title="short", text=WORDS * 60))
    assert all(one.startswith("short|") for one in longest)
    made = asked(SPLIT, template, title=WORDS * 60, text="short")
    assert isinstance(made, Pieces)
    assert made.column == "title"
    assert [(WORDS * 60)[start:end] + "|short" for start, end in made.spans] == pieces(made)
    longest = pieces(made)
    assert all(one.endswith("|short") for one in longest)
    named = Fit("split", None, 0, 200, 20, ("title",))
    assert "beside title" in reason(asked(named, template, text=WORDS * 60))


@pytest.mark.parametrize("text", [None, 3, b"x" * 900])
def test_what_is_no_text_cannot_be_cut(text: object) -> None:
    assert "no cut of one text helps" in reason(asked(SPLIT, "{{ text }}" + "x" * 500, text=text, title=None))


def test_a_template_that_shows_the_text_twice_is_told() -> None:
    fit = Fit("truncate", None, 0, 1_000, columns=("text",))
    assert "has about" in reason(asked(fit, "{{ text }}{{ text }}", text=WORDS * 100))
    more_of_it = "{{ text }}{% if text | length < 2000 %}{{ text }}{{ text }}{% endif %}"
    assert "does prompt.user show that column twice?" in reason(asked(fit, more_of_it, text=WORDS * 100))


def test_a_template_that_takes_only_a_part_of_a_long_text_is_not_cut() -> None:
    assert isinstance(asked(SPLIT, "{{ text[:100] }}", text=WORDS * 60), Prompt)


def test_blank_stretches_make_no_pieces() -> None:
    made = pieces(asked(SPLIT, text=WORDS * 8 + " " * 3_000 + WORDS * 8))
    assert all(one.strip() for one in made)
    assert "nothing but white space" in reason(asked(SPLIT, "What? {{ text }}", text=" " * 3_000))


def test_a_row_in_too_many_pieces_is_not_asked_about() -> None:
    fit = Fit("split", None, 0, 200, 0, ("text",))
    assert "more than 9,998 pieces" in reason(asked(fit, text=WORDS * 160_000))


def test_a_beginning_is_sent_and_the_rest_is_counted() -> None:
    fit = Fit("truncate", None, 0, 200, columns=("text",))
    made = asked(fit, text=WORDS * 60)
    assert isinstance(made, Prompt)
    assert words(made) == (WORDS * 14)
    assert made.left_out == len(WORDS) * 46


def test_refused_is_only_what_surely_does_not_fit() -> None:
    fit = Fit("fail", window=1_000, reserved=0)
    assert isinstance(asked(fit, text="x" * 8_007), Prompt)
    assert reason(asked(fit, text="x" * 8_008)).startswith(
        "the text has at least 1,001 tokens, and the model reads 1,000 at once"
    )
    assert isinstance(asked(fit, text="é" * 4_000), Prompt)
    assert isinstance(asked(fit, text="é" * 4_004), Unaskable)
    assert isinstance(asked(Fit("fail", window=None, reserved=0), text="x" * 9_000), Prompt)


def test_the_window_less_what_is_reserved_bounds_a_piece() -> None:
    fit = Fit("split", window=1_000, reserved=700, tokens=None, overlap=20, columns=("text",))
    assert (fit.room, Fit("split", 1_000, 700, 200).room, Fit("split", None, 0).room) == (300, 200, None)
    assert max(map(len, pieces(asked(fit, text=WORDS * 60)))) <= 600


def test_pictures_count() -> None:
    image = Image("image/png", b"x", "d", tokens=150)
    row = Row(0, "k", {"text": "x" * 200}, media=(image,))
    whole = partial(prompt, templates=compiled(None, "{{ text }}"), constant=CONSTANT)
    made = fitted(row, fit=Fit("truncate", None, 0, 200, columns=("text",)), prompt=whole)
    assert "no cut of one text helps" in reason(made)
