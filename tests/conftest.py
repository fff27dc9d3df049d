"""Guards that make accidents impossible: no connection but to loopback, no home folder, no real key."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.engine.cluster import Nodes

# The gate gives the same verdict twice; whoever works on the code gets new examples each time.
settings.register_profile("gate", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("gate")


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses every connection of this process to anywhere but this machine."""
    if event != "socket.connect":
        return
    connection, address = arguments
    if connection.family == socket.AF_UNIX or not isinstance(address, tuple):
        return
    host = str(address[0])
    try:
        allowed = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        allowed = False
    if not allowed:
        raise AssertionError(f"a test wants to connect to {host}: tests talk to this machine only")


sys.addaudithook(_guard)

# A shell that starts the tests in the background has them ignore these, and what they start would, too: nothing could stop it.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


@pytest.fixture(autouse=True)
def _no_home_and_no_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ANTHROPIC_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Nodes]:
    """A Ray cluster of two nodes. Only for tests that are skipped where Ray is not installed."""
    from tests.engine.cluster import nodes

    with nodes() as made:
        yield made


@pytest.fixture
def checkout() -> Path:
    """The folder of the project."""
    return Path(__file__).parents[1]
