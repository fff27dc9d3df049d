"""A reply → an answer that is valid under the schema, or why it is none.

The ladder: is the reply whole? → strict parse → extraction → json_repair (`full`) → validation → coercion → validation.
Each rung that was needed is named in the answer. `off` takes the text and the value as they stand; `wrappers` only takes
away: what is around the object, around a value, capitals and white space that the schema does not know; `full` also
writes: syntax, a date in its ISO form, an array around a single value.

A truncated, refused or unfinished reply is never mended: of a cut text json_repair makes a valid and wrong answer in 18 % of
cases (tests/check/damage.py, 2026-11-25), and only the stop reason tells a cut text from a whole one for certain.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal, TypeAlias, TypeGuard

from pipeline.check.coerce import coerced
from pipeline.check.extract import PROSE, Extraction, candidates
from pipeline.check.parse import MAX_CHARACTERS, Parsed, Unreadable, parse
from pipeline.check.repair import repaired
from pipeline.check.violations import MASK, violations
from pipeline.records import JSON, Answer, Rejection, Reply, Status
from pipeline.schema.arrow import column, fields
from pipeline.schema.load import Schema
from pipeline.schema.tree import Tree
from pipeline.schema.validator import compiled

Repair: TypeAlias = Literal["off", "wrappers", "full"]
LEVELS: tuple[Repair, ...] = ("off", "wrappers", "full")

FINISHED = frozenset({"end_turn", "tool_use", "stop_sequence"})
"""Stop reasons after which the text is whole (platform.claude.com/docs/en/build-with-claude/handling-stop-reasons,
read 2026-11-25). A stop sequence ends a text only where the request has asked for it."""
MENDABLE = FINISHED - {"stop_sequence"}
"""Those after which broken syntax is the model's slip, not the place where a stop sequence cut it off."""
MOST_ADVISED = 20_000
"""Characters of a rejected text that is tried with more repair, only to tell the person that it would help."""
MORE_ROOM = "raise check.grow_max_tokens and --retry truncated (raising model.max_tokens would ask every row anew)"
LADDER = 3
"""Raised whenever replies may be judged otherwise than before: stored ones are then judged anew, free."""
JSON_REPAIR = "json_repair"
DROPPED_PROPERTY = "dropped_property"
"""The answer held a top-level property that an open schema admits and that has no column."""

_HUGE = re.compile(r"\d{16}|\d[eE]")
"""Only a text with such a number can hold one that no column carries (64 bits, and doubles that are exact): 16 digits, or an
exponent. Looking at the values of every answer would cost more than all the rest of the ladder."""
_AGAIN = "Reply again with the whole answer, mended: only the JSON object, without explanation, code fence or any other text."


