"""The journal: what it promises about order, restarts and disks that refuse."""

from __future__ import annotations

import asyncio
import errno
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import Bug, StorageFailed
from pipeline.records import Constant, Origin, Outcome, Prompt, Recall, Status, Text, Turn, Usage
from pipeline.write.glance import ROWS, Spent, glance
from pipeline.write.journal import Journal
from pipeline.write.writer import Writer

KEY = b"k" * 16
OTHER = b"o" * 16


def prompt(position: int = 3, ask: int = 1) -> Prompt:
    return Prompt(position, "k", Constant("s"), (Turn("user", (Text("t"),)),), ask)


def sent(journal: Journal, *prompts: Prompt, key: bytes = KEY) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(journal.sent(prompt, key) for prompt in prompts))

    asyncio.run(all_of_them())


def replied(journal: Journal, prompt: Prompt, body: bytes = b"body", key: bytes = KEY) -> None:
    asyncio.run(journal.replied(prompt, key, body=body, request_id="req_1", latency_s=0.5, at=100.0))


FULL = Outcome(
    position=3,
    status=Status.OK_REPAIRED,
    answer='{"a":1}',
    repairs=("stripped_fence",),
    asks=2,
    attempts=3,
    reused=True,
    model="m",
    stop_reason="end_turn",
    message_id="msg",
    request_id="req",
    usage=Usage(1, 2, 3, 4, 5, 6),
    cost_usd=0.25,
    latency_s=1.5,
    answered_at=1000.25,
)


def test_an_outcome_comes_back_whole(tmp_path: Path) -> None:
    poor = Outcome(4, Status.INVALID_OUTPUT, error="why", cost_usd=None, raw="text \x00 ☃")
    with Journal(tmp_path / "j.db") as journal:
        journal.ended(FULL, KEY)
        journal.ended(poor, None)
        journal.flush()
        assert list(journal.outcomes()) == [FULL, poor]
        assert journal.ended_in(0, 10) == {3: (KEY, Status.OK_REPAIRED), 4: (None, Status.INVALID_OUTPUT)}
        assert journal.ended_in(4, 5).keys() == {4}
        assert journal.counts([5]) == {Status.OK_REPAIRED: 1, Status.INVALID_OUTPUT: 1}
        assert journal.counts([4]) == {Status.OK_REPAIRED: 1}, "a row that has left the input does not count"


