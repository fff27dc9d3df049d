"""The run folder: lock, small files, permissions."""

from __future__ import annotations

import json
import resource
import signal
import stat
from pathlib import Path

import pytest

from pipeline.errors import ConfigInvalid, StorageFailed
from pipeline.write import filesystem
from pipeline.write.lock import locked
from pipeline.write.rundir import LOOK_BYTES, RunFolder, replace


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
    with locked(folder.lock, "it", "job", wait=False, say=print):
        pass
    assert mode(folder.path) == 0o700
    assert {mode(path) for path in folder.path.iterdir()} == {0o600}


def test_a_folder_that_was_open_to_others_is_closed(folder: RunFolder) -> None:
    folder.path.chmod(0o755)
    folder.create()
    assert mode(folder.path) == 0o700


def test_json_is_read_as_it_was_written(folder: RunFolder) -> None:
    assert folder.read_json(folder.job) is None
    folder.write_json(folder.job, {"ä": [1, None, "\ud800"]})
    assert folder.read_json(folder.job) == {"ä": [1, None, "\ud800"]}


@pytest.mark.parametrize("content", ["", "[1]", '{"a": '])
def test_a_damaged_file_is_named(folder: RunFolder, content: str) -> None:
    folder.job.write_text(content)
    with pytest.raises(ConfigInvalid, match=r"job\.json"):
        folder.read_json(folder.job)


def test_history_grows_by_lines(folder: RunFolder) -> None:
    folder.append_history('{"n": 1}')
    folder.append_history('{"n": 2}')
    assert [json.loads(line)["n"] for line in folder.history.read_text().splitlines()] == [1, 2]


@pytest.mark.parametrize("torn", ['{"n": 3, "rea', "x" * (2 * LOOK_BYTES), "\0" * LOOK_BYTES])
@pytest.mark.parametrize("whole", ["", '{"n": 1}\n'])
def test_half_a_line_that_a_lost_machine_left_is_cut_off(folder: RunFolder, whole: str, torn: str) -> None:
    folder.history.write_text(whole + torn)
    folder.append_history('{"n": 2}')
    assert folder.history.read_text() == whole + '{"n": 2}\n'


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(folder: RunFolder) -> None:
    folder.append_history('{"n": 1}')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12, limits[1]))
    try:
        with pytest.raises(StorageFailed, match=r"history\.jsonl"):
            folder.append_history('{"n": 2}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert folder.history.read_text() == '{"n": 1}\n'


def test_a_folder_on_a_network_disk_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("1 0 0:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    with pytest.raises(ConfigInvalid, match="network file system"):
        RunFolder(tmp_path / "runs", "job").create()
    assert not (tmp_path / "runs").exists()


def test_a_file_for_others_to_read_is_so_from_its_first_moment(tmp_path: Path) -> None:
    replace(tmp_path / "f", b"x", 0o644)
    assert mode(tmp_path / "f") == 0o644


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


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert RunFolder(tmp_path, "none").holder() is None
