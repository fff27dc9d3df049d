from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.measure.gold import Agreed, Agreement, wilson

ENUMS = {"sentiment": ("positive", "negative")}

POSITIVE: Mapping[str, object] = {"sentiment": "positive"}
NEGATIVE: Mapping[str, object] = {"sentiment": "negative"}


def agreed(*rows: tuple[object, Mapping[str, object] | None]) -> list[Agreed]:
    """What is found when the one candidate column holds the first of each pair and the row is answered by the second."""
    agreement = Agreement(ENUMS, ["label"])
    for label, answer in rows:
        agreement.add({"label": label}, answer)
    return agreement.results()


def test_counts_are_those_of_a_table_made_by_hand() -> None:
    found = agreed(
        ("positive", POSITIVE),
        ("positive", POSITIVE),
        ("positive", NEGATIVE),
        ("negative", NEGATIVE),
        ("negative", None),
        ("", POSITIVE),
    )
    confusion = {("positive", "positive"): 2, ("positive", "negative"): 1, ("negative", "negative"): 1}
    assert found == [Agreed("sentiment", "label", labelled=5, answered=4, agreeing=3, confusion=confusion)]
    assert found[0].accuracy == 0.75
    assert found[0].coverage == 0.8
    assert found[0].interval == wilson(3, 4)


def test_case_and_surrounding_space_do_not_matter() -> None:
    assert agreed((" Positive\n", POSITIVE), ("NEGATIVE", NEGATIVE))[0].accuracy == 1.0


def test_the_confusion_speaks_as_the_schema_does() -> None:
    assert agreed(("POSITIVE", NEGATIVE))[0].confusion == {("positive", "negative"): 1}


@pytest.mark.parametrize("other", ["neutral", "posi tive", 1, True, ["positive"]])
def test_one_value_outside_the_enum_drops_the_column_for_good(other: object) -> None:
    assert agreed(("positive", POSITIVE), (other, POSITIVE), ("positive", POSITIVE)) == []


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_a_column_that_never_had_a_label_is_no_gold(empty: object) -> None:
    assert agreed((empty, POSITIVE), (empty, NEGATIVE)) == []


def test_a_column_that_the_rows_lack_is_no_gold() -> None:
    agreement = Agreement(ENUMS, ["label"])
    agreement.add({"text": "positive"}, POSITIVE)
    assert agreement.results() == []


@pytest.mark.parametrize("answer", [{}, {"sentiment": None}, None])
def test_an_answer_that_leaves_the_property_out_lowers_coverage_not_accuracy(answer: Mapping[str, object] | None) -> None:
    found = agreed(("positive", POSITIVE), ("positive", answer))[0]
    assert (found.labelled, found.answered, found.accuracy, found.coverage) == (2, 1, 1.0, 0.5)


def test_without_any_answer_there_is_no_accuracy() -> None:
    found = agreed(("positive", None))[0]
    assert (found.accuracy, found.interval, found.coverage) == (None, None, 0.0)


def test_each_answer_column_finds_its_own_gold_in_the_order_of_the_schema() -> None:
    agreement = Agreement({"urgent": ("yes", "no"), "tone": ("warm", "cold"), "note": ()}, ["text", "gold_tone", "gold"])
    agreement.add({"text": "yes", "gold_tone": "warm", "gold": "no"}, {"urgent": "no", "tone": "cold"})
    agreement.add({"text": "Oh no!", "gold_tone": "cold", "gold": "no"}, {"urgent": "yes", "tone": "cold"})
    found = [(each.property_name, each.column, each.agreeing) for each in agreement.results()]
    assert found == [("urgent", "gold", 1), ("tone", "gold_tone", 1)]


def test_values_that_differ_by_case_alone_are_named_by_their_exact_spelling() -> None:
    agreement = Agreement({"grade": (" Ab", "aB", "C")}, ["exact", "loose", "ambiguous"])
    agreement.add({"exact": "Ab", "loose": "c", "ambiguous": "C"}, {"grade": " Ab"})
    agreement.add({"exact": "aB", "loose": "C", "ambiguous": "ab"}, {"grade": " Ab"})
    confusions = {each.column: each.confusion for each in agreement.results()}
    assert confusions == {"exact": {(" Ab", " Ab"): 1, ("aB", " Ab"): 1}, "loose": {("C", " Ab"): 2}}


def test_enum_values_with_spaces_around_them_can_be_named() -> None:
    agreement = Agreement({"grade": (" x ",)}, ["gold"])
    agreement.add({"gold": "X"}, {"grade": " x "})
    assert agreement.results()[0].accuracy == 1.0


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # by symmetry
        (20, 20, 0.8389, 1.0000),
    ],
)
def test_the_interval_is_that_of_published_examples(hits: int, trials: int, low: float, high: float) -> None:
    assert [round(end, 4) for end in wilson(hits, trials)] == [low, high]


@given(st.integers(1, 10**9).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
@example((0, 21))  # rounding alone would put the lower end below 0
@example((11, 11))  # and the upper end above 1
def test_the_interval_lies_within_0_and_1_and_around_the_share(counts: tuple[int, int]) -> None:
    hits, trials = counts
    low, high = wilson(hits, trials)
    assert 0 <= low <= high <= 1
    assert low - 1e-12 <= hits / trials <= high + 1e-12


@given(st.lists(st.tuples(st.sampled_from(["positive", "negative", ""]), st.sampled_from([POSITIVE, NEGATIVE, None]))))
def test_the_counts_add_up(rows: list[tuple[str, Mapping[str, object] | None]]) -> None:
    for found in agreed(*rows):
        assert found.labelled == sum(1 for label, _ in rows if label)
        assert found.answered == sum(found.confusion.values()) == sum(1 for label, answer in rows if label and answer)
        assert found.agreeing == sum(1 for label, answer in rows if label and answer and answer["sentiment"] == label)
