"""What the run's process and a worker say to each other: frames on a stream of bytes. Pure.

A frame is two lengths (32 bits each, big-endian), a head (a JSON object) and a payload: the body of a request or a response, as
it is, since it may be tens of megabytes and neither side needs to look into it here. No pickle: what a server answers must
never become code. No frame holds a key: a worker has the environment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TypeAlias

import orjson

from pipeline.call.caller import Access, Broken, Response

LENGTHS = struct.Struct("!II")
MOST_HEAD = 1 << 20
MOST_PAYLOAD = 1 << 30
"""More than any API takes or gives (32 MB, or 256 MB for a batch): lengths beyond these are no lengths."""
JOINED = 1 << 16
"""A payload up to so many bytes is copied behind its head, to leave in one system call."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The first frame to a worker: what its client is made of."""

    access: Access


@dataclass(frozen=True, slots=True)
class Ask:
    """To a worker: send this body. Numbers are the asker's, each used once."""

    number: int
    body: bytes
    """JSON."""


@dataclass(frozen=True, slots=True)
class Told:
    """From a worker: what came of a request."""

    number: int
    result: Response | Broken


@dataclass(frozen=True, slots=True)
class Call:
    """To a worker: are you there?"""


@dataclass(frozen=True, slots=True)
class Here:
    """From a worker: its client is made, or it was called."""


Frame: TypeAlias = Begin | Ask | Told | Call | Here


class NoFrame(Exception):
    """These bytes are none: the other side is not what it should be."""


def framed(frame: Frame) -> list[bytes]:
    """The bytes to write, in one piece or two."""
    match frame:
        case Begin():
            return _framed({"is": "begin", **asdict(frame.access)})
        case Ask(number, body):
            return _framed({"is": "ask", "number": number}, body)
        case Told():
            return _told(frame.number, frame.result)
        case Call():
            return _framed({"is": "call"})
        case Here():
            return _framed({"is": "here"})


def _told(number: int, result: Response | Broken) -> list[bytes]:
    match result:
        case Response():
            head = {"status": result.status, "headers": {**result.headers}, "latency_s": result.latency_s}
            return _framed({"is": "response", "number": number, **head}, result.body)
        case Broken():
            head = {"sent": result.sent, "unsendable": result.unsendable, "latency_s": result.latency_s}
            return _framed({"is": "broken", "number": number, **head}, result.error.encode(errors="replace"))


def _framed(head: Mapping[str, object], payload: bytes = b"") -> list[bytes]:
    named = orjson.dumps(head)
    first = LENGTHS.pack(len(named), len(payload)) + named
    return [first + payload] if len(payload) <= JOINED else [first, payload]


def encoded(body: Mapping[str, object]) -> bytes | None:
    """The body of a request for an Ask. None: it holds half a character, or a whole number beyond 64 bits; the SDK says why it
    cannot be sent, or sends it."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return None


class Unframing:
    """Bytes in, in whatever pieces they come; whole frames out."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def fed(self, piece: bytes) -> Iterator[Frame]:
        """The frames that are whole with this piece. Raises NoFrame."""
        kept = self._kept
        kept += piece
        start = 0
        try:
            while len(kept) - start >= LENGTHS.size:
                head_size, payload_size = LENGTHS.unpack_from(kept, start)
                if head_size > MOST_HEAD or payload_size > MOST_PAYLOAD:
                    raise NoFrame(f"a head of {head_size} bytes and a payload of {payload_size}")
                head = start + LENGTHS.size
                payload = head + head_size
                if len(kept) < payload + payload_size:
                    break
                start = payload + payload_size
                with memoryview(kept) as view:
                    frame = _frame(bytes(view[head:payload]), bytes(view[payload:start]))
                yield frame
        finally:
            del kept[:start]


def _frame(head: bytes, payload: bytes) -> Frame:
    try:
        said = orjson.loads(head)
        match said.pop("is"):
            case "begin":
                return Begin(Access(**said))
            case "ask":
                return Ask(said["number"], payload)
            case "response":
                return Told(said["number"], Response(said["status"], said["headers"], payload, said["latency_s"]))
            case "broken":
                told = Broken(said["sent"], payload.decode(), said["latency_s"], unsendable=said["unsendable"])
                return Told(said["number"], told)
            case "call":
                return Call()
            case "here":
                return Here()
            case kind:
                raise NoFrame(f"a frame of the unknown kind {kind!r}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoFrame(f"a head that is none: {error}") from None
