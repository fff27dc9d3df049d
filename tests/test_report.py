"""`pipeline report`: the run as one file, whatever it went through, and nothing is disturbed by it."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import telling
from pipeline.write.lock import locked
from pipeline.write.rundir import RunFolder
from tests.api import Api, Asked, Canned, message, serving
from tests.jobs import KEY, JobFolder, answer


def judging(asked: Asked) -> Canned:
    """An answer; for an odd text none; for a fenced one an answer in a code fence."""
    if "odd" in asked.text:
        return message(f"I cannot judge <b>{asked.text}</b>")
    return message(f"```json\n{answer(asked.text)}\n```" if "fenced" in asked.text else answer(asked.text))


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(judging) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: Api) -> JobFolder:
    texts = [*(f"good thing {number}" for number in range(6)), "bad thing", "good fenced", "odd <script>x</script>", None]
    made = JobFolder(tmp_path / "job", texts, api.url, run={"max_failed": 2}, check={"asks": 1})
    assert made.run().code == 0
    return made


def written(job: JobFolder) -> str:
    return (job.path / "runs" / "job" / "report.html").read_text("utf-8")


def examples(page: str) -> dict[str, dict[str, Any]]:
    """Key → row to look at."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return {row["key"]: row for row in json.loads(found[1])}


def test_it_is_written_into_the_run_folder_for_its_owner_only(job: JobFolder) -> None:
    ended = job.do("report")
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r"runs/job/report.html \(0\.0\d MB\)\n", ended.out)
    assert (job.path / "runs" / "job" / "report.html").stat().st_mode & 0o777 == 0o600


def test_markdown_tells_the_figures(job: JobFolder) -> None:
    told = job.do("report", "--format", "md").out
    for line in (
        "| rows | 10 |",
        "| with an answer | 80.0% (2 without) |",
        "| mended | 10.0% (1 rows, nothing lost) |",
        "| ok_repaired | 1 | 10.0% | ███ |",
        "| stripped_fence | 1 | 10.0% | ████████████████████ |",
        "| yes | 7 | 87.5% | ████████████████████ |",
        "| no | 1 | 12.5% | ███ |",
        "- 1 input_error: the prompt came out empty: nothing to ask about in text",
    ):
        assert line in told.splitlines()
    assert "10 rows, 8 with an answer, 2 without." in told
    assert not (job.path / "runs" / "job" / "report.html").exists()


def test_rows_to_look_at_have_input_answer_and_raw_text(job: JobFolder) -> None:
    job.do("report")
    page = written(job)
    assert "odd <script>" not in page
    rows = examples(page)
    assert len(rows) == 10
    odd, fenced, empty = rows["r8"], rows["r7"], rows["r9"]
    assert odd["inputs"] == [["id", "r8"], ["text", "odd <script>x</script>"]]
    assert (odd["status"], odd["answer"]) == ("invalid_output", None)
    assert odd["raw"] == "I cannot judge <b>odd <script>x</script></b>"
    assert (fenced["status"], json.loads(fenced["answer"])) == ("ok_repaired", {"label": "yes", "length": 11})
    assert fenced["raw"] == f"```json\n{answer('good fenced')}\n```"
    assert (empty["status"], empty["raw"]) == ("input_error", None)


