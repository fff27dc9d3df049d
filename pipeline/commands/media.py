"""The images and documents of a config: which columns, under which limits, from where."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.call.models import facts
from pipeline.commands.embedded import SMALL_MODEL, served
from pipeline.errors import ConfigInvalid
from pipeline.read import folder
from pipeline.read.beneath import Folder
from pipeline.read.media import Media, Terms
from pipeline.read.reference import References
from pipeline.read.scale import SHARP, STANDARD
from pipeline.read.source import Source
from pipeline.records import ASKS_A_PIECE
from pipeline.settings import Job

WIDE_WINDOW = 1_000_000
MOST_IMAGES, MOST_IMAGES_NARROW = 600, 100
"""In one request, by the model's window (build-with-claude/vision, read 2026-08-22)."""
MOST_PAGES, MOST_PAGES_NARROW = 600, 100
"""Of PDFs in one request (build-with-claude/pdf-support, read 2026-08-22)."""


def media_columns(job: Job, source: Source) -> dict[str, str]:
    """Column → the config key that says it holds pictures or documents. Of a folder, `bytes` is what a row's path leads to."""
    alias = {folder.CONTENT: folder.PATH} if folder.root(source.files[0]) is not None else {}
    documents = dict.fromkeys((alias.get(name, name) for name in job.prompt.documents or ()), "prompt.documents")
    return {**documents, **dict.fromkeys((alias.get(name, name) for name in job.prompt.images or ()), "prompt.images")}


def media_of(job: Job, source: Source, columns: Collection[str]) -> Media | None:
    """The media of each row; None where a row holds texts only. `columns`: what templates take.

    ConfigInvalid where `input.root` is no folder, or a column holds nothing that could be a picture or document.
    """
    keys = media_columns(job, source)
    if not keys:
        if job.input.pages_per_request is not None:
            raise ConfigInvalid("input.pages_per_request: has no use without prompt.documents")
        return None
    schema, listing, faults = source.schema, folder.root(source.files[0]), []
    if listing is not None and job.input.root is not None:
        faults.append("input.root: has no use where input.path is a folder: its files lie below that")
    both = sorted({*(job.prompt.images or ())} & {*(job.prompt.documents or ())})
    faults += [f"prompt.images: {name!r} is in prompt.documents too: a column holds the ones or the others" for name in both]
    if job.prompt.images and job.call.base_url == "local" and served(job.model.name) == SMALL_MODEL:
        faults.append(
            f"prompt.images: {SMALL_MODEL} reads text only; name a Claude, whose answers are rehearsed, or ask the API"
        )
    if job.input.root is not None and not Path(job.input.root).is_dir():
        faults.append(f"input.root: {job.input.root} is no folder")
    for name, key in keys.items():
        kind = schema.field(name).type if name in schema.names else pa.null()  # that it is there is checked elsewhere
        if not _may_hold_media(kind):
            faults.append(f"{key}: column {name!r} holds {kind}, which is neither bytes nor a path")
    about = facts(job.model.name)
    is_wide = about.window >= WIDE_WINDOW
    most_pages = MOST_PAGES if is_wide else MOST_PAGES_NARROW
    faults += _shared_out(job, most_pages)
    if faults:
        raise ConfigInvalid("the images and documents cannot be read", faults=faults)
    most_bytes = round(job.input.max_row_mb * 1e6)
    root = listing if job.input.root is None else Path(job.input.root)
    return Media(
        images=tuple(name for name, key in keys.items() if key == "prompt.images"),
        documents=tuple(name for name, key in keys.items() if key == "prompt.documents"),
        references=References(
            root=None if root is None else Folder(root),
            hosts=job.input.allow_urls or (),
            most_bytes=most_bytes,
        ),
        terms=Terms(
            sight=SHARP if about.sharp else STANDARD,
            most_images=MOST_IMAGES if is_wide else MOST_IMAGES_NARROW,
            most_pages=most_pages,
            image_bytes=round(job.input.max_image_mb * 1e6),
            pages_each=job.input.pages_per_request,
        ),
        columns=frozenset(columns),
        # The list of a folder's files tells of itself that one has changed.
        by_name=listing is None and any(not _holds_bytes(schema.field(name).type) for name in keys if name in schema.names),
    )


def _shared_out(job: Job, most_pages: int) -> Iterator[str]:
    """What is wrong with sharing out PDFs to several requests."""
    pages, key = job.input.pages_per_request, "input.pages_per_request"
    if pages is None:
        return
    if pages > most_pages:
        yield f"{key}: {job.model.name} takes {most_pages} pages in one request at most"
    if not job.prompt.documents:
        yield f"{key}: has no use without prompt.documents"
    if job.prompt.images:
        yield f"{key}: prompt.images would go, and be paid, with each part of a PDF; leave one of the two out"
    if len(job.prompt.user) > 1:
        yield f"{key}: is for a prompt of one turn: what an earlier reply says of all pages would not be true of some of them"
    if job.prompt.long.do == "truncate":
        yield f"{key}: prompt.long: truncate would cut the same text for each part of a PDF; leave one of the two out"
    if job.check.asks >= ASKS_A_PIECE:
        yield f"check.asks: with {key} at most {ASKS_A_PIECE - 1}"


def notes(media: Media | None) -> tuple[str, ...]:
    """What is done to images before they are sent, for a person: nothing happens to them unsaid."""
    if media is None:
        return ()
    if (pages := media.terms.pages_each) is not None:
        return (
            f"PDFs of more than {pages:,} pages go in several requests, and the answers are combined (prompt.long.combine)",
        )
    if not media.images:
        return ()
    sight = media.terms.sight
    return (
        f"images go out as they are; those of more than {sight.side:,} pixels a side or {sight.tokens:,} tokens are scaled "
        "down to what the model sees, those on their side are turned upright",
    )


def _may_hold_media(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _may_hold_media(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _may_hold_media(kind.value_type)
    if pa.types.is_struct(kind):
        return bool({"bytes", "path"} & {kind.field(index).name for index in range(kind.num_fields)})
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(is_text or pa.types.is_null(kind) or _holds_bytes(kind))


def _holds_bytes(kind: pa.DataType) -> bool:
    """Whether nothing lies outside of the input's own files."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _holds_bytes(kind.value_type)
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
