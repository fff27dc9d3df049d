"""The job from Python: the same promises, from a script, from a notebook's running loop, with tables in memory."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import pipeline
from pipeline import PipelineError, Ran, analyse_frame, run
from pipeline.errors import AccountRefused, ConfigInvalid, InputUnreadable, UsageError
from tests.api import Api, Asked, Canned, error, message, serving
from tests.jobs import SCHEMA, JobFolder, answer

TEXTS = ["good one", "bad two", "good three"]


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-CANARY-key")


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(right) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    made = JobFolder(tmp_path / "job", TEXTS, api.url)
    monkeypatch.chdir(made.path)
    return made


def analysed(frame: Any, folder: Path, url: str, **changes: Any) -> Any:
    told: dict[str, Any] = {"schema": SCHEMA, "prompt": "{{ text }}", "model": "claude-haiku-5-5", "progress": False}
    return analyse_frame(frame, folder=folder, **{**told, "call": {"base_url": url}, **changes})


def lengths(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


# run ------------------------------------------------------------------------------------------------------------------------


def test_a_run_gives_its_summary_and_its_table(job: JobFolder, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run("job.yaml", progress=False)
    assert isinstance(ran, Ran)
    assert (ran.summary.rows, ran.summary.ok, ran.summary.requests, ran.summary.exit_code) == (3, 3, 3, 0)
    assert ran.path == job.path / "out" / "out.parquet"
    assert ran.folder == job.path / "runs" / "job"
    assert ran.table().equals(job.table())
    assert str(ran.frame()["length"].dtype) == "Int64"
    assert run("job.yaml", progress=False).summary.requests == 0
    told = capsys.readouterr()
    assert told.out + told.err == ""


def test_options_and_overrides_are_those_of_the_command_line(job: JobFolder, api: Api) -> None:
    ran = run(job.path / "job.yaml", limit=2, progress=False, model={"max_tokens": 77}, **{"output.path": "out/é.parquet"})  # type: ignore[arg-type]
    assert (ran.summary.rows, ran.path.name) == (2, "é.parquet")
    assert {asked.body["max_tokens"] for asked in api.asked} == {77}
    assert {asked.body["model"] for asked in api.asked} == {"claude-haiku-5-5"}, "what a section does not name stays"


def test_rows_without_an_answer_are_no_error_and_can_be_retried(job: JobFolder, api: Api) -> None:
    api.script = lambda asked: message("no") if "bad" in asked.text else right(asked)
    ran = run("job.yaml", progress=False, check={"asks": 1})
    assert (ran.summary.exit_code, ran.summary.invalid_output) == (1, 1)
    api.script = right
    assert run("job.yaml", retry="invalid_output", progress=False, check={"asks": 1}).summary.ok == 3


def test_what_goes_wrong_is_raised(job: JobFolder, api: Api) -> None:
    with pytest.raises(ConfigInvalid, match="max_tokenz"):
        run("job.yaml", progress=False, model={"max_tokenz": 1})
    with pytest.raises(UsageError, match="'ok' is none of all-bad"):
        run("job.yaml", progress=False, retry="ok")
    with pytest.raises(UsageError, match="no value of a config"):
        run("job.yaml", progress=False, model={"name": object()})
    assert not api.asked
    api.script = lambda _: error(401, "authentication_error")
    with pytest.raises(PipelineError) as raised:
        run("job.yaml", progress=False)
    assert isinstance(raised.value, AccountRefused)


def test_only_parquet_keeps_the_types_that_a_table_is_given_with(job: JobFolder) -> None:
    ran = run("job.yaml", progress=False, **{"output.path": "out/out.csv"})  # type: ignore[arg-type]
    with pytest.raises(ConfigInvalid, match="keeps no types"):
        ran.table()


# in a notebook --------------------------------------------------------------------------------------------------------------


async def _in_a_loop() -> Ran:
    return run("job.yaml", progress=False)


def test_it_runs_where_a_loop_is_running(job: JobFolder) -> None:
    assert asyncio.run(_in_a_loop()).summary.ok == 3


def test_errors_are_raised_there_too(job: JobFolder, api: Api) -> None:
    api.script = lambda _: error(401, "authentication_error")
    with pytest.raises(AccountRefused):
        asyncio.run(_in_a_loop())


def test_an_interrupt_there_waits_for_what_is_in_flight(job: JobFolder, api: Api) -> None:
    def interrupting(asked: Asked) -> Canned:
        os.kill(os.getpid(), signal.SIGINT)
        return right(asked)

    api.script = interrupting
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(_in_a_loop())
    assert signal.getsignal(signal.SIGINT) is before
    assert len(api.asked) == 1, "the canary, and nothing after the interrupt"
    api.script = right
    assert run("job.yaml", progress=False).summary.requests == 2, "its reply was awaited and kept"


def test_an_interrupt_of_a_script_does_the_same(job: JobFolder, api: Api) -> None:
    def interrupting(asked: Asked) -> Canned:
        os.kill(os.getpid(), signal.SIGINT)
        return right(asked)

    api.script = interrupting
    with pytest.raises(KeyboardInterrupt):
        run("job.yaml", progress=False)
    api.script = right
    assert run("job.yaml", progress=False).summary.requests == 2


def test_waiting_that_nothing_could_end_is_refused(job: JobFolder, api: Api) -> None:
    async def waiting() -> Ran:
        return run("job.yaml", wait=True)

    with pytest.raises(UsageError, match="could not be interrupted"):
        asyncio.run(waiting())
    assert not api.asked
    assert run("job.yaml", wait=True, progress=False).summary.ok == 3


def test_the_process_collects_its_garbage_as_before(job: JobFolder) -> None:
    before = gc.get_threshold()
    gc.set_threshold(701, 11, 9)
    try:
        run("job.yaml", progress=False)
        assert (gc.get_threshold(), gc.get_freeze_count()) == ((701, 11, 9), 0)
    finally:
        gc.set_threshold(*before)


def test_it_runs_in_a_thread_of_the_caller(job: JobFolder) -> None:
    ran: list[Ran] = []
    thread = threading.Thread(target=lambda: ran.append(run("job.yaml", progress=False)))
    thread.start()
    thread.join()
    assert ran[0].summary.ok == 3


# frames ---------------------------------------------------------------------------------------------------------------------


def test_a_data_frame_comes_back_with_its_rows_its_index_and_its_answers(tmp_path: Path, api: Api) -> None:
    texts = ["good b", "bad a", None, "good b"]
    frame = pd.DataFrame({"text": texts, "what": [object() for _ in texts], 7: 1}, index=["y", "x", "x", "z"])
    before = frame.copy()
    out = analysed(frame, tmp_path / "a", api.url)
    assert isinstance(out, pd.DataFrame)
    assert [*out.columns][:5] == ["text", "what", 7, "label", "length"]
    assert out.index.equals(frame.index)
    assert out["what"].tolist() == frame["what"].tolist()
    assert out["_status"].tolist() == ["ok", "ok", "input_error", "ok"]
    assert str(out["length"].dtype) == "Int64"
    assert out["length"].tolist() == [6, 5, pd.NA, 6]
    assert out["label"].tolist()[:2] == ["yes", "no"]
    assert len(api.asked) == 2, "the same text is paid once"
    pd.testing.assert_frame_equal(frame, before)


def test_an_arrow_table_comes_back_as_one(tmp_path: Path, api: Api) -> None:
    table = pa.table({"n": [3, 2, 1], "text": TEXTS})
    out = analysed(table, tmp_path / "a", api.url)
    assert isinstance(out, pa.Table)
    assert out.select(["n", "text"]).equals(table)
    assert out.column("length").to_pylist() == lengths(TEXTS)
    assert out.schema.field("length").type == pa.int64()


def test_called_again_it_pays_for_what_is_new(tmp_path: Path, api: Api) -> None:
    analysed(pd.DataFrame({"text": TEXTS}), tmp_path / "a", api.url)
    written = (tmp_path / "a" / "input.parquet").stat().st_mtime_ns
    again = analysed(pd.DataFrame({"text": TEXTS}), tmp_path / "a", api.url)
    assert (tmp_path / "a" / "input.parquet").stat().st_mtime_ns == written, "rows are done by their position alone"
    assert (len(api.asked), again["length"].tolist()) == (3, lengths(TEXTS))
    grown = analysed(pa.table({"text": ["new good", *reversed(TEXTS)]}), tmp_path / "a", api.url)
    assert len(api.asked) == 4
    assert grown.column("length").to_pylist() == lengths(["new good", *reversed(TEXTS)])
    with pytest.raises(ConfigInvalid, match=r"prompt\.user changed"):
        analysed(pd.DataFrame({"text": TEXTS}), tmp_path / "a", api.url, prompt="Say: {{ text }} \x85")
    assert len(api.asked) == 4


def test_a_prompt_may_be_the_mapping_of_a_config_and_a_schema_a_file(tmp_path: Path, api: Api) -> None:
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA))
    out = analysed(
        pd.DataFrame({"text": TEXTS}),
        tmp_path / "a",
        api.url,
        prompt={"user": "{{ text }}", "system": "Obey {{ schema }}"},
        schema=tmp_path / "s.json",
        model={"name": "claude-haiku-5-5", "max_tokens": 9},
        prefix="got_",
    )
    assert out["got_length"].tolist() == lengths(TEXTS)
    assert {asked.body["max_tokens"] for asked in api.asked} == {9}


def test_a_prompt_without_columns_still_has_rows(tmp_path: Path, api: Api) -> None:
    out = analysed(pd.DataFrame({"x": [1, 2]}), tmp_path / "a", api.url, prompt="good")
    assert out["length"].tolist() == [4, 4]
    assert len(api.asked) == 1


def test_an_empty_frame_comes_back_with_the_columns(tmp_path: Path, api: Api) -> None:
    out = analysed(pd.DataFrame({"text": pd.Series([], dtype="str")}), tmp_path / "a", api.url)
    assert (len(out), "label" in out, len(api.asked)) == (0, True, 0)


def test_frames_that_cannot_be_asked_about_are_refused_unpaid(tmp_path: Path, api: Api) -> None:
    with pytest.raises(TypeError, match="not list"):
        analysed([1], tmp_path / "a", api.url)
    with pytest.raises(ConfigInvalid, match="did you mean 'text'"):
        analysed(pd.DataFrame({"text": TEXTS}), tmp_path / "a", api.url, prompt="{{ texd }}")
    with pytest.raises(ConfigInvalid, match="columns label"):
        analysed(pd.DataFrame({"text": TEXTS, "label": 1}), tmp_path / "a", api.url)
    with pytest.raises(ConfigInvalid, match="as if it came from here"):
        analysed(pd.DataFrame({"text": TEXTS, "_status": "ok"}), tmp_path / "a", api.url)
    with pytest.raises(InputUnreadable, match="cannot be written"):
        analysed(pd.DataFrame({"text": ["a", 1, object()]}), tmp_path / "a", api.url)
    assert not api.asked


SCRIPT = """
import json, sys
import pandas as pd
from pipeline import analyse_frame
url, folder, schema, rows = sys.argv[1:]
frame = pd.DataFrame({"text": [f"good {n}" for n in range(int(rows))]})
out = analyse_frame(frame, schema=json.loads(schema), prompt="{{ text }}", model="claude-haiku-5-5", folder=folder,
                    call={"base_url": url, "concurrency": 2})