def test_only_rows_that_were_asked_about_count_as_requests(job: JobFolder) -> None:
    job.do("report")
    took = written(job).partition("<h3>Requests a row took</h3>")[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row"><bdi>(.*?)</bdi>', took) == ["1"]
    assert re.findall(r'<td class="number">(.*?)</td>', took) == ["9"]


def test_a_damaged_journal_is_told_and_left_alone(job: JobFolder) -> None:
    journal = job.path / "runs" / "job" / "journal.db"
    journal.write_bytes(b"no database at all" * 100)
    ended = job.do("report")
    assert (ended.code, "do not delete it" in ended.err) == (74, True)
    assert journal.read_bytes() == b"no database at all" * 100


def test_it_asks_nothing_and_changes_nothing_of_the_run(job: JobFolder, api: Api) -> None:
    folder = job.path / "runs" / "job"
    paid, before = len(api.asked), {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    job.do("report")
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert len(api.asked) == paid
    assert {name: after[name] for name in before if "-" not in name} == {n: b for n, b in before.items() if "-" not in n}
    assert job.run().summary["requests"] == 0


def test_the_key_is_not_in_it(job: JobFolder) -> None:
    job.do("report")
    assert KEY not in written(job)


def test_while_a_run_goes_on_it_tells_so_far(job: JobFolder) -> None:
    folder = RunFolder(job.path / "runs", "job")
    with locked(folder.lock, "it", "job", wait=False, say=print):
        ended = job.do("report", "--format", "md")
    assert ended.code == 0
    assert "It is running now" in ended.out


def test_by_a_column_answers_are_told_for_each_of_its_values(job: JobFolder) -> None:
    ended = job.do("report", "--format", "md", "--by", "text")
    assert "**label by text**" in ended.out
    assert "| bad thing | 1 | 0.0% | 100.0% |" in ended.out


def test_a_column_that_is_not_there_is_refused_with_the_nearest(job: JobFolder) -> None:
    ended = job.do("report", "--by", "texd")
    assert ended.code == 64
    assert "--by: the input has no column 'texd'; did you mean 'text'?" in ended.err


def test_out_takes_it_anywhere(job: JobFolder) -> None:
    assert job.do("report", "--out", "deep/er/x.md", "--format", "md").code == 0
    path = job.path / "deep" / "er" / "x.md"
    assert path.read_text("utf-8").startswith("# job\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_nothing_was_run_there_is_nothing_to_tell(tmp_path: Path, api: Api) -> None:
    fresh = JobFolder(tmp_path / "fresh", ["a good text"], api.url)
    ended = fresh.do("report")
    assert ended.code == 64
    assert "runs/job holds no run to report on; start one: pipeline run job.yaml" in ended.err
    assert not (fresh.path / "runs").exists()


def test_a_purge_takes_it_along_and_nothing_can_be_told_then(job: JobFolder) -> None:
    job.do("report")
    assert "report.html" in job.do("purge", "--yes").out
    ended = job.do("report")
    assert (ended.code, "were forgotten at 20" in ended.err) == (64, True)


def test_a_changed_input_and_a_changed_prompt_are_told_first(job: JobFolder) -> None:
    job.input(["good other thing"] * 12)
    job.configure(prompt={"user": "Judge {{ text }}"})
    job.do("report")
    page = html.unescape(written(job))
    assert "The input is not what it was when it was run" in page
    assert "The config has changed since the run (prompt.user)" in page


def test_it_shows_the_rows_that_a_limited_run_took(tmp_path: Path, api: Api) -> None:
    made = JobFolder(tmp_path / "few", [f"good {number}" for number in range(9)], api.url)
    made.run("--limit", "4")
    assert "| rows | 4 |" in made.do("report", "--format", "md").out


def test_rows_that_do_not_fit_are_left_out_and_counted(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "EXAMPLES_BYTES", 800)
    job.do("report")
    page = written(job)
    kept = examples(page)
    assert set(kept) >= {"r8", "r9"}
    assert f"{10 - len(kept)} of these were too long for this file and were left out" in page


GOLD = [("r0", "yes"), ("r1", "yes"), ("r2", "no"), ("r6", "no"), ("r9", "no"), ("gone", "yes")]


def gold(job: JobFolder) -> None:
    with (job.path / "gold.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "truth"), *GOLD])


def test_gold_labels_tell_how_good_the_answers_are_as_evaluate_tells_it(job: JobFolder) -> None:
    gold(job)
    told = job.do("report", "--format", "md", "--gold", "gold.csv", "--label", "label=truth").out
    assert "## Against gold labels" in told
    evaluated = job.do("evaluate", "--gold", "gold.csv", "--label", "label=truth").out
    accuracy = next(line for line in evaluated.splitlines() if "accuracy, answered rows" in line)
    figures = accuracy.split("3 of 4")[1].strip()
    assert f"| accuracy, answered rows | {figures} | 3 of 4 |".replace("[", "\\[").replace("]", "\\]") in told
    assert "| label right | 75.0% (30% to 95%, of 4 gold rows) |" in told


def test_what_was_evaluated_is_in_the_next_report_and_forgotten_labels_are_told(job: JobFolder) -> None:
    gold(job)
    assert job.do("evaluate", "--gold", "gold.csv", "--label", "label=truth", "--json").code == 0
    job.do("report")
    page = written(job)
    assert "label = truth: 5 rows with a gold label" in page
    assert 'aria-label="accuracy, answered rows: 75.0% [30, 95]"' in page
    (job.path / "gold.csv").unlink()
    ended = job.do("report")
    assert (ended.code, ended.err) == (0, "")
    assert "could not be made again" in html.unescape(written(job))
    assert "gold.csv: the gold file is not there" in html.unescape(written(job))


def test_another_run_is_told_without_gold(job: JobFolder) -> None:
    told = job.do("report", "--format", "md", "--against", "out/out.parquet").out
    assert "## Against another run" in told
    assert "**label: this table and the other**" in told


def test_labels_without_a_gold_file_are_refused(job: JobFolder) -> None:
    ended = job.do("report", "--label", "label=truth")
    assert (ended.code, "need gold labels: --gold FILE" in ended.err) == (64, True)


@pytest.mark.parametrize("note", ["[]", "{}", '{"gold": 7}', "no json"])
def test_a_damaged_note_of_an_evaluation_spoils_no_report(note: str, job: JobFolder) -> None:
    (job.path / "runs" / "job" / "evaluation.json").write_text(note)
    ended = job.do("report")
    assert (ended.code, ended.err) == (0, "")
    assert "could not be made again" in written(job)
