"""All that a job may be told, as it is after reading: complete, typed, within bounds. No file is read here.

Field names are the keys of the config file; defaults are those of docs/config.md. Bounds stand in
the types (`annotated_types`), where the validation of config/parse.py finds them, and so does what a person is told
to write there instead (`doc`).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le, MinLen, Predicate, doc


def is_endpoint(text: str) -> bool:
    """`local`, https anywhere, or plain http on this machine: documents and key never travel in the open. No password in it,
    since an endpoint is shown and logged."""
    if text == "local":
        return True
    if not text.isprintable() or " " in text:
        return False  # urlsplit would drop tabs and line ends
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        return False
    if not host or "@" in url.netloc or url.query or url.fragment:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_cluster(address: str) -> bool:
    """`auto`, or where a Ray cluster or its server for clients elsewhere is."""
    if address == "auto":
        return True
    place = address.removeprefix("ray://")
    try:
        url = urlsplit(f"//{place}")
        return bool(url.hostname and url.port) and place == url.netloc and "@" not in place
    except ValueError:
        return False


def is_encoding(name: str) -> bool:
    """Whether Python reads texts in it. Escapes for host names and source code are not what a file is written in."""
    try:
        text = "a".encode(name).decode(name)
    except (LookupError, ValueError):
        return False
    return text == "a" and codecs.lookup(name).name not in {"idna", "punycode", "unicode_escape", "raw_unicode_escape"}


def is_delimiter(text: str) -> bool:
    return len(text) == 1 and text not in "\"'\r\n\0\ufeff"


def _is_share(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?%", text) is not None and float(text[:-1]) <= 100


def _each_once(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names)


Text = Annotated[str, MinLen(1)]
Spoken = Annotated[str, Predicate(str.strip), doc("a text that is not blank")]
Name = Annotated[
    str,
    Predicate(re.compile(r"[\w-][\w.-]{0,59}").fullmatch),
    doc("a name for the run folder: at most 60 letters, digits, . _ -, not starting with a dot"),
]
Columns = Annotated[tuple[str, ...], Predicate(_each_once), doc("a list of column names, each once")]
Hosts = Annotated[
    tuple[Annotated[str, Predicate(re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?").fullmatch)], ...],
    MinLen(1),
    doc("a list of host names in lower case, such as [images.example.org]"),
]
Endpoint = Annotated[
    str, Predicate(is_endpoint), doc("local, an https:// URL without a password, or an http:// URL of this machine")
]
Share = Annotated[str, Predicate(_is_share), doc('a share of the rows such as "1%"')]
Table = Annotated[
    str,
    Predicate(re.compile(r".*[^/]\.(parquet|csv|jsonl)", re.DOTALL).fullmatch),
    doc("the path of the table to write, ending in .parquet, .csv or .jsonl"),
]


Encoding = Annotated[
    str, Predicate(is_encoding), doc("the name of a text encoding, such as utf-8, cp1252, latin-1, utf-16 or shift_jis")
]
Delimiter = Annotated[str, Predicate(is_delimiter), doc('the one character between two cells, such as ";" or "\\t"')]
Types = Annotated[
    Mapping[str, Literal["text", "int", "float", "bool", "date", "datetime", "timestamp"]],
    doc("a mapping of column names to text, int, float, bool, date, datetime or timestamp"),
]


Duration = Annotated[
    str, Predicate(re.compile(r"[0-9]{1,6}(\.[0-9]+)?(s|m|h|d)").fullmatch), doc("a time such as 90m, 2h or 1d")
]


def seconds(duration: str) -> float:
    """Of a Duration."""
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[duration[-1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    path: Annotated[tuple[Text, ...], MinLen(1), doc("the path of the corpus, or a list of paths")]
    """Files or globs, in the order in which their rows come."""
    key: Text | None = None
    columns: Columns | None = None
    """Columns offered to the prompt; None: those that the prompt names."""
    encoding: Encoding | None = None
    """Of CSV, TSV and JSONL; None: UTF-8, with or without a byte order mark."""
    delimiter: Delimiter | None = None
    """Of CSV and TSV; None: found in the header."""
    types: Types | None = None
    """Columns of CSV, TSV and JSONL that are not text, by name; None: none."""
    root: Text | None = None
    """The folder below which the files lie that rows name."""
    allow_urls: Hosts | Literal[False] = False
    """Hosts whose https URLs are passed on to the API; nothing is fetched here."""
    max_image_mb: Annotated[float, Gt(0)] = 10.0
    """A picture's length in base64."""
    max_row_mb: Annotated[float, Gt(0)] = 30.0
    """All that a row brings into its first request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A text that the config names by its file instead of holding it."""

    file: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One turn of `prompt.user` where it is more than a text: exactly one of `text` and `file`."""

    text: Text | None = None
    file: Text | None = None
    schema: Text | None = None
    """The JSON Schema of the reply to a turn before the last; None: free text."""


def _one_template(turn: str | Question) -> bool:
    return isinstance(turn, str) or (turn.text is None) != (turn.file is None)


Turn = Annotated[
    Text | Question, Predicate(_one_template), doc("a template as text, {file: path}, or {text or file: …, schema: path}")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    user: Annotated[
        tuple[Turn, ...],
        MinLen(1),
        doc("the template of a row's prompt as text or {file: path}, or a list of such: turns of one conversation"),
    ]
    system: Annotated[str | File | None, doc("a template as text, or {file: path}")] = None
    """None: the built-in template, which states the schema."""
    examples: Text | None = None
    """A JSONL file of few-shot examples."""
    images: Columns | None = None
    """Columns that hold pictures: bytes, paths below `input.root`, data URIs or URLs."""
    documents: Columns | None = None
    """Columns that hold PDF or plain text documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    name: Annotated[Text, doc("the id of a model, such as claude-haiku-5-5")]
    max_tokens: Annotated[int, Ge(1)] = 1024
    thinking: Literal["auto", "off", "on"] = "auto"
    effort: Literal["auto", "low", "medium", "high", "xhigh", "max"] = "auto"
    format: Literal["auto", "native", "tool", "prompt"] = "auto"
    cache: Literal["5m", "1h", "off"] = "5m"
    stream: bool = False
    stop_sequences: Annotated[tuple[Spoken, ...], doc("a list of texts, none of them blank")] = ()
    extra: Annotated[Mapping[str, object], doc("a mapping of further parameters of the request")] | None = None
    """JSON values."""
    api_version: Literal["2026-10-21", "2023-06-01"] | None = None
    """None: the one of the SDK, 2026-10-21."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    mode: Literal["online", "batch", "auto"] = "online"
    """`auto`: in batches, which cost half, unless `deadline` is too short for one."""
    deadline: Duration | None = None
    """When the answers must be there, from the beginning of the run; None: whenever."""
    batch_size: Annotated[int, Ge(1), Le(100_000), doc("a whole number from 1 to 100000")] = 100_000
    """Requests a batch."""
    after_expiry: Literal["batch", "online"] = "batch"
    """How a request is sent again that its batch did not come to."""
    base_url: Endpoint | None = None
    """None: ANTHROPIC_BASE_URL or the API; `local`: the embedded server is started for the run."""
    rehearsal: Text | None = None
    """A YAML file that tells the embedded rehearsal its speed, limits and faults."""
    concurrency: Literal["auto"] | Annotated[int, Ge(1)] = "auto"
    timeout_s: Annotated[float, Gt(0)] = 120.0
    attempts: Annotated[int, Ge(1)] = 6
    requests_per_minute: Annotated[int, Ge(1)] | None = None
    """These three are ceilings of ours, on top of what the service's own headers say."""
    input_tokens_per_minute: Annotated[int, Ge(1)] | None = None
    output_tokens_per_minute: Annotated[int, Ge(1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    repair: Literal["off", "wrappers", "full"] = "wrappers"
    asks: Annotated[int, Ge(1)] = 2
    grow_max_tokens: Annotated[float, Ge(1)] = 2.0
    """Times `model.max_tokens`: the room for an answer that is asked for once more because it was cut off; 1: it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    folder: Text = "runs"
    max_failed: Annotated[int, Ge(0)] | Share = 0
    """Rows, or a share of them written as `1%`."""
    max_alike: Annotated[int, Ge(1)] | None = 20
    """Rows in a row that may fail alike before the run stops with none of them marked; None: any number."""
    longest_wait_s: Annotated[float, Ge(0)] = 900.0
    drain_s: Annotated[float, Ge(0)] = 120.0
    """How long the first interrupt waits for replies in flight."""
    budget_usd: Annotated[float, Gt(0)] | None = None
    """What may be spent until a run finishes, by however many runs that takes; None: whatever it takes."""
    workers: Literal["auto"] | Annotated[int, Ge(1), Le(64), doc("a whole number from 1 to 64")] = 1
    """Processes that send; 1: the run's own; `auto`: that one, and others once it cannot keep up."""
    engine: Literal["local", "ray"] = "local"
    """Who sends: this machine, or the nodes of a Ray cluster."""
    ray: Annotated[Text, Predicate(is_cluster), doc("auto, host:port or ray://host:port")] = "auto"
    """The cluster; `auto`: RAY_ADDRESS, or the one that this machine is part of."""
    metrics_file: Text | None = None
    """A Prometheus text file, replaced at the end of every run."""
    in_doubt: Literal["resend", "hold"] = "resend"
    """What becomes of an ask whose reply was lost after it may have been paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    path: Table
    keep: Literal["all"] | Columns = "all"
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    name: Name
    input: Input
    schema: Annotated[Text, doc("the path of the JSON Schema that an answer must satisfy")]
    prompt: Prompting
    model: Model
    output: Output
    call: Call = field(default_factory=Call)
    check: Check = field(default_factory=Check)
    run: Run = field(default_factory=Run)
