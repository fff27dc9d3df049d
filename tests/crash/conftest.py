"""How long the campaigns are: short by default, long with `--kills` (`make soak`)."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.ledger import serving
from tests.crash.program import Forks, forks
from tests.jobs import JobFolder

FIGURES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("crash")
    group.addoption("--kills", type=int, default=0, help="SIGKILLs of the longest campaign; the others follow in proportion")
    group.addoption("--seed", type=int, default=1, help="of latencies and of the moments of death")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)


@dataclass(frozen=True, slots=True)
class Size:
    """How long the campaigns are."""

    kills: int
    """0: as short as makes sense."""
    seed: int

    def random(self) -> random.Random:
        return random.Random(self.seed)  # noqa: S311 no secret

    def of(self, short: int, long: int) -> int:
        """`short` in a short run; `long` where 1,000 kills are asked for, and in proportion."""
        return max(short, long * self.kills // 1000) if self.kills else short


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> Size:
    # Run from above this folder, pytest does not know its options.
    return Size(request.config.getoption("--kills", 0), request.config.getoption("--seed", 1))


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Starts the program as a fork of a process that has imported it."""
    if not hasattr(os, "pidfd_open"):
        pytest.skip("no pidfds: the campaigns need Linux")
    path = tmp_path_factory.mktemp("warm") / "job"
    with serving() as ledger:
        JobFolder(path, ["good"], ledger.url)
        with forks(path) as made:
            yield made


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[object], None]:
    """Says a campaign's figures at the end of the test run."""
    name = Path(str(request.node.name)).name
    lines = request.config.stash.setdefault(FIGURES, [])
    return lambda figures: lines.append(f"{name}: {figures}")
