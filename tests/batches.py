"""A scripted Message Batches API on loopback, with a ledger of every request that it was given: the oracle of the tests that
count what is bought twice. Beside it, the Messages API of tests/api.py."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.call.terms import Pace
from pipeline.commands import wiring
from tests.api import NO_MODELS, Api, Asked, Canned, Handler, Script, error, threaded

Fate = Callable[[Asked, int], str]
"""A request and how often its text was enclosed before → succeeded, errored, expired, canceled, missing, or twice."""


def good(_: Asked, __: int) -> str:
    return "succeeded"


@dataclass
class Made:
    """One batch."""

    id: str
    requests: list[dict[str, Any]]
    created_at: float
    ended: bool = False
    canceled: bool = False
    looked: int = 0
    lines: list[bytes] = field(default_factory=list)


class BatchApi(Api):
    """`looks`: how often a batch is asked about before it has ended."""

    def __init__(self, script: Script, fate: Fate = good, looks: int = 1) -> None:
        super().__init__(script, lambda _: NO_MODELS)
        self.RequestHandlerClass = BatchHandler
        self.fate = fate
        self.looks = looks
        self.made: list[Made] = []
        self.enclosed: Counter[str] = Counter()
        """Text → how often it was put into a batch that was made."""
        self.deleted: set[str] = set()
        """Ids of batches that nobody finds any more."""
        self.creates = 0
        self.lose: Callable[[int], str] = lambda _: ""
        """Number of a create, from 1 → "" to answer; "reset" to make the batch and say nothing; "late" to make it and answer
        when nobody waits any more; "never" to do neither; or an HTTP status to refuse with."""
        self.most_bytes = 256_000_000
        self.queue = 1_000_000
        """Requests in all batches that have not ended."""
        self.most_queued = 0
        self.cut_results: Callable[[int], bool] = lambda _: False
        """Number of a download, from 1 → whether it ends in the middle, as if it were whole."""
        self.downloads = 0
        self.bodies: list[int] = []

    def asked_twice(self) -> dict[str, int]:
        return {text: count for text, count in self.enclosed.items() if count > 1}

    def in_batches(self) -> list[str]:
        return list(self.enclosed.elements())

    def create(self, requests: list[dict[str, Any]]) -> Made:
        with self.lock:
            made = Made(f"msgbatch_{len(self.made):04}", requests, time.time())
            self.made.append(made)
        return made

    def end(self, made: Made) -> None:
        made.ended = True
        order = list(made.requests)
        random.Random(made.id).shuffle(order)  # noqa: S311
        for request in order:
            asked = Asked(request["params"], {})
            fate = "canceled" if made.canceled else self.fate(asked, self.enclosed[asked.text])
            result: dict[str, Any] = {"type": fate}
            if fate in ("succeeded", "twice"):
                message = json.loads(self.script(asked).body)
                message["usage"]["service_tier"] = "batch"
                result = {"type": "succeeded", "message": message}
            elif fate == "errored":
                told = {"type": "invalid_request_error", "message": "no"}
                result = {"type": "errored", "error": {"type": "error", "error": told}}
            elif fate == "overloaded":
                told = {"type": "overloaded_error", "message": "later"}
                result = {"type": "errored", "error": {"type": "error", "error": told}}
            line = json.dumps({"custom_id": request["custom_id"], "result": result}).encode() + b"\n"
            made.lines += [line] * {"missing": 0, "twice": 2}.get(fate, 1)

    def told(self, made: Made) -> dict[str, Any]:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if made.ended:
            counts["succeeded"] = len(made.requests)
        else:
            counts["processing"] = len(made.requests)
        return {
            "id": made.id,
            "type": "message_batch",
            "processing_status": "ended" if made.ended else "canceling" if made.canceled else "in_progress",
            "request_counts": counts,
            "created_at": datetime.fromtimestamp(made.created_at, UTC).isoformat(),
            "expires_at": datetime.fromtimestamp(made.created_at + 86_400, UTC).isoformat(),
            "ended_at": None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{self.url}/v1/messages/batches/{made.id}/results" if made.ended else None,
        }


def found(value: Any) -> Canned:
    return Canned(200, json.dumps(value).encode(), {"request-id": "req_b"})


class BatchHandler(Handler):
    server: BatchApi

    def do_POST(self) -> None:  # noqa: N802
        if not self.path.startswith("/v1/messages/batches"):
            return super().do_POST()
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/cancel"):
            made = self._made()
            if made.id in self.server.deleted:
                return self.answer(error(404, "not_found_error"))
            made.canceled = True
            return self.answer(found(self.server.told(made)))
        self.server.bodies.append(len(body))
        requests = json.loads(body)["requests"]
        with self.server.lock:
            self.server.creates += 1
            how = self.server.lose(self.server.creates)
        if len(body) > self.server.most_bytes:
            return self.answer(Canned(413, b"<html>too large</html>", {}))  # of what stands before the API
        with self.server.lock:
            queued = sum(len(made.requests) for made in self.server.made if not made.ended) + len(requests)
        if queued > self.server.queue:
            how = "429"
        if how.isdigit():
            kinds = {"429": "rate_limit_error", "400": "invalid_request_error", "401": "authentication_error"}
            return self.answer(error(int(how), kinds.get(how, "api_error")))
        if how == "never":
            return self.reset()
        made = self.server.create(requests)
        with self.server.lock:
            self.server.most_queued = max(self.server.most_queued, queued)
            self.server.enclosed.update(Asked(request["params"], {}).text for request in requests)
        if how == "late":
            with suppress(OSError):
                self.rfile.read(1)  # returns when the client has given up
                self.answer(found(self.server.told(made)))
            self.close_connection = True
            return None
        return self.reset() if how == "reset" else self.answer(found(self.server.told(made)))

    def do_GET(self) -> None:  # noqa: N802
        if not self.path.startswith("/v1/messages/batches"):
            return super().do_GET()
        if urlsplit(self.path).path == "/v1/messages/batches":
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            listed = [made for made in self.server.made[::-1] if made.id not in self.server.deleted]
            at = [made.id for made in listed].index(query["after_id"]) + 1 if "after_id" in query else 0
            page = listed[at : at + 2]  # small, so that paging is always met
            for made in page:
                self._look(made)
            ids = [made.id for made in page]
            told = {"data": [self.server.told(made) for made in page], "has_more": at + 2 < len(listed)}
            return self.answer(found({**told, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}))
        made = self._made()
        if made.id in self.server.deleted:
            return self.answer(error(404, "not_found_error"))
        if not self.path.endswith("/results"):
            self._look(made)
            return self.answer(found(self.server.told(made)))
        body = b"".join(made.lines)
        self.server.downloads += 1
        if self.server.cut_results(self.server.downloads):
            body = body[: len(body) // 2]
        return self.answer(Canned(200, body, {"content-type": "application/binary"}))

    def _look(self, made: Made) -> None:
        """Time goes by as often as somebody asks."""
        with self.server.lock:
            made.looked += 1
            if made.looked > self.server.looks and not made.ended:
                self.server.end(made)

    def _made(self) -> Made:
        batch_id = urlsplit(self.path).path.split("/")[4]
        return next(made for made in self.server.made if made.id == batch_id)


def batching(script: Script, fate: Fate = good, looks: int = 1) -> AbstractContextManager[BatchApi]:
    return threaded(BatchApi(script, fate, looks))


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in this process looks after its batches all the time."""
    monkeypatch.setattr(wiring, "PACE", Pace(first_s=0.01, longest_s=0.02, settle_s=0.2))


def texts(number: int) -> Sequence[str]:
    return [f"{'good' if at % 3 else 'bad'} thing {at}" for at in range(number)]
