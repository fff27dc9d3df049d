"""docs/cron.md taken at its word, and what a job that runs by itself leaves: locks, logs, history, metrics."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.write.lock import locked
from pipeline.write.rundir import RunFolder
from tests.api import Api, Asked, Canned, error, message, serving
from tests.batches import batching, texts
from tests.jobs import KEY, JobFolder, answer

HOSTILE = [
    'good "\\\n{"level": "error"}',
    "good \x1b]0;x\x07\u202e\x85\u2028",
    "x-api-key: good",
    "authorization",
    "good ä 日本",
]


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(right) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: Api) -> JobFolder:
    return JobFolder(tmp_path / "job", ["good one", "bad one"], api.url, run={"metrics_file": "metrics/job.prom"})


def block(checkout: Path, language: str, number: int = 0) -> str:
    """A code block of the page."""
    text = (checkout / "docs" / "cron.md").read_text("utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(found[number])


def samples(job: JobFolder) -> dict[str, float]:
    """Metric and labels → value."""
    lines = (job.path / "metrics" / "job.prom").read_text().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


# The page -----------------------------------------------------------------------------------------------------------------


def test_the_crontab_line_works_in_the_environment_of_cron(checkout: Path, job: JobFolder, api: Api) -> None:
    """cron hands the sixth field and all beyond it to sh, with hardly any environment."""
    (line,) = block(checkout, "crontab").splitlines()
    fields = line.split(maxsplit=5)
    assert len(fields) == 6
    assert re.fullmatch(r"(\d+|\*)( (\d+|\*)){4}", " ".join(fields[:5]))
    assert "%" not in fields[5]
    (job.path / "configs").mkdir()
    (job.path / "configs" / "reviews.yaml").write_text(json.dumps(job.config))
    (job.path / "secrets.env").write_text(block(checkout, "sh").replace("sk-ant-…", KEY))
    (job.path / ".venv").symlink_to(Path(sys.prefix))
    command = fields[5].replace("/srv/reviews", str(job.path))
    home = {"HOME": str(job.path), "LOGNAME": "reviews", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(["/bin/sh", "-c", command], cwd="/", env=home, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", ""), "cron mails whatever is printed"
    assert [row["label"] for row in job.rows()] == ["yes", "no"]
    assert {asked.headers["authorization"] for asked in api.asked} == {f"Bearer {KEY}"}


def test_the_crontab_line_of_batches_mails_nothing_until_something_is_wrong(checkout: Path, tmp_path: Path) -> None:
    (line,) = block(checkout, "crontab", 1).splitlines()
    fields = line.split(maxsplit=5)
    assert "%" not in fields[5]
    with batching(right) as api:
        job = JobFolder(tmp_path / "job", texts(20), api.url, call={"mode": "batch"})
        (job.path / "configs").mkdir()
        (job.path / "configs" / "reviews.yaml").write_text(json.dumps(job.config))
        (job.path / "secrets.env").write_text(block(checkout, "sh").replace("sk-ant-…", KEY))
        (job.path / ".venv").symlink_to(Path(sys.prefix))
        command = fields[5].replace("/srv/reviews", str(job.path))

        def night() -> tuple[str, str]:
            home = {"HOME": str(job.path), "LOGNAME": "reviews", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
            ended = subprocess.run(["/bin/sh", "-c", command], cwd="/", env=home, capture_output=True, text=True, check=False)
            return ended.stdout, ended.stderr

        assert night() == ("", "")
        assert (len(api.made), (job.path / "out" / "out.parquet").exists()) == (1, False), "sent, and not waited for"
        assert night() == ("", "")
        assert [row["label"] for row in job.rows()].count("no") == 7
        job.input([*texts(20), "good news"])
        api.lose = lambda _: "401"
        said, beside = night()
        assert (len(said.splitlines()), beside) == (2, "")
        assert said.splitlines()[1].startswith("what to do: ")


def test_what_cron_mails_of_a_failed_night_is_what_and_what_to_do(job: JobFolder, api: Api) -> None:
    api.script = lambda _: error(401, "authentication_error")
    ended = job.do("run", "--quiet")
    assert ended.code == 77
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 2
    assert ended.err.splitlines()[1].startswith("what to do: ")


def test_systemd_takes_the_units(checkout: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    program = tmp_path / "pipeline"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    service = block(checkout, "ini", 0).replace("/srv/reviews/.venv/bin/pipeline", str(program))
    (tmp_path / "reviews.service").write_text(service.replace("User=reviews", "User=root"))
    (tmp_path / "reviews.timer").write_text(block(checkout, "ini", 1))
    ended = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "reviews.service"), str(tmp_path / "reviews.timer")],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_systemd_waits_longer_than_a_run_drains(checkout: Path) -> None:
    from pipeline.settings import Run

    waits = re.search(r"^TimeoutStopSec=(\d+)$", block(checkout, "ini"), re.MULTILINE)
    assert waits is not None
    assert int(waits[1]) > Run().drain_s


def test_logrotate_takes_its_lines(checkout: Path, tmp_path: Path) -> None:
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        pytest.skip("no logrotate here")
    (tmp_path / "runs" / "job").mkdir(parents=True, mode=0o700)
    (tmp_path / "runs" / "job" / "log.jsonl").write_text("{}\n")
    lines = block(checkout, "logrotate").replace("/srv/reviews", str(tmp_path))
    (tmp_path / "rotate").write_text(lines.replace("su reviews reviews", ""))
    (tmp_path / "rotate").chmod(0o644)
    ended = subprocess.run(
        [program, "-f", "-s", str(tmp_path / "state"), str(tmp_path / "rotate")], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [path.name for path in (tmp_path / "runs" / "job").iterdir()] == ["log.jsonl.1"]


def test_the_page_knows_every_exit_code(checkout: Path) -> None:
    text = (checkout / "docs" / "cron.md").read_text("utf-8")
    for code in (0, 1, 64, 65, 69, 70, 74, 75, 77, 78):
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE), code


def test_the_page_knows_every_metric(checkout: Path, job: JobFolder) -> None:
    job.run()
    text = (checkout / "docs" / "cron.md").read_text("utf-8")
    written = {name.partition("{")[0] for name in samples(job)}
    assert set(re.findall(r"pipeline_[a-z_]+", text)) == written


# Locks --------------------------------------------------------------------------------------------------------------------


def test_a_second_run_ends_with_75_and_names_the_first(job: JobFolder, api: Api) -> None:
    folder = RunFolder(job.path / "runs", "job")
    folder.create()
    with locked(folder.lock, "it", "job", wait=False, say=print):
        ended = job.run()
    assert ended.code == 75
    assert f"another run holds the run folder runs/job: pid {os.getpid()} on " in ended.err
    assert ", job job" in ended.err
    assert ended.err.splitlines()[-1].endswith("or with --wait")
    assert api.asked == []
    assert not (job.path / "metrics").exists(), "the run that holds the lock writes its own"


def test_two_jobs_with_one_output_run_one_after_the_other(tmp_path: Path) -> None:
    others: list[tuple[int, str]] = []

    def script(asked: Asked) -> Canned:
        ended = second.start("run")
        _, err = ended.communicate(timeout=60)
        others.append((ended.returncode, err))
        return right(asked)

    with serving(script) as api:
        first = JobFolder(tmp_path, ["good"], api.url)
        second = JobFolder(tmp_path / "second", ["good"], api.url, output={"path": "../out/out.parquet"})
        assert first.run().code == 0
    ((code, err),) = others
    assert code == 75
    assert re.search(r"another run holds the output ../out/out.parquet: pid \d+ on \S+ since \S+, job job", err)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["out.parquet"]


def test_wait_says_so_and_runs_when_the_other_has_ended(job: JobFolder) -> None:
    folder = RunFolder(job.path / "runs", "job")
    folder.create()
    with locked(folder.lock, "it", "job", wait=False, say=print):
        process = job.start("run", "--wait")
        assert process.stderr is not None
        said = next(line for line in process.stderr if "waiting" in line)
        assert f"waiting for another run that holds the run folder runs/job: pid {os.getpid()} on " in said
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(job.rows()) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_waiting(job: JobFolder, api: Api, number: signal.Signals, code: int) -> None:
    folder = RunFolder(job.path / "runs", "job")
    folder.create()
    with locked(folder.lock, "it", "job", wait=False, say=print):
        process = job.start("run", "--wait")
        assert process.stderr is not None
        assert any("waiting" in line for line in process.stderr)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert err.splitlines()[-1].startswith("what to do: ")
    assert api.asked == []


# Logs ---------------------------------------------------------------------------------------------------------------------


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text("ascii")
    assert text.endswith("\n")
    read = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    assert all(isinstance(line, dict) for line in read)
    return read


def test_each_line_of_log_and_history_is_one_object_whatever_the_texts_and_keys(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        if "good" in asked.text:
            return error(400, "invalid_request_error", f"prompt is too long: {asked.text}")
        return message(asked.text, stop_reason="refusal")

    with serving(script) as api:
        job = JobFolder(tmp_path / "job", HOSTILE, api.url, input={"key": "text"}, run={"max_failed": "100%"})
        assert job.run().code == 0
        assert job.run("--retry", "all-bad").code == 0
    folder = job.path / "runs" / "job"
    log = lines(folder / "log.jsonl")
    assert [line["key"] for line in log if line["event"] == "row_unanswered"].count("authorization") == 2
    assert len(lines(folder / "history.jsonl")) == 2


def test_failed_runs_leave_whole_lines_too(job: JobFolder, api: Api) -> None:
    api.script = lambda _: error(401, "authentication_error", 'no\n"key"')
    assert job.run().code == 77
    (job.path / "schema.json").write_text("[")
    assert job.run().code == 78
    assert {line["event"] for line in lines(job.path / "runs" / "job" / "log.jsonl")} >= {"notice", "planned"}
    assert not (job.path / "runs" / "job" / "history.jsonl").exists(), "only finished runs are history"


# Metrics ------------------------------------------------------------------------------------------------------------------


def test_a_run_files_its_metrics_for_all_to_read(job: JobFolder) -> None:
    summary = job.run().summary
    found = samples(job)
    assert found['pipeline_rows{name="job",status="ok"}'] == 2
    assert found['pipeline_run_requests{name="job"}'] == summary["requests"] == 2
    assert found['pipeline_run_cost_usd{name="job"}'] == summary["cost_usd"]
    assert found['pipeline_run_tokens{name="job",kind="input"}'] == summary["input_tokens"]
    assert found['pipeline_last_success_timestamp_seconds{name="job"}'] > 1.7e9
    assert (job.path / "metrics" / "job.prom").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in (job.path / "metrics").iterdir()] == ["job.prom"]


def test_failed_runs_file_theirs_and_keep_the_last_success(job: JobFolder, api: Api) -> None:
    job.run()
    success = samples(job)['pipeline_last_success_timestamp_seconds{name="job"}']
    job.input(["good one", "bad one", "one more"])
    api.script = lambda _: error(401, "authentication_error")
    assert job.run().code == 77
    stopped = samples(job)
    assert stopped['pipeline_run_exit_code{name="job"}'] == 77
    assert stopped['pipeline_rows{name="job",status="pending"}'] == 1
    assert stopped['pipeline_last_success_timestamp_seconds{name="job"}'] == success
    (job.path / "schema.json").write_text("[")
    assert job.run().code == 78
    never_began = samples(job)
    assert never_began['pipeline_run_exit_code{name="job"}'] == 78
    assert never_began['pipeline_last_success_timestamp_seconds{name="job"}'] == success
    assert 'pipeline_rows{name="job",status="ok"}' not in never_began


def test_a_file_that_is_not_ours_is_not_replaced_and_the_run_does_not_fail(job: JobFolder) -> None:
    job.configure(run={"metrics_file": "in.csv"})
    before = (job.path / "in.csv").read_bytes()
    ended = job.run()
    assert ended.code == 0
    assert "run.metrics_file: in.csv was not written by this program and stays as it is" in ended.err
    assert (job.path / "in.csv").read_bytes() == before


def test_metrics_that_cannot_be_written_are_told_before_what_to_do(job: JobFolder, api: Api) -> None:
    job.configure(run={"metrics_file": "in.csv/job.prom"})
    api.script = lambda _: error(401, "authentication_error")
    ended = job.run()
    assert ended.code == 77
    assert "run.metrics_file: " in ended.err
    assert ended.err.splitlines()[-1].startswith("what to do: ")
