"""What the API lets one ask of each Claude: the rules by which `rehearsal` refuses what the real model would.

Sources: thinking-troubleshooting (2026-10-10), errors, effort, model-deprecations (2026-10-08), the release note of
2026-11-09 for Fable 5.2, whose row goes by Fable 5.1 where the note is silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.local.question import Question

MOST_IMAGES, MOST_IMAGES_SMALL_WINDOW, SMALL_WINDOW = 600, 100, 200_000
"""In one request, by the model's window (vision page, 2026-08-22)."""
ALL_EFFORTS = ("low", "medium", "high", "xhigh", "max")
NO_XHIGH = ("low", "medium", "high", "max")


@dataclass(frozen=True, slots=True)
class Rules:
    display_name: str
    thinks: bool
    """What happens where the request is silent about thinking."""
    thinking: tuple[str, ...]
    """The `thinking.type`s that are accepted."""
    quiet_to_high: bool = False
    """Whether `disabled` and `between_tools` end at effort high."""
    efforts: tuple[str, ...] = ALL_EFFORTS
    default_effort: str = "high"
    forced_tools: bool = True
    prefill: bool = False
    system_turns: bool = False
    """Whether `messages` may hold turns with the role `system`."""
    sampling: bool = False
    """Whether API version 2023-06-01 still lets one set temperature and the like."""
    max_input_tokens: int = 1_000_000
    max_tokens: int = 128_000
    cached_from: int | None = 1_024
    """The shortest prefix, in tokens, that the prompt cache keeps (prompt-caching, 2026-10-08); None: it keeps none."""
    deprecated_at: str | None = None
    retires_at: str | None = None
    """Set where the model is deprecated (model-deprecations, 2026-10-08)."""
    line: str | None = None
    created_at: str = "1970-01-01T00:00:00Z"
    """The Models API gives the epoch where the date is unknown."""


RULES: Mapping[str, Rules] = MappingProxyType(
    {
        "claude-haiku-5-5": Rules(
            "Claude Haiku 5.5",
            thinks=True,
            thinking=("adaptive", "disabled"),
            default_effort="medium",
            quiet_to_high=True,
            system_turns=True,
            cached_from=512,
            line="haiku",
            created_at="2026-10-07T00:00:00Z",
        ),
        "claude-sonnet-5-5": Rules(
            "Claude Sonnet 5.5",
            thinks=True,
            thinking=("adaptive", "between_tools"),
            forced_tools=False,
            quiet_to_high=True,
            system_turns=True,
            cached_from=512,
            line="sonnet",
            created_at="2026-09-28T00:00:00Z",
        ),
        "claude-opus-5-5": Rules(
            "Claude Opus 5.5",
            thinks=True,
            thinking=("adaptive",),
            default_effort="medium",
            forced_tools=False,
            system_turns=True,
            cached_from=512,
            line="opus",
            created_at="2026-09-22T00:00:00Z",
        ),
        "claude-fable-5-2": Rules(
            "Claude Fable 5.2",
            thinks=True,
            thinking=("adaptive",),
            forced_tools=False,
            system_turns=True,
            cached_from=512,
            line="fable",
            created_at="2026-11-09T00:00:00Z",
        ),
        "claude-fable-5-1": Rules(
            "Claude Fable 5.1",
            thinks=True,
            thinking=("adaptive",),
            forced_tools=False,
            system_turns=True,
            cached_from=512,
            line="fable",
            created_at="2026-09-01T00:00:00Z",
        ),
        "claude-fable-5": Rules(
            "Claude Fable 5", thinks=True, thinking=("adaptive",), system_turns=True, cached_from=512, line="fable"
        ),
        "claude-opus-5": Rules(
            "Claude Opus 5",
            thinks=True,
            thinking=("adaptive", "disabled"),
            quiet_to_high=True,
            system_turns=True,
            cached_from=512,
            line="opus",
            created_at="2026-07-24T00:00:00Z",
        ),
        "claude-sonnet-5": Rules("Claude Sonnet 5", thinks=True, thinking=("adaptive", "disabled"), line="sonnet"),
        "claude-opus-4-8": Rules(
            "Claude Opus 4.8", thinks=False, thinking=("adaptive", "disabled"), system_turns=True, line="opus"
        ),
        "claude-opus-4-7": Rules(
            "Claude Opus 4.7", thinks=False, thinking=("adaptive", "disabled"), cached_from=2_048, line="opus"
        ),
        "claude-opus-4-6": Rules(
            "Claude Opus 4.6",
            thinks=False,
            thinking=("adaptive", "enabled", "disabled"),
            efforts=NO_XHIGH,
            sampling=True,
            cached_from=4_096,
            line="opus",
        ),
        "claude-sonnet-4-6": Rules(
            "Claude Sonnet 4.6",
            thinks=False,
            thinking=("adaptive", "enabled", "disabled"),
            efforts=NO_XHIGH,
            sampling=True,
            line="sonnet",
        ),
        "claude-opus-4-5": Rules(
            "Claude Opus 4.5",
            thinks=False,
            thinking=("enabled", "disabled"),
            efforts=("low", "medium", "high"),
            prefill=True,
            sampling=True,
            max_input_tokens=200_000,
            max_tokens=64_000,
            cached_from=4_096,
            line="opus",
        ),
        "claude-sonnet-4-5": Rules(
            "Claude Sonnet 4.5",
            thinks=False,
            thinking=("enabled", "disabled"),
            efforts=(),
            prefill=True,
            sampling=True,
            max_input_tokens=200_000,
            max_tokens=64_000,
            cached_from=1_024,
            retires_at="2026-11-30T00:00:00Z",
            line="sonnet",
        ),
        "claude-haiku-4-5": Rules(
            "Claude Haiku 4.5",
            thinks=False,
            thinking=("enabled", "disabled"),
            efforts=(),
            prefill=True,
            sampling=True,
            max_input_tokens=200_000,
            max_tokens=64_000,
            cached_from=4_096,
            line="haiku",
        ),
    }
)