print(json.dumps(out["length"].tolist()))
"""


def test_killed_and_called_again_it_goes_on(tmp_path: Path, api: Api) -> None:
    rows, in_flight = 40, 2
    process: list[subprocess.Popen[str]] = []

    def killing(asked: Asked) -> Canned:
        if len(api.asked) == rows // 2:
            process[0].kill()
        return right(asked)

    api.script = killing
    arguments = [sys.executable, "-c", SCRIPT, api.url, str(tmp_path / "a"), json.dumps(SCHEMA), str(rows)]
    process.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True))
    process[0].communicate(timeout=60)
    assert process[0].returncode == -signal.SIGKILL
    api.script = right
    frame = pd.DataFrame({"text": [f"good {number}" for number in range(rows)]})
    out = analysed(frame, tmp_path / "a", api.url)
    assert out["length"].tolist() == lengths(frame["text"].tolist())
    assert rows <= len(api.asked) <= rows + in_flight


# importing ------------------------------------------------------------------------------------------------------------------


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("pandas", "pyarrow", "anthropic", "numpy", "rich", "pipeline.api")
    script = f"import pipeline, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def test_the_package_says_what_it_has() -> None:
    assert {"run", "analyse_frame", "Ran", "PipelineError"} <= {*dir(pipeline)}
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        pipeline.runs  # noqa: B018
    assert (Path(pipeline.__file__).parent / "py.typed").exists()
