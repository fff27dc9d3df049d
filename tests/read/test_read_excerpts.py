"""PDFs cut into excerpts: the pages, what they show, how large they are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DecodedStreamObject,
    DictionaryObject,
    Fit,
    NameObject,
    NumberObject,
    PdfObject,
)

from pipeline.read.confined import Unmade
from pipeline.read.excerpts import Excerpt, cut, excerpts
from tests.pictures import noise

IMAGE_BYTES = 30_000


def written(writer: PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def stream(content: bytes, **entries: object) -> DecodedStreamObject:
    made = DecodedStreamObject()
    made.set_data(content)
    made.update({NameObject(f"/{name}"): value for name, value in entries.items()})
    return made


def image(seed: int) -> DecodedStreamObject:
    return stream(
        Random(seed).randbytes(IMAGE_BYTES),  # noqa: S311 no secret
        Type=NameObject("/XObject"),
        Subtype=NameObject("/Image"),
        Width=NumberObject(100),
        Height=NumberObject(100),
        ColorSpace=NameObject("/DeviceRGB"),
        BitsPerComponent=NumberObject(8),
    )


def page(writer: PdfWriter, content: bytes, resources: PdfObject | None = None) -> PageObject:
    added = writer.add_blank_page(200, 200)
    added[NameObject("/Contents")] = writer._add_object(stream(content))
    if resources is not None:
        added[NameObject("/Resources")] = resources
    return added


def book(pages: int) -> bytes:
    """Each page says its number."""
    writer = PdfWriter()
    font = DictionaryObject(
        {NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1"),
         NameObject("/BaseFont"): NameObject("/Helvetica")}
    )  # fmt: skip
    held = DictionaryObject({NameObject("/Font"): DictionaryObject({NameObject("/F"): font})})
    for number in range(1, pages + 1):
        page(writer, b"BT /F 12 Tf 20 100 Td (page %d) Tj ET" % number, held)
    return written(writer)


def album(pages: int, *, form: bool = False) -> bytes:
    """A picture a page, all of them in one list that every page has; or drawn by a form that has no list of its own."""
    writer = PdfWriter()
    pictures = DictionaryObject({NameObject(f"/Im{n}"): writer._add_object(image(n)) for n in range(pages)})
    held = writer._add_object(DictionaryObject({NameObject("/XObject"): pictures}))
    for number in range(pages):
        draw = b"q 100 0 0 100 0 0 cm /Im%d Do Q" % number
        if form:
            pictures[NameObject(f"/Fm{number}")] = writer._add_object(
                stream(
                    draw,
                    Type=NameObject("/XObject"),
                    Subtype=NameObject("/Form"),
                    BBox=ArrayObject(map(NumberObject, (0, 0, 200, 200))),
                )
            )
            draw = b"/Fm%d Do" % number
        page(writer, draw, held)
    return written(writer)


def at(held: Any, *names: str) -> Any:
    """What stands below, references followed."""
    for name in names:
        held = held.get_object()[name]
    return held.get_object()


def ranges(found: Sequence[Excerpt] | None) -> list[tuple[int, int]]:
    assert found is not None
    return [(one.first, one.last) for one in found]


def texts(found: Sequence[Excerpt] | None) -> list[list[str]]:
    assert found is not None
    return [[one.extract_text() for one in PdfReader(io.BytesIO(excerpt.data), strict=True).pages] for excerpt in found]


@pytest.mark.parametrize(
    ("pages", "each", "expected"),
    [(5, 2, [(1, 2), (3, 4), (5, 5)]), (4, 2, [(1, 2), (3, 4)]), (3, 600, [(1, 3)]), (2, 1, [(1, 1), (2, 2)]), (0, 5, [])],
)
def test_every_page_is_in_one_excerpt_in_order(pages: int, each: int, expected: list[tuple[int, int]]) -> None:
    found = cut(book(pages), each, lean=False)
    assert ranges(found) == expected
    assert [text for excerpt in texts(found) for text in excerpt] == [f"page {number}" for number in range(1, pages + 1)]


def test_one_that_takes_a_password_is_told_from_one_that_is_broken() -> None:
    writer = PdfWriter(io.BytesIO(book(2)))
    writer.encrypt("secret", algorithm="RC4-128")
    assert excerpts(written(writer), 1) is None
    for broken in (book(3)[:200], b"%PDF-1.7\nnothing", b"%PDF-1.7\n" + bytes(Random(1).randbytes(5_000))):  # noqa: S311
        with pytest.raises(Unmade):
            excerpts(broken, 1)


def test_a_damaged_table_of_objects_is_made_good() -> None:
    """As readers of PDFs do: files whose offsets are off by an editor's line ends are common."""
    whole = book(4)
    place = whole.rindex(b"startxref\n") + len(b"startxref\n")
    assert texts(excerpts(whole[:place] + b"9" + whole[place:], 2)) == [["page 1", "page 2"], ["page 3", "page 4"]]


