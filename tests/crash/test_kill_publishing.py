"""SIGKILL while the table is published: whoever reads it finds the old one, the new one, or none."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.crash.campaign import KILLED, Campaign
from tests.crash.conftest import Size
from tests.crash.deaths import Circumstances, Death, Kind
from tests.crash.ledger import FENCED, serving
from tests.crash.program import Forks

OLD = [f"good old {number}" for number in range(30)]
NEW = [*OLD, "bad new 30", f"good new 31 {FENCED}"]


class Growing(Campaign):
    """A job that was published, and whose input has grown since."""

    def check_output(self) -> None:
        """The old table is whole, too, until it is replaced."""
        rows = pq.read_metadata(self.output).num_rows
        if rows == len(OLD):
            whole, self.texts = self.texts, self.texts[: len(OLD)]
            super().check_output()
            self.texts = whole
        else:
            super().check_output()


@pytest.mark.parametrize("kind", ["file", "table"])
def test_killed_at_any_call_that_changes_a_file_the_old_table_stands_or_the_new_one(
    kind: Kind, tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    stride = 1 if size.kills else {"file": 4, "table": 40}[kind]
    kills = 0
    with serving(seed=size.seed) as ledger:
        first = Campaign(tmp_path / "template", OLD, ledger, forked)
        assert first.run().code == 0
        old = first.output.read_bytes()
        first.job.input(NEW)
        paid = list(ledger.charges)
        for number in count(1, stride):
            for after in (False, True) if size.kills else (number % 2 == 0,):
                del ledger.charges[len(paid) :]
                folder = tmp_path / f"{number}{after}"
                shutil.copytree(first.folder, folder)
                campaign = Growing(folder, NEW, ledger, forked)
                ended = campaign.run(Circumstances(Death(kind, number, after)))
                assert ended.code in (KILLED, 0), ended.err
                assert campaign.output.read_bytes() == old or pq.read_metadata(campaign.output).num_rows == len(NEW)
                campaign.finish(again=bool(size.kills))
                kills += campaign.kills
                shutil.rmtree(folder)
            if ended.code == 0:
                break
    assert kills >= 3, "nothing was killed: the seam is gone"
    tell(f"{kills} kills: the table was always the old one or the new one")


def test_killed_at_random_while_publishing_the_table_is_never_seen_half(
    tmp_path: Path, forked: Forks, size: Size, tell: Callable[[object], None]
) -> None:
    """The table is gone before each run, so that what a kill leaves at its place is nothing, or all of it."""
    kills = size.of(4, 200)
    chance = size.random()
    absent = 0
    texts = [f"good {number}" for number in range(size.of(1_000, 10_000))]
    with serving(seed=size.seed) as ledger:
        campaign = Campaign(tmp_path / "job", texts, ledger, forked, call={"concurrency": 64})
        assert campaign.run().code == 0
        for _ in range(10 * kills):
            if campaign.kills == kills:
                break
            campaign.output.unlink(missing_ok=True)
            running = campaign.start()
            while not running.over(0.001) and not list(campaign.output.parent.glob(".*.partial")):
                pass
            running.over(chance.uniform(0, 0.05 * len(texts) / 1_000))
            running.send(signal.SIGKILL)
            absent += campaign.ended(running).code == KILLED and not campaign.output.exists()
        assert campaign.kills == kills, "most runs end before they are killed"
        figures = campaign.finish()
    assert (figures.charges, figures.twice) == (len(texts), 0)
    tell(f"{kills} kills while publishing {figures.rows} rows: {absent} times absent, {kills - absent} times whole")
