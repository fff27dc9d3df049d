"""What can answer here: the protocol, and the models by name."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from pipeline.errors import ConfigInvalid
from pipeline.local.claude import Rules
from pipeline.local.question import Question
from pipeline.local.reply import Part
from pipeline.local.script import Script

REHEARSAL = "rehearsal"
SMOLLM = "smollm2-135m"
NAMES: Mapping[str, str] = MappingProxyType(
    {
        SMOLLM: "SmolLM2-135M-Instruct: a real, small model for short labels",
        REHEARSAL: "valid answers that mean nothing, for any schema, at any speed",
    }
)


@dataclass(frozen=True, slots=True)
class Card:
    """What the Models API tells of a model."""

    name: str
    display_name: str
    rules: Rules
    sees: bool
    """Whether it takes images and PDFs."""


class Model(Protocol):
    name: str
    """Its own name."""
    computes: bool
    """Whether a reply takes time, so that a client who hangs up meanwhile should end it."""

    def cards(self) -> list[Card]:
        """All that the Models API lists."""

    def card(self, requested: str) -> Card:
        """Who answers a request that names `requested`; its name is the one that replies carry. ApiError 404: nobody."""

    async def count(self, question: Question) -> int:
        """Input tokens, as the usage of a reply to it would give them. Raises ApiError."""

    def reply(self, question: Question) -> AsyncGenerator[Part]:
        """Began, then Thought and Piece as they come, then Ended. ApiError before Began: the request is refused;
        later: the reply broke off. Closing the iterator frees what the reply held."""

    async def close(self) -> None:
        """Gives back threads and memory; replies under way break off."""


def loaded(name: str, *, seed: int, slots: int | None, script: Script) -> Model:
    """The model, ready to answer. Takes seconds for one with weights. Of the script, sizes are for rehearsal.

    Raises ConfigInvalid where the name is unknown, or the extra or the weights are not installed.
    """
    # Imported late: smollm needs a library of 100 MB, which rehearsal does without.
    match name:
        case "rehearsal":
            from pipeline.local.rehearsal import Rehearsal

            return Rehearsal(seed, script.output, script.thinking)
        case "smollm2-135m":
            from pipeline.local.smollm import smollm

            return smollm(seed=seed, slots=slots)
    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else "choose one of these"
    raise ConfigInvalid(
        f"the local server has no model named {name!r}; {hint}",
        faults=[f"{known}: {what}" for known, what in NAMES.items()],
        todo="choose one of these models",
    )
