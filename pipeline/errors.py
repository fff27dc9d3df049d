"""What can end a job, as one tree. A row's failure is a value in the output (records.Outcome), never one of these.

    PipelineError                what stops the program; carries its exit code and what to do next
    ├── Theirs                   something outside this program must change
    │   ├── UsageError       64  the command line makes no sense
    │   ├── InputUnreadable  65  the corpus cannot be read, or its key is not one
    │   ├── ServiceDown      69  the API did not answer for too long
    │   │   └── WorkersLost  69  the processes that send (run.workers) end again and again
    │   ├── StorageFailed    74  the disk refused, or the store of the output
    │   ├── ComeBackLater    75  another run holds the lock, or the server asks for a longer wait than allowed
    │   │   └── BudgetSpent  75  the next request does not fit into what is left of run.budget_usd
    │   ├── AccountRefused   77  credentials, permission, billing, spend limit; or the rights in a store
    │   │   └── BatchUnknown 77  the service knows a batch of ours no more, or under this key not
    │   └── ConfigInvalid    78  config, schema, template; or they changed since the rows were paid
    └── Ours
        └── Bug              70  an invariant of this program is broken

Exit codes are those of sysexits.h where it has one. Beside the tree stands Terminated (143), the KeyboardInterrupt of SIGTERM.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import ClassVar


class PipelineError(Exception):
    """The root. `str()` says what, where and the likely mend; the first line stands alone."""

    exit_code: ClassVar[int] = 70
    todo: ClassVar[str] = "please report it with log.jsonl from the run folder"

    def __init__(self, message: str, *, todo: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = todo or type(self).todo
        """What to do, as the last line on stderr says it."""


class Theirs(PipelineError):
    """Something outside this program must change first."""


class UsageError(Theirs):
    """The command line makes no sense."""

    exit_code = 64
    todo = "see pipeline --help"


class InputUnreadable(Theirs):
    """The corpus cannot be read, or the key column does not name its rows."""

    exit_code = 65
    todo = "mend the input, then run the same command again"


class ServiceDown(Theirs):
    """The API could not be reached, or did not answer, for too long. State is kept."""

    exit_code = 69
    todo = "when the service is back, run the same command again: finished rows are kept"


class WorkersLost(ServiceDown):
    """The processes that send end again and again before they bring a reply. State is kept."""

    todo = (
        "look whether memory ran out (the kernel's log tells), or set run.workers to 1; then run the same command again: "
        "finished rows are kept"
    )


class StorageFailed(Theirs):
    """The disk, or the store of the output, refused: full, or an I/O error. State is kept up to the last commit."""

    exit_code = 74
    todo = "make room or mend the disk, then run the same command again: finished rows are kept"


class ComeBackLater(Theirs):
    """Another run holds the lock, or the server asks for a longer wait than `run.longest_wait_s`."""

    exit_code = 75
    todo = "run the same command again later"


class BudgetSpent(ComeBackLater):
    """The next request might cost more than is left of `run.budget_usd`. State is kept."""

    todo = "raise run.budget_usd, then run the same command again: finished rows are kept"

    def __init__(self, message: str, *, request_usd: float, todo: str | None = None) -> None:
        """`request_usd`: what the request that did not fit can cost at most."""
        super().__init__(message, todo=todo)
        self.request_usd = request_usd


class AccountRefused(Theirs):
    """Credentials, permission, billing, a spend limit; or the rights in a store. No row is at fault and none is marked."""

    exit_code = 77
    todo = "mend the account or the key, then run the same command again: finished rows are kept"


class BatchUnknown(AccountRefused):
    """The service does not know a batch that it has taken: deleted there, or of another workspace. Nothing of it is sent again
    before a person says so."""

    todo = "use the key that sent it, of the same workspace; if it was deleted, see `pipeline cancel --help`"


class ConfigInvalid(Theirs):
    """Config, schema, template or model; or one of them changed since the rows were paid."""

    exit_code = 78
    todo = "mend the config, then run the same command again"

    def __init__(self, message: str, *, faults: Sequence[str] = (), todo: str | None = None) -> None:
        super().__init__("\n".join([message, *(f"  {fault}" for fault in faults)]), todo=todo)
        self.faults = tuple(faults)


class Ours(PipelineError):
    """This program is at fault."""


class Bug(Ours):
    """An invariant of this program is broken."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP came while no reply was awaited: the run ends where it is, as a KeyboardInterrupt would end it."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.signal = number
