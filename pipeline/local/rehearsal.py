"""The model `rehearsal`: answers that are valid and mean nothing, the same for the same request and seed.

It takes any model name and answers as `rehearsal/<name>`. For a Claude it knows it refuses what that Claude refuses,
thinks where that Claude thinks, and has its limits (claude.py). Its tokens are an estimate, four bytes each.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from hashlib import blake2b
from random import Random

from pipeline.local import claude
from pipeline.local.cut import Cut
from pipeline.local.errors import Unmakeable, invalid
from pipeline.local.invent import invented
from pipeline.local.model import REHEARSAL, Card
from pipeline.local.question import Called, Prose, Question, Shaped
from pipeline.local.reply import Began, Ended, Part, Piece, Thought
from pipeline.local.scalars import WORDS

BYTES_PER_TOKEN = 4
MEDIUM_TOKENS = 1_500
"""About what a usual photo or page costs on a Claude."""
THINKING_TOKENS = 32
PIECE_CHARACTERS = 16
PREFIX = f"{REHEARSAL}/"
OWN_RULES = claude.Rules(
    "Rehearsal",
    thinks=False,
    thinking=("adaptive", "enabled", "disabled", "between_tools"),
    system_turns=True,
    sampling=True,
)


class Rehearsal:
    name = REHEARSAL

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def card(self, requested: str) -> Card:
        bare = requested.removeprefix(PREFIX)
        if bare == REHEARSAL:
            return Card(REHEARSAL, OWN_RULES.display_name, OWN_RULES, sees=True)
        rules = claude.rules(bare) or OWN_RULES
        return Card(
            f"{PREFIX}{bare}", f"Rehearsal of {rules.display_name if rules is not OWN_RULES else bare}", rules, sees=True
        )

    async def count(self, question: Question) -> int:
        self._check(question)
        return _input_tokens(question)

    async def reply(self, question: Question) -> AsyncGenerator[Part]:
        rules = self._check(question)
        text = self._text(question)
        yield Began(_input_tokens(question))
        thinks = claude.thinks(question, rules)
        thinking_tokens = min(THINKING_TOKENS, question.max_tokens) if thinks else 0
        if thinking_tokens:
            yield Thought("A rehearsal does not think." if question.shows_thinking else "")
        cut = Cut(question.stop_sequences)
        room = question.max_tokens - thinking_tokens
        sent = cut.feed(_first_tokens(text, room)) + cut.rest()
        for start in range(0, len(sent), PIECE_CHARACTERS if question.stream else max(len(sent), 1)):
            yield Piece(sent[start : start + PIECE_CHARACTERS] if question.stream else sent)
        is_short = _tokens(text) > room or not question.max_tokens
        reason = "stop_sequence" if cut.found else "max_tokens" if is_short else "end_turn"
        yield Ended(reason, thinking_tokens + _tokens(sent), cut.found, thinking_tokens)

    async def close(self) -> None:
        """Nothing is held."""

    def _check(self, question: Question) -> claude.Rules:
        rules = self.card(question.model).rules
        if fault := claude.fault(question, rules):
            raise invalid(fault)
        if (tokens := _input_tokens(question)) > rules.max_input_tokens:
            raise invalid(f"prompt is too long: {tokens} tokens > {rules.max_input_tokens} maximum")
        return rules

    def _text(self, question: Question) -> str:
        random = Random(self._digest(question))  # noqa: S311  # nothing is kept secret with it
        match question.form:
            case Prose():
                return f"A rehearsal: nobody has read this. {' '.join(random.choices(WORDS, k=8)).capitalize()}."
            case Shaped(schema) | Called(schema=schema):
                try:
                    return json.dumps(invented(schema, random), ensure_ascii=False, separators=(",", ":"))
                except Unmakeable as error:
                    raise invalid(f"rehearsal found no value for this schema: {error}") from None

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


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def _first_tokens(text: str, tokens: int) -> str:
    return text.encode()[: max(tokens, 0) * BYTES_PER_TOKEN].decode(errors="ignore")


def _input_tokens(question: Question) -> int:
    texts = [question.system, question.tools, *(turn.text for turn in question.turns)]
    texts += [call for turn in question.turns for call in turn.called]
    if isinstance(question.form, Shaped):
        texts.append(question.form.schema)
    media = sum(len(turn.media) for turn in question.turns)
    return sum(_tokens(text) for text in texts) + MEDIUM_TOKENS * media
