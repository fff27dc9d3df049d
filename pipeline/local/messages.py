"""The body of a request → the Question it asks, or the error that the API answers. Pure.

Here stand the rules that span fields (docs: Messages API reference, errors, structured outputs, prompt caching; read
2026-10-08). Those of single fields are in body.py, those of single models with the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel

from pipeline.local import body as shapes
from pipeline.local import content, structured, tokens
from pipeline.local.errors import invalid
from pipeline.local.prefix import prefixes
from pipeline.local.question import Called, Form, Prose, Question, Sampling, Shaped, Turn
from pipeline.local.validity import validator

PRESENT_VERSION = "2026-10-21"
OLD_VERSIONS = frozenset(("2023-01-01", "2023-06-01"))
MAX_BREAKPOINTS = 4
MAX_STRICT_TOOLS = 20


def question(raw: bytes, version: str | None) -> Question:
    """What POST /v1/messages asks. `version` is the header `anthropic-version`. Raises ApiError 400."""
    is_old = _is_old(version)
    body = shapes.parsed(raw, shapes.OldMessageBody if is_old else shapes.MessageBody)
    asked = _question(body, is_old=is_old)
    _check_lengths(body, asked)
    return asked


def batched(raw: bytes, version: str | None) -> Question:
    """What one request of a batch asks. Raises ApiError 400."""
    is_old = _is_old(version)
    body = shapes.parsed(raw, shapes.OldMessageBody if is_old else shapes.MessageBody)
    refused = {"stream": body.stream, "max_tokens: 0 (cache pre-warm)": not body.max_tokens, "speed": body.speed is not None}
    for what, present in refused.items():
        if present:
            raise invalid(f"{what} is not supported in a Message Batch")
    asked = _question(body, is_old=is_old)
    _check_lengths(body, asked)
    return asked


def check_version(version: str | None) -> None:
    """Raises ApiError 400 where the header `anthropic-version` names none that is served."""
    _is_old(version)


def counted(raw: bytes, version: str | None) -> Question:
    """What POST /v1/messages/count_tokens asks about; its max_tokens is 0 and means nothing. Raises ApiError 400."""
    is_old = _is_old(version)
    return _question(shapes.parsed(raw, shapes.CountBody), is_old=is_old)


def _is_old(version: str | None) -> bool:
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version != PRESENT_VERSION and version not in OLD_VERSIONS:
        raise invalid(f'anthropic-version: "{version}" is not a valid version')
    return version in OLD_VERSIONS


def _question(body: shapes.CountBody, *, is_old: bool) -> Question:
    _check_messages(body.messages)
    if not is_old:
        _check_citations(body.messages)
    _check_tools(body)
    _check_schemas(body)
    if (found := sum(1 for _ in _breakpoints(body))) > MAX_BREAKPOINTS:
        raise invalid(f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {found}.")
    _check_lives(body)
    turns, system_turns = _turns(body.messages)
    system = "\n".join(text for text in (content.text(body.system), *system_turns) if text)
    form = _form(body, after_results=turns[-1].results)
    tools = shapes.json_text([tool.model_dump(exclude_none=True) for tool in body.tools]) if body.tools else ""
    config, thinking = body.output_config, body.thinking
    full = body if isinstance(body, shapes.MessageBody) else None
    old = body if isinstance(body, shapes.OldMessageBody) else None
    return Question(
        model=body.model,
        system=system,
        turns=turns,
        form=form,
        max_tokens=full.max_tokens if full else 0,
        stop_sequences=tuple(full.stop_sequences or ()) if full else (),
        stream=full.stream if full else False,
        thinking=thinking.type if thinking else None,
        shows_thinking=isinstance(thinking, shapes.Adaptive | shapes.Enabled) and thinking.display == "summarized",
        effort=config.effort if config else None,
        forced=isinstance(body.tool_choice, shapes.AnyChoice | shapes.ToolChoice),
        system_turns=bool(system_turns),
        tools=tools,
        sampling=Sampling(old.temperature, old.top_p, old.top_k) if old else Sampling(),
        tokens=tokens.in_prompt(system, tools, turns, form),
        prefixes=prefixes(body),
        geo=full.inference_geo if full else None,
    )


def _form(body: shapes.CountBody, *, after_results: bool) -> Form:
    """Under `auto` neither model here can judge whether a tool is needed: it is called, once, then its result is used.

    Where several tools are offered, the first is called.
    """
    choice = body.tool_choice
    offered = {tool.name: tool for tool in body.tools}
    if isinstance(choice, shapes.ToolChoice):
        tool = offered[choice.name]
        return Called(tool.name, tool.schema_text)
    free_to_answer = choice is None or isinstance(choice, shapes.AutoChoice)
    if offered and not isinstance(choice, shapes.NoChoice) and not (free_to_answer and after_results):
        tool = body.tools[0]
        return Called(tool.name, tool.schema_text)
    if body.output_config and body.output_config.format:
        return Shaped(body.output_config.format.text)
    return Prose()


# -- turns ---------------------------------------------------------------------------------------------------------


def _turns(messages: Sequence[shapes.Message]) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """The conversation with consecutive messages of one role made one turn; and the texts of system messages."""
    turns: list[Turn] = []
    system: list[str] = []
    for index, message in enumerate(messages):
        if isinstance(message, shapes.SystemMessage):
            system.append(content.text(message.content))
            continue
        turn = _turn(message.role, content.blocks(message.content), f"messages.{index}.content")
        if turns and turns[-1].role == turn.role:
            turn = _joined(turns.pop(), turn)
        turns.append(turn)
    if not turns:
        raise invalid("messages: at least one message is required")
    if turns[0].role != "user":
        raise invalid('messages: first message must use the "user" role')
    return tuple(turns), tuple(system)


def _joined(first: Turn, second: Turn) -> Turn:
    return Turn(
        first.role,
        "\n".join(text for text in (first.text, second.text) if text),
        first.media + second.media,
        first.called + second.called,
        first.results or second.results,
    )


def _turn(role: Literal["user", "assistant"], parts: Sequence[BaseModel], path: str) -> Turn:
    return Turn(
        role,
        "\n".join(text for block in parts for text in content.texts(block)),
        tuple(medium for index, block in enumerate(parts) for medium in content.media(block, f"{path}.{index}")),
        tuple(shapes.json_text(block.input) for block in parts if isinstance(block, shapes.ToolUseBlock)),
        any(isinstance(block, shapes.ToolResultBlock) for block in parts),
    )


# -- rules ---------------------------------------------------------------------------------------------------------


def _check_messages(messages: Sequence[shapes.Message]) -> None:
    if not messages:
        raise invalid("messages: at least one message is required")
    called: set[str] = set()
    for index, message in enumerate(messages):
        last = index == len(messages) - 1
        if not message.content and not (last and message.role == "assistant"):
            raise invalid(f"messages.{index}: all messages must have non-empty content")
        blocks = content.blocks(message.content)
        for block in blocks:
            if isinstance(block, shapes.TextBlock) and not block.text.strip() and message.role == "user":
                raise invalid("messages: text content blocks must contain non-whitespace text")
        answered = {block.tool_use_id for block in blocks if isinstance(block, shapes.ToolResultBlock)}
        if unknown := sorted(answered - called):
            raise invalid(
                f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(unknown)}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if missing := sorted(called - answered):
            raise invalid(
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}."
            )
        called = {block.id for block in blocks if isinstance(block, shapes.ToolUseBlock)}


def _check_citations(messages: Sequence[shapes.Message]) -> None:
    """Since 2026-10-21 the text that a user sends cites nothing (docs: api/versioning)."""
    for index, message in enumerate(messages):
        blocks = content.blocks(message.content) if message.role == "user" else []
        for place, block in enumerate(blocks):
            inner = block.content if isinstance(block, shapes.SearchResultBlock) else [block]
            if any(isinstance(each, shapes.TextBlock) and each.citations for each in inner):
                raise invalid(f"messages.{index}.content.{place}: citations are not permitted in user messages")


def _check_tools(body: shapes.CountBody) -> None:
    names = [tool.name for tool in body.tools]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    if body.tool_choice is not None and not names:
        raise invalid("tool_choice: may only be specified while providing tools")
    if isinstance(body.tool_choice, shapes.ToolChoice) and body.tool_choice.name not in names:
        raise invalid(f"tool_choice: Tool '{body.tool_choice.name}' not found in provided tools")
    for index, tool in enumerate(body.tools):
        path = f"tools.{index}.custom.input_schema"
        if tool.input_schema.get("type") != "object":
            fault = "Input should be 'object'" if "type" in tool.input_schema else "Field required"
            raise invalid(f"{path}.type: {fault}")
        if isinstance(judge := validator(tool.schema_text), str):
            raise invalid(f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12: {judge}")


def _check_schemas(body: shapes.CountBody) -> None:
    """Structured outputs: the answer's schema and those of strict tools."""
    strict = {f"tools.{index}.custom.input_schema": tool.schema_text for index, tool in enumerate(body.tools) if tool.strict}
    if len(strict) > MAX_STRICT_TOOLS:
        raise invalid(f"tools: at most {MAX_STRICT_TOOLS} strict tools are supported, found {len(strict)}")
    schemas = dict(strict)
    if body.output_config and body.output_config.format:
        schemas["output_config.format.schema"] = body.output_config.format.text
        if any(_cites(block) for message in body.messages for block in content.blocks(message.content)):
            raise invalid("output_config.format: citations cannot be enabled together with a format")
    verdicts = {path: structured.verdict(schema) for path, schema in schemas.items()}
    for path, verdict in verdicts.items():
        if verdict.fault:
            raise invalid(f"{path}: {verdict.fault}")
    if fault := structured.sum_fault(list(verdicts.values())):
        raise invalid(fault)


