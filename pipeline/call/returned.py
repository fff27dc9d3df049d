"""What came of a request that was put into a batch → what its prompt gets now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import orjson

from pipeline.call.caller import Response
from pipeline.call.classify import STATUS_OF_TYPE, Classifier, Verdict
from pipeline.call.form import Form
from pipeline.call.online import HELD
from pipeline.call.streak import Alike
from pipeline.call.terms import Terms
from pipeline.call.wire import read
from pipeline.records import ASKS_A_PIECE, Enclosed, Failure, Reply, Status

IN_BATCH = "it is in a batch that has not been collected"

Drawn: TypeAlias = "Reply | Failure | Literal['enclose', 'enclose in doubt', 'ask']"
"""What a prompt gets at once, or how it is to be asked. `enclose in doubt`: it may have been paid before."""


@dataclass(frozen=True, slots=True)
class Returned:
    form: Form
    terms: Terms
    classify: Classifier

    def drawn(self, found: Enclosed, *, wanted_anew: bool) -> Drawn:
        """`wanted_anew`: a person asked to try again, also what may have been paid. Raises what ends the run where an error
        in the results concerns the account."""
        match found.fate:
            case None:
                return Failure(Status.PENDING, IN_BATCH, None, 0, is_out=True)
            case "succeeded" if (left := found.recall) is not None and left.body is not None:
                reply = read(left.body, self.form, request_id=None, latency_s=None, at=left.at, attempts=found.attempts)
                if isinstance(reply, Reply):
                    return replace(reply, origin=left.origin)
                return self._again(found, f"the message in the results cannot be read: {reply.reason}", wanted_anew)
            case "errored":
                return "enclose" if wanted_anew and found.told else self._errored(found)
            case "canceled" | "expired":
                return "ask" if self.terms.after_expiry == "online" else "enclose"
            case _:
                return self._again(found, "the results of its batch say nothing of it", wanted_anew)

    def refuse_alike(self, results: Iterable[tuple[int, int, Enclosed]]) -> None:
        """Raises what ends the run where too many rows in a row failed alike: then it is not the rows. `results`: all that are
        to be judged, with position and Prompt.place, in the order of their rows. The pieces of one text count as one row."""
        alike = Alike(self.terms.max_alike, proven=True)
        row = -1
        for number, (position, place, found) in enumerate(results, 1):
            if found.fate == "succeeded":
                alike.answered(number)
            elif found.fate == "errored":
                verdict = self._verdict(found)
                if self._is_sent_again(found, verdict):
                    continue
                if place > ASKS_A_PIECE and position == row:
                    alike.failed_too(number)
                    continue
                row = position
                if (error := alike.failed(verdict.error, verdict, number)) is not None:
                    raise error

    def _verdict(self, found: Enclosed) -> Verdict:
        verdict = self.classify.failed(Response(_status(found.error), {}, found.error, 0.0))
        if verdict.stop is not None:
            raise verdict.stop(verdict.error)
        return verdict

    def _is_sent_again(self, found: Enclosed, verdict: Verdict) -> bool:
        return verdict.retry is not None and found.attempts < self.terms.attempts

    def _again(self, found: Enclosed, why: str, wanted_anew: bool) -> Drawn:
        """After a request that may have been paid."""
        if self.terms.hold and not wanted_anew:
            return Failure(Status.IN_DOUBT, f"{why}; {HELD}", None, found.attempts)
        if found.attempts >= self.terms.attempts and not found.told:
            return Failure(Status.IN_DOUBT, why, None, found.attempts)
        return "enclose in doubt"

    def _errored(self, found: Enclosed) -> Drawn:
        verdict = self._verdict(found)
        if self._is_sent_again(found, verdict):
            return "enclose"
        status = Status.FAILED if verdict.status is Status.PENDING else verdict.status
        return Failure(status, verdict.error, None, found.attempts)


def _status(error: bytes) -> int:
    """The status that an error of this type has outside of a batch."""
    try:
        told = orjson.loads(error)
        return STATUS_OF_TYPE.get(str(told["error"]["type"]), 500)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return 500
