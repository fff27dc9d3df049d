"""The values that travel between the stages. Frozen, slotted, and without behaviour beyond their own arithmetic.

Row ─► Prompt ─► Reply | Failure ─► Answer | Rejection ─► Outcome
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

Use: TypeAlias = Literal["any", "new", "paid"]
"""What may answer a prompt: any reply to the same request, a paid one before a new one; a new one only, since a person asked to
try again; or only what is paid for already, since nothing but the check has changed."""

FILE_SHIFT = 40
"""A position is `file ordinal << FILE_SHIFT | row index`: up to 2^40 rows a file, 2^23 files, inside SQLite's int64."""


ASKS_A_PIECE = 100
"""Room for the questions about one piece of a row's text among all those about the row (Prompt.place)."""


class Status(StrEnum):
    """What a row ended as: the values of the output column `_status`."""

    OK = "ok"
    OK_REPAIRED = "ok_repaired"
    INVALID_OUTPUT = "invalid_output"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    INPUT_ERROR = "input_error"
    REQUEST_ERROR = "request_error"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    PENDING = "pending"

    @property
    def answered(self) -> bool:
        return self in (Status.OK, Status.OK_REPAIRED)


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of one file, as columns."""

    start: int
    """Position of the first row: file ordinal << FILE_SHIFT | row index in the file, from 0."""
    ordinal: int
    """Of the first row, counted over all files, from 0."""
    table: pa.RecordBatch
    faults: Mapping[int, str] = field(default_factory=dict)
    """Offset in the batch → why that record could not be read whole."""


@dataclass(frozen=True, slots=True)
class Image:
    """A block that holds a picture as it is sent."""

    media_type: str
    """`image/jpeg`, `image/png`, `image/gif` or `image/webp`, by its content."""
    data: bytes = field(repr=False)
    digest: str
    """Tells it from every other picture: the SHA-256 of the bytes that it was made from, and how."""
    tokens: int
    """What the model counts for it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A block that holds a document other than a picture."""

    media_type: Literal["application/pdf", "text/plain"]
    data: bytes = field(repr=False)
    """Of a text: UTF-8."""
    digest: str
    """The SHA-256 of the bytes that it was made from."""
    tokens: int
    """About what the model counts for it."""
    title: str | None = None
    """What the model is told of it: which pages of a longer one it is."""


@dataclass(frozen=True, slots=True)
class Link:
    """A block that names a picture which the API is to fetch itself."""

    url: str


Medium: TypeAlias = Image | Document | Link


@dataclass(frozen=True, slots=True)
class Row:
    """One input record, reduced to the columns that its prompt needs."""

    position: int
    """Where it stands: file ordinal << 40 | row index in the file, from 0. Order of positions is input order."""
    key: str
    """What a person calls it: the value of `input.key`, or the ordinal of the row counted over all files, from 0."""
    values: Mapping[str, object]
    """Column → Python value (None for null)."""
    fault: str | None = None
    """Why the reader could not give this record whole (a ragged CSV line, say); such a row is an `input_error`."""
    use: Use = "any"
    """What may answer it."""
    media: tuple[Medium, ...] = ()
    """Pictures and documents, in the order in which the prompt shows them."""
    shares: tuple[tuple[Medium, ...], ...] = ()
    """The same shared out to several requests, where one may not hold so many pages; empty: they are in `media`."""


@dataclass(frozen=True, slots=True)
class Text:
    """A block of plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Content blocks exactly as the API returned them, kept as JSON text so that a turn can be sent back unchanged."""

    content: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """What was wrong with the reply before it. Where that reply called a tool, this is the call's failed result."""

    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    role: Literal["user", "assistant"]
    blocks: tuple[Text | Verbatim | Complaint | Medium, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """The part of every prompt that no row changes: it can carry the cache breakpoint. One object a run."""

    system: str
    examples: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent for one ask about a row."""

    position: int
    key: str
    constant: Constant
    turns: tuple[Turn, ...]
    """The conversation after the constant part; the last turn is the user's."""
    ask: int = 1
    """1 for the first question about the row, one more for each that follows: re-asks and further turns of `prompt.user`."""
    use: Use = "any"
    step: int = 0
    """Which turn of `prompt.user` is asked, from 0."""
    question: int = 1
    """1 where that turn is asked for the first time, one more for each re-ask of it."""
    max_tokens: int | None = None
    """The longest reply, where that is not `model.max_tokens`: an answer that was cut off is asked for with more room."""
    beyond: tuple[str, ...] = ()
    """What the later turns of `prompt.user` will be made of: with the request itself, all that this row brings into its
    conversation."""
    piece: int = 0
    """Which piece of the row's text it is about, from 1; 0: about the whole row."""
    combines: bool = False
    """It shows the answers to all pieces, and asks for the one about the whole."""
    left_out: int = 0
    """Characters of the row's text that it does not show: the end of a text that was too long."""

    @property
    def place(self) -> int:
        """Which of all questions about the row it is, as the journal and batches count them: `ask`, if there are no pieces."""
        return self.piece * ASKS_A_PIECE + self.ask


@dataclass(frozen=True, slots=True)
class Pieces:
    """A row whose text is longer than a request holds: the first question about each piece of it."""

    prompts: tuple[Prompt, ...]
    """In the order of the text; at least one."""
    column: str = ""
    """Which text it is."""
    spans: tuple[tuple[int, int], ...] = ()
    """For each piece where it begins and ends in that text, in characters."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of paid replies, by the price they carry. Input tokens exclude cache reads and writes (API `usage`)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    thinking_tokens: int = 0
    """The part of output_tokens that was spent on thinking."""

    @property
    def cache_write_tokens(self) -> int:
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_5m_tokens + other.cache_write_5m_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            self.thinking_tokens + other.thinking_tokens,
        )


class Origin(StrEnum):
    """Where a reply comes from."""

    NOW = "now"
    """Bought by this run, or by one that was interrupted before it could use it."""
    BEFORE = "before"
    """Bought by an earlier run for this very row."""
    ELSEWHERE = "elsewhere"
    """Bought for another row with an identical request: it costs this row nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API answered to one ask: a whole, readable 200."""

    text: str
    """The text that should hold the answer: the joined text blocks, or the input of the answering tool as JSON."""
    content: str
    """The content blocks as they came, as JSON text (for Verbatim)."""
    stop_reason: str
    """`end_turn`, `max_tokens`, `refusal`, `tool_use`, … ; unknown values are passed on."""
    model: str
    message_id: str
    request_id: str | None
    usage: Usage
    latency_s: float | None
    """None of one that came in a batch: nobody tells."""
    at: float
    """Unix time at which it came."""
    attempts: int
    """HTTP requests that this ask has taken."""
    tier: str = "standard"
    """`usage.service_tier`: prices depend on it."""
    geo: str | None = None
    """`usage.inference_geo`: prices depend on it."""
    refusal: str | None = None
    """Category and explanation of a refusal, where the API gave them."""
    origin: Origin = Origin.NOW


@dataclass(frozen=True, slots=True)
class Recall:
    """What the journal holds of an ask."""

    attempts: int
    """HTTP requests it took so far."""
    in_doubt: bool
    """A request was out when an earlier run ended: it may have been paid, and its reply is lost."""
    body: bytes | None = None
    """A raw reply to this request."""
    request_id: str | None = None
    latency_s: float | None = None
    at: float = 0.0
    """Unix time of the reply."""
    origin: Origin = Origin.NOW


Fate: TypeAlias = Literal["succeeded", "errored", "canceled", "expired", "missing"]
"""What became of a request in a batch. `missing`: the results say nothing of it."""


@dataclass(frozen=True, slots=True)
class Slip:
    """One request in a parcel."""

    position: int
    ask: int
    key: bytes
    worst_usd: float | None


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch as we know it, from the moment it is meant to be sent."""

    number: int
    """In this run folder, from 1."""
    nonce: str
    """Eight hexadecimal digits, in the `custom_id` of each of its requests: by them it is told from any other batch."""
    requests: int
    size: int
    """Bytes of the body."""
    after: float
    """Unix time of ours just before it was sent."""
    batch_id: str | None = None
    """None: it was to be sent, and what became of that is not known."""
    created_at: float | None = None


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What the journal holds of an ask that was put into a batch."""

    attempts: int
    """Batches that it was put into so far."""
    worst_usd: float | None
    fate: Fate | None
    """None: it is in a batch that has not been collected."""
    recall: Recall | None
    """Its reply, where it brought one."""
    error: bytes
    """The error response, where it brought one."""
    told: bool = False
    """It was given to its row before: of what brought no reply, by a run that has finished."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A result, to be written down."""

    position: int
    ask: int
    key: bytes
    fate: Fate
    body: bytes
    """The raw reply, or the error response."""
    worst_usd: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An ask that brought no reply and will not be tried again in this run."""

    status: Status
    """FAILED, REQUEST_ERROR, INPUT_ERROR, IN_DOUBT; or PENDING where the run stops and the row is as if never sent."""
    error: str
    """What, where, likely mend."""
    request_id: str | None
    attempts: int
    is_out: bool = False
    """It was put into a batch, and what comes of it will be paid for and filed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A value that is valid under the schema."""

    value: dict[str, JSON]
    repairs: tuple[str, ...] = ()
    """Each mend applied to the text or the value, named; empty when the text was the answer as it stood."""


@dataclass(frozen=True, slots=True)
class Prose:
    """A whole reply in free text, to a turn before the last."""

    text: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a reply is no answer."""

    status: Status
    """INVALID_OUTPUT, TRUNCATED or REFUSED."""
    error: str
    """For a person: what, where by JSON pointer, likely mend."""
    complaint: str | None
    """What to tell the model in a re-ask; None where asking again would not help."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a row ended as, with what it took: one row of the published table."""

    position: int
    status: Status
    error: str | None = None
    answer: str | None = None
    """The value as JSON text; None unless the status says there is an answer."""
    repairs: tuple[str, ...] = ()
    asks: int = 0
    attempts: int = 0
    reused: bool = False
    model: str | None = None
    stop_reason: str | None = None
    message_id: str | None = None
    request_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    """Summed over all paid replies of the row."""
    cost_usd: float | None = 0.0
    """The same, priced; None when the model has no price in the price file."""
    latency_s: float | None = None
    """Of the last attempt, request to reply; None of one in a batch."""
    answered_at: float | None = None
    """Unix time, UTC."""
    raw: str | None = None
    """The model's last text, only where there is no answer."""
    pieces: int = 1
    """Requests that its text was shared out to, re-asks apart; 1: it was asked about whole."""
    left_out: int = 0
    """Characters at the end of its text that were not sent."""
