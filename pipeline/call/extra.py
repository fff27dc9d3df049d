"""`model.extra`: further parameters of a request, taken only where the model and the API version take them. Pure.

A parameter that is not known here is sent as it is, and said so: the first request will tell. One that this program sets
itself is refused with the key that sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.call.models import Facts
from pipeline.records import JSON

CURRENT = "2026-10-21"
"""The `anthropic-version` that the SDK 2.x sends."""
OLDER = "2023-06-01"

OWNED: Mapping[str, str] = {
    "model": "model.name",
    "max_tokens": "model.max_tokens",
    "messages": "prompt.user",
    "system": "prompt.system",
    "stream": "model.stream",
    "thinking": "model.thinking",
    "output_config": "model.effort and model.format",
    "output_format": "model.format",
    "tools": "model.format",
    "tool_choice": "model.format",
    "cache_control": "model.cache",
    "stop_sequences": "model.stop_sequences",
    "anthropic_version": "model.api_version",
    "timeout": "call.timeout_s",
}
"""Parameters that this program sets itself → the config keys that say how."""
NO_FIELDS = frozenset({"extra_headers", "extra_query", "extra_body", "betas", "user_profile_id", "workspace_id"})
"""Arguments of the SDK that do not travel in the body of a request."""
SAMPLING = ("temperature", "top_p", "top_k")
OWN_DEFAULT: Mapping[str, float] = {"temperature": 1, "top_p": 0.99}
"""What the models since 4.7 still take under the older version (models/haiku-5-5/migration-guide, read 2026-10-10)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What stands around `model.extra` and decides what it may hold."""

    model: str
    about: Facts
    api_version: str
    thinks: bool


def faults(extra: Mapping[str, JSON], setting: Setting) -> list[str]:
    """Why each parameter that cannot be sent cannot."""
    found = [fault for name, value in extra.items() for fault in _fault(name, value, setting)]
    if setting.api_version == OLDER and "temperature" in extra and "top_p" in extra:
        found.append("model.extra: temperature and top_p are never taken together; leave one out")
    return found


def notes(extra: Mapping[str, JSON], setting: Setting) -> list[str]:
    """What a person should know about parameters that are sent."""
    told: list[str] = []
    for name in extra:
        if name in SAMPLING and setting.about.sampling == "unknown":
            told.append(f"model.extra.{name}: it is not known whether {setting.model} takes it; the first request will tell")
        elif name not in SAMPLING and name not in _KNOWN:
            near = get_close_matches(name, [*SAMPLING, *_KNOWN], 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            told.append(f"model.extra.{name}: not a parameter known here, sent as it is{meant}")
    return told


def _fault(name: str, value: JSON, setting: Setting) -> list[str]:
    where = f"model.extra.{name}"
    if name in OWNED:
        return [f"{where}: this program sets it itself, by {OWNED[name]}"]
    if name in NO_FIELDS:
        return [f"{where}: no field of the body of a request, and nothing else can be sent by model.extra"]
    if name in SAMPLING:
        return [f"{where}: {why}" for why in _sampling_fault(name, value, setting)]
    check = _KNOWN.get(name)
    why = check(value, setting) if check is not None else None
    return [f"{where}: {why}"] if why is not None else []


def _sampling_fault(name: str, value: JSON, setting: Setting) -> list[str]:
    if setting.api_version != OLDER:
        return [
            f"API version {setting.api_version} takes it of no model, not even at its default; leave it out, "
            f"or set model.api_version: {OLDER} where the model is of the 4.6 generation or older"
        ]
    if setting.about.sampling == "default":
        only = OWN_DEFAULT.get(name)
        if only is None:
            return [f"{setting.model} does not take it; leave it out"]
        return (
            [] if value == only and not isinstance(value, bool) else [f"{setting.model} takes only its own default, {only:g}"]
        )
    if setting.about.sampling == "free" and setting.thinks:
        return [f"{setting.model} does not take it while it thinks; set model.thinking: off"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ["expected a number"]
    if name == "top_k":
        return [] if isinstance(value, int) and value >= 1 else ["expected a whole number of at least 1"]
    return [] if 0 <= value <= 1 else ["expected a number from 0 to 1"]


def _metadata(value: JSON, _: Setting) -> str | None:
    one_id = isinstance(value, dict) and value.keys() == {"user_id"} and isinstance(value["user_id"], str)
    return None if one_id else "expected {user_id: …}, an opaque id that names nobody"


def _service_tier(value: JSON, _: Setting) -> str | None:
    return None if value in ("auto", "standard_only") else "expected auto or standard_only"


def _inference_geo(value: JSON, setting: Setting) -> str | None:
    if not setting.about.geo:
        return f"{setting.model} does not take it; models of the 4.6 generation and later do"
    return None if isinstance(value, str) and value else "expected a place such as us or global"


def _speed(value: JSON, _: Setting) -> str | None:
    return (
        None
        if value == "standard"
        else "only standard: fast has prices that this program does not know, so it would spend unseen"
    )


def _anything(_: JSON, __: Setting) -> str | None:
    return None


_KNOWN: Mapping[str, Callable[[JSON, Setting], str | None]] = {
    "metadata": _metadata,
    "service_tier": _service_tier,
    "inference_geo": _inference_geo,
    "speed": _speed,
    "diagnostics": _anything,
}
"""Parameters of the Messages API (api/messages, read 2026-10-10) → what is wrong with a value."""
