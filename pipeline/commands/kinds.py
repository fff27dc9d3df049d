"""What `pipeline init` can begin with: for each kind of job a schema, which says the task, and a few texts to see it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.records import JSON


@dataclass(frozen=True, slots=True)
class Kind:
    title: str
    description: str
    """Of an answer: the model reads it."""
    properties: Mapping[str, JSON]
    """Of an answer; all of them are required."""
    advice: str
    """What to change first, for the comment beside the schema."""
    sample: tuple[str, ...]

    def schema(self) -> dict[str, JSON]:
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.title,
            "description": self.description,
            "type": "object",
            "properties": {**self.properties},
            "required": [*self.properties],
            "additionalProperties": False,
        }


def _choice(description: str, *values: str) -> JSON:
    return {"type": "string", "enum": [*values], "description": description}


def _text(description: str) -> JSON:
    return {"type": "string", "description": description}


def _known(kind: str, description: str) -> JSON:
    return {"type": [kind, "null"], "description": f"{description}; null where the text does not say"}


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "sentiment": Kind(
            title="Sentiment",
            description="How the writer of a text feels about what it is about.",
            properties={
                "sentiment": _choice(
                    "The overall lean. mixed: it speaks both for and against; neutral: neither. Irony is read as meant.",
                    *("positive", "negative", "mixed", "neutral"),
                ),
                "reason": _text("The words of the text that show it, quoted."),
            },
            advice="take out `mixed` and `neutral` where you want a plain yes or no",
            sample=(
                "The kettle boils in under three minutes and the handle stays cool.",
                "Left earbud died after nine days. The replacement lasted twelve.",
                "Lovely shoes, but they run a size small and the laces fray.",
                "The parcel came on Tuesday.",
                "Great, another update that moves every button. Just what I needed.",
                "My knees stopped hurting on the second run.",
            ),
        ),
        "classification": Kind(
            title="Ticket",
            description="Which desk a message from a customer belongs to.",
            properties={
                "category": _choice(
                    "The desk that can answer it. other: none of these, or too little is said.",
                    *("billing", "delivery", "defect", "account", "other"),
                ),
                "urgent": {
                    "type": "boolean",
                    "description": "Whether the customer cannot go on until it is answered, or names a deadline.",
                },
            },
            advice="put your own labels into `enum`, and say in `description` what belongs to each",
            sample=(
                "I was charged twice for order 4471, please send one of the two back.",
                "Where is my parcel? It was due on Monday and I leave on Friday.",
                "The screen flickers whenever the charger is plugged in.",
                "I cannot log in since I changed my phone number, and payroll is due today.",
                "Do you also sell these in green?",
                "The invoice has our old address on it.",
            ),
        ),
        "extraction": Kind(
            title="Invoice",
            description="What an invoice says.",
            properties={
                "vendor": _known("string", "Who sends the invoice, as it is written"),
                "invoice_number": _known("string", "Its number, as it is written"),
                "invoice_date": _known("string", "The day it was made out, as YYYY-MM-DD"),
                "currency": _known("string", "The currency of the total, as a code of three letters such as EUR"),
                "total": _known("number", "What is to be paid in all, taxes included"),
            },
            advice="name the fields that you want, and say in `description` how each is to be written",
            sample=(
                "Halden Tools Ltd, invoice HT-2291 of 3 March 2026. 4 drill bits 48.00, VAT 9.60. Total due EUR 57.60.",
                "INVOICE no. 77/26 - Brook Street Bakery - 12.05.2026 - catering, 30 persons - GBP 412.50 incl. VAT",
                "From: M. Okafor Translations. Date: 2026-01-19. 2,140 words. Amount payable: USD 321.00. Ref MOT-0119.",
                "Reminder: our invoice 5530 is still open. Please pay 89.90 by the end of the month. Nordlys Internet AS",
                "Thank you for your visit! Table 7, 2 lunches, paid in cash.",
            ),
        ),
        "scoring": Kind(
            title="Score",
            description="How well an answer of a help desk serves its customer.",
            properties={
                "reason": _text("In one sentence, what decides the score."),
                "score": {
                    "type": "integer",
                    "enum": [1, 2, 3, 4, 5],  # which the API enforces, and bounds it does not
                    "description": "1: useless or rude. 3: correct, with gaps. 5: complete, correct and kind; nothing to add.",
                },
            },
            advice="say in `description` what each end of the scale means; the reason stands first, so the score follows it",
            sample=(
                "Hello Ana, the refund left us this morning and reaches you by Thursday. Sorry for the wait!",
                "Please read the manual.",
                "The part is out of stock. It may come back some time.",
                "Hold the power button for ten seconds. If the light stays red, reply to this mail: we send a new one, free.",
                "We do not discuss prices. Goodbye.",
            ),
        ),
    }
)
