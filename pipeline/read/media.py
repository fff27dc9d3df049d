"""A row's pictures and documents, read and held against what the API takes, before anything is paid.

A row whose picture is missing, broken, animated or too large has a fault; the others go on. Bytes go out as they are unless the
model would see them smaller or turned: then the picture is made anew (shrink.py), and what names it in the request key is the
digest of the original with the recipe, so that another version of the encoder buys nothing again.

Limits: build-with-claude/vision and pdf-support, api/errors, read 2026-08-22 and 2026-10-08.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypeVar

from pipeline.read.confined import Unmade
from pipeline.read.excerpts import Excerpt, excerpts, uncut
from pipeline.read.pages import pages
from pipeline.read.picture import NoPicture, Picture, picture
from pipeline.read.reference import Found, Missing, References
from pipeline.read.scale import MOST_PIXELS, MOST_WEBP_PIXELS, Sight, fitted, tokens
from pipeline.read.shrink import Recipe, shrunk
from pipeline.records import Document, Image, Link, Medium, Row

T = TypeVar("T")

PAGE_TEXT_TOKENS = 2_250
"""A page of a PDF counts as its text, 1,500 to 3,000 tokens, and as a picture (build-with-claude/pdf-support)."""
BYTES_A_TOKEN = 4
"""Of English text, about."""


class Unfit(Exception):
    """In words: why a picture or document cannot be sent."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request may hold."""

    sight: Sight
    most_images: int
    most_pages: int
    image_bytes: int
    """The longest picture, counted in base64."""
    pages_each: int | None = None
    """Of PDFs in one request, where those of more are shared out to several; None: they are not."""


