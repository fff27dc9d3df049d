"""The filter `document`: a row's text between tags whose name no text can know beforehand.

    {{ text | document }}    <document-5f1c0a37d2b86e49>
                             …the text as it is…
                             </document-5f1c0a37d2b86e49>

A fixed `</document>` stands in hostile texts and would end the block there. The name is made of the text's own digest, so a
text that holds it would have to hold a part of its own hash; and if one ever does, another name is taken. It is a function
of the text and of nothing else: the same row makes the same request in every run.
"""

from __future__ import annotations

from hashlib import blake2b

from pipeline.render.value import printed

MARK_BYTES = 8


def document(value: object) -> str:
    """The value as text, wrapped. Empty for null and for blank text, so that a row with nothing in it is not asked about."""
    text = str(printed(value))
    if not text.strip():
        return ""
    tag = f"document-{_mark(text)}"
    return f"<{tag}>\n{text}\n</{tag}>"


def _mark(text: str) -> str:
    """Hexadecimal digits that do not occur in the text, in whatever case."""
    encoded = text.encode("utf-8", "surrogatepass")
    folded = text.casefold()
    salt = 0
    while (mark := blake2b(encoded, digest_size=MARK_BYTES, salt=salt.to_bytes(8, "big")).hexdigest()) in folded:
        salt += 1
    return mark