DATED: Mapping[str, str] = MappingProxyType(
    {
        "claude-haiku-4-5-20251001": "claude-haiku-4-5",
        "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
        "claude-opus-4-5-20251101": "claude-opus-4-5",
    }
)
"""Full model ids → the alias under which RULES has them."""

HAIKU_ONLY_SAMPLING = {"temperature": 1.0, "top_p": 0.99}
"""What models from 4.7 on tolerate under 2023-06-01: their own defaults (Haiku 5.5 migration guide, 2026-10-10)."""


def names() -> list[str]:
    """Those that the Models API lists, newest first."""
    return list(RULES)


def rules(name: str) -> Rules | None:
    """None where `name` is no Claude that we know."""
    return RULES.get(DATED.get(name, name))


def thinks(question: Question, known: Rules) -> bool:
    """Whether the reply begins with a thinking block. Forced tools switch thinking off (errors page)."""
    if question.forced or question.thinking in ("disabled", "between_tools"):
        return False
    return question.thinking is not None or known.thinks


def fault(question: Question, known: Rules) -> str | None:
    """Why the real model would answer 400; None where it would not."""
    return (
        _thinking_fault(question, known)
        or _effort_fault(question, known)
        or _sampling_fault(question, known)
        or _conversation_fault(question, known)
    )


def _thinking_fault(question: Question, known: Rules) -> str | None:
    kind = question.thinking
    if kind is not None and kind not in known.thinking:
        accepted = ", ".join(f"'{each}'" for each in known.thinking)
        return f'thinking.type: "{kind}" is not supported for this model. Supported: {accepted}.'
    quiet = kind in ("disabled", "between_tools")
    if quiet and known.quiet_to_high and question.effort in ("xhigh", "max"):
        return f'thinking.type: "{kind}" is not supported with effort "{question.effort}" on this model.'
    return None


def _effort_fault(question: Question, known: Rules) -> str | None:
    if question.effort is None or question.effort in known.efforts:
        return None
    if not known.efforts:
        return "output_config.effort: This model does not support the effort parameter."
    return f"output_config.effort: '{question.effort}' is not supported for this model."


def _sampling_fault(question: Question, known: Rules) -> str | None:
    sampling = question.sampling
    if known.sampling:
        return None
    if sampling.top_k is not None:
        return "top_k: not supported for this model."
    if sampling.temperature is not None and sampling.top_p is not None:
        return "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    given = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    for name, only in HAIKU_ONLY_SAMPLING.items():
        if given[name] is not None and given[name] != only:
            return f"{name}: must be {only:g} for this model."
    return None


def _conversation_fault(question: Question, known: Rules) -> str | None:
    if question.system_turns and not known.system_turns:
        return (
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
            'not "system" as an input message role, for this model.'
        )
    if question.forced and not known.forced_tools:
        return 'tool_choice: type "tool" and "any" are not supported for this model.'
    if question.forced and question.thinking == "enabled":
        return "Thinking may not be enabled when tool_choice forces tool use."
    if question.turns[-1].role == "assistant" and (not known.prefill or question.thinking == "enabled"):
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    most = MOST_IMAGES if known.max_input_tokens > SMALL_WINDOW else MOST_IMAGES_SMALL_WINDOW
    if (found := sum(medium.path.endswith(".image") for turn in question.turns for medium in turn.media)) > most:
        return f"messages: too many images: {found} > {most}, the most that a request to this model may hold"
    if question.max_tokens > known.max_tokens:
        return (
            f"max_tokens: {question.max_tokens} > {known.max_tokens}, which is the maximum allowed number of "
            "output tokens for this model"
        )
    return None
