"""Bytes → kind and size of a picture, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.read.picture import NoPicture, Picture, picture
from pipeline.read.scale import SHARP, STANDARD, Sight, fitted, tokens
from tests.pictures import animated, encoded, noise, plain, png_bomb, turned

WHOLE = {
    "JPEG": plain("JPEG"),
    "progressive JPEG": plain("JPEG", progressive=True),
    "CMYK JPEG": encoded(noise(40, 30, mode="CMYK"), "JPEG"),
    "PNG": plain("PNG"),
    "16-bit PNG": encoded(Image.new("I;16", (40, 30)), "PNG"),
    "GIF": plain("GIF"),
    "WEBP": plain("WEBP"),
    "lossless WEBP": plain("WEBP", lossless=True),
    "WEBP with alpha": encoded(noise(40, 30, mode="RGBA"), "WEBP"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_kind_and_size_are_those_that_an_encoder_wrote(name: str) -> None:
    found = picture(WHOLE[name])
    assert found == Picture(next(kind for kind in ("jpeg", "png", "gif", "webp") if kind in name.lower()), 40, 30)


@pytest.mark.parametrize("name", WHOLE)
def test_a_picture_that_was_cut_anywhere_is_none(name: str) -> None:
    whole = WHOLE[name]
    for length in range(len(whole)):
        # An encoder may end with a byte of padding.
        assert isinstance(picture(whole[:length]), NoPicture) or length >= len(whole) - 1, length


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_a_picture_that_moves_says_so(form: str) -> None:
    found = picture(animated(form))
    assert isinstance(found, Picture)
    assert (found.width, found.height, found.is_animated) == (20, 20, True)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_that_of_the_metadata(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = picture(encoded(Image.new("RGB", (40, 30)), form, exif=exif))
    assert isinstance(found, Picture)
    assert found.orientation == orientation


def test_a_thumbnail_is_no_end_of_a_picture_that_was_cut() -> None:
    exif = Image.Exif()
    exif[0x010F] = "\xff\xd9" * 10
    whole = encoded(Image.new("RGB", (40, 30)), "JPEG", exif=exif)
    assert isinstance(picture(whole), Picture)
    assert isinstance(picture(whole[:-2]), NoPicture)


def test_a_bomb_is_measured_and_not_unpacked() -> None:
    assert picture(png_bomb()) == Picture("png", 50_000, 50_000)


@given(st.sampled_from([*WHOLE.values(), turned(), animated("GIF")]), st.data())
def test_damage_gives_a_verdict_and_never_an_exception(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(picture(bytes(damaged)), Picture | NoPicture)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_give_a_verdict(data: bytes) -> None:
    assert isinstance(picture(data), NoPicture)


@pytest.mark.parametrize(
    ("size", "standard", "sharp"),
    [((1000, 1000), 1296, 1296), ((1920, 1080), 1560, 2691), ((2000, 1500), 1564, 3888), ((3840, 2160), 1560, 4784)],
)
def test_tokens_are_those_of_the_published_table(size: tuple[int, int], standard: int, sharp: int) -> None:
    assert tokens(*fitted(*size, STANDARD)) == standard
    assert tokens(*fitted(*size, SHARP)) == sharp


@given(st.integers(1, 8_000), st.integers(1, 8_000), st.sampled_from([STANDARD, SHARP, SHARP.among(21)]))
def test_a_fitted_picture_is_seen_whole_and_is_no_smaller_than_it_must_be(width: int, height: int, sight: Sight) -> None:
    fit = fitted(width, height, sight)
    assert max(fit) <= sight.side
    assert tokens(*fit) <= sight.tokens
    if fit != (width, height):
        share = (max(fit) + 1) / max(width, height)
        larger = max(1, round(width * share)), max(1, round(height * share))
        assert max(larger) > sight.side or tokens(*larger) > sight.tokens
