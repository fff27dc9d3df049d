"""The page of a report: whatever the data holds, it stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from pipeline.show.markdown import markdown
from pipeline.show.page import embedded, page
from pipeline.show.report import Example
from tests.show.reports import PAYLOADS, report


class Parsed(HTMLParser):
    """Elements, attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, set[str]] = {}
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._within = tag
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts.append(data)
        if self._within == "style":
            self.styles.append(data)


@pytest.mark.parametrize("text", PAYLOADS)
def test_a_text_adds_no_element_and_no_attribute(text: str) -> None:
    harmless, hostile = Parsed(page(report(["x"]))), Parsed(page(report([text])))
    assert hostile.tags == harmless.tags
    assert hostile.attributes.keys() == harmless.attributes.keys()
    assert not [name for name in hostile.attributes if name.startswith("on") or name == "style"]
    assert len(hostile.scripts) == 2


def test_it_loads_nothing_and_runs_its_own_script_alone() -> None:
    text = page(report(PAYLOADS))
    parsed = Parsed(text)
    assert not {"src", "srcset", "data", "action"} & parsed.attributes.keys()
    assert all(target.startswith("#") for target in parsed.attributes["href"])
    policy = re.search(r'content="(default-src [^"]*)"', text)
    assert policy is not None
    for part in (parsed.scripts[-1], parsed.styles[0]):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"&#39;sha256-{digest}&#39;" in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;;")


@pytest.mark.parametrize("text", [*PAYLOADS, "\ud800 half", "ä 漢 \U0001f600", "\x7f\x1b[0m", ""])
def test_a_row_is_embedded_so_that_it_is_read_back_whole_and_ends_no_element(text: str) -> None:
    told = embedded(Example(text, "ok", [(text, text)], text, None, text, ""))
    assert not re.search("[<>&\u2028\u2029\ud800-\udfff]", told)
    read = json.loads(told)
    assert (read["key"], read["inputs"], read["answer"], read["error"]) == (text, [[text, text]], text, None)


def test_the_same_report_gives_the_same_page() -> None:
    assert page(report(PAYLOADS)) == page(report(PAYLOADS))


def test_charts_say_what_they_draw() -> None:
    text = page(report(["x"]))
    drawn = re.findall(r"<svg [^>]*>", text)
    assert drawn
    assert all('role="img"' in one and 'aria-label="' in one for one in drawn)
    assert "<title>1 and more x: 4</title>" in text


@pytest.mark.parametrize(
    "text", [*PAYLOADS, "[x](javascript:1)", "![x](http://a.b)", "https://a.b", "www.a.b", "*b* | c", "\x1b[31m"]
)
def test_markdown_takes_no_markup_and_no_escapes_from_data(text: str) -> None:
    told = markdown(report([text]))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", told)
    assert not re.search(r"(?<!\\)[<\[\]]", told.replace("> **Mind:**", ""))
    assert "://" not in told.replace("\\://", "")
    widths = {line.count("|") - line.count("\\|") for line in told.splitlines() if line.startswith("| ")}
    assert widths == {2, 3, 4, 5}