def test_outcomes_come_in_the_order_of_rows_whatever_the_order_of_ends(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        for position in (5, 1 << 40, 2, 9):
            journal.ended(Outcome(position, Status.OK), KEY)
        journal.flush()
        assert [outcome.position for outcome in journal.outcomes()] == [2, 5, 9, 1 << 40]


def test_a_later_outcome_of_a_row_replaces_the_earlier_one(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        journal.ended(Outcome(3, Status.FAILED), KEY)
        journal.ended(FULL, OTHER)
        journal.flush()
        assert list(journal.outcomes()) == [FULL]


def test_what_was_sent_and_not_answered_is_in_doubt(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt())
        sent(journal, prompt())
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(prompt(), KEY) == Recall(attempts=2, in_doubt=True)


def test_what_was_refused_is_not_in_doubt(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt())
        asyncio.run(journal.unpaid(prompt(), KEY))
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(prompt(), KEY) == Recall(attempts=1, in_doubt=False)


def test_a_reply_that_was_not_used_comes_back_free(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt())
        replied(journal, prompt(), b"paid for")
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(prompt(), KEY) == Recall(1, False, b"paid for", "req_1", 0.5, 100.0)
        assert journal.paid()[0] == 1


def test_a_reply_answers_the_same_request_of_any_row_in_any_later_run(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt())
        replied(journal, prompt(), b"paid for")
        journal.ended(FULL, KEY)
        in_this_run = journal.recall(prompt(position=9), KEY)
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(prompt(position=9), KEY) == in_this_run
        assert in_this_run == Recall(0, False, b"paid for", "req_1", 0.5, 100.0, Origin.ELSEWHERE)
        assert journal.recall(prompt(), KEY) == Recall(1, False, b"paid for", "req_1", 0.5, 100.0, Origin.BEFORE)
        assert journal.recall(replace(prompt(position=9), use="new"), KEY) is None
        assert journal.recall(prompt(position=9), KEY[:8] + b"another!") is None


def test_of_two_replies_to_one_request_the_later_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        for position, body in ((1, b"first"), (2, b"second")):
            sent(journal, prompt(position))
            replied(journal, prompt(position), body)
        found = journal.recall(prompt(position=9), KEY)
        assert found is not None
        assert found.body == b"second"


def test_each_ask_of_a_row_is_remembered_by_itself(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt(ask=1))
        replied(journal, prompt(ask=1), b"first")
        sent(journal, prompt(ask=2), key=OTHER)
    with Journal(tmp_path / "j.db") as journal:
        first, second = journal.recall(prompt(ask=1), KEY), journal.recall(prompt(ask=2), OTHER)
        assert first is not None
        assert first.body == b"first"
        assert second == Recall(1, True)


def test_another_request_about_the_row_recalls_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt())
        replied(journal, prompt())
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(prompt(), OTHER) is None
        sent(journal, prompt(), key=OTHER)
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(prompt(), OTHER) == Recall(1, True)


def test_an_outcome_closes_all_asks_of_its_row(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt(ask=1), prompt(ask=2), prompt(position=4))
        journal.ended(FULL, KEY)
    with Journal(tmp_path / "j.db") as journal:
        assert list(journal.opened) == [(4, 1)]


def test_a_row_that_ends_in_doubt_stays_open(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt())
        journal.ended(Outcome(3, Status.IN_DOUBT), KEY)
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(prompt(), KEY) == Recall(1, True)


def test_what_it_cannot_hold_is_told_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        journal.ended(Outcome(3, Status.OK, usage=Usage(input_tokens=2**63)), KEY)
        with pytest.raises(Bug):
            journal.flush()
        with pytest.raises(Bug):
            sent(journal, prompt())


def test_an_empty_file_is_a_journal_not_yet_made(tmp_path: Path) -> None:
    (tmp_path / "j.db").touch()
    assert glance(tmp_path / "j.db") is None


def test_many_tell_at_once_and_each_hears_of_its_commit(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, *(prompt(position) for position in range(2000)))
    with Journal(tmp_path / "j.db") as journal:
        assert len(journal.opened) == 2000


def test_whoever_tells_more_than_can_wait_waits_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.write.writer.BACKLOG", 2)
    most = 0
    with Journal(tmp_path / "j.db") as journal:
        for position in range(200):
            journal.ended(replace(FULL, position=position), KEY)
            most = max(most, journal.waiting)
        journal.flush()
        assert len(list(journal.outcomes())) == 200
    assert most <= 2


def test_those_who_wait_in_several_loops_all_hear(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal, ThreadPoolExecutor(4) as threads:
        told = [threads.submit(sent, journal, *(prompt(100 * number + each) for each in range(50))) for number in range(4)]
        assert [each.result(timeout=60) for each in told] == [None] * 4
        journal.flush()
    with Journal(tmp_path / "j.db") as journal:
        assert len(journal.opened) == 200


def test_notes_are_kept(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        assert journal.noted("x") is None
        journal.note("x", "1")
        journal.note("x", "2")
        assert journal.noted("x") == "2"


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt())
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_damaged_journal_is_refused_and_never_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(b"this is no database, but it may have been one that was paid for" * 100)
    before = path.read_bytes()
    with pytest.raises(StorageFailed, match="cannot be opened"):
        Journal(path)
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
def test_a_journal_that_is_refused_is_not_held_open(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageFailed) as refused:  # kept, and so is what its traceback holds
        Journal(path)
    held = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    assert path not in held, refused


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db"):
        pass
    with sqlite3.connect(tmp_path / "j.db") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'version'")
    connection.close()
    with pytest.raises(StorageFailed, match="version 99"):
        Journal(tmp_path / "j.db")


def test_a_glance_sees_a_live_journal_and_disturbs_nothing(tmp_path: Path) -> None:
    assert glance(tmp_path / "j.db") is None
    with Journal(tmp_path / "j.db") as journal:
        journal.note("rows", "[4, 3]")
        journal.ended(FULL, KEY)
        journal.flush()
        seen = glance(tmp_path / "j.db")
        assert seen is not None
        assert (seen.rows, seen.counts, seen.cost_usd) == (7, {Status.OK_REPAIRED: 1}, 0.25)


def test_a_glance_at_a_damaged_journal_says_so(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"x" * 5000)
    with pytest.raises(StorageFailed):
        glance(tmp_path / "j.db")


PROGRAM = """
import asyncio, sys
from pathlib import Path
from pipeline.records import Constant, Origin, Outcome, Prompt, Status, Text, Turn
from pipeline.write.journal import Journal

async def run():
    with Journal(Path(sys.argv[1])) as journal:
        for position in range(100_000):
            prompt = Prompt(position, "k", Constant("s"), (Turn("user", (Text("t"),)),))
            await journal.sent(prompt, b"k" * 16)
            print("sent", position, flush=True)
            await journal.replied(prompt, b"k" * 16, body=b"x" * 400, request_id=None, latency_s=0.1, at=1.0)
            print("replied", position, flush=True)

asyncio.run(run())
"""


def test_whatever_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    confirmed = [program.stdout.readline().split() for _ in range(301)]
    program.send_signal(signal.SIGKILL)
    confirmed += [line.split() for line in program.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    program.stdout.close()
    program.wait()
    with Journal(path) as journal:
        opened = dict(journal.opened)
    for event, position in confirmed:
        left = opened[int(position), 1]
        assert event == "sent" or left.reply is not None


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from pipeline.errors import StorageFailed
from pipeline.records import Constant, Prompt, Text, Turn
from pipeline.write.journal import Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

async def run():
    journal = Journal(Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    confirmed = 0
    try:
        for position in range(10_000):
            prompt = Prompt(position, "k", Constant("s"), (Turn("user", (Text("t"),)),))
            await journal.sent(prompt, b"k" * 16)
            await journal.replied(prompt, b"k" * 16, body=b"x" * 400, request_id=None, latency_s=0.1, at=1.0)
            confirmed += 1
    except StorageFailed as error:
        print(confirmed, type(error.__cause__).__name__, flush=True)
        try:
            await journal.sent(prompt, b"k" * 16)
        except StorageFailed:
            print("still refuses")

asyncio.run(run())
"""


def test_the_reserve_makes_room_for_what_is_already_out(tmp_path: Path) -> None:
    """The writer gives the reserve free at the first refusal; only then does `sent` refuse."""
    journal = Journal(tmp_path / "j.db", reserve_bytes=1 << 20)
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 1 << 20
    refusals = [sqlite3.OperationalError("database or disk is full")]

    def tried(connection: sqlite3.Connection, group: list[Any]) -> Exception | None:
        if refusals and group[0].statements:
            return refusals.pop()
        return Writer._tried(journal._writer, connection, group)

    journal._writer._tried = tried  # type: ignore[method-assign]
    with journal:
        replied(journal, prompt())
        assert not (tmp_path / "ballast").exists()
        with pytest.raises(StorageFailed, match="disk is full"):
            sent(journal, prompt())
        replied(journal, prompt(position=4))
    with Journal(tmp_path / "j.db") as journal:
        assert journal.paid()[0] == 2


@pytest.mark.parametrize("reserve_bytes", [0, 1 << 20])
def test_a_disk_that_fails_and_takes_no_change_any_more_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserve_bytes: int
) -> None:
    """As after an error that makes a file system read-only: the reserve cannot be given free either."""
    journal = Journal(tmp_path / "j.db", reserve_bytes=reserve_bytes)

    def refuses(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuses)
    monkeypatch.setattr(journal._writer, "_tried", lambda *_: sqlite3.OperationalError("disk I/O error"))
    with pytest.raises(StorageFailed, match="disk I/O error"):
        sent(journal, prompt())
    with pytest.raises(StorageFailed, match="disk I/O error"):
        replied(journal, prompt())
    with pytest.raises(StorageFailed, match="disk I/O error"):
        journal.flush()
    journal.__exit__(None, None, None)


def test_a_bug_in_the_thread_that_writes_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j.db")
    monkeypatch.setattr(journal._writer, "_commit", lambda *_: 1 / 0)
    for _ in range(2):
        with pytest.raises(Bug, match="cannot be written: division by zero"):
            sent(journal, prompt())
    journal.__exit__(None, None, None)


def test_without_room_for_the_reserve_nothing_begins(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="nothing was sent"):
        Journal(tmp_path / "j.db", reserve_bytes=1 << 60)
    assert not (tmp_path / "ballast").exists()


def test_a_full_disk_is_told_to_whoever_waits_and_loses_nothing_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    first, second = ended.stdout.splitlines()
    assert second == "still refuses"
    confirmed = int(first.split()[0])
    assert confirmed > 0
    with Journal(path) as journal:
        assert journal.paid()[0] >= confirmed


def test_a_request_in_doubt_is_known_wherever_its_row_stands_now(tmp_path: Path) -> None:
    """A row was put on top of the input after the run was killed."""
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt(position=7))
    with Journal(tmp_path / "j.db") as journal:
        assert journal.recall(prompt(position=8), KEY) == Recall(1, True)
        sent(journal, prompt(position=8))
        replied(journal, prompt(position=8), b"paid for")
        again = journal.recall(prompt(position=9), KEY)
        assert again is not None
        assert (again.in_doubt, again.body, again.origin) == (False, b"paid for", Origin.ELSEWHERE)


def test_of_copies_that_are_to_be_tried_again_one_is_bought(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent(journal, prompt(position=1))
        replied(journal, prompt(position=1), b"bought before")
        journal.ended(replace(FULL, position=1), KEY)
    with Journal(tmp_path / "j.db") as journal:
        new = [replace(prompt(position=position), use="new") for position in (1, 2)]
        assert journal.recall(new[0], KEY) is None
        sent(journal, new[0])
        replied(journal, new[0], b"bought now")
        copy = journal.recall(new[1], KEY)
        assert copy is not None
        assert (copy.body, copy.origin) == (b"bought now", Origin.ELSEWHERE)


def test_doubts_are_remembered_until_they_are_told(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        assert journal.doubts() == 0
        for _ in range(12):
            journal.doubted()
    with Journal(tmp_path / "j.db") as journal:
        assert journal.doubts() == 12
        journal.doubts_told()
        assert journal.doubts() == 0


def test_a_damaged_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with Journal(path) as journal:
        for position in range(300):
            sent(journal, prompt(position=position))
            replied(journal, prompt(position=position), b"paid for" * 50)
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 8192] = bytes(byte ^ 0x5A for byte in damaged[middle : middle + 8192])
    path.write_bytes(damaged)
    with pytest.raises(StorageFailed, match="is damaged: ") as refused, Journal(path):
        pass
    assert "do not delete it" in refused.value.next_step
    assert path.read_bytes() == damaged


def test_a_value_that_none_of_ours_could_be_is_damage_too(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with Journal(path) as journal:
        journal.ended(FULL, KEY)
        journal.note(ROWS, "[10]")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE outcome SET status = 'odd'")
    with Journal(path) as journal:
        for read in (lambda: journal.counts([10]), lambda: journal.ended_in(0, 10), lambda: list(journal.outcomes())):
            with pytest.raises(StorageFailed, match="is damaged: 'odd'"):
                read()
    with pytest.raises(StorageFailed, match="is damaged: 'odd'"):
        glance(path)


def test_the_rate_is_that_of_the_time_there_were_replies(tmp_path: Path) -> None:
    """Not of a whole minute where the run is younger."""
    path = tmp_path / "j.db"
    with Journal(path) as journal:
        for position, at in enumerate((10.0, 100.0, 101.0, 102.0, 104.0)):
            sent(journal, prompt(position=position))
            asyncio.run(journal.replied(prompt(position), KEY, body=b"", request_id=None, latency_s=0.5, at=at))
        seen = glance(path)
    assert seen is not None
    assert seen.recent is not None
    assert seen.recent.per_second == 3 / 4, "four replies in the last minute, over four seconds"


# Money -------------------------------------------------------------------------------------------------------------------


def sent_for(journal: Journal, prompt: Prompt, usd: float | None, key: bytes = KEY) -> None:
    asyncio.run(journal.sent(prompt, key, usd))


def spent(path: Path) -> tuple[float, float]:
    """What the next run finds: paid, and perhaps paid."""
    with Journal(path) as journal:
        found = journal.spent()
        return found.paid_usd, found.doubtful_usd


def test_a_request_that_was_out_at_a_kill_counts_at_its_worst(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent_for(journal, prompt(), 0.5)
    assert spent(tmp_path / "j.db") == (0.0, 0.5)


def test_a_reply_counts_at_the_worst_until_its_price_is_noted(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent_for(journal, prompt(), 0.5)
        replied(journal, prompt(), b"paid for")
        assert journal.spent().paid_usd == 0.5
        assert list(journal.unpriced()) == [(1, b"paid for")]
        journal.priced(prompt(), 0.125)
        journal.flush()
        assert journal.spent().paid_usd == 0.125
        assert list(journal.unpriced()) == []
    assert spent(tmp_path / "j.db") == (0.125, 0.0)


def test_what_a_killed_run_could_not_price_is_priced_by_the_next(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        for position in (1, 2):
            sent_for(journal, prompt(position), 0.5)
            replied(journal, prompt(position))
    with Journal(tmp_path / "j.db") as journal:
        first, second = (number for number, _ in journal.unpriced())
        journal.price(first, 0.25)
        journal.price(second, None)  # it cannot be read
        journal.flush()
        assert list(journal.unpriced()) == []
    assert spent(tmp_path / "j.db") == (0.75, 0.0)


@pytest.mark.parametrize("how", ["sent again", "another request", "given up"])
def test_what_may_have_been_paid_stays_counted_whatever_becomes_of_its_row(tmp_path: Path, how: str) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent_for(journal, prompt(), 0.5)
    with Journal(tmp_path / "j.db") as journal:
        if how != "given up":
            sent_for(journal, prompt(), 0.25, KEY if how == "sent again" else OTHER)
            replied(journal, prompt(), key=KEY if how == "sent again" else OTHER)
            journal.priced(prompt(), 0.125)
        journal.ended(replace(FULL, status=Status.FAILED), KEY)
    assert spent(tmp_path / "j.db") == (0.0 if how == "given up" else 0.125, 0.5)


def test_what_was_refused_is_not_counted(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent_for(journal, prompt(), 0.5)
        asyncio.run(journal.unpaid(prompt(), KEY))
        journal.ended(replace(FULL, status=Status.REQUEST_ERROR), KEY)
    assert spent(tmp_path / "j.db") == (0.0, 0.0)


def test_a_row_that_ends_in_doubt_counts_once_and_not_again_when_it_is_sent_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent_for(journal, prompt(), 0.5)
        journal.ended(replace(FULL, status=Status.IN_DOUBT), KEY)
        journal.flush()
        assert journal.spent().doubtful_usd == 0.5
        sent_for(journal, prompt(), 0.25)
        assert journal.spent().doubtful_usd == 0.75


def test_after_a_run_that_finished_it_counts_anew(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        for position in (1, 2, 3):
            sent_for(journal, prompt(position), 0.5)
        replied(journal, prompt(1))
        journal.priced(prompt(1), 0.25)
        sent_for(journal, prompt(2), 0.5)
        journal.finished()
        assert journal.spent() == Spent(0.0, 0.0)
        sent_for(journal, prompt(3), 0.125)
        assert journal.spent() == Spent(0.0, 0.125), "what was out before belongs to what is over"
        replied(journal, prompt(3))
        journal.priced(prompt(3), 0.0625)
    assert spent(tmp_path / "j.db") == (0.0625, 0.0)


def test_a_model_without_a_price_leaves_what_can_be_priced_later(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        sent_for(journal, prompt(), None)
        replied(journal, prompt(), b"paid for")
    with Journal(tmp_path / "j.db") as journal:
        assert journal.spent().paid_usd == 0.0
        assert list(journal.unpriced()) == [(1, b"paid for")]


VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE open (
    position INTEGER NOT NULL, ask INTEGER NOT NULL, key BLOB NOT NULL,
    attempts INTEGER NOT NULL, out INTEGER NOT NULL, reply INTEGER,
    PRIMARY KEY (position, ask)
) WITHOUT ROWID;
CREATE TABLE paid (reply INTEGER PRIMARY KEY, key BLOB NOT NULL);
CREATE TABLE reply (
    id INTEGER PRIMARY KEY, position INTEGER NOT NULL, ask INTEGER NOT NULL,
    request_id TEXT, latency_s REAL NOT NULL, at REAL NOT NULL, body BLOB NOT NULL
);
INSERT INTO meta VALUES ('version', '1');
INSERT INTO open VALUES (3, 1, CAST('kkkkkkkkkkkkkkkk' AS BLOB), 2, 1, NULL);
INSERT INTO paid VALUES (1, CAST('oooooooooooooooo' AS BLOB));
INSERT INTO reply VALUES (1, 7, 1, 'req', 0.5, 9.0, CAST('body' AS BLOB));
CREATE TABLE outcome (
    position INTEGER PRIMARY KEY, key BLOB, status TEXT NOT NULL, error TEXT, answer TEXT, repairs TEXT NOT NULL,
    asks INTEGER NOT NULL, attempts INTEGER NOT NULL, reused INTEGER NOT NULL, model TEXT, stop_reason TEXT,
    message_id TEXT, request_id TEXT, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL, cache_write_5m_tokens INTEGER NOT NULL, cache_write_1h_tokens INTEGER NOT NULL,
    thinking_tokens INTEGER NOT NULL, cost_usd REAL, latency_s REAL, answered_at REAL, raw TEXT
);
"""


def test_a_journal_of_version_1_is_taken_over_with_all_that_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
    seen = glance(path)
    assert seen is not None
    assert seen.spent is None
    for _ in range(2):  # taken over, and opened as any other
        with Journal(path) as journal:
            assert journal.recall(prompt(), KEY) == Recall(attempts=2, in_doubt=True)
            assert journal.recall(prompt(position=9), OTHER) == Recall(0, False, b"body", "req", 0.5, 9.0, Origin.ELSEWHERE)
            assert journal.spent() == Spent(0.0, 0.0), "it was bought without a budget"
            assert list(journal.unpriced()) == []
    with Journal(path) as journal:
        sent_for(journal, prompt(), 0.5)
        replied(journal, prompt())
        journal.priced(prompt(), 0.25)
    assert spent(path) == (0.25, 0.0)
    found = glance(path)
    assert found is not None
    assert found.spent == Spent(0.25, 0.0)


def test_what_was_cut_or_sent_in_pieces_is_remembered_until_it_is_not_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        journal.ended(replace(FULL, position=1, pieces=12), KEY)
        journal.ended(replace(FULL, position=2), KEY)
        journal.ended(replace(FULL, position=3, left_out=99), KEY)
        journal.flush()
        assert [(one.pieces, one.left_out) for one in journal.outcomes()] == [(12, 0), (1, 0), (1, 99)]
    with Journal(path) as journal:
        journal.ended(replace(FULL, position=1), KEY)
        journal.flush()
        assert list(journal.outcomes()) == [replace(FULL, position=1), replace(FULL, position=2), replace(FULL, left_out=99)]


def test_questions_about_pieces_stand_beside_each_other(tmp_path: Path) -> None:
    pieces = [replace(prompt(), piece=number) for number in (0, 1, 2)]
    keys = [bytes([number]) * 16 for number in range(3)]
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        for piece, key in zip(pieces, keys, strict=True):
            sent(journal, piece, key=key)
        replied(journal, pieces[2], b"of the second", keys[2])
    with Journal(path) as journal:
        assert sorted(journal.opened) == [(3, 1), (3, 101), (3, 201)]
        assert journal.recall(pieces[1], keys[1]) == Recall(1, True)
        left = journal.recall(pieces[2], keys[2])
        assert left is not None
        assert (left.body, left.in_doubt, left.origin) == (b"of the second", False, Origin.NOW)
        journal.ended(FULL, KEY)
        journal.flush()
    with Journal(path) as journal:
        assert not journal.opened
