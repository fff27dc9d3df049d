"""How answers are distributed: labels, numbers, texts and lists, in all and by group."""

from __future__ import annotations

from pipeline.measure.distribution import GROUPS, LABELS, Distributions


def test_labels_stand_in_the_order_of_the_schema_and_those_never_given_with_0() -> None:
    counted = Distributions({"label": "labels"}, {"label": ("no", "yes", "maybe")})
    for label in ("yes", "yes", "no", None):
        counted.add({"label": label})
    (found,) = counted.results()
    assert list((found.labels or {}).items()) == [("no", 1), ("yes", 2), ("maybe", 0)]
    assert (found.answered, found.empty) == (3, 1)


def test_booleans_are_labels_and_never_numbers() -> None:
    counted = Distributions({"good": "boolean"}, {})
    for value in (True, False, True):
        counted.add({"good": value})
    (found,) = counted.results()
    assert (found.labels, found.spread) == ({"true": 2, "false": 1}, None)


def test_few_integers_are_labels_and_many_numbers_a_spread() -> None:
    counted = Distributions({"stars": "number", "score": "number"}, {})
    for value in range(100):
        counted.add({"stars": value % 5 + 1, "score": value / 7})
    stars, score = counted.results()
    assert stars.labels == {"1": 20, "2": 20, "3": 20, "4": 20, "5": 20}
    assert score.labels is None
    assert score.spread is not None
    assert score.spread.number == 100


def test_texts_are_counted_by_length_and_lists_by_items() -> None:
    counted = Distributions({"text": "text", "tags": "list"}, {})
    for value in range(LABELS + 1):
        counted.add({"text": "x" * (value + 1), "tags": ["a", "b"] if value % 2 else ["a"]})
    text, tags = counted.results()
    assert text.labels is None
    assert text.spread is not None
    assert (text.spread.low, text.spread.high) == (1, LABELS + 1)
    assert tags.labels == {"a": LABELS + 1, "b": LABELS // 2}
    assert tags.spread is not None
    assert tags.spread.high == 2


def test_groups_are_told_apart_and_bounded() -> None:
    counted = Distributions({"label": "labels"}, {"label": ("yes", "no")}, grouped=True)
    for number in range(GROUPS + 7):
        counted.add({"label": "yes"}, f"g{number}")
    counted.add({"label": "no"}, "g3")
    (found,) = counted.results()
    assert len(found.groups) == GROUPS + 1
    assert (found.groups[0].name, found.groups[0].answered) == (None, 7)
    assert (found.groups[1].name, found.groups[1].labels) == ("g3", {"yes": 1, "no": 1})


def test_sentences_that_are_each_their_own_are_no_labels() -> None:
    counted = Distributions({"reason": "text", "one": "text"}, {})
    for number in range(6):
        counted.add({"reason": f"because of {number}"})
    counted.add({"one": "alone"})
    reason, one = counted.results()
    assert reason.labels is None
    assert reason.spread is not None
    assert one.labels == {"alone": 1}
