"""The page in a real browser (Debian's chromium): nothing of the data runs, and what is shown is what was given."""

from __future__ import annotations

import glob
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.show.page import page
from tests.api import Asked, Canned, message, serving
from tests.jobs import JobFolder
from tests.show.reports import PAYLOADS, RUN, report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BLNS = Path(__file__).parents[3] / "shared" / "suites" / "blns" / "blns.json"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")


def dom(path: Path, folder: Path) -> str:
    """The document as HTML, after its scripts have run."""
    assert CHROMIUM is not None
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        f"--user-data-dir={folder / 'profile'}",
    ]
    ended = subprocess.run([CHROMIUM, *flags, "--dump-dom", path.as_uri()], capture_output=True, timeout=120, check=True)
    return ended.stdout.decode("utf-8", "surrogatepass")


class Shown(HTMLParser):
    """Title, element names, attribute names, and the texts of `dd` in the rows to look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title = ""
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self._path: list[str] = []
        self._in_rows = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._path.append(tag)
        self._in_rows = self._in_rows or ("id", "examples") in attrs
        if self._in_rows and tag in ("dd", "dt", "bdi"):
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._path and self._path.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        within = self._path[-1] if self._path else ""
        if within == "title" and not self.title:
            self.title = data
        if self._in_rows and within in ("dd", "dt", "bdi"):
            self.texts[-1] += data


def test_nothing_runs_and_texts_are_shown_as_they_are(tmp_path: Path) -> None:
    naughty = [text for text in json.loads(BLNS.read_text("utf-8")) if text] if BLNS.exists() else []
    strings = [*PAYLOADS, *naughty]
    path = tmp_path / "report.html"
    path.write_text(page(report(PAYLOADS, naughty)), "utf-8", newline="")
    shown = Shown(dom(path, tmp_path))
    assert shown.title == f"{strings[0]} · pipeline report"
    assert "PWNED" not in shown.title.replace(RUN, "")
    assert not {"img", "iframe", "object", "embed", "base", "video", "math", "animate", "a\x00"} & shown.tags
    assert not [name for name in shown.attributes if name.startswith("on")]
    names = ("answer", "why there is none", "raw text of the model", "what it took")
    # key; column name and value; then each named text
    expected = [part for text in strings for part in (text, text, text, *(part for name in names for part in (name, text)))]
    assert shown.texts == expected


NAMES = [f"{number} {text}" for number, text in enumerate(PAYLOADS)]


def hostile_job(folder: Path, url: str, texts: list[str]) -> JobFolder:
    """Texts that would run as documents, keys, names of columns and files, values of an enum, properties and gold labels."""
    job = JobFolder(folder, [], url, check={"asks": 1}, run={"max_failed": "100%"})
    rows = [{"id": f"{number} {text}", "text": text} for number, text in enumerate(texts)]
    lines = [json.dumps({**row, **dict(zip(NAMES, PAYLOADS, strict=True))}) for row in rows]
    data = f"{PAYLOADS[6].replace('/', '')}.jsonl"
    (job.path / data).write_text("\n".join(lines))
    gold = [json.dumps({"id": row["id"], "label": NAMES[number % 7]}) for number, row in enumerate(rows)]
    (job.path / "<gold>.jsonl").write_text("\n".join(gold))
    properties = {"label": {"type": "string", "enum": NAMES}, NAMES[0]: {"type": "string"}, NAMES[4]: {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    (job.path / "schema.json").write_text(json.dumps(schema))
    job.configure(input={"path": glob.escape(data)}, output={"prefix": "a "})
    return job


def test_no_text_of_a_real_run_runs_in_its_report(tmp_path: Path) -> None:
    naughty = [text for text in json.loads(BLNS.read_text("utf-8")) if text.strip()] if BLNS.exists() else []

    def answering(asked: Asked) -> Canned:
        if len(asked.text) % 5 == 0:
            return message(f"no JSON, but {asked.text}")
        number = len(asked.text) % len(NAMES)
        return message(json.dumps({"label": NAMES[number], NAMES[0]: asked.text, NAMES[4]: number}))

    with serving(answering) as api:
        job = hostile_job(tmp_path / "job", api.url, [*PAYLOADS, *naughty[::5]])
        assert job.run().code in (0, 1)
        ended = job.do("report", "--gold", "<gold>.jsonl", "--label", "a label=label", "--by", NAMES[1])
        assert (ended.code, ended.err) == (0, "")
    page_at = job.path / "runs" / "job" / "report.html"
    shown = Shown(dom(page_at, tmp_path))
    assert shown.title == "job · pipeline report"
    assert not {"img", "iframe", "object", "embed", "base", "video", "math", "animate"} & shown.tags
    assert not [name for name in shown.attributes if name.startswith("on")]
    assert shown.texts.count(PAYLOADS[0]) > 100, "they are there, as texts"


@pytest.mark.parametrize("markup", [f"<script>{RUN}</script>", f'<img src="data:," onerror="{RUN}">'])
def test_were_it_not_escaped_the_policy_would_still_stop_it(markup: str, tmp_path: Path) -> None:
    whole = page(report(["x"])).replace("<main>", f"<main>{markup}")
    path = tmp_path / "report.html"
    path.write_text(whole, "utf-8")
    assert Shown(dom(path, tmp_path)).title == "x · pipeline report"
    # The other way round, to see that the browser would run it and that this would be seen.
    path.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", whole), "utf-8")
    assert Shown(dom(path, tmp_path)).title == "PWNED"
