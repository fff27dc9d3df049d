"""Locks, held by real processes: only the kernel knows who has one."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipeline.errors import ComeBackLater, StorageFailed
from pipeline.write import lock
from pipeline.write.lock import abandoned, holder, locked, output_locked

HOLD = """
import subprocess, sys
from pathlib import Path
from pipeline.write.lock import locked, output_locked
if sys.argv[2] == "output":
    lock = output_locked(Path(sys.argv[1]), "a", wait=False, say=print)
else:
    lock = locked(Path(sys.argv[1]), "it", "a", wait=False, say=print)
with lock:
    if sys.argv[2] == "child":
        print(subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, close_fds=False).pid, flush=True)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(path: Path, how: str = "file") -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock until it is killed or told to end."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        if how != "child":
            assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()
        process.wait()


def silent(sentence: str) -> None:
    raise AssertionError(sentence)


def take(path: Path) -> None:
    with locked(path, "it", "b", wait=False, say=silent):
        pass


def test_a_second_process_is_told_in_one_line_who_holds_it(tmp_path: Path) -> None:
    with held(tmp_path / "lock") as process:
        with pytest.raises(ComeBackLater) as refused:
            take(tmp_path / "lock")
        named = rf"pid {process.pid} on \S+ since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ, job a"
        assert re.fullmatch(f"another run holds it: {named}", refused.value.message)
        assert re.fullmatch(named, holder(tmp_path / "lock") or "")
        assert "--wait" in refused.value.next_step
        assert refused.value.exit_code == 75


def test_a_kill_frees_it_at_once(tmp_path: Path) -> None:
    with held(tmp_path / "lock") as process:
        process.kill()
        process.wait()
        assert holder(tmp_path / "lock") is None
        take(tmp_path / "lock")


def test_a_program_that_the_holder_started_does_not_hold_it_on(tmp_path: Path) -> None:
    with held(tmp_path / "lock", "child") as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert process.stdout.readline() == b"held\n"
        process.kill()
        process.wait()
        os.kill(child, 0)  # still there
        take(tmp_path / "lock")
        os.kill(child, signal.SIGKILL)


def test_the_lock_file_says_who_holds_it_and_stays_empty(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", "it", "b", wait=False, say=silent):
        assert (tmp_path / "lock").read_text().startswith(f"pid {os.getpid()} on ")
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "lock").read_text() == ""


def test_it_shows_whether_its_last_holder_was_killed(tmp_path: Path) -> None:
    assert not abandoned(tmp_path / "lock")
    with pytest.raises(KeyError), locked(tmp_path / "lock", "it", "b", wait=False, say=silent):
        raise KeyError
    assert not abandoned(tmp_path / "lock"), "it ended, if badly"
    with held(tmp_path / "lock"):
        assert not abandoned(tmp_path / "lock"), "it lives"
    assert abandoned(tmp_path / "lock")
    take(tmp_path / "lock")
    assert not abandoned(tmp_path / "lock")


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "lock") is None


def test_waiting_is_told_once_and_ends_when_the_holder_does(tmp_path: Path) -> None:
    said: list[str] = []
    with held(tmp_path / "lock") as process:

        def say(sentence: str) -> None:
            said.append(sentence)
            process.kill()  # told before it waits: else it would wait for ever

        with locked(tmp_path / "lock", "it", "b", wait=True, say=say):
            assert (tmp_path / "lock").read_text().startswith(f"pid {os.getpid()} on ")
        assert len(said) == 1
        assert said[0].startswith(f"waiting for another run that holds it: pid {process.pid} ")


class Stopped(BaseException):
    pass


