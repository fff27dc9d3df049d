"""How a job asks: the settings of `model`, resolved for the model and the schema once a run. Pure.

Current defaults differ per model, so thinking, effort and max_tokens are explicit on every request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from pipeline.call.extra import CURRENT, Setting
from pipeline.call.extra import faults as extra_faults
from pipeline.call.extra import notes as extra_notes
from pipeline.call.models import ALL, Facts, facts, known
from pipeline.errors import ConfigInvalid
from pipeline.records import JSON, Constant, Text, Verbatim
from pipeline.schema.load import Schema
from pipeline.schema.tool import tool, tool_fault
from pipeline.schema.wire import Native, native
from pipeline.settings import Model

TOOL_NAME = "record_answer"
API_VERSION = CURRENT
SMALLEST_THINKING_BUDGET = 1024
"""`budget_tokens` of models before adaptive thinking (SDK types/thinking_config_enabled_param.py)."""
THINKING_ROOM = 4096
"""max_tokens below which a model that cannot but think may have thought it all away before its answer begins."""
TOKENS_A_SECOND = 128_000 / 3600
"""The rate by which the SDK decides that a reply cannot be awaited whole (2.12, `_calculate_nonstreaming_timeout`)."""
LONGEST_WHOLE_S = 600
"""The SDK's own limit for a reply that is not streamed: connections that are silent for longer get cut on the way."""
BYTES_A_TOKEN = 2
"""Fewer than any ordinary text has (English 4, JSON 3, Chinese 2 to 3): token counts made with it come out too high."""
TOOL_PROMPT_TOKENS = 600
"""What the API adds for a tool: 286 to 589 by model (about-claude/pricing, read 2026-10-08)."""


@dataclass(frozen=True, slots=True)
class Form:
    """All of a request that is not the conversation."""

    model: str
    max_tokens: int
    way: Literal["native", "tool", "prompt"]
    """How JSON is asked for."""
    schema: dict[str, JSON]
    """The schema in the form that this way sends; unused by `prompt`, where the system text states it."""
    thinking: dict[str, JSON] | None
    effort: str | None
    cache: Literal["5m", "1h", "off"]
    stream: bool
    """Whether every reply is streamed, however short it is."""
    notes: tuple[str, ...] = ()
    """What a person should know about the choice: why not native, what the API form could not carry."""
    stop_sequences: tuple[str, ...] = ()
    extra: Mapping[str, JSON] = field(default_factory=dict)
    """Further parameters of the request."""
    api_version: str = API_VERSION
    whole_up_to: int = int(LONGEST_WHOLE_S * TOKENS_A_SECOND)
    """The largest max_tokens whose reply is awaited whole."""

    @property
    def streamed_above(self) -> int:
        """A reply of more tokens than this is streamed, whichever request asks for it: 0 streams all."""
        return 0 if self.stream else self.whole_up_to

    @property
    def thinks(self) -> bool:
        """Whether the model may think before it answers. Without tools, `between_tools` leaves nothing to think about."""
        return self.thinking is not None and self.thinking["type"] in ("adaptive", "enabled")


def form(model: Model, schema: Schema, *, timeout_s: float = LONGEST_WHOLE_S) -> Form:
    """The form, or ConfigInvalid with every setting that this model cannot take. `timeout_s`: `call.timeout_s`."""
    about = facts(model.name)
    faults: list[str] = []
    way, sent, notes = _way(model, schema, about, faults)
    effort = _effort(model, about, faults)
    thinking = _thinking(model, about, effort, faults)
    if way == "tool" and thinking is not None and thinking["type"] == "enabled":
        faults.append("model.format: tool cannot be forced while thinking is on with this model; set model.thinking: off")
    if known(model.name) and model.max_tokens > about.max_output:
        faults.append(f"model.max_tokens: {model.name} writes at most {about.max_output:,} tokens, not {model.max_tokens:,}")
    made = Form(
        model=model.name,
        max_tokens=model.max_tokens,
        way=way,
        schema=sent,
        thinking=thinking,
        effort=effort,
        cache=model.cache,
        stream=model.stream,
        stop_sequences=model.stop_sequences,
        extra=cast("Mapping[str, JSON]", model.extra or {}),  # it was read from YAML, which holds nothing else
        api_version=model.api_version or API_VERSION,
        whole_up_to=int(min(timeout_s, LONGEST_WHOLE_S) * TOKENS_A_SECOND),
    )
    setting = Setting(model.name, about, made.api_version, made.thinks)
    faults += extra_faults(made.extra, setting)
    if faults:
        raise ConfigInvalid(f"{model.name} cannot be asked this way", faults=faults)
    return replace(made, notes=(*notes, *_notes(made, about, timeout_s), *extra_notes(made.extra, setting)))


def cached(made: Form, constant: Constant) -> Form:
    """The form with a cache breakpoint only where a cache can be: below the model's minimum the API silently keeps nothing
    (build-with-claude/prompt-caching, read 2026-10-08). Left out only where the constant part is too short by any count."""
    least = facts(made.model).min_cached
    if made.cache == "off" or least is None or constant_tokens(made, constant) >= least:
        return made
    note = (
        f"the constant part of the prompt is not cached: it has fewer than the {least:,} tokens below which {made.model} "
        "caches nothing"
    )
    return replace(made, cache="off", notes=(*made.notes, note))