@dataclass(frozen=True, slots=True)
class Media:
    """The columns of a job that hold pictures and documents."""

    images: tuple[str, ...]
    documents: tuple[str, ...]
    references: References
    terms: Terms
    columns: frozenset[str]
    """What templates take: other values of a row are dropped when its media are read, since they can be large."""
    by_name: bool = True
    """Whether files are read that the input only names: they may change while the input does not."""
    shrink: Callable[[bytes, Recipe], bytes] = shrunk
    count: Callable[[bytes], int | None] = pages
    cut: Callable[[bytes, int], tuple[Excerpt, ...] | None] | None = excerpts
    """None: it is only wanted to know how many excerpts there are."""

    @property
    def under(self) -> str:
        """The terms and places under which a row's media are what they are: equal only where these are."""
        return repr((self.terms, self.references))

    def named(self) -> Media:
        """The same for whoever only wants to know which request a row makes: nothing is made anew and no page is counted. The
        row must not be sent."""
        one = replace(self, shrink=lambda data, _: data, count=lambda _: 1, cut=None)
        # Which requests a row makes hangs on its pages, if it may make several.
        return one if self.terms.pages_each is None else replace(one, count=self.count)

    def unshrunk(self) -> Media:
        """The same for whoever wants to know what the request holds, but not to send it."""
        return replace(self, shrink=lambda data, _: data, cut=None)

    def of(self, row: Row) -> Row:
        """The row with its media, or with its first fault. Reads files. May take a second where a picture is made anew."""
        if row.fault is not None:
            return row
        values = {name: value for name, value in row.values.items() if name in self.columns}
        try:
            if self.terms.pages_each is not None:
                first, *others = self._shares(row, self.terms.pages_each)
                if others:
                    return replace(row, values=values, shares=(first, *others))
                return replace(row, values=values, media=first)
            media = tuple(self._media(row))
        except Unfit as unfit:
            return replace(row, values=values, fault=str(unfit))
        return replace(row, values=values, media=media)

    def _shares(self, row: Row, most: int) -> tuple[tuple[Medium, ...], ...]:
        """The documents in their order, as many as fit into a request together, longer ones page by page."""
        shares: list[tuple[Medium, ...]] = [()]
        left = most
        for name, found in self._found(row, self.documents):
            for document, page_count in self._parts(_there(name, found), _where(name, found), most):
                if page_count > left:
                    shares.append(())
                    left = most
                shares[-1] += (document,)
                left -= page_count
        if shares == [()]:
            raise Unfit(f"nothing stands in {', '.join(self.documents)}: there is nothing to look at")
        return tuple(shares)

    def _parts(self, content: bytes | str, where: str, most: int) -> Iterator[tuple[Document, int]]:
        """A document, or its excerpts of at most so many pages, each with its pages."""
        if isinstance(content, str) or not _is_pdf(content):
            yield self._document(content, where)
            return
        cutting = self.cut
        cut = None if cutting is None else _read(lambda: cutting(content, most), where)
        counted = _read(lambda: self.count(content), where) if cut is None else cut[-1].last if cut else 0
        count = _page_count(counted, where)
        whole = self._pdf(content, count)
        if count <= most:
            yield whole, count
            return
        for one in cut or uncut(content, count, most):
            named, size = f"pages {one.first} to {one.last} of {count}", one.last - one.first + 1
            tokens = whole.tokens // count * size
            yield replace(whole, data=one.data, digest=f"{whole.digest} {named}", tokens=tokens, title=named), size

    def _media(self, row: Row) -> Iterator[Medium]:
        documents = list(self._found(row, self.documents))
        images = list(self._found(row, self.images))
        if not documents and not images:
            raise Unfit(f"nothing stands in {', '.join((*self.images, *self.documents))}: there is nothing to look at")
        if len(images) > self.terms.most_images:
            raise Unfit(f"{len(images)} pictures are more than the {self.terms.most_images} that one request may hold")
        left = self.terms.most_pages
        for name, found in documents:
            document, page_count = self._document(_there(name, found), _where(name, found))
            left -= page_count
            if left < 0:
                raise Unfit(f"{_where(name, found)} brings the row to more than {self.terms.most_pages} pages; split it")
            yield document
        sight = self.terms.sight.among(len(images))
        for name, found in images:
            yield self._image(_there(name, found), _where(name, found), sight)

    def _found(self, row: Row, names: tuple[str, ...]) -> Iterator[tuple[str, Found | Missing]]:
        """What the columns lead to. Ends where it is more than a row may hold: a list may name any number of files."""
        held = 0
        for name in names:
            for found in self.references.behind(row.values[name]):
                held += len(found.content) if isinstance(found, Found) else 0
                if held > self.references.most_bytes:
                    raise Unfit(
                        f"{name} brings the row to more than the {self.references.most_bytes / 1e6:g} of input.max_row_mb"
                    )
                yield name, found

    def _image(self, content: bytes | str, where: str, sight: Sight) -> Image | Link:
        if isinstance(content, str):
            return Link(content)
        seen = picture(content)
        if isinstance(seen, NoPicture):
            raise Unfit(f"{where} {seen.why}; JPEG, PNG, GIF and WEBP are taken")
        if seen.is_animated:
            raise Unfit(f"{where} is animated, and the model sees its first frame only; save the frame that is meant")
        if seen.width * seen.height > MOST_PIXELS:
            raise Unfit(f"{where} has {seen.width} × {seen.height} pixels, more than 8000 × 8000; scale it down")
        recipe = self._recipe(seen, content, sight)
        digest = sha256(content).hexdigest()
        if recipe is None:
            return Image(f"image/{seen.kind}", content, digest, tokens(seen.width, seen.height))
        if seen.kind == "webp" and seen.width * seen.height > MOST_WEBP_PIXELS:
            raise Unfit(
                f"{where} is a WEBP of {seen.width} × {seen.height} pixels, more than the {MOST_WEBP_PIXELS:,} that are made "
                "smaller here; scale it down, or save it as JPEG or PNG"
            )
        try:
            made = self.shrink(content, recipe)
        except Unmade as error:
            raise Unfit(f"{where} must be scaled down or turned upright, and cannot be decoded: {error}") from error
        if made is not content and _in_base64(len(made)) > self.terms.image_bytes:
            raise Unfit(f"{where} has {_in_base64(len(made)):,} bytes in base64 even scaled down; see input.max_image_mb")
        digest = f"{digest} as {recipe.target} {recipe.width}x{recipe.height}"
        return Image(f"image/{recipe.target}", made, digest, tokens(recipe.width, recipe.height))

    def _recipe(self, seen: Picture, content: bytes, sight: Sight) -> Recipe | None:
        """How the picture must be made anew; None where it can go as it is."""
        turned = seen.orientation >= 5
        width, height = (seen.height, seen.width) if turned else (seen.width, seen.height)
        size = fitted(width, height, sight)
        is_heavy = _in_base64(len(content)) > self.terms.image_bytes
        # Nothing says whether the API turns a picture as its metadata asks; with nothing to turn there is nothing to doubt.
        if size == (width, height) and seen.orientation == 1 and not is_heavy:
            return None
        # A photograph stays one; what may be a drawing or a scan stays without loss, unless that is too large.
        return Recipe(seen.kind, "jpeg" if seen.kind == "jpeg" or is_heavy else "png", *size, seen.orientation)

    def _document(self, content: bytes | str, where: str) -> tuple[Document, int]:
        """The document, and how many pages of a PDF it is."""
        if isinstance(content, str):
            raise Unfit(f"{where} is a URL: those of pictures are passed on, those of documents are not")
        if not _is_pdf(content):
            text = _text(content, where)
            return Document("text/plain", text, sha256(content).hexdigest(), len(content) // BYTES_A_TOKEN), 0
        count = _page_count(_read(lambda: self.count(content), where), where)
        return self._pdf(content, count), count

    def _pdf(self, content: bytes, count: int) -> Document:
        tokens = count * (self.terms.sight.tokens + PAGE_TEXT_TOKENS)
        return Document("application/pdf", content, sha256(content).hexdigest(), tokens)


def _is_pdf(content: bytes) -> bool:
    return content.lstrip()[:5] == b"%PDF-"


def _read(read: Callable[[], T], where: str) -> T:
    try:
        return read()
    except Unmade as error:
        raise Unfit(f"{where} is a PDF that cannot be read: {error}") from error


def _page_count(count: int | None, where: str) -> int:
    if count is None:
        raise Unfit(f"{where} is an encrypted PDF, which the API does not take; save it without password")
    if not count:
        raise Unfit(f"{where} is a PDF without pages")
    return count


def _there(name: str, found: Found | Missing) -> bytes | str:
    if isinstance(found, Missing):
        raise Unfit(f"{_where(name, found)} {found.why}")
    return found.content


def _where(name: str, found: Found | Missing) -> str:
    return f"{name}: {found.name!r}" if found.name else f"{name}: what it holds"


def _text(content: bytes, where: str) -> bytes:
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        kind = " (Word, Excel and the like are ZIP archives)" if content.startswith(b"PK") else ""
        raise Unfit(f"{where} is neither a PDF nor text in UTF-8: byte {error.start}{kind}; save it as PDF") from error
    if "\0" in text:
        raise Unfit(f"{where} is neither a PDF nor text: it holds NUL bytes")
    if not text.strip():
        raise Unfit(f"{where} is empty")
    return text.encode()


def _in_base64(size: int) -> int:
    return -(-size // 3) * 4
