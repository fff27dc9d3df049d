"""A long PDF as several of so many pages each: `python -m pipeline.read.excerpts`, in a process that may fail.

A page takes along what it shows and nothing else: no links, whose targets are other pages, no outline, script or attachment.
Which layers are shown is kept, since a page would show more without it. Fields of a form keep what they look like.

Many programs give all pages one common list of images and fonts, and every excerpt would hold them all: 40 excerpts of a book
would be 40 times the book. Where the excerpts come out much larger than the whole, each page is cut down to what it draws with.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.read.confined import Unmade, answered, asked_of
from pipeline.read.pages import LOCKED

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader, PdfWriter
    from pypdf.generic import DictionaryObject

MUCH_LARGER = 1.2
"""All excerpts together against the whole: fonts that several share may make them so much larger, images may not."""
_PAGE_KEYS = ("/Annots", "/B", "/AA", "/PieceInfo", "/Thumb", "/Metadata", "/Tabs")
"""Of a page: what leads to other pages, or is nothing to be seen."""
_ANNOTATION_KEYS = ("/P", "/Parent", "/Popup", "/IRT", "/Dest", "/A", "/AA", "/StructParent")
"""The same of an annotation."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    first: int
    """Page of the whole, from 1."""
    last: int
    data: bytes
    """A PDF."""


def excerpts(data: bytes, pages: int) -> tuple[Excerpt, ...] | None:
    """The PDF in order, `pages` at a time, the last perhaps fewer; none where it has no page; itself where it has no more than
    that. None where it is encrypted.

    Takes milliseconds a page. Raises confined.Unmade.
    """
    found = _asked(data, pages, lean=False)
    if found is None or sum(len(one.data) for one in found) <= MUCH_LARGER * len(data):
        return found
    try:
        return _asked(data, pages, lean=True)
    except Unmade:
        # What each page draws is read for this, which may be more than is taken on; then they are as large as they are.
        return found


def _asked(data: bytes, pages: int, *, lean: bool) -> tuple[Excerpt, ...] | None:
    made = asked_of("pipeline.read.excerpts", {"pages": pages, "lean": lean}, data)
    if made == LOCKED:
        return None
    head, _, rest = made.partition(b"\n")
    found, at = [], 0
    for first, last, size in json.loads(head):
        found.append(Excerpt(first, last, rest[at : at + size]))
        at += size
    return tuple(found)


def _made(what: dict[str, Any], data: bytes) -> bytes:
    found = cut(data, what["pages"], lean=what["lean"])
    if found is None:
        return LOCKED
    head = json.dumps([[one.first, one.last, len(one.data)] for one in found]).encode()
    return b"\n".join((head, b"".join(one.data for one in found)))


def cut(data: bytes, pages: int, *, lean: bool) -> tuple[Excerpt, ...] | None:
    """As `excerpts`, in this process; raises what pypdf raises. `lean`: each page is cut down to what it draws with."""
    from pypdf import PdfReader  # imported late: the process that asks never needs it

    reader = PdfReader(io.BytesIO(data))
    # Also one that opens without a password: the API takes none that is encrypted (build-with-claude/pdf-support).
    if reader.is_encrypted:
        return None
    ranges = _ranges(len(reader.pages), pages)
    if len(ranges) == 1:
        return (Excerpt(1, ranges[0].stop, data),)
    return tuple(Excerpt(one.start + 1, one.stop, _excerpt(reader, one, lean=lean)) for one in ranges)


def uncut(data: bytes, count: int, pages: int) -> tuple[Excerpt, ...]:
    """The same of a PDF of `count` pages for whoever only wants to know how many there are: about as long, but no PDFs."""
    return tuple(Excerpt(one.start + 1, one.stop, data[: len(data) * len(one) // count]) for one in _ranges(count, pages))


def _ranges(count: int, pages: int) -> list[range]:
    return [range(first, min(first + pages, count)) for first in range(0, count, pages)]


def _excerpt(reader: PdfReader, pages: range, *, lean: bool) -> bytes:
    from pypdf import PdfWriter
    from pypdf.generic import NameObject

    writer = PdfWriter()
    for number in pages:
        page = reader.pages[number]
        if lean:
            _keep_what_it_draws_with(page)
        kept = writer.add_page(page, excluded_keys=_PAGE_KEYS)
        _take_annotations(page, kept, writer)
    layers = reader.root_object.get("/OCProperties")
    if layers is not None:
        writer.root_object[NameObject("/OCProperties")] = layers.get_object().clone(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _take_annotations(page: PageObject, kept: PageObject, writer: PdfWriter) -> None:
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject

    listed = page.get("/Annots")
    annotations = [one.get_object() for one in listed.get_object()] if listed is not None else []
    taken = [one.clone(writer, ignore_fields=_ANNOTATION_KEYS) for one in annotations if isinstance(one, DictionaryObject)]
    if taken:
        kept[NameObject("/Annots")] = ArrayObject(one.indirect_reference or one for one in taken)


def _keep_what_it_draws_with(page: PageObject) -> None:
    """Takes out of the page's resources what no operator of it names; leaves them where that cannot be known."""
    from pypdf.generic import DictionaryObject, NameObject

    resources, content = page.get("/Resources"), page.get_contents()
    if resources is None or content is None:
        return
    named = {str(operand) for operands, _ in content.operations for operand in operands if isinstance(operand, NameObject)}
    slim = DictionaryObject()
    for kind, held in resources.get_object().items():
        held = held.get_object()
        if not isinstance(held, DictionaryObject):
            slim[NameObject(kind)] = held
            continue
        slim[NameObject(kind)] = DictionaryObject({name: value for name, value in held.items() if name in named})
    if not any(_borrows(one) for one in _drawn(slim)):
        page[NameObject("/Resources")] = slim


def _drawn(resources: DictionaryObject) -> Iterator[DictionaryObject]:
    for kind in ("/XObject", "/Font", "/Pattern"):
        for one in resources.get(kind, {}).values():
            yield one.get_object()


def _borrows(one: DictionaryObject) -> bool:
    """Whether it draws with the resources of whatever page it stands on (ISO 32000-1, 7.8.3: as files of PDF 1.1 do)."""
    draws = one.get("/Subtype") in ("/Form", "/Type3") or one.get("/PatternType") == 1
    return draws and "/Resources" not in one


if __name__ == "__main__":
    sys.exit(answered(_made))
