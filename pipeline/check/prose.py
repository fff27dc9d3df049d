"""A reply to a turn that asks for free text: any text will do, if it is whole."""

from __future__ import annotations

from pipeline.check.answer import FINISHED, unfinished
from pipeline.records import Prose, Rejection, Reply, Status


def prose(reply: Reply) -> Prose | Rejection:
    """The text, or why there is none. Never raises, whatever the text."""
    if reply.stop_reason not in FINISHED:
        return unfinished(reply)
    if not reply.text.strip():
        return Rejection(Status.INVALID_OUTPUT, "empty reply: the model stopped without a text", None)
    return Prose(reply.text)
