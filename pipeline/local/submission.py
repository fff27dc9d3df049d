"""The body of POST /v1/messages/batches, request by request as its bytes come. Pure.

It may be 256 MB long, so it is never held: each request of the batch leaves as soon as its last byte is there, and only
the one that is under way is kept. Parameters are not judged here, as the API judges them once it works on the batch
(docs: build-with-claude/batch-processing, 2026-10-08).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import orjson

from pipeline.local.errors import invalid

MAX_REQUESTS = 100_000
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
FIELDS = ("custom_id", "params")
BLANK = re.compile(r"[ \t\r\n]*")
CUT_SHORT = 16
"""A fault so near the end of what has come may be that the rest has not: no literal or escape is longer."""
LONG = 1 << 16
"""Characters. What is shorter is read again from its beginning with each piece that comes."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """One request of a batch."""

    custom_id: str
    params: bytes
    """JSON without spaces and line feeds: as an SDK would send the same request by itself."""


class Submission:
    """Takes the body in pieces. Raises ApiError 400 for a body that is no batch; it is of no use afterwards."""

    def __init__(self) -> None:
        self._bytes = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(parse_constant=_no_number)
        self._pieces: list[str] = []
        self._held = 0
        self._tried_at = 0
        """So many characters must be there before a long value under way is tried again: twice as many as last time."""
        self._place: Literal["start", "key", "requests", "item", "comma", "end", "after"] = "start"
        self._custom_ids: set[str] = set()

    def feed(self, piece: bytes, *, last: bool = False) -> Iterator[Submitted]:
        """The requests that are whole with it. `last`: nothing comes after it."""
        try:
            self._pieces.append(self._bytes.decode(piece, final=last))
        except UnicodeDecodeError:
            _not_json("it is not UTF-8")
        self._held += len(self._pieces[-1])
        if self._held >= self._tried_at or last:
            yield from self._taken(last=last)
        if last and self._place != "after":
            _not_json("EOF while parsing")
        if last and not self._custom_ids:
            raise invalid("requests: List should have at least 1 item after validation, not 0")

    def _taken(self, *, last: bool) -> Iterator[Submitted]:
        text, at = "".join(self._pieces), 0
        while (at := _after_blank(text, at)) < len(text):
            if self._place == "item" and text[at] != "]":
                found = self._value(text, at, last=last)
                if found is None:
                    break
                value, at = found
                self._place = "comma"
                yield self._submitted(value)
            elif self._place == "key" and text[at] == '"':
                found = self._value(text, at, last=last)
                if found is None:
                    break
                key, at = found
                if key != "requests":
                    raise invalid(f"{key}: Extra inputs are not permitted")
                self._place = "requests"
            else:
                at = self._mark(text, at)
        rest = text[at:]
        self._pieces, self._held, self._tried_at = [rest], len(rest), 2 * len(rest) if len(rest) > LONG else 0

    def _mark(self, text: str, at: int) -> int:
        """One character of the frame around the requests, or `: [` at once; where what follows it begins."""
        match self._place, text[at]:
            case "start", "{":
                self._place = "key"
            case "requests", ":":
                pass
            case "requests", "[":
                self._place = "item"
            case "requests", _:
                raise invalid("requests: Input should be a valid list")
            case "comma", ",":
                self._place = "item"
            case "comma" | "item", "]":
                self._place = "end"
            case "end", "}":
                self._place = "after"
            case "end", ",":
                self._place = "key"
            case "key", "}":
                raise invalid("requests: Field required")
            case _:
                _not_json(f"unexpected {text[at]!r}")
        return at + 1

    def _value(self, text: str, at: int, *, last: bool) -> tuple[Any, int] | None:
        """The value that begins at `at` and where it ends; None where the rest of it is still to come."""
        try:
            return self._json.raw_decode(text, at)
        except json.JSONDecodeError as error:
            is_cut = error.msg.startswith("Unterminated string") or error.pos >= len(text) - CUT_SHORT
            if is_cut and not last:
                return None
            _not_json(error.msg)
        except RecursionError:
            _not_json("recursion limit exceeded")

    def _submitted(self, value: Any) -> Submitted:
        path = f"requests.{len(self._custom_ids)}"
        if len(self._custom_ids) == MAX_REQUESTS:
            raise invalid(f"requests: List should have at most {MAX_REQUESTS} items after validation")
        if not isinstance(value, dict):
            raise invalid(f"{path}: Input should be an object")
        for field in (*FIELDS, *value):
            if field not in value:
                raise invalid(f"{path}.{field}: Field required")
            if field not in FIELDS:
                raise invalid(f"{path}.{field}: Extra inputs are not permitted")
        custom_id, params = value["custom_id"], value["params"]
        if not isinstance(custom_id, str):
            raise invalid(f"{path}.custom_id: Input should be a valid string")
        if CUSTOM_ID.fullmatch(custom_id) is None:
            raise invalid(f"{path}.custom_id: String should match pattern '^{CUSTOM_ID.pattern}$'")
        if custom_id in self._custom_ids:
            raise invalid(f"{path}.custom_id: each custom_id must be unique within a batch, {custom_id!r} is not")
        if not isinstance(params, dict):
            raise invalid(f"{path}.params: Input should be an object")
        self._custom_ids.add(custom_id)
        return Submitted(custom_id, _compact(params))


def _compact(params: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(params)
    except TypeError:  # a number beyond 64 bits, or half of a surrogate pair: what is wrong with it is told later
        return json.dumps(params, separators=(",", ":")).encode()


def _after_blank(text: str, at: int) -> int:
    found = BLANK.match(text, at)
    return found.end() if found else at


def _no_number(name: str) -> NoReturn:
    _not_json(f"{name} is no number of JSON")


def _not_json(why: str) -> NoReturn:
    raise invalid(f"The request body is not valid JSON: {why}")
