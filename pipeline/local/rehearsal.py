"""The model `rehearsal`: answers that are valid and mean nothing, the same for the same request and seed.

It takes any model name that is not that of an unknown Claude, and answers as `rehearsal/<name>`. For a Claude it knows it
refuses what that Claude refuses, thinks where that Claude thinks, and has its limits (claude.py). Its tokens are an
estimate, four bytes each; how many an answer is said to have taken can be set.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from hashlib import blake2b
from random import Random

from pipeline.local import claude, tokens
from pipeline.local.cut import Cut
from pipeline.local.errors import ApiError, Unmakeable, invalid
from pipeline.local.invent import invented
from pipeline.local.model import REHEARSAL, Card
from pipeline.local.question import Called, Prose, Question, Shaped
from pipeline.local.reply import Began, Ended, Part, Piece, Thought
from pipeline.local.scalars import WORDS
from pipeline.local.script import Size
from pipeline.local.stated import heeded, schema_for

THINKING = Size(32)
PIECE_CHARACTERS = 16
PREFIX = f"{REHEARSAL}/"
CLAUDE = "claude-"
OWN_RULES = claude.Rules(
    "Rehearsal",
    thinks=False,
    thinking=("adaptive", "enabled", "disabled", "between_tools"),
    system_turns=True,
    sampling=True,
)


class Rehearsal:
    name = REHEARSAL
    computes = False

    def __init__(self, seed: int, output: Size | None = None, thinking: Size | None = None) -> None:
        self._seed = seed
        self._output = output
        self._thinking = thinking or THINKING

    def card(self, requested: str) -> Card:
        bare = requested.removeprefix(PREFIX)
        if bare == REHEARSAL:
            return Card(REHEARSAL, OWN_RULES.display_name, OWN_RULES, sees=True)
        rules = claude.rules(bare)
        if rules is None and bare.startswith(CLAUDE):
            raise ApiError(404, f"model: {bare}")
        told = rules.display_name if rules else bare
        return Card(f"{PREFIX}{bare}", f"Rehearsal of {told}", rules or OWN_RULES, sees=True)

    def cards(self) -> list[Card]:
        return [self.card(REHEARSAL), *(self.card(name) for name in claude.names())]

    async def count(self, question: Question) -> int:
        self._check(question)
        return question.tokens

    async def reply(self, question: Question) -> AsyncGenerator[Part]:
        rules = self._check(question)
        digest = self._digest(question)
        text = self._text(question, digest)
        yield Began(question.tokens)
        sizes = Random(b"sizes" + digest)  # noqa: S311 nothing is kept secret with it
        thinking_tokens = 0
        if claude.thinks(question, rules) and (thinking_tokens := min(self._thinking.drawn(sizes), question.max_tokens)):
            yield Thought("A rehearsal does not think." if question.shows_thinking else "")
        room = question.max_tokens - thinking_tokens
        whole = self._output.drawn(sizes) if self._output else tokens.in_text(text)
        cut = Cut(question.stop_sequences)
        sent = cut.feed(_first(text, room, of=whole)) + cut.rest()
        for start in range(0, len(sent), PIECE_CHARACTERS if question.stream else max(len(sent), 1)):
            yield Piece(sent[start : start + PIECE_CHARACTERS] if question.stream else sent)
        reason = "stop_sequence" if cut.found else "max_tokens" if whole > room or not question.max_tokens else "end_turn"
        written = tokens.in_text(sent) if self._output is None or cut.found else min(whole, room)
        yield Ended(reason, thinking_tokens + written, cut.found, thinking_tokens)

    async def close(self) -> None:
        """Nothing is held."""

    def _check(self, question: Question) -> claude.Rules:
        rules = self.card(question.model).rules
        if fault := claude.fault(question, rules):
            raise invalid(fault)
        if question.tokens > rules.max_input_tokens:
            raise invalid(f"prompt is too long: {question.tokens} tokens > {rules.max_input_tokens} maximum")
        return rules

    def _text(self, question: Question, digest: bytes) -> str:
        random = Random(digest)  # noqa: S311 nothing is kept secret with it
        match question.form:
            case Prose() if (stated := schema_for(question.system, _asked(question))) is not None:
                return _made(stated, random)
            case Prose():
                return f"A rehearsal: nobody has read this. {' '.join(random.choices(WORDS, k=8)).capitalize()}."
            case Shaped(schema) | Called(schema=schema):
                return _made(schema, random)

    def _digest(self, question: Question) -> bytes:
        """Of the seed and of all that a model would read; not of how the reply is to travel."""
        read = (
            self._seed,
            question.model.removeprefix(PREFIX),
            question.system,
            question.turns,
            question.form,
            question.tools,
        )
        return blake2b(repr(read).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _asked(question: Question) -> int:
    """Which question of the conversation this is, from 1."""
    return sum(turn.role == "user" for turn in question.turns)


def _made(schema: str, random: Random) -> str:
    """An answer under the schema, and under what its descriptions demand beyond it where such an answer is found."""
    for demanded in filter(None, (heeded(schema), schema)):
        try:
            return json.dumps(invented(demanded, random), ensure_ascii=False, separators=(",", ":"))
        except Unmakeable as error:
            reason = error
    raise invalid(f"rehearsal found no value for this schema: {reason}")


def _first(text: str, room: int, *, of: int) -> str:
    """The part of a text of `of` tokens that `room` of them hold."""
    if room >= of:
        return text
    encoded = text.encode()
    return encoded[: -(-len(encoded) * max(room, 0) // of)].decode(errors="ignore")
