"""The money of a job's runs: what earlier ones have left of the budget, and what to say when it is used up."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.call.budget import Account
from pipeline.call.purse import exact
from pipeline.call.wire import Shape, read
from pipeline.errors import BudgetSpent
from pipeline.records import Reply
from pipeline.write.journal import Journal

MARGIN = 1.1
"""By so much the advice is more than the mean says: rows differ."""


def account(limit_usd: float | None, journal: Journal, shape: Shape, price: Callable[[Reply], float | None]) -> Account:
    """What is left of the budget, once the replies that a killed run could not price any more are read and priced."""
    if limit_usd is None:
        return Account(None)  # nothing is to be known, and of 10^7 replies to know it takes seconds
    for number, body in journal.unpriced():
        reply = read(body, shape.form, request_id=None, latency_s=0.0, at=0.0, attempts=0)
        usd = price(reply) if isinstance(reply, Reply) else None
        if isinstance(reply, Reply) and usd is None:
            break  # the model has no price, and there may be millions of its replies
        journal.price(number, usd)
    journal.flush()
    spent = journal.spent()
    return Account(limit_usd, spent.paid_usd, spent.doubtful_usd)


def refused(error: BudgetSpent, account: Account, *, ended: int, cost_usd: float, left: int) -> BudgetSpent:
    """The same, with what the rest would take. `ended` rows of the table as it stands have cost `cost_usd`; `left` have not
    ended."""
    told = f"{error.message}; {left:,} {'row remains' if left == 1 else 'rows remain'}"
    worst_usd = error.request_usd
    if not ended or not cost_usd:
        todo = "raise run.budget_usd or lower model.max_tokens, then run the same command again"
        return BudgetSpent(told, request_usd=worst_usd, todo=todo)
    rest_usd = left * cost_usd / ended
    whole_usd = account.paid_usd + account.doubtful_usd + MARGIN * rest_usd + worst_usd
    return BudgetSpent(
        f"{told}, about {exact(rest_usd)} at the mean of the {ended:,} that ended",
        request_usd=worst_usd,
        todo=f"raise run.budget_usd (to ${math.ceil(100 * whole_usd) / 100:,.2f}, say), then run the same command again: "
        "finished rows are kept",
    )
