"""Row → Prompt, and Rejection → the next ask."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.records import Constant, Prompt, Reply, Row, Text, Turn, Verbatim
from pipeline.render.template import RENDERING, Templates


@dataclass(frozen=True, slots=True)
class Unaskable:
    """A row that makes no prompt: an `input_error` with this reason."""

    reason: str


def prompt(row: Row, templates: Templates, constant: Constant) -> Prompt | Unaskable:
    """The first question about a row."""
    if row.fault is not None:
        return Unaskable(row.fault)
    try:
        text = templates.render(row.values)
    # What a template may do with odd values of a row; the template itself was compiled and tried before.
    except RENDERING as error:
        return Unaskable(f"prompt.user cannot be rendered for this row: {error}")
    if not text.strip():
        columns = ", ".join(sorted(templates.columns)) or "prompt.user"
        return Unaskable(f"the prompt came out empty: nothing to ask about in {columns}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return Unaskable("the prompt holds half of a surrogate pair, which no request can carry: mend the text of this row")
    return Prompt(row.position, row.key, constant, (Turn("user", (Text(text),)),), use=row.use)


def again(asked: Prompt, reply: Reply, complaint: str) -> Prompt:
    """The next question: the conversation so far, the model's own reply, and what was wrong with it."""
    turns = (*asked.turns, Turn("assistant", (Verbatim(reply.content),)), Turn("user", (Text(complaint),)))
    return replace(asked, turns=turns, ask=asked.ask + 1)
