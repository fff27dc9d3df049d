"""The run folder: lock, small files, permissions."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ComeBackLater, ConfigInvalid, StorageFailed
from pipeline.write.rundir import RunFolder, locked, replace


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "runs", "job")
    made.create()
    return made


def test_only_the_owner_may_look_into_it(folder: RunFolder) -> None:
    folder.write_json(folder.summary, {"a": 1})
    folder.append_history("{}")
    with locked(folder.lock, "it"):
        pass
    assert mode(folder.path) == 0o700
    assert {mode(path) for path in folder.path.iterdir()} == {0o600}


def test_a_folder_that_was_open_to_others_is_closed(folder: RunFolder) -> None:
    folder.path.chmod(0o755)
    folder.create()
    assert mode(folder.path) == 0o700


def test_json_is_read_as_it_was_written(folder: RunFolder) -> None:
    assert folder.read_json(folder.job) is None
    folder.write_json(folder.job, {"ä": [1, None]})
    assert folder.read_json(folder.job) == {"ä": [1, None]}


@pytest.mark.parametrize("content", ["", "[1]", '{"a": '])
def test_a_damaged_file_is_named(folder: RunFolder, content: str) -> None:
    folder.job.write_text(content)
    with pytest.raises(ConfigInvalid, match=r"job\.json"):
        folder.read_json(folder.job)


def test_history_grows_by_lines(folder: RunFolder) -> None:
    folder.append_history('{"n": 1}')
    folder.append_history('{"n": 2}')
    assert [json.loads(line)["n"] for line in folder.history.read_text().splitlines()] == [1, 2]


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    replace(tmp_path / "f", b"old")
    replace(tmp_path / "f", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_bytes() == b"new"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        replace(tmp_path / "missing" / "f", b"x")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed):
        RunFolder(tmp_path / "file", "job").create()


HOLD = """
import sys
from pathlib import Path
from pipeline.write.rundir import locked
with locked(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_it_and_a_kill_frees_it(folder: RunFolder) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    with (
        pytest.raises(ComeBackLater, match=f"another run holds the folder: pid {holder.pid} on "),
        locked(folder.lock, "the folder"),
    ):
        pass
    assert f"pid {holder.pid}" in (folder.holder() or "")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert folder.holder() is None
    with locked(folder.lock, "it"):
        assert f"pid {os.getpid()}" in folder.lock.read_text()


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert RunFolder(tmp_path, "none").holder() is None
