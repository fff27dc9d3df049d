"""A date as people write it → what `format: date` or `date-time` wants (RFC 3339 section 5.6), if one day alone can be meant.

03/04/2026 is 3 April or March 4th, and 25/11/26 may begin with its year: such texts give None. So does a date-time without
its offset: nobody knows whose clock it was. Month names are English; a weekday that does not fit its date gives None.
"""

from __future__ import annotations

import re
from datetime import date

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_YEAR_FIRST = re.compile(r"(\d{4})([-/. ])(\d{1,2})\2(\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/. ])(\d{1,2})\2(\d{4})")
_WEEKDAY = r"(?:(?P<weekday>[A-Za-z]{3,9})\.?,?\s+)?"
_DAY_MONTH = re.compile(
    _WEEKDAY + r"(?P<day>\d{1,2})(?:st|nd|rd|th)?(?:\s+of\s+|\s+|-)(?P<month>[A-Za-z]{3,9})\.?(?:,?\s+|-)(?P<year>\d{4})"
)
_MONTH_DAY = re.compile(_WEEKDAY + r"(?P<month>[A-Za-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt]| +)(\d\d:\d\d:\d\d(?:\.\d+)?) ?(?:([Zz])|([+-]\d\d):?(\d\d))", re.ASCII)
_LONGEST = 60


def iso_date(text: str) -> str | None:
    """YYYY-MM-DD, or None where the text is no date or could be more than one."""
    text = text.strip()
    if len(text) > _LONGEST or not text.isascii():
        return None
    if numbers := _YEAR_FIRST.fullmatch(text):
        return _day(int(numbers[1]), int(numbers[3]), int(numbers[4]))
    if numbers := _YEAR_LAST.fullmatch(text):
        one, other, year = int(numbers[1]), int(numbers[3]), int(numbers[4])
        readings = {_day(year, other, one), _day(year, one, other)} - {None}
        return readings.pop() if len(readings) == 1 else None
    if not (named := _DAY_MONTH.fullmatch(text) or _MONTH_DAY.fullmatch(text)):
        return None
    month = _named(named["month"], _MONTHS)
    found = None if month is None else _day(int(named["year"]), month + 1, int(named["day"]))
    if found is None or named["weekday"] is None:
        return found
    return found if _named(named["weekday"], _DAYS) == date.fromisoformat(found).weekday() else None


def iso_moment(text: str) -> str | None:
    """An RFC 3339 date-time out of one whose parts stand apart otherwise; None where it is none or lacks its offset."""
    moment = _MOMENT.fullmatch(text.strip())
    if moment is None:
        return None
    offset = "Z" if moment[3] else f"{moment[4]}:{moment[5]}"
    return f"{moment[1]}T{moment[2]}{offset}"


def _day(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _named(word: str, names: tuple[str, ...]) -> int | None:
    """Which of the names a word is, or begins (`Nov`, `Sept`, `Thurs`); three letters tell them apart."""
    return next((index for index, name in enumerate(names) if name.startswith(word.lower())), None)