class Judge:
    """Judges the replies of one run: built once from the schema, then asked for each reply. It has no other state."""

    def __init__(self, schema: Schema, repair: Repair) -> None:
        self._tree = schema.tree
        self._columns = frozenset(schema.properties)
        self._fields = fields(schema)
        self._essential = _required(schema.tree) or self._columns
        self._repair = repair
        self._validator = compiled(schema.document, schema.draft, mask=MASK)

    def judge(self, reply: Reply) -> Answer | Rejection:
        """The answer, with each mend named, or why there is none. Never raises, whatever the text."""
        verdict = self._read(reply)
        return self._carried(verdict) if isinstance(verdict, Answer) and _HUGE.search(reply.text) else verdict

    def _read(self, reply: Reply) -> Answer | Rejection:
        if reply.stop_reason not in FINISHED:
            return unfinished(reply)
        text = reply.text
        read = parse(text)
        if isinstance(read, Parsed) and self._is_answer(read.value):
            return self._answer(read.value, read.repairs)
        if not text or text.isspace():
            return Rejection(
                Status.INVALID_OUTPUT, "empty reply: the model stopped without a text; look at the prompt of this row", None
            )
        if isinstance(read, Unreadable) and len(text) > MAX_CHARACTERS:
            return Rejection(Status.INVALID_OUTPUT, f"the reply is no answer: {read.why}; its text is in _raw", None)
        levels = LEVELS if reply.stop_reason in MENDABLE else LEVELS[:-1]
        found = candidates(text) if isinstance(read, Unreadable) else Extraction(())
        verdict = self._mended(read, found, self._repair if self._repair in levels else levels[-1])
        if isinstance(verdict, Answer):
            return verdict
        for more in levels[LEVELS.index(self._repair) + 1 :] if len(text) <= MOST_ADVISED else ():
            if isinstance(self._mended(read, found, more), Answer):
                return replace(verdict, error=f"{verdict.error}; check.repair: {more} would have mended it")
        return replace(verdict, error=f"{verdict.error}; its text is in _raw")

    def faults(self, value: JSON) -> tuple[str, ...]:
        """What makes a value no answer, a sentence each; empty where it is one. For few-shot examples."""
        return violations(value, self._validator, self._tree)

    def _mended(self, read: Parsed | Unreadable, found: Extraction, repair: Repair) -> Answer | Rejection:
        """For a text that is no answer as it stands."""
        if isinstance(read, Parsed):
            return self._validated(read.value, read.repairs, repair)
        verdict: Answer | Rejection = _rejected(f"not JSON: {read.why}", [f"It is not JSON: {read.why}."])
        if repair == "off":
            return verdict
        for candidate in reversed(found.candidates):
            inside = parse(candidate.span)
            if isinstance(inside, Unreadable):
                break  # the answer it was meant to be is lost; an earlier object is a draft
            judged = self._validated(inside.value, (*(candidate.repairs() or (PROSE,)), *inside.repairs), repair)
            if isinstance(judged, Answer):
                return judged
            if candidate is found.candidates[-1]:
                verdict = judged
            if self._was_meant(inside.value):
                return judged
        if repair == "full" and found.broken is not None:
            syntax = repaired(found.broken.span)
            inside = parse(syntax) if syntax is not None else read
            if isinstance(inside, Parsed):
                verdict = self._validated(inside.value, (*found.broken.repairs(), JSON_REPAIR, *inside.repairs), repair)
        return verdict

    def _validated(self, value: JSON, repairs: tuple[str, ...], repair: Repair) -> Answer | Rejection:
        if self._is_answer(value):
            return self._answer(value, repairs)
        if repair != "off":
            meant = coerced(value, self._validator, self._tree, rewriting=repair == "full")
            if meant is not None and self._is_answer(meant.value):
                return self._answer(meant.value, (*repairs, *meant.repairs))
        if not isinstance(value, dict):
            return _rejected(
                "the root: the value is not an object", ["the root: the value is not an object, and the answer is one"]
            )
        wrong = self.faults(value)
        return _rejected(f"not valid under the schema: {'; '.join(wrong)}", wrong)

    def _is_answer(self, value: JSON) -> TypeGuard[dict[str, JSON]]:
        return isinstance(value, dict) and self._validator.is_valid(value)

    def _answer(self, value: dict[str, JSON], repairs: tuple[str, ...]) -> Answer:
        if value.keys() <= self._columns:
            return Answer(value, repairs)
        kept = {name: child for name, child in value.items() if name in self._columns}
        return Answer(kept, (*repairs, DROPPED_PROPERTY))

    def _carried(self, answer: Answer) -> Answer | Rejection:
        """The answer, unless it holds a number that its column in the table cannot: better asked again than lost there."""
        found = ((field.name, column([answer.value.get(field.name)], field)[1].get(0)) for field in self._fields)
        wrong = [f"/{name}: {why}" for name, why in found if why is not None]
        return _rejected(f"no column can carry the answer: {'; '.join(wrong)}; its text is in _raw", wrong) if wrong else answer

    def _was_meant(self, value: JSON) -> bool:
        """Whether an object that is no answer was meant as one: then what stands before it is a draft, not the answer."""
        return isinstance(value, dict) and self._essential <= value.keys()


def _required(tree: Tree) -> frozenset[str]:
    """The properties without which there is no answer."""
    parts = [part for part in tree.together("", tree.document).values() if isinstance(part, dict)]
    lists = [names for part in parts if isinstance(names := part.get("required"), list)]
    return frozenset(name for names in lists for name in names if isinstance(name, str))


def _rejected(error: str, wrong: list[str] | tuple[str, ...]) -> Rejection:
    listed = "\n".join(f"- {what}" for what in wrong)
    return Rejection(Status.INVALID_OUTPUT, error, f"Your last reply is not a valid answer:\n{listed}\n{_AGAIN}")


def unfinished(reply: Reply) -> Rejection:
    """What no mend and no second question of the same kind can help: for a stop reason that is not in FINISHED."""
    match reply.stop_reason:
        case "max_tokens":
            return Rejection(Status.TRUNCATED, _cut_off(reply), None)
        case "model_context_window_exceeded":
            return Rejection(Status.TRUNCATED, "the model's context window was full; shorten the text of this row", None)
        case "refusal":
            why = reply.refusal or "no category given"
            again = "the same request is refused again: change the prompt or the text, or leave the row without an answer"
            return Rejection(Status.REFUSED, f"refused by the model: {why}; {again}", None)
        case other:
            error = f"the reply ended with stop_reason {other!r}, so it is not known to be whole; its text is in _raw"
            return Rejection(Status.INVALID_OUTPUT, error, None)


def _cut_off(reply: Reply) -> str:
    usage = reply.usage
    if not reply.text.strip() and 2 * usage.thinking_tokens > usage.output_tokens:
        return (
            f"cut off before the answer began: thinking took {usage.thinking_tokens} of the {usage.output_tokens} output "
            f"tokens; {MORE_ROOM}; or lower model.effort, or set model.thinking: off where the model allows it"
        )
    return f"cut off at {usage.output_tokens} output tokens; {MORE_ROOM}"
