"""A Budget over an account in this process: asks for money, and waits for what others may still give back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.call.budget import Account
from pipeline.errors import BudgetSpent
from pipeline.events import Listener, Notice
from pipeline.records import JSON, Reply

ROUNDING = 1e-9
"""Of sums of floats, as a share."""


@dataclass(slots=True)
class Purse:
    """See call/caller.py for what a Budget promises. Used inside one event loop."""

    account: Account
    worst_usd: Callable[[Mapping[str, JSON]], float | None]
    """What one request can cost at most; None where the model has no price."""
    cost_usd: Callable[[Reply], float | None]
    tell: Listener
    _moved: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set, and made anew, whenever money has come back."""

    def holding(self, body: Mapping[str, JSON]) -> Held:
        return Held(self.worst_usd(body), self)

    async def room(self, worst_usd: float) -> None:
        while not self.account.fits(worst_usd):
            if not self.account.out:
                raise BudgetSpent(_refused(self.account, worst_usd), request_usd=worst_usd)
            await self._moved.wait()

    def wake(self) -> None:
        """Lets those who wait for money look again."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


@dataclass(slots=True)
class Held:
    """A Stake, held from entering to leaving it: the first that is said of it counts."""

    worst_usd: float | None
    purse: Purse
    is_open: bool = False
    left: bool = False

    async def __aenter__(self) -> Held:
        if self.worst_usd is not None:
            await self.purse.room(self.worst_usd)
            self.purse.account.set_aside(self.worst_usd)
            self.is_open = True
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self.over()

    def leaves(self) -> float | None:
        self.left = True
        return self.worst_usd

    def settle(self, reply: Reply | None) -> float | None:
        cost_usd = None if reply is None else self.purse.cost_usd(reply)
        if self.worst_usd is None:
            return cost_usd
        paid_usd = self.worst_usd if cost_usd is None else cost_usd
        if paid_usd > self.worst_usd * (1 + ROUNDING):
            found = f"a reply cost {exact(paid_usd)}, more than the worst case of its request ({exact(self.worst_usd)})"
            self.purse.tell(Notice(f"{found}: run.budget_usd may be passed by as much"))
        self._end(lambda account, worst_usd: account.settle(worst_usd, paid_usd))
        return paid_usd

    def give_back(self) -> None:
        self._end(Account.give_back)

    def over(self) -> None:
        """Nothing more will be said."""
        self._end(Account.doubt if self.left else Account.give_back)

    def _end(self, how: Callable[[Account, float], None]) -> None:
        if self.is_open and self.worst_usd is not None:
            self.is_open = False
            how(self.purse.account, self.worst_usd)
            self.purse.wake()


def _refused(account: Account, worst_usd: float) -> str:
    limit_usd, left_usd = account.limit_usd or 0.0, account.left_usd or 0.0
    if worst_usd > limit_usd:
        return (
            f"one request may cost {exact(worst_usd)}, more than all of run.budget_usd ({exact(limit_usd)}): that is its "
            "max_tokens of output, and its input at the most tokens it can have"
        )
    perhaps = f", {exact(account.doubtful_usd)} perhaps (requests whose reply was lost)" if account.doubtful_usd else ""
    return (
        f"run.budget_usd ({exact(limit_usd)}) is used up: {exact(account.paid_usd)} spent{perhaps}, {exact(left_usd)} left, "
        f"and the next request may cost {exact(worst_usd)}"
    )


def exact(usd: float) -> str:
    """To a hundredth of a cent, where cents would show two different sums as one."""
    return f"${usd:,.4f}" if usd >= 0.0001 or not usd else f"${usd:.2g}"
