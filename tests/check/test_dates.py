from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.check.dates import iso_date, iso_moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-25",
        "2026/11/25",
        "2026.11.25",
        "25/11/2026",
        "11/25/2026",
        "25.11.2026",
        "25 November 2026",
        "25 Nov 2026",
        "25 nov. 2026",
        "25th November, 2026",
        "25th of November 2026",
        "25-Nov-2026",
        "November 25, 2026",
        "Nov. 25th 2026",
        "Wednesday, 25 November 2026",
        "Wed, Nov 25, 2026",
        "  25 November 2026\n",
    ],
)
def test_a_date_that_can_be_one_day_only_is_that_day(text: str) -> None:
    assert iso_date(text) == "2026-11-25"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "03/04/2026",
        "3.4.2026",
        "25/11/26",
        "26-11-25",
        "31/11/2026",
        "2026-13-01",
        "2026-02-30",
        "2026/11-25",
        "13/13/2026",
        "Monday, 25 November 2026",
        "25 Ma 2026",
        "25 Ju 2026",
        "25 novembre 2026",
        "November 2026",
        "2026",
        "20261125",
        "25 November",
        "0 November 2026",
        "2026-11-25T00:00:00Z",
        "on 25 November 2026",
        "٢٥ November 2026",
        "25 November 2026" + " " * 100 + "x",
    ],
)
def test_what_is_no_date_or_could_be_two_is_none(text: str) -> None:
    assert iso_date(text) is None


def test_where_day_and_month_are_the_same_number_both_readings_agree() -> None:
    assert iso_date("5/5/2026") == "2026-05-05"


@given(st.dates(min_value=date(1000, 1, 1)), st.sampled_from(["%Y/%m/%d", "%d %B %Y", "%B %d, %Y", "%d %b %Y", "%A, %d %B %Y"]))
def test_a_written_date_is_read_back(day: date, form: str) -> None:
    assert iso_date(day.strftime(form)) == day.isoformat()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-25 10:30:00Z", "2026-11-25T10:30:00Z"),
        ("2026-11-25T10:30:00 z", "2026-11-25T10:30:00Z"),
        ("2026-11-25 10:30:00.25 +0100", "2026-11-25T10:30:00.25+01:00"),
        ("2026-11-25 10:30:00", None),
        ("2026-11-25", None),
        ("2026-11-25 10:30 +0100", None),
        ("25/11/2026 10:30:00Z", None),
    ],
)
def test_a_moment_needs_its_offset(text: str, meant: str | None) -> None:
    assert iso_moment(text) == meant
