"""The limits of a real process: a child sets them for itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from pipeline.call.descriptors import room_for
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(room_for(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "room", "then"),
    [
        (256, 512, 100, 100, 256),  # it fits
        (256, 512, 300, 300, 428),  # raised as far as needed
        (256, 512, 4000, 384, 512),  # raised as far as possible
        (64, 64, 10, 1, 64),  # nothing to raise: one at a time may still do
    ],
)
def test_the_soft_limit_is_raised_for_what_is_wanted(soft: int, hard: int, wanted: int, room: int, then: int) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(soft), str(hard), str(wanted)], check=True, capture_output=True, text=True
    )
    assert told.stdout.split() == [str(room), str(then)]
