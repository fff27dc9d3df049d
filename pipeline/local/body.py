"""The request body as the API takes it: which fields there are, and of which type. No rule that spans fields.

pydantic's own messages are those of the API (`max_tokens: Field required`, `temperature: Extra inputs are not
permitted`), so a fault is passed on as it stands, behind the path of its field. Fields: API reference of
2026-10-21 and the types of the Python SDK 2.12.0. Left out, and so refused: server tools, files, MCP, containers.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from pipeline.local.errors import ApiError, invalid

IMAGE_MAX_CHARACTERS = 10 * 1024 * 1024
"""10 MB of base64 (vision page, 2026-08-22)."""

SILENT = "~"
"""Begins the tag of a union that the API does not name in a path."""


def _kind(value: object) -> str:
    """Content is a string or a list of blocks; pydantic then names the right one of the two in its message."""
    return f"{SILENT}text" if isinstance(value, str) else f"{SILENT}blocks"


Block = TypeVar("Block")
TextOr: TypeAlias = Annotated[
    Annotated[str, Tag("~text")] | Annotated[list[Block], Tag("~blocks")],
    Discriminator(_kind),
]
"""A string, or blocks."""


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def json_text(value: object) -> str:
    """JSON as the request meant it. Not by orjson, which stops at 64 bits: a schema may hold any number."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise invalid("The request body is not valid JSON: NaN and Infinity are no numbers of JSON") from None


class CacheControl(Shape):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Citations(Shape):
    enabled: bool = False


class Cached(Shape):
    cache_control: CacheControl | None = None


class TextBlock(Cached):
    type: Literal["text"]
    text: str
    citations: list[dict[str, Any]] | None = None


class Base64Image(Shape):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Annotated[str, Field(max_length=IMAGE_MAX_CHARACTERS)]


class Url(Shape):
    type: Literal["url"]
    url: str


class ImageTransformations(Shape):
    oversized_image: Literal["downsize", "error"] = "downsize"


class ImageBlock(Cached):
    type: Literal["image"]
    source: Annotated[Base64Image | Url, Field(discriminator="type")]
    transformations: ImageTransformations | None = None


class Base64Pdf(Shape):
    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: str


class PlainText(Shape):
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class Content(Shape):
    """A document made of blocks."""

    type: Literal["content"]
    content: TextOr[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]]


class DocumentBlock(Cached):
    type: Literal["document"]
    source: Annotated[Base64Pdf | PlainText | Content | Url, Field(discriminator="type")]
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None


class SearchResultBlock(Cached):
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]
    citations: Citations | None = None


ResultContent: TypeAlias = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock


class ToolResultBlock(Cached):
    type: Literal["tool_result"]
    tool_use_id: str
    content: TextOr[Annotated[ResultContent, Field(discriminator="type")]] = ""
    is_error: bool = False
    toolset_name: str | None = None


class ToolUseBlock(Cached):
    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    input: dict[str, Any]
    caller: dict[str, Any] | None = None
    toolset_name: str | None = None


class ThinkingBlock(Shape):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Shape):
    type: Literal["redacted_thinking"]
    data: str


UserBlock: TypeAlias = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolResultBlock
AssistantBlock: TypeAlias = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock


class UserMessage(Shape):
    role: Literal["user"]
    content: TextOr[Annotated[UserBlock, Field(discriminator="type")]]


class AssistantMessage(Shape):
    role: Literal["assistant"]
    content: TextOr[Annotated[AssistantBlock, Field(discriminator="type")]]


class SystemMessage(Shape):
    role: Literal["system"]
    content: TextOr[TextBlock]


def _role(value: object) -> str | None:
    role = value.get("role") if isinstance(value, dict) else getattr(value, "role", None)
    return f"{SILENT}{role}" if role in ("user", "assistant", "system") else None


Message: TypeAlias = Annotated[
    Annotated[UserMessage, Tag("~user")]
    | Annotated[AssistantMessage, Tag("~assistant")]
    | Annotated[SystemMessage, Tag("~system")],
    Discriminator(
        _role,
        custom_error_type="role",
        custom_error_message="Unexpected or missing role. Allowed roles are 'user', 'assistant' or 'system'",
    ),
]


class Tool(Cached):
    """A tool of the client. Other types (`web_search_20260209`, …) are the server's and not to be had here."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool = False
    allowed_callers: list[str] | None = None
    defer_loading: bool = False
    eager_input_streaming: bool | None = None
    input_examples: list[dict[str, Any]] | None = None

    @cached_property
    def schema_text(self) -> str:
        """The schema of its input as JSON text. Raises ApiError 400."""
        return json_text(self.input_schema)


class AutoChoice(Shape):
    type: Literal["auto"]
    disable_parallel_tool_use: bool = False


class AnyChoice(Shape):
    type: Literal["any"]
    disable_parallel_tool_use: bool = False


class ToolChoice(Shape):
    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool = False


class NoChoice(Shape):
    type: Literal["none"]


class Adaptive(Shape):
    type: Literal["adaptive"]
    display: Literal["summarized", "omitted"] | None = None


class Enabled(Shape):
    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024)]
    display: Literal["summarized", "omitted"] | None = None


class Disabled(Shape):
    type: Literal["disabled"]


class BetweenTools(Shape):
    type: Literal["between_tools"]


class JsonFormat(Shape):
    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]

    @cached_property
    def text(self) -> str:
        """The schema as JSON text. Raises ApiError 400."""
        return json_text(self.schema_)


class OutputConfig(Shape):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Metadata(Shape):
    user_id: Annotated[str, Field(max_length=256)] | None = None


class Diagnostics(Shape):
    previous_message_id: str | None = None


class CountBody(Shape):
    """POST /v1/messages/count_tokens."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(max_length=100_000)]
    system: TextOr[TextBlock] = ""
    tools: list[Tool] = []
    tool_choice: Annotated[AutoChoice | AnyChoice | ToolChoice | NoChoice, Field(discriminator="type")] | None = None
    thinking: Annotated[Adaptive | Enabled | Disabled | BetweenTools, Field(discriminator="type")] | None = None
    output_config: OutputConfig | None = None
    cache_control: CacheControl | None = None
    speed: Literal["standard", "fast"] | None = None


class MessageBody(CountBody):
    """POST /v1/messages under the present API version."""

    max_tokens: Annotated[int, Field(ge=0)]
    stop_sequences: list[str] | None = None
    stream: bool = False
    metadata: Metadata | None = None
    diagnostics: Diagnostics | None = None
    inference_geo: str | None = None
    service_tier: Literal["auto", "standard_only"] = "auto"


class OldMessageBody(MessageBody):
    """The same under 2023-06-01, which still took these three."""

    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None


Body = TypeVar("Body", bound=CountBody)


def parsed(raw: bytes, shape: type[Body]) -> Body:
    """The body. ApiError 400 names the path and the fault of the first field that is wrong."""
    try:
        return shape.model_validate_json(raw)
    except ValidationError as error:
        raise _refusal(error) from None  # the cause would carry the document into a traceback


def _refusal(error: ValidationError) -> ApiError:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    first = faults[0]
    if first["type"] == "json_invalid":
        return invalid(f"The request body is not valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}")
    path = ".".join(str(part) for part in first["loc"] if not str(part).startswith(SILENT))
    return invalid(f"{path}: {first['msg']}" if path else first["msg"])