def test_pictures_that_all_pages_list_are_in_the_excerpt_that_shows_them() -> None:
    whole = album(12)
    found = excerpts(whole, 3)
    assert found is not None
    assert sum(len(one.data) for one in found) < 1.1 * len(whole)
    for excerpt in found:
        shown = [picture.data for one in PdfReader(io.BytesIO(excerpt.data)).pages for picture in one.images]
        assert len(shown) == 3


def test_what_draws_with_the_page_s_own_list_still_finds_it_there() -> None:
    whole = album(4, form=True)
    found = cut(whole, 2, lean=True)
    assert found is not None
    for excerpt in found:
        for one in PdfReader(io.BytesIO(excerpt.data)).pages:
            assert {f"/Im{number}" for number in range(4)} <= at(one, "/Resources", "/XObject").keys()


def test_scans_keep_their_size() -> None:
    out = io.BytesIO()
    first, *others = (noise(120, 160, seed) for seed in range(10))
    first.save(out, "PDF", save_all=True, append_images=others)
    found = cut(out.getvalue(), 3, lean=False)
    assert found is not None
    assert ranges(found) == [(1, 3), (4, 6), (7, 9), (10, 10)]
    assert sum(len(one.data) for one in found) < 1.1 * len(out.getvalue())


def test_a_link_to_another_page_does_not_bring_it_along() -> None:
    writer = PdfWriter(io.BytesIO(album(6)))
    for number in range(6):
        writer.add_annotation(number, Link(rect=(0, 0, 50, 50), target_page_index=(number + 3) % 6, fit=Fit.fit()))
    whole = written(writer)
    found = excerpts(whole, 2)
    assert found is not None
    assert sum(len(one.data) for one in found) < 1.1 * len(whole)
    for excerpt in found:
        reader = PdfReader(io.BytesIO(excerpt.data))
        assert len(reader.pages) == 2
        assert sum(held.get("/Type") == "/Page" for held in _objects(reader)) == 2


def _objects(reader: PdfReader) -> list[DictionaryObject]:
    found = [reader.get_object(number) for number in reader.xref[0]]
    return [one for one in found if isinstance(one, DictionaryObject)]


def test_a_layer_that_is_off_stays_off() -> None:
    writer = PdfWriter()
    layer = writer._add_object(DictionaryObject({NameObject("/Type"): NameObject("/OCG")}))
    held = DictionaryObject({NameObject("/Properties"): DictionaryObject({NameObject("/L"): layer})})
    for _ in range(2):
        page(writer, b"/OC /L BDC EMC", held)
    default = DictionaryObject({NameObject("/OFF"): ArrayObject([layer])})
    writer.root_object[NameObject("/OCProperties")] = DictionaryObject(
        {NameObject("/OCGs"): ArrayObject([layer]), NameObject("/D"): default}
    )
    found = cut(written(writer), 1, lean=True)
    assert found is not None
    for excerpt in found:
        reader = PdfReader(io.BytesIO(excerpt.data))
        (off,) = at(reader.root_object, "/OCProperties", "/D", "/OFF")
        assert off == at(reader.pages[0], "/Resources", "/Properties").raw_get("/L")


def test_a_filled_field_keeps_its_looks() -> None:
    writer = PdfWriter()
    for _ in range(2):
        added = page(writer, b"")
        looks = writer._add_object(stream(b"(filled)", Subtype=NameObject("/Form")))
        field = DictionaryObject(
            {
                NameObject("/Subtype"): NameObject("/Widget"),
                NameObject("/P"): added.indirect_reference,
                NameObject("/AP"): DictionaryObject({NameObject("/N"): looks}),
                NameObject("/Hidden"): BooleanObject(False),
            }
        )
        added[NameObject("/Annots")] = ArrayObject([writer._add_object(field)])
    found = cut(written(writer), 1, lean=True)
    assert found is not None
    for excerpt in found:
        (kept,) = at(PdfReader(io.BytesIO(excerpt.data)).pages[0], "/Annots")
        assert at(kept, "/AP", "/N").get_data() == b"(filled)"
