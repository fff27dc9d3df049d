"""How a job asks: the settings of `model`, resolved for the model and the schema once a run. Pure.

Current defaults differ per model, so thinking, effort and max_tokens are explicit on every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.call.models import ALL, Facts, facts, known
from pipeline.errors import ConfigInvalid
from pipeline.records import JSON
from pipeline.schema.load import Schema
from pipeline.schema.wire import Native, native, tool
from pipeline.settings import Model

TOOL_NAME = "record_answer"
API_VERSION = "2026-10-21"
"""The `anthropic-version` that the SDK 2.x sends."""
SMALLEST_THINKING_BUDGET = 1024
"""`budget_tokens` of models before adaptive thinking (SDK types/thinking_config_enabled_param.py)."""


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
    notes: tuple[str, ...] = ()
    """What a person should know about the choice: why not native, what the API form could not carry."""


def form(model: Model, schema: Schema) -> Form:
    """The form, or ConfigInvalid with every setting that this model cannot take."""
    about = facts(model.name)
    faults: list[str] = []
    way, sent, notes = _way(model, schema, about, faults)
    effort = _effort(model, about, faults)
    thinking = _thinking(model, about, effort, faults)
    if way == "tool" and thinking is not None and thinking["type"] == "enabled":
        faults.append("model.format: tool cannot be forced while thinking is on with this model; set model.thinking: off")
    if known(model.name) and model.max_tokens > about.max_output:
        faults.append(f"model.max_tokens: {model.name} writes at most {about.max_output:,} tokens, not {model.max_tokens:,}")
    if faults:
        raise ConfigInvalid(f"{model.name} cannot be asked this way", faults=faults)
    return Form(
        model=model.name,
        max_tokens=model.max_tokens,
        way=way,
        schema=sent,
        thinking=thinking,
        effort=effort,
        cache=model.cache,
        stream=model.stream,
        notes=tuple(notes),
    )


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
        faults.append(f"model.format: {model.name} does not take a forced tool; use auto, native or prompt")
    if model.format == "tool" or (model.format == "auto" and about.forced_tool):
        return "tool", tool(schema), notes
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
