"""`pipeline serve`: what the command line and the file of faults make together, and the pages that tell of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.serve import Options, script
from pipeline.errors import ConfigInvalid, UsageError
from pipeline.local.faults import KINDS, PLACES, Rule
from pipeline.local.limits import Limit, Limits
from pipeline.local.script import Latency, Script, Size, parsed

SILENT = Options(
    model="rehearsal",
    port=0,
    latency_s=None,
    seed=None,
    slots=None,
    faults=None,
    rpm=None,
    burst=None,
    itpm=None,
    itpm_burst=None,
    otpm=None,
    otpm_burst=None,
    until_eof=False,
)
FILE = "{seed: 4, latency: 2s, output: {tokens: 9}, limits: {rpm: 60, burst: 5, otpm: 80}, faults: [{fault: internal}]}"


def made(path: Path | None = None, **said: Any) -> Script:
    if path is not None:
        path.write_text(FILE)
    return script(replace(SILENT, faults=path, **said))


def test_a_silent_command_line_changes_nothing() -> None:
    assert made() == Script()


def test_options_are_limits_and_speed() -> None:
    assert made(latency_s=0.8, rpm=1_800, burst=30, itpm=5, otpm=7, otpm_burst=2, seed=3) == Script(
        latency=Latency(0.8), limits=Limits(Limit(1_800, 30), Limit(5), Limit(7, 2)), seed=3
    )


def test_a_file_alone_holds(tmp_path: Path) -> None:
    assert made(tmp_path / "f.yaml") == Script(
        Latency(2.0), Size(9), None, Limits(Limit(60, 5), None, Limit(80)), (Rule("internal"),), 4
    )


def test_the_command_line_wins_over_the_file_one_figure_at_a_time(tmp_path: Path) -> None:
    both = made(tmp_path / "f.yaml", latency_s=0.0, rpm=90, seed=0, itpm=7)
    assert both == Script(Latency(0.0), Size(9), None, Limits(Limit(90, 5), Limit(7), Limit(80)), (Rule("internal"),), 0)


@pytest.mark.parametrize("said", [{"burst": 5}, {"itpm_burst": 5}, {"otpm_burst": 5}])
def test_a_burst_needs_its_rate(said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="says nothing without"):
        made(**said)


@pytest.mark.parametrize("said", [{"rpm": 5}, {"otpm": 5}])
def test_the_small_model_has_no_limits(said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="are for the model rehearsal, not for smollm2-135m"):
        made(model="smollm2-135m", **said)
    quick = made(model="smollm2-135m", latency_s=1.0, seed=3, batch_time_s=5.0)
    assert quick == Script(Latency(1.0), seed=3, batch_time=Latency(5.0))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"--faults: .*none\.yaml cannot be read"):
        script(replace(SILENT, faults=tmp_path / "none.yaml"))
    (tmp_path / "latin").write_bytes(b"# \xe9")
    with pytest.raises(ConfigInvalid, match="is not UTF-8"):
        script(replace(SILENT, faults=tmp_path / "latin"))


def test_the_file_that_is_shipped_can_be_read(checkout: Path) -> None:
    shipped = parsed((checkout / "configs" / "faults.yaml").read_text(), "configs/faults.yaml")
    assert len(shipped.rules) > 5


def test_the_page_tells_of_every_fault_and_whether_it_is_paid(checkout: Path) -> None:
    page = (checkout / "docs" / "rehearsal.md").read_text()
    table = page.partition("| fault | what the client sees | paid |")[2].partition("\n\n")[0]
    told: dict[str, str] = {}
    for row in table.splitlines()[2:]:
        names, _, paid = row.strip("| ").split(" | ")
        told |= dict.fromkeys(re.findall(r"`(\w+)`", names), paid)
    assert set(told) == set(KINDS)
    assert {name for name, paid in told.items() if paid == "yes"} == {name for name, kind in KINDS.items() if kind.billed}


def test_the_file_on_the_page_can_be_read(checkout: Path) -> None:
    page = (checkout / "docs" / "rehearsal.md").read_text()
    block = re.search(r"\n((?:    .*\n|\n)*    faults:\n(?:    .*\n)+)", page)
    assert block
    assert len(parsed(re.sub(r"^    ", "", block[1], flags=re.MULTILINE), "rehearsal.md").rules) == 6


def test_the_file_of_batches_on_the_page_can_be_read(checkout: Path) -> None:
    page = (checkout / "docs" / "rehearsal.md").read_text().partition("## Batches")[2]
    block = re.search(r"    faults:\n(?:    .*\n)+", page)
    assert block
    rules = parsed(re.sub(r"^    ", "", block[0], flags=re.MULTILINE), "rehearsal.md").rules
    assert [rule.place.partition(".")[0] for rule in rules] == ["batches"] * 6


def test_the_page_tells_where_each_fault_can_be_met(checkout: Path) -> None:
    table = (checkout / "docs" / "rehearsal.md").read_text().partition("| `at` | faults that can be met there |")[2]
    told = set(re.findall(r"`((?:messages|batches)[.\w]*)`", table.partition("\n\n")[0]))
    assert told == set(PLACES)
