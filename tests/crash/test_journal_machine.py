"""The journal against a model of it, through any history of runs, clean ends and kills.

A kill is a copy of the files between two commits: what a process had written is there, what it had not is not. The copy must
read exactly as the model does after what was told until then. After a loss of power, which takes the end of the log, it must
read as the model did at some earlier moment.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pipeline.records import Constant, Origin, Outcome, Prompt, Recall, Status, Text, Turn
from pipeline.write.glance import Spent
from pipeline.write.journal import Journal
from tests.crash.conftest import Size

POSITIONS = (1, 1 << 40)
ASKS = (1, 2)
KEYS = (b"a" * 16, b"a" * 8 + b"b" * 8, b"c" * 16)
"""The first two share the prefix by which keys are indexed."""
MEMORY = Path("/dev/shm")  # noqa: S108 a file system in memory: thousands of commits, and none waits for a disk
WORST_USD = 0.5
"""Of every request: none is priced here, so that a sum counts them."""
ENDS = (Status.OK.value, Status.FAILED.value, Status.IN_DOUBT.value)

Ask = tuple[int, int]
Record = tuple[str, int, int, bytes]
"""What a run tells: `send`, `reply`, `refuse` or how a row ended; position, ask, request key."""
RECORDS: st.SearchStrategy[Record] = st.tuples(
    st.sampled_from(("send", "reply", "reply", "refuse", *ENDS)),
    st.sampled_from(POSITIONS),
    st.sampled_from(ASKS),
    st.sampled_from(KEYS),
)


@dataclass(frozen=True)
class Open:
    key: bytes
    attempts: int
    out: bool
    body: bytes | None


@dataclass(frozen=True)
class Paid:
    key: bytes
    position: int
    body: bytes


@dataclass(frozen=True)
class State:
    """What a journal knows, as simply as it can be said."""

    opened: Mapping[Ask, Open] = field(default_factory=dict)
    paid: tuple[Paid, ...] = ()
    ended: Mapping[int, Outcome] = field(default_factory=dict)
    doubted: int = 0
    """Requests that may have been paid and that no open ask stands for any more."""

    def sent(self, ask: Ask, key: bytes) -> State:
        left = self.opened.get(ask)
        attempts = left.attempts if left is not None and left.key == key else 0
        doubted = self.doubted + (left is not None and left.out)
        return replace(self, opened={**self.opened, ask: Open(key, attempts + 1, True, None)}, doubted=doubted)

    def replied(self, ask: Ask, key: bytes, body: bytes) -> State:
        opened = {**self.opened, ask: replace(self.opened[ask], out=False, body=body)}
        return replace(self, opened=opened, paid=(*self.paid, Paid(key, ask[0], body)))

    def unpaid(self, ask: Ask) -> State:
        return replace(self, opened={**self.opened, ask: replace(self.opened[ask], out=False)})

    def end(self, outcome: Outcome) -> State:
        keep = outcome.status is Status.IN_DOUBT
        opened = {ask: left for ask, left in self.opened.items() if keep or ask[0] != outcome.position}
        doubted = self.doubted + sum(left.out for ask, left in self.opened.items() if ask not in opened)
        return replace(self, opened=opened, ended={**self.ended, outcome.position: outcome}, doubted=doubted)

    def recall(self, ask: Ask, key: bytes, opened: Mapping[Ask, Open]) -> Recall | None:
        """`opened`: what was open when this run began."""
        left = opened.get(ask)
        if left is not None and left.key == key:
            return Recall(left.attempts, left.out, *((left.body, "req", 0.5, 9.0) if left.body is not None else ()))
        for paid in reversed(self.paid):
            if paid.key == key:
                own = paid.position == ask[0]
                return Recall(int(own), False, paid.body, "req", 0.5, 9.0, Origin.BEFORE if own else Origin.ELSEWHERE)
        doubtful = [other.attempts for other in opened.values() if other.out and other.key == key]
        return Recall(max(doubtful), True) if doubtful else None


def prompt(ask: Ask) -> Prompt:
    return Prompt(ask[0], "k", Constant("s"), (Turn("user", (Text("t"),)),), ask[1])


def seen(journal: Journal) -> dict[str, Any]:
    """All that a journal says when it has just been opened."""
    return {
        "opened": {ask: (left.key, left.attempts, left.out, left.reply is not None) for ask, left in journal.opened.items()},
        "paid": journal.paid()[0],
        "ended": list(journal.outcomes()),
        "spent": journal.spent(),
        "recalled": {(p, a, key): journal.recall(prompt((p, a)), key) for p in POSITIONS for a in ASKS for key in KEYS},
    }


def expected(state: State) -> dict[str, Any]:
    return {
        "opened": {ask: (left.key, left.attempts, left.out, left.body is not None) for ask, left in state.opened.items()},
        "paid": len(state.paid),
        "ended": [state.ended[position] for position in sorted(state.ended)],
        "spent": Spent(
            WORST_USD * len(state.paid), WORST_USD * (state.doubted + sum(left.out for left in state.opened.values()))
        ),
        "recalled": {(p, a, k): state.recall((p, a), k, state.opened) for p in POSITIONS for a in ASKS for k in KEYS},
    }


class Machine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="journal", dir=MEMORY if MEMORY.is_dir() else None))
        self.lives = 0
        self.bodies = 0
        self.states = [State()]
        """After each record told since the last clean end; the last one is the present."""
        self.burst: list[Coroutine[Any, Any, None]] = []
        self.open(self.root / "0")

    def open(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.journal = Journal(folder / "journal.db")
        self.at_start = self.now.opened
        self.out: set[Ask] = set()
        """Asks whose request this run has out."""

    @property
    def now(self) -> State:
        return self.states[-1]

    def told(self, state: State) -> None:
        self.states.append(state)

    def settle(self) -> None:
        """Tells the journal all that has gathered, at once, and waits for what can be waited for."""
        burst, self.burst = self.burst, []

        async def gathered() -> None:
            await asyncio.gather(*burst)

        if burst:
            asyncio.run(gathered())

    # What a run tells ----------------------------------------------------------------------------------------------------

    @rule(records=st.lists(RECORDS, min_size=1, max_size=16))
    def tell(self, records: list[Record]) -> None:
        for what, position, number, key in records:
            ask = position, number
            if what in ("reply", "refuse") and ask in self.out:
                self.come(ask, what)
            elif what in ("reply", "refuse", "send") and ask not in self.out:
                self.out.add(ask)
                self.burst.append(self.journal.sent(prompt(ask), key, WORST_USD))
                self.told(self.now.sent(ask, key))
            elif what in ENDS and all(other[0] != position for other in self.out):
                self.burst.append(self.ended(Outcome(position, Status(what), error=f"after {self.bodies}"), key))

    def come(self, ask: Ask, what: str) -> None:
        """The answer to a request that is out: a paid one, or a refusal."""
        self.settle()  # it is only out once it is durable
        self.out.discard(ask)
        key = self.now.opened[ask].key
        if what == "refuse":
            self.burst.append(self.journal.unpaid(prompt(ask), key))
            self.told(self.now.unpaid(ask))
            return
        self.bodies += 1
        body = b"body %d" % self.bodies
        self.burst.append(self.journal.replied(prompt(ask), key, body=body, request_id="req", latency_s=0.5, at=9.0))
        self.told(self.now.replied(ask, key, body))

    def ended(self, outcome: Outcome, key: bytes) -> Coroutine[Any, Any, None]:
        self.told(self.now.end(outcome))

        async def told() -> None:
            self.journal.ended(outcome, key)

        return told()

    @rule()
    def flush(self) -> None:
        self.settle()
        self.journal.flush()

    @rule(position=st.sampled_from(POSITIONS), number=st.sampled_from(ASKS), key=st.sampled_from(KEYS))
    def recall(self, position: int, number: int, key: bytes) -> None:
        self.settle()
        ask = position, number
        assert self.journal.recall(prompt(ask), key) == self.now.recall(ask, key, self.at_start)

    # How a run ends ------------------------------------------------------------------------------------------------------

    @rule()
    def end_cleanly(self) -> None:
        self.settle()
        self.journal.__exit__(None, None, None)
        self.open(self.folder)
        assert seen(self.journal) == expected(self.now)
        self.states = [self.now]

    @rule(kept=st.integers(0, 16))
    def be_killed(self, kept: int) -> None:
        """When so many of the records that were on their way had been written."""
        self.rise(self.killed(kept), len(self.states) - 1)

    @rule(kept=st.integers(0, 16), share=st.floats(0, 1))
    def lose_power(self, kept: int, share: float) -> None:
        """On a disk that lied about what it had kept."""
        copy = self.killed(kept)
        log = copy / "journal.db-wal"
        if log.exists():
            with log.open("rb+") as file:
                file.truncate(int(share * log.stat().st_size))
        self.rise(copy, 0)

    def killed(self, kept: int) -> Path:
        """A copy of the files; the run whose files they are has ended."""
        lost = self.burst[kept:]
        for record in lost:
            record.close()
        self.burst = self.burst[:kept]
        self.states = self.states[: len(self.states) - len(lost)]
        self.settle()
        self.journal.flush()
        self.lives += 1
        copy = self.root / str(self.lives)
        shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("*-shm", "keys"))
        self.journal.__exit__(None, None, None)
        shutil.rmtree(self.folder)
        return copy

    def rise(self, folder: Path, least: int) -> None:
        """Opens the copy, which must read as one of the states from `least` on."""
        told = self.states
        self.states = [State()]
        self.open(folder)
        found = seen(self.journal)
        matching = [number for number in range(least, len(told)) if expected(told[number]) == found]
        assert matching, f"{found} is none of {[expected(state) for state in told[least:]]}"
        # The log is as long as it was: a loss of power may still take more of it.
        self.states = told[: matching[-1] + 1]
        self.at_start = self.now.opened

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.settle()
            self.journal.__exit__(None, None, None)
            shutil.rmtree(self.root)


def test_any_history_of_a_journal_reads_as_its_model(size: Size) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=size.of(60, 2000),
            stateful_step_count=20,
            deadline=None,
            phases=tuple(Phase) if size.kills else [Phase.generate],  # finding the shortest history takes minutes
            derandomize=not size.kills,
            suppress_health_check=list(HealthCheck),
        ),
    )
