"""A reply → an answer that is valid under the schema, or why it is none.

The ladder: is the reply whole? → strict parse → extraction (`wrappers`) → json_repair (`full`) → validation. Each
rung that was needed is named in the answer. A truncated, refused or unfinished reply is never mended: cut text
that was repaired passes the schema with a wrong value in 10 to 13 % of cases (TRIALS 2).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pipeline.check.extract import PROSE, candidates
from pipeline.check.parse import MAX_CHARACTERS, Parsed, Unreadable, parse
from pipeline.check.repair import repaired
from pipeline.check.violations import MASK, violations
from pipeline.records import JSON, Answer, Rejection, Reply, Status
from pipeline.schema.load import Schema
from pipeline.schema.validator import compiled

Repair: TypeAlias = Literal["off", "wrappers", "full"]

FINISHED = frozenset({"end_turn", "tool_use", "stop_sequence"})
"""Stop reasons after which the model has said all it meant to say (API.md 3.2)."""
JSON_REPAIR = "json_repair"
DROPPED_PROPERTY = "dropped_property"
"""The answer held a top-level property that an open schema admits and that has no column."""

_AGAIN = "Reply again with the whole answer, mended: only the JSON object, without explanation, code fence or any other text."


class Judge:
    """Judges the replies of one run: built once from the schema, then asked for each reply. It has no other state."""

    def __init__(self, schema: Schema, repair: Repair) -> None:
        self._tree = schema.tree
        self._columns = frozenset(schema.properties)
        self._repair = repair
        self._validator = compiled(schema.document, schema.draft, mask=MASK)

    def judge(self, reply: Reply) -> Answer | Rejection:
        """The answer, with each mend named, or why there is none. Never raises, whatever the text."""
        if reply.stop_reason not in FINISHED:
            return unfinished(reply)
        text = reply.text
        if not text or text.isspace():
            return Rejection(
                Status.INVALID_OUTPUT, "empty reply: the model stopped without a text; look at the prompt of this row", None
            )
        read = parse(text)
        if isinstance(read, Parsed):
            return self._validated(read.value, read.repairs)
        if len(text) > MAX_CHARACTERS:
            return Rejection(Status.INVALID_OUTPUT, f"the reply is no answer: {read.why}", None)
        return self._extracted(text, read)

    def faults(self, value: JSON) -> tuple[str, ...]:
        """What makes a value no answer, a sentence each; empty where it is one. For few-shot examples."""
        return violations(self._validator.iter_errors(value), self._tree)

    def _extracted(self, text: str, unread: Unreadable) -> Answer | Rejection:
        """For a text that is not JSON as it stands."""
        verdict: Answer | Rejection = _rejected(f"not JSON: {unread.why}", [f"It is not JSON: {unread.why}."])
        if self._repair == "off":
            return verdict
        found = candidates(text)
        for candidate in reversed(found.candidates):
            read = parse(candidate.span)
            if isinstance(read, Unreadable):
                break  # the answer it was meant to be is lost; an earlier object is a draft
            judged = self._validated(read.value, read.repairs)
            if isinstance(judged, Answer):
                return Answer(judged.value, (*(candidate.repairs() or (PROSE,)), *judged.repairs))
            if candidate is found.candidates[-1]:
                verdict = judged
        if self._repair == "full" and found.broken is not None:
            mended = repaired(found.broken.span)
            read = parse(mended) if mended is not None else unread
            if isinstance(read, Parsed):
                verdict = self._validated(read.value, (*found.broken.repairs(), JSON_REPAIR, *read.repairs))
        return verdict

    def _validated(self, value: JSON, repairs: tuple[str, ...]) -> Answer | Rejection:
        if not isinstance(value, dict):
            return _rejected(
                "the root: the value is not an object", ["the root: the value is not an object, and the answer is one"]
            )
        if not self._validator.is_valid(value):
            wrong = violations(self._validator.iter_errors(value), self._tree)
            return _rejected(f"not valid under the schema: {'; '.join(wrong)}", wrong)
        if not value.keys() <= self._columns:
            value = {name: child for name, child in value.items() if name in self._columns}
            repairs = (*repairs, DROPPED_PROPERTY)
        return Answer(value, repairs)


def _rejected(error: str, wrong: list[str] | tuple[str, ...]) -> Rejection:
    listed = "\n".join(f"- {what}" for what in wrong)
    return Rejection(Status.INVALID_OUTPUT, error, f"Your last reply is not a valid answer:\n{listed}\n{_AGAIN}")


def unfinished(reply: Reply) -> Rejection:
    """What no mend and no second question of the same kind can help: for a stop reason that is not in FINISHED."""
    match reply.stop_reason:
        case "max_tokens":
            error = f"cut off at {reply.usage.output_tokens} output tokens; raise model.max_tokens"
            return Rejection(Status.TRUNCATED, error, None)
        case "model_context_window_exceeded":
            return Rejection(Status.TRUNCATED, "the model's context window was full; shorten the text of this row", None)
        case "refusal":
            return Rejection(Status.REFUSED, f"refused by the model: {reply.refusal or 'no category given'}", None)
        case other:
            error = f"the reply ended with stop_reason {other!r}, so it is not known to be whole; its text is in _raw"
            return Rejection(Status.INVALID_OUTPUT, error, None)