def test_a_signal_ends_the_waiting_at_once(tmp_path: Path) -> None:
    def stop(number: int, frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with (
            held(tmp_path / "lock"),
            pytest.raises(Stopped),
            locked(tmp_path / "lock", "it", "b", wait=True, say=lambda _: signal.setitimer(signal.ITIMER_REAL, 0.05) and None),
        ):
            pytest.fail("it is held by another process")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_who_only_looks_is_waited_for(tmp_path: Path) -> None:
    """`pipeline status` shares the lock for an instant, which must not make a run fail."""
    with (tmp_path / "lock").open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        done = threading.Timer(0.1, looking.close)
        done.start()
        take(tmp_path / "lock")
        done.join()


LOOK = """
import sys
from pathlib import Path
from pipeline.write.lock import holder
print("looking", flush=True)
while True:
    holder(Path(sys.argv[1]))
"""


def test_those_who_look_all_the_time_keep_nobody_from_it(tmp_path: Path) -> None:
    take(tmp_path / "lock")
    with ExitStack() as stack:
        for _ in range(2):
            looking = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", LOOK, str(tmp_path / "lock")], stdout=subprocess.PIPE)
            )
            stack.callback(looking.kill)
            assert looking.stdout is not None
            assert looking.stdout.readline() == b"looking\n"
        for _ in range(300):
            take(tmp_path / "lock")


def test_the_words_of_a_dead_holder_are_not_told_as_those_of_the_living(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between taking a lock and signing it, the file names the last holder."""
    monkeypatch.setattr(lock, "LOOKS", 2)
    with held(tmp_path / "lock") as process:
        gone = subprocess.Popen(["true"])
        gone.wait()
        words = (tmp_path / "lock").read_text()
        (tmp_path / "lock").write_text(words.replace(f"pid {process.pid} ", f"pid {gone.pid} "))
        assert holder(tmp_path / "lock") == "a process that has not said which"


def test_what_stands_in_a_lock_file_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    with held(tmp_path / "lock"):
        (tmp_path / "lock").write_bytes(b"\x1b]0;pwned\x07\xff\nsecond line")
        assert holder(tmp_path / "lock") == "?]0;pwned?\N{REPLACEMENT CHARACTER}"


def test_a_lock_that_cannot_be_made_is_a_matter_of_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="missing"):
        take(tmp_path / "missing" / "lock")


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("text")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StorageFailed):
        take(tmp_path / "lock")
    assert (tmp_path / "precious").read_text() == "text"


# The output ---------------------------------------------------------------------------------------------------------------


def test_two_names_of_one_output_are_one_lock(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link.csv").symlink_to("a.csv")
    with (
        held(tmp_path / "out" / "a.csv", "output") as process,
        pytest.raises(ComeBackLater, match=rf"holds the output \S+/link.csv: pid {process.pid} on \S+ since \S+, job a"),
        output_locked(tmp_path / "out" / "link.csv", "b", wait=False, say=silent),
    ):
        pytest.fail("it is held by another process")


def test_two_outputs_in_one_folder_do_not_meet_and_nothing_is_left_there(tmp_path: Path) -> None:
    with (
        output_locked(tmp_path / "out" / "a.csv", "a", wait=False, say=silent),
        output_locked(tmp_path / "out" / "b.csv", "b", wait=False, say=silent),
    ):
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".a.csv.lock", ".b.csv.lock"]
    assert list((tmp_path / "out").iterdir()) == []


def test_the_lock_of_an_output_whose_holder_was_killed_is_free_and_is_tidied_up(tmp_path: Path) -> None:
    with held(tmp_path / "a.csv", "output"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".a.csv.lock"]
    with output_locked(tmp_path / "a.csv", "b", wait=False, say=silent):
        pass
    assert list(tmp_path.iterdir()) == []


CROWD = """
import os, sys
from pathlib import Path
from pipeline.write.lock import output_locked
place = Path(sys.argv[1])
sys.stdin.read()
for _ in range(40):
    with output_locked(place, "a", wait=True, say=lambda _: None):
        os.close(os.open(place.with_name("inside"), os.O_CREAT | os.O_EXCL))
        os.unlink(place.with_name("inside"))
"""


def test_a_lock_file_that_its_holders_remove_is_still_held_by_one_at_a_time(tmp_path: Path) -> None:
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(tmp_path / "a.csv")], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    for process in crowd:  # all begin together
        assert process.stdin is not None
        process.stdin.close()
    for process in crowd:
        assert process.stderr is not None
        with process.stderr:
            assert process.stderr.read() == b""
        assert process.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_an_output_where_nothing_can_be_locked_is_told_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> bool:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock, "_flocks", refuse)
    said: list[str] = []
    with output_locked(tmp_path / "a.csv", "b", wait=False, say=said.append):
        pass
    assert len(said) == 1
    assert "No locks available" in said[0]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageFailed, match="No locks available"):  # but a run folder must have locks
        take(tmp_path / "lock")
