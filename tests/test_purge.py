"""`pipeline purge`: what was answered is forgotten, the table stays, and nothing is bought again unasked."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import sqlite3
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.commands.purge import purge
from pipeline.write.lock import locked
from pipeline.write.purge import forget, remembering
from pipeline.write.rundir import RunFolder
from tests.api import Api, Asked, Canned, error, message, serving
from tests.jobs import KEY, JobFolder, answer

CANARY = "canaries sing good songs"


def quoting(asked: Asked) -> Canned:
    """An answer, or, for one text, a reply that is none and quotes the document."""
    return message(f"I cannot judge: {asked.text}" if "odd" in asked.text else answer(asked.text))


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(quoting) as made:
        yield made


@pytest.fixture
def job(tmp_path: Path, api: Api) -> JobFolder:
    texts = [*(f"good thing {number}" for number in range(9)), f"odd {CANARY}"]
    made = JobFolder(tmp_path / "job", texts, api.url, run={"max_failed": 1}, check={"asks": 1})
    assert made.run().code == 0
    return made


def files(job: JobFolder) -> list[str]:
    return sorted(path.name for path in (job.path / "runs" / "job").iterdir())


def holding(folder: Path, sentence: str) -> list[str]:
    return [path.name for path in folder.iterdir() if sentence.encode() in path.read_bytes()]


def test_no_sentence_of_a_document_is_left_in_the_run_folder(job: JobFolder) -> None:
    folder = job.path / "runs" / "job"
    assert holding(folder, CANARY)
    (folder / "log.jsonl.1").write_text(CANARY)  # as logrotate leaves it
    assert job.do("purge", "--yes").code == 0
    assert holding(folder, CANARY) == []
    assert files(job) == ["history.jsonl", "job.json", "lock", "summary.json"]


def test_the_table_and_the_figures_stay(job: JobFolder) -> None:
    before = {path.name: path.read_bytes() for path in (job.path / "runs" / "job").iterdir()}
    table = (job.path / "out" / "out.parquet").read_bytes()
    ended = job.do("purge", "--yes")
    assert (job.path / "out" / "out.parquet").read_bytes() == table
    for name in ("summary.json", "history.jsonl"):
        assert (job.path / "runs" / "job" / name).read_bytes() == before[name]
    assert ended.out.splitlines() == [
        "forgotten: 10 paid replies for 9 answered rows, which cost $0.000035",
        "removed from runs/job: journal.db, log.jsonl",
        "out/out.parquet stays.",
        "A run would then ask about every row again and pay for it; the next one does so only with --accept-change.",
    ]


def test_the_next_run_of_cron_buys_nothing_again(job: JobFolder, api: Api) -> None:
    paid = len(api.asked)
    table = (job.path / "out" / "out.parquet").read_bytes()
    job.do("purge", "--yes")
    for _ in range(2):
        ended = job.run()
        assert (ended.code, len(api.asked)) == (78, paid)
        assert "the stored replies of runs/job were forgotten at 20" in ended.err
        assert "10 paid replies for 9 answered rows, which cost $0.000035" in ended.err
        assert ended.err.splitlines()[-1] == "what to do: pay again with --accept-change"
    assert (job.path / "out" / "out.parquet").read_bytes() == table


def test_told_so_a_run_starts_anew_and_is_then_as_any_other(job: JobFolder, api: Api) -> None:
    paid = len(api.asked)
    job.do("purge", "--yes")
    ended = job.run("--accept-change")
    assert (ended.code, ended.summary["requests"], ended.summary["reused"]) == (0, paid, 0)
    ended = job.run()
    assert (ended.code, ended.summary["requests"]) == (0, 0)


def test_where_nothing_was_paid_for_the_next_run_is_as_any_other(tmp_path: Path, api: Api) -> None:
    fresh = JobFolder(tmp_path / "fresh", ["a good text"], api.url)
    api.script = lambda _: error(401, "authentication_error")
    assert fresh.run().code == 77
    ended = fresh.do("purge", "--yes")
    assert "forgotten: nothing that was paid for" in ended.out
    assert "The next `pipeline run` starts anew." in ended.out
    api.script = quoting
    assert fresh.run().code == 0


def test_status_tells_of_it_until_the_next_run(job: JobFolder) -> None:
    job.do("purge", "--yes")
    assert "its stored replies were forgotten at 20" in job.do("status").out
    job.run("--accept-change")
    assert "forgotten" not in job.do("status").out


def test_a_purge_that_nobody_agreed_to_leaves_no_trace(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = job.do("status").out
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert job.do("purge").code == 64
    assert job.do("status").out == before
    assert "out/out.parquet stays." in job.do("purge", "--yes").out


def test_without_a_terminal_it_wants_to_be_told_yes(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        ended = job.do("purge")
    assert ended.code == 64
    assert ended.err.splitlines()[-1] == "what to do: say --yes"
    assert "journal.db" in files(job)


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"n\n", 130), (b"\n", 130), (b"\x03", 130), (b"\x04", 130)])
def test_on_a_terminal_it_tells_the_price_and_asks(job: JobFolder, typed: bytes, code: int) -> None:
    ours, its = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "purge", "job.yaml"],
            cwd=job.path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=its,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # The terminal must be that of the new session, or it sends no signal for ctrl-C.
            preexec_fn=_take_terminal,
        )
        assert process.stderr is not None
        err = b""
        while not err.endswith(b"[y/N]:"):
            err += process.stderr.read(1)
        os.write(ours, typed)
        err += process.communicate(timeout=60)[1]
    finally:
        os.close(ours)
        os.close(its)
    assert process.returncode == code, err
    assert b"10 paid replies for 9 answered rows, which cost $0.000035" in err
    assert b"out/out.parquet stays." in err
    assert b"pay for it" in err
    assert ("journal.db" in files(job)) == (code != 0)
    if code:
        assert err.endswith(b"pipeline: nothing was forgotten\nwhat to do: say yes, or --yes, to forget it\n")


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_answers_that_are_in_no_table_are_told(job: JobFolder) -> None:
    (job.path / "out" / "out.parquet").unlink()
    assert "they are nowhere else" not in job.do("purge", "--yes").err
    job.run("--accept-change")
    folder = RunFolder(job.path / "runs", "job")
    summary = json.loads(folder.summary.read_text())
    folder.write_json(folder.summary, {**summary, "exit_code": 143})  # the run after was interrupted
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(job.path)

        def decline(text: str) -> bool:
            asked.append(text)
            return False

        assert purge(Path("job.yaml"), [], decline) is None
    assert "No finished run has put them into out/out.parquet: they are nowhere else." in asked[0]


def test_a_run_that_goes_on_is_not_purged(job: JobFolder) -> None:
    folder = RunFolder(job.path / "runs", "job")
    with locked(folder.lock, "it", "job", wait=False, say=print):
        ended = job.do("purge", "--yes")
    assert ended.code == 75
    assert f"another run holds the run folder runs/job: pid {os.getpid()} on " in ended.err
    assert "journal.db" in files(job)


def test_where_nothing_is_stored_there_is_nothing_to_do(tmp_path: Path, api: Api) -> None:
    fresh = JobFolder(tmp_path / "fresh", ["a good text"], api.url)
    assert fresh.do("purge", "--yes").code == 0
    assert not (fresh.path / "runs").exists()


def test_a_damaged_journal_can_be_forgotten_too(job: JobFolder) -> None:
    (job.path / "runs" / "job" / "journal.db").write_bytes(b"no database at all" * 100)
    ended = job.do("purge", "--yes")
    assert (ended.code, "a journal that tells nothing" in ended.out) == (0, True)
    assert job.run().code == 78
    assert job.run("--accept-change").code == 0


def test_files_of_others_in_the_folder_are_left_alone(job: JobFolder) -> None:
    (job.path / "runs" / "job" / "notes.txt").write_text("mine")
    job.do("purge", "--yes")
    assert (job.path / "runs" / "job" / "notes.txt").read_text() == "mine"


def test_a_purge_that_is_cut_short_after_any_file_brings_nothing_back(tmp_path: Path) -> None:
    """The journal goes first: what SQLite finds of its log beside a new one, it must not take for a part of that."""
    folder = RunFolder(tmp_path, "job")
    folder.create()
    connection = sqlite3.connect(folder.journal, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE reply (body TEXT)")
    connection.execute("INSERT INTO reply VALUES (?)", (CANARY,))
    left = remembering(folder)  # while the connection is open: the log has what the database has not
    assert [path.name for path in left] == ["journal.db", "journal.db-shm", "journal.db-wal"]
    left[0].unlink()
    again = sqlite3.connect(folder.journal)
    assert again.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    again.close()
    connection.close()
    forget(folder, "2026-11-23T03:00:00Z", "one reply")
    assert [path.name for path in folder.path.iterdir() if path.is_file()] == ["job.json"]


def test_a_purge_that_is_cut_short_before_the_first_file_is_noted_already(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        assert job.do("purge", "--yes").code == 130
    assert job.run().code == 78


def test_the_key_plays_no_part_in_it(job: JobFolder) -> None:
    ended = job.do("purge", "--yes")
    assert KEY not in ended.out + ended.err
