"""Joining a Ray cluster, as far as that can be seen without one."""

from __future__ import annotations

import signal
from types import FrameType

import pytest

from pipeline.engine import ray
from pipeline.errors import ServiceDown, Terminated


def test_signals_mean_what_they_meant_before_ray_took_them() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ray._as_before():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_sigterm_that_ray_took_amid_the_connecting_is_still_one() -> None:
    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated(signal.Signals(number))

    def ended_by_ray() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(15)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(Terminated), ray._as_before():
            ended_by_ray()
    finally:
        assert signal.signal(signal.SIGTERM, before) is terminate


@pytest.mark.parametrize("address", ["ray://127.0.0.1:9", "ray://localhost:9"])
def test_a_cluster_that_is_not_there_is_missed_at_once(address: str) -> None:
    with pytest.raises(ServiceDown, match=f"there is no Ray cluster at {address}"):
        ray._refuse_unreachable(address)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR", "its process has died"),
        ("The actor died because its node has died. Node Id: d4f363f6", "its node has died"),
        ("The actor 1e5a is unavailable: RPC error: Socket closed", "it cannot be reached"),
        ("x\n\nModuleNotFoundError: No module named 'pipeline'\n", "ModuleNotFoundError: No module named 'pipeline'"),
        ("", "LookupError"),
    ],
)
def test_what_ray_tells_on_a_page_is_told_in_words(says: str, words: str) -> None:
    assert ray._words(LookupError(says)) == words
