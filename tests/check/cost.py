"""What the check stage costs a row: `make bench` prints it, `python -m tests.check.cost` alone.

CPU of this process for the judging of one reply, the best of five rounds, so that a busy machine matters little. Hostile
replies are judged once each; the slowest is named.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from pipeline.check.answer import Repair
from pipeline.records import Reply
from tests.check.damage import SCHEMA
from tests.check.hostile import HOSTILE
from tests.check.replies import judge, reply

_CLEAN: dict[str, Any] = {
    "sentiment": "positive",
    "stars": 4,
    "price": 12.5,
    "recommended": True,
    "note": "Great food, slow service: “worth it” all the same, says the guest, who would come again with friends.",
    "topics": ["food", "service"],
    "people": ["Anna"],
    "day": "2026-11-25",
    "place": {"city": "Köln", "zip": "50667"},
}
_REPLIES: tuple[tuple[str, str, Repair], ...] = (
    ("clean", json.dumps(_CLEAN, ensure_ascii=False), "wrappers"),
    ("clean, pretty", json.dumps(_CLEAN, ensure_ascii=False, indent=2), "wrappers"),
    ("in a fence", f"Sure:\n```json\n{json.dumps(_CLEAN, indent=2)}\n```", "wrappers"),
    ("a label in capitals", json.dumps({**_CLEAN, "sentiment": "Positive"}), "wrappers"),
    ("Python's repr", repr(_CLEAN), "full"),
    ("no answer", "I cannot tell from this text.", "wrappers"),
)


def lines() -> list[str]:
    found = [f"{'check, µs CPU a reply':<32}"]
    found += [f"  {name:<30}{_cpu_s(judge(repair, SCHEMA).judge, reply(text)) * 1e6:>8.1f}" for name, text, repair in _REPLIES]
    hostile = judge("full", SCHEMA).judge
    slowest, name = max((_once_s(hostile, reply(text)), name) for name, (text, _) in HOSTILE.items())
    return [*found, f"{f'  slowest hostile one ({name})':<42}{slowest:>8.2f} s"]


def _cpu_s(work: Callable[[Reply], object], given: Reply, times: int = 500) -> float:
    rounds = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times):
            work(given)
        rounds.append((time.process_time() - started) / times)
    return min(rounds)


def _once_s(work: Callable[[Reply], object], given: Reply) -> float:
    started = time.process_time()
    work(given)
    return time.process_time() - started


if __name__ == "__main__":
    sys.stdout.write("\n".join([*lines(), ""]))