def _cites(block: object) -> bool:
    cites = getattr(block, "citations", None)
    return isinstance(cites, shapes.Citations) and cites.enabled


def _check_lives(body: shapes.CountBody) -> None:
    """Longer-lived entries come first. The mark of the whole body stands at its end."""
    at_end = [body.cache_control] if body.cache_control else []
    lives = [mark.ttl for mark in [*(mark for mark in _breakpoints(body) if mark is not body.cache_control), *at_end]]
    if "5m" in lives and "1h" in lives[lives.index("5m") :]:
        raise invalid(
            "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
            "blocks are processed in the following order: `tools`, `system`, `messages`."
        )


def _breakpoints(body: shapes.CountBody) -> Iterator[shapes.CacheControl]:
    system = content.blocks(body.system)
    blocks = [block for message in body.messages for block in content.blocks(message.content)]
    for holder in (body, *body.tools, *system, *blocks):
        mark = getattr(holder, "cache_control", None)
        if mark is not None:
            yield mark


def _check_lengths(body: shapes.MessageBody, asked: Question) -> None:
    if any(not stop.strip() for stop in asked.stop_sequences):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    thinking = body.thinking
    if isinstance(thinking, shapes.Enabled) and thinking.budget_tokens >= body.max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.max_tokens > 0:
        return
    refused = {
        "stream": asked.stream,
        "output_config.format": isinstance(asked.form, Shaped),
        "tool_choice": asked.forced,
    }
    for field, present in refused.items():
        if present:
            raise invalid(f"max_tokens: 0 (cache pre-warm) cannot be combined with {field}")
