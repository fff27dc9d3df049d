"""What the Models API says about a run's model, before anything is paid for. Pure.

The look is free and never decides more than it knows: a server without that route, one that is busy, a field that is not
there are no reason to stop; the first request will tell. Source: platform.claude.com/docs/en/api/models and, in the SDK 2.12,
types/model_info.py, read 2026-11.
"""

from __future__ import annotations

import json

from pipeline.call.caller import Broken, Response
from pipeline.call.classify import Classifier
from pipeline.call.form import Form
from pipeline.call.models import nearest
from pipeline.errors import AccountRefused, ConfigInvalid
from pipeline.records import JSON


def notes(said: Response | Broken, form: Form) -> tuple[str, ...]:
    """What a person should know about the model: that it will end, say.

    Raises AccountRefused where the credentials are refused, and ConfigInvalid where the model is unknown, has ended, or cannot
    be asked in this form.
    """
    if isinstance(said, Broken):
        return ()
    told = _object(said.body)
    if said.status != 200:
        _refuse(said, told, form.model)
        return ()
    faults = [*_faults(told, form)]
    if faults:
        raise ConfigInvalid(f"{form.model} cannot be asked this way, says the server", faults=faults)
    return _ending(told, form.model)


def _refuse(said: Response, told: dict[str, JSON], model: str) -> None:
    error = told.get("error")
    inner = error if isinstance(error, dict) else {}
    if said.status == 404:
        # A server without the route says 404, too: only the API's own words about this very model count.
        if inner.get("type") == "not_found_error" and model in str(inner.get("message")):
            near = nearest(model)
            meant = f"; did you mean {' or '.join(near)}?" if near else "; the models are listed in the Console"
            raise ConfigInvalid(f"model.name: the server knows no {model}{meant}")
    elif inner:  # without the API's own words, a gateway may merely not let the Models API through
        verdict = Classifier(float("inf"), model).failed(said)
        if verdict.stop is AccountRefused:
            raise AccountRefused(verdict.error)


def _faults(told: dict[str, JSON], form: Form) -> list[str]:
    faults: list[str] = []
    if told.get("lifecycle") == "retired":
        faults.append(f"model.name: {form.model} has ended{_on(told.get('retires_at'))}; choose another")
    most = told.get("max_tokens")
    if type(most) is int and 0 < most < form.max_tokens:
        faults.append(f"model.max_tokens: {form.model} writes at most {most:,} tokens, not {form.max_tokens:,}")
    can = told.get("capabilities")
    if form.way == "native" and _lacks(can, "structured_outputs"):
        faults.append("model.format: it has no structured outputs; set it to tool or prompt")
    if form.thinking is not None and _lacks(can, "thinking", "types", str(form.thinking["type"])):
        faults.append(f"model.thinking: it does not take {form.thinking['type']}; choose another value, or another model")
    if form.effort is not None and _lacks(can, "effort", form.effort):
        faults.append(f"model.effort: it does not take {form.effort}; choose another value, or another model")
    return faults


def _lacks(capabilities: JSON, *path: str) -> bool:
    """Whether the server says in so many words that it cannot."""
    value = capabilities
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return isinstance(value, dict) and value.get("supported") is False


def _ending(told: dict[str, JSON], model: str) -> tuple[str, ...]:
    day = told.get("retires_at")
    if told.get("lifecycle") != "deprecated" and not isinstance(day, str):
        return ()
    ends = f"ends{_on(day)}" if isinstance(day, str) else "is deprecated and will end"
    return (f"{model} {ends}: choose another model for work that goes on",)


def _on(day: JSON) -> str:
    return f" on {day[:10]}" if isinstance(day, str) else ""


def _object(body: bytes) -> dict[str, JSON]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
