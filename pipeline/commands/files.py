"""Files that a config names, read: texts, and the schema with the files beside it that it refers to."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ConfigInvalid
from pipeline.schema.load import Schema, load


def schema(path: Path, what: str = "schema") -> Schema:
    """The schema, closed and checked. ConfigInvalid with every fault; `what` names the key where it cannot be read.

    A `$ref` reads files of the schema's own folder and below, and no others: not through a link either.
    """
    return load(text(path, what), str(path), lambda name: _beside(path.parent, name))


def _beside(folder: Path, name: str) -> str:
    if "\0" in name:
        raise ConfigInvalid("a file name cannot hold NUL")
    path = folder / name
    try:
        found = path.resolve(strict=True)
    except OSError as error:
        raise ConfigInvalid(f"{path} cannot be read: {error.strerror}") from error
    except RuntimeError as error:  # Python before 3.13, of links that go round
        raise ConfigInvalid(f"{path} cannot be read: {error}") from error
    if not found.is_relative_to(folder.resolve()):
        raise ConfigInvalid(f"{path} is a link out of the schema's folder; put the file itself there")
    if not found.is_file():  # a pipe would be waited for
        raise ConfigInvalid(f"{path} is no file")
    return text(found, "$ref")


def text(path: Path, what: str) -> str:
    """What the file holds, without a BOM. ConfigInvalid, which calls it `what`, where it cannot be read."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigInvalid(f"{what}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{what}: {path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
