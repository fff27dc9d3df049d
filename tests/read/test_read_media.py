"""A row's media: what names them in a request, and what is done to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.read.beneath import Folder
from pipeline.read.media import Media, Terms
from pipeline.read.reference import References
from pipeline.read.scale import SHARP
from pipeline.read.shrink import Recipe
from pipeline.records import Image, Link, Row
from tests.pictures import plain

MEDIA = Media(
    images=("photo",),
    documents=(),
    references=References(None, (), 10_000_000),
    terms=Terms(SHARP, most_images=30, most_pages=1, image_bytes=10_000_000),
    columns=frozenset({"text"}),
    shrink=lambda data, _: b"by one encoder",
)


def image(media: Media, photo: object) -> Image:
    (found,) = media.of(Row(0, "k", {"photo": photo, "text": "t"})).media
    assert isinstance(found, Image)
    return found


def test_a_picture_that_is_made_anew_is_named_by_its_original_whatever_encoder_makes_it() -> None:
    photo = plain("JPEG", 4_000, 1_000)
    first = image(MEDIA, photo)
    second = image(replace(MEDIA, shrink=lambda data, _: b"by another"), photo)
    assert (first.data, second.data) == (b"by one encoder", b"by another")
    assert first.digest == second.digest == image(MEDIA.named(), photo).digest
    assert first.digest != image(MEDIA, plain("JPEG", 4_000, 1_000, colour="blue")).digest
    assert first.digest != image(replace(MEDIA, terms=replace(MEDIA.terms, sight=SHARP.among(21))), photo).digest


def test_a_large_webp_is_unpacked_by_nobody() -> None:
    small = bytearray(plain("WEBP"))
    at = small.index(b"VP8 ") + 14
    small[at : at + 4] = (6_000).to_bytes(2, "little") * 2
    row = MEDIA.of(Row(0, "k", {"photo": bytes(small), "text": "t"}))
    assert row.fault is not None
    assert "a WEBP of 6000 × 6000 pixels, more than the 32,000,000 that are made smaller here" in row.fault


def test_what_a_recipe_says() -> None:
    recipes: list[Recipe] = []

    def shrink(data: bytes, recipe: Recipe) -> bytes:
        recipes.append(recipe)
        return data

    media = replace(MEDIA, shrink=shrink)
    for photo in (plain("JPEG", 4_000, 1_000), plain("PNG", 4_000, 1_000), plain("WEBP", 1_000, 4_000), plain("PNG")):
        image(media, photo)
    image(replace(media, terms=replace(media.terms, image_bytes=10)), plain("PNG"))
    assert recipes == [
        Recipe("jpeg", "jpeg", 2_576, 644),
        Recipe("png", "png", 2_576, 644),
        Recipe("webp", "png", 644, 2_576),
        Recipe("png", "jpeg", 40, 30),
    ]


def test_many_pictures_in_a_request_are_smaller_and_too_many_are_a_fault() -> None:
    photo = plain("PNG", 2_500, 100)
    few, many, most = (MEDIA.named().of(Row(0, "k", {"photo": [photo] * count})) for count in (20, 21, 31))
    assert {medium.tokens for medium in few.media if not isinstance(medium, Link)} == {90 * 4}
    assert {medium.tokens for medium in many.media if not isinstance(medium, Link)} == {72 * 3}
    assert (most.media, most.fault) == ((), "31 pictures are more than the 30 that one request may hold")


def test_only_what_a_template_takes_is_held_on_to() -> None:
    assert MEDIA.of(Row(0, "k", {"photo": plain("PNG"), "text": "t"})).values == {"text": "t"}
    assert MEDIA.of(Row(0, "k", {"photo": b"broken", "text": "t"})).values == {"text": "t"}


def test_a_row_that_names_more_than_it_may_hold_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(plain("PNG"))
    references = References(Folder(tmp_path), (), 1_000)
    row = Row(0, "k", {"photo": ["1.png"] * 1_000_000})
    assert (
        replace(MEDIA, references=references).of(row).fault == "photo brings the row to more than the 0.001 of input.max_row_mb"
    )
