"""Row → Prompt; a reply → the next turn of the conversation; a Rejection → the same turn asked again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.records import JSON, Complaint, Constant, Link, Prompt, Rejection, Reply, Row, Text, Turn, Verbatim
from pipeline.render.template import RENDERING, Templates, UserTemplate

MOST_BYTES = 32_000_000
"""The largest request body (api/errors, read 2026-10-08)."""
NOTHING_CAME = "Your last reply was empty. Give the answer that was asked for, and nothing else."


@dataclass(frozen=True, slots=True)
class Unaskable:
    """A row that makes no prompt: an `input_error` with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Asks:
    """How often one turn of a row is asked, and with how much room."""

    most: int
    """Questions a turn may take: `check.asks`."""
    grown: int | None = None
    """`max_tokens` for the one more question after an answer that was cut off; None: it is not asked again."""


def prompt(row: Row, templates: Templates, constant: Constant, most_bytes: int = MOST_BYTES) -> Prompt | Unaskable:
    """The first question about a row. Later turns that take no replies are tried too, so that a row which cannot be asked to
    the end costs nothing. So with one that brings more than `most_bytes`: no request can hold it, or nobody would pay it."""
    if row.fault is not None:
        return Unaskable(row.fault)
    first, *later = templates.users
    text = _rendered(first, row, ())
    if isinstance(text, Unaskable):
        return text
    beyond: list[str] = []
    for user in later:
        said = _with_values(user, row) if user.takes_replies else _rendered(user, row, ())
        if isinstance(said, Unaskable):
            return said
        beyond.append(said)
    if (held := _held_bytes(row, text, *beyond)) > most_bytes:
        return Unaskable(
            f"the row brings {held / 1e6:.1f} MB into its request, more than the {most_bytes / 1e6:g} of input.max_row_mb"
        )
    # Pictures and documents stand before the text (build-with-claude/vision and pdf-support, read 2026-08-22).
    shown = Turn("user", (*row.media, Text(text)))
    return Prompt(row.position, row.key, constant, (shown,), use=row.use, beyond=tuple(beyond))


def follow(row: Row, asked: Prompt, reply: Reply, replies: Sequence[JSON], templates: Templates) -> Prompt | Unaskable:
    """The next turn of the conversation, after a reply that stands. `replies`: those to all turns so far."""
    text = _rendered(templates.users[asked.step + 1], row, replies)
    if isinstance(text, Unaskable):
        return text
    turns = (*asked.turns, Turn("assistant", (Verbatim(reply.content),)), Turn("user", (Text(text),)))
    return replace(asked, turns=turns, ask=asked.ask + 1, step=asked.step + 1, question=1, max_tokens=None)


def again(asked: Prompt, reply: Reply, rejection: Rejection, asks: Asks) -> Prompt | None:
    """The same turn asked again; None where it may not be, or where that would not help.

    Never the same request twice: a reply that is no answer is told what is wrong with it, one that was cut off gets more
    room, once, in the conversation as it was. An empty reply is told so once (asked again unchanged it stays empty:
    platform.claude.com/docs, build-with-claude/handling-stop-reasons, read 2026-11-25); a refusal is final.
    """
    if asked.question >= asks.most or reply.stop_reason == "refusal":
        return None
    further = replace(asked, ask=asked.ask + 1, question=asked.question + 1)
    if reply.stop_reason == "max_tokens":
        has_grown = asked.max_tokens is not None
        return None if asks.grown is None or has_grown else replace(further, max_tokens=asks.grown)
    complaint = rejection.complaint
    if reply.stop_reason == "end_turn" and not reply.text.strip():
        complaint = None if _was_told(asked) else complaint or NOTHING_CAME
    if complaint is None:
        return None
    # It may quote the reply, and no request can carry half a surrogate pair.
    said = complaint.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    turns = (Turn("assistant", (Verbatim(reply.content),)), Turn("user", (Complaint(said),)))
    return replace(further, turns=(*asked.turns, *turns))


def _was_told(asked: Prompt) -> bool:
    return any(isinstance(block, Complaint) for block in asked.turns[-1].blocks)


def _held_bytes(row: Row, *texts: str) -> int:
    """What a row brings into its conversation, as it travels: texts in UTF-8, other media in base64."""
    media = sum(len(medium.data) * 4 // 3 for medium in row.media if not isinstance(medium, Link))
    return media + sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)


def _rendered(user: UserTemplate, row: Row, replies: Sequence[JSON]) -> str | Unaskable:
    try:
        text = user.render(row.values, replies)
    # What a template may do with odd values of a row; the template itself was compiled and tried before.
    except RENDERING as error:
        return Unaskable(f"{user.at(error)}: cannot be rendered for this row: {error}")
    if not text.strip():
        columns = ", ".join(sorted(user.columns)) or user.where
        return Unaskable(f"the prompt came out empty: nothing to ask about in {columns}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Unaskable("the prompt holds half of a surrogate pair, which no request can carry: mend the text of this row")
    return text


def _with_values(user: UserTemplate, row: Row) -> str:
    """What a turn that cannot be rendered yet will be made of."""
    values = {name: row.values.get(name) for name in sorted(user.columns)}
    return json.dumps([user.text, values], default=repr)