def constant_tokens(made: Form, constant: Constant) -> int:
    """Of the part of a request that no row changes, at most."""
    blocks = [block for turn in constant.examples for block in turn.blocks]
    texts = [
        constant.system,
        *(
            block.content if isinstance(block, Verbatim) else block.text
            for block in blocks
            if isinstance(block, Verbatim | Text)
        ),
    ]
    if made.way != "prompt":
        # How much the API adds for a format is not documented; it describes the schema, so it is taken to be as long.
        texts.append(json.dumps(made.schema, ensure_ascii=False))
    size = sum(len(text.encode(errors="replace")) for text in texts)
    return size // BYTES_A_TOKEN + (TOOL_PROMPT_TOKENS if made.way == "tool" else 0)


def _notes(made: Form, about: Facts, timeout_s: float) -> list[str]:
    notes: list[str] = []
    if made.max_tokens > made.whole_up_to and not made.stream:
        slow_s = made.max_tokens / TOKENS_A_SECOND
        why = "call.timeout_s" if timeout_s < LONGEST_WHOLE_S else "the limit for replies that are awaited whole"
        notes.append(
            f"replies are streamed: one of {made.max_tokens:,} tokens may take {slow_s:,.0f} s, more than "
            f"{min(timeout_s, LONGEST_WHOLE_S):,.0f} s, {why}"
        )
    if made.thinks and about.most != "enabled" and made.max_tokens < THINKING_ROOM:
        cannot = " and cannot be told not to" if about.least == "always" else ""
        notes.append(
            f"{made.model} thinks before it answers{cannot}, and thinking counts inside of model.max_tokens: with "
            f"{made.max_tokens:,} a reply may end before its answer begins; {THINKING_ROOM:,} or more are safer"
        )
    if made.stop_sequences and made.way != "prompt":
        notes.append("model.stop_sequences end a reply wherever they come up in it, also within the JSON of an answer")
    if about.retires is not None:
        notes.append(f"{made.model} ends on {about.retires}: choose another model for work that goes on")
    return notes


def grown(asked: Form, factor: float) -> int | None:
    """`max_tokens` for one more question after an answer was cut off; None where there is no more room to give."""
    room = int(asked.max_tokens * factor)
    if known(asked.model):
        room = min(room, facts(asked.model).max_output)
    return room if room > asked.max_tokens else None


def _way(
    model: Model, schema: Schema, about: Facts, faults: list[str]
) -> tuple[Literal["native", "tool", "prompt"], dict[str, JSON], list[str]]:
    notes: list[str] = []
    carried = native(schema)
    if model.format in ("auto", "native"):
        if not about.structured:
            reason = f"{model.name} has no structured outputs"
        elif isinstance(carried, Native):
            return (
                "native",
                carried.schema,
                [f"kept out of the API form, checked by us: {moved}" for moved in carried.moved],
            )
        else:
            reason = f"structured outputs cannot carry the schema: {carried.reason}"
        if model.format == "native":
            faults.append(f"model.format: native is not possible: {reason}; use auto, tool or prompt")
        notes.append(reason)
    if model.format == "tool" and not about.forced_tool:
        if known(model.name):
            faults.append(f"model.format: {model.name} does not take a forced tool; use auto, native or prompt")
        else:
            notes.append(f"it is not known whether {model.name} takes a forced tool; the first request will tell")
    why_not = tool_fault(schema)
    if model.format == "tool":
        if why_not is not None:
            faults.append(f"model.format: {why_not}; use auto or prompt, or other names")
        return "tool", tool(schema), notes
    if model.format == "auto" and about.forced_tool:
        if why_not is None:
            return "tool", tool(schema), notes
        notes.append(why_not)
    return "prompt", {}, notes


def _effort(model: Model, about: Facts, faults: list[str]) -> str | None:
    if model.effort == "auto":
        return "low" if "low" in about.efforts else None
    if not about.efforts and known(model.name):
        faults.append(f"model.effort: {model.name} has no effort setting; leave it at auto")
        return None
    if about.efforts and model.effort not in about.efforts:
        faults.append(f"model.effort: {model.name} takes {', '.join(about.efforts)}, not {model.effort}")
    return model.effort


def _thinking(model: Model, about: Facts, effort: str | None, faults: list[str]) -> dict[str, JSON] | None:
    if model.thinking == "on":
        return _asked_for(model, about, faults)
    too_high = about.least_up_to is not None and effort is not None and ALL.index(effort) > ALL.index(about.least_up_to)
    if model.thinking == "off":
        if about.least in ("between_tools", "always"):
            faults.append(f"model.thinking: {model.name} cannot switch thinking off; auto takes the least it allows")
        elif too_high:
            faults.append(f"model.thinking: {model.name} takes off only up to effort {about.least_up_to}, not {effort}")
        elif not known(model.name) and about.most == "adaptive":
            return {"type": "disabled"}  # a Claude that is newer than the table: off means off, not its default
    if about.least == "absent":
        return None
    if about.least == "always" or too_high:
        return {"type": "adaptive"}
    return {"type": about.least}


def _asked_for(model: Model, about: Facts, faults: list[str]) -> dict[str, JSON] | None:
    if about.most == "adaptive":
        return {"type": "adaptive"}
    if about.most == "none":
        faults.append(f"model.thinking: it is not known how {model.name} thinks; leave it at auto")
        return None
    if model.max_tokens <= SMALLEST_THINKING_BUDGET:
        faults.append(
            f"model.max_tokens: thinking takes at least {SMALLEST_THINKING_BUDGET:,} tokens of it with {model.name}; "
            f"raise {model.max_tokens:,}"
        )
    return {"type": "enabled", "budget_tokens": SMALLEST_THINKING_BUDGET}
