"""A schema file → Schema: read strictly, checked against its draft, closed to the outside, all faults at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import ConfigInvalid
from pipeline.records import JSON
from pipeline.schema.bundle import Beside, bundled
from pipeline.schema.faults import faults
from pipeline.schema.tree import Tree, spoken, step
from pipeline.schema.validator import Draft, draft, meta_faults

MAX_DEPTH = 128
"""Levels of JSON in a schema file: two for each level of the answer, whose own limit is 64 (check/parse.py)."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What an answer must look like: a JSON Schema that all stages can rely on."""

    document: dict[str, JSON]
    """The schema as it was written, keys in order, with what it refers to beside it in its definitions. Not to be changed."""
    text: str
    """Canonical JSON: sorted keys, compact. Two spellings of one schema have the same."""
    digest: str
    """blake2b of `text` and of every file beside that it refers to, 16 bytes in hex."""
    properties: tuple[str, ...]
    """Top-level properties in the order in which they are written; each is a column."""
    where: str
    """The file, for messages."""
    draft: Draft = "2020-12"

    @property
    def tree(self) -> Tree:
        return Tree(self.document, self.draft == "draft-07")

    def enums(self) -> dict[str, tuple[str, ...]]:
        """Top-level property → its labels, for those that take a string out of an enum; null beside them is left out."""
        found: dict[str, tuple[str, ...]] = {}
        tree = self.tree
        for name, (pointer, node) in tree.columns().items():
            if tree.kinds(pointer, node) - {"null"} != {"string"}:
                continue
            for part in tree.shapes(pointer, node, "string").values():
                values = part.get("enum")
                if isinstance(values, list):
                    found[name] = tuple(value for value in values if isinstance(value, str))
                    break
        return found


def load(text: str, where: str, beside: Callable[[str], str] | None = None) -> Schema:
    """The schema that the text of a file holds. `where` is what messages call the file.

    Draft 2020-12, or draft-07 where `$schema` says so. `beside` reads a file below the schema's folder, named by its
    path from there (`common/money.json`), and raises ConfigInvalid where there is none; what a `$ref` means there is
    taken into the document's definitions. Nothing else is ever read or fetched.
    Raises ConfigInvalid with every fault found, in all files, each with its JSON pointer and a mend.
    """
    document = _parsed(text, where)
    of = draft(document)
    if of is None:
        raise _invalid(where, [_other_draft(document["$schema"])])
    bundle = bundled(document, where.rpartition("/")[2], _reader(beside), draft07=of == "draft-07")
    tree = Tree(bundle.document, of == "draft-07")
    malformed = dict.fromkeys(
        [
            *(fault for at, node in tree.nodes().items() for fault in meta_faults(node, at, of, bundle.place)),
            *(fault for file, read in bundle.files.items() for fault in _file_faults(file, read, of)),
            *bundle.faults,
        ]
    )
    found = list(malformed) or faults(tree, of, bundle.place)
    if found:
        raise _invalid(where, found)
    canonical = _canonical(bundle.document)
    whole = "\n".join([canonical, *sorted(_canonical(read) for read in bundle.files.values())])
    digest = hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
    return Schema(bundle.document, canonical, digest, tuple(tree.columns()), where, of)


def _reader(beside: Callable[[str], str] | None) -> Beside:
    def read(path: str) -> dict[str, JSON]:
        if beside is None:
            raise ConfigInvalid("a file beside the schema cannot be read here; copy that schema into $defs")
        return _parsed(beside(path), path)

    return read


def _file_faults(file: str, read: dict[str, JSON], of: Draft) -> Iterator[str]:
    """What is wrong with a file beside as a whole, also where nothing refers to it."""
    if "$schema" in read and draft(read) != of:
        yield f"{file}: /$schema: {read['$schema']!r} is another draft than that of the file that refers to it; use one"
        return
    for pointer, node in Tree(read, of == "draft-07").nodes().items():
        yield from meta_faults(node, pointer, of, lambda at: f"{file}: {spoken(at)}")


def _other_draft(named: JSON) -> str:
    return (
        f"/$schema: {named!r} is not a draft that is taken; "
        "write https://json-schema.org/draft/2020-12/schema and check the keywords that changed"
    )


def _canonical(document: dict[str, JSON]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _parsed(text: str, where: str) -> dict[str, JSON]:
    twice: list[tuple[dict[str, JSON], str]] = []

    def pairs(members: list[tuple[str, JSON]]) -> dict[str, JSON]:
        held = dict(members)
        if len(held) < len(members):
            names = [name for name, _ in members]
            twice.extend((held, name) for name in held if names.count(name) > 1)
        return held

    def no_number(word: str) -> JSON:
        raise ValueError(f"{word} is not JSON")

    try:
        document: JSON = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs, parse_constant=no_number)
        text.encode()
        json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise _invalid(where, [f"line {error.lineno} column {error.colno}: not JSON: {error.msg}"]) from error
    except UnicodeEncodeError as error:
        raise _invalid(where, ["the text holds half of a surrogate pair; write the character whole"]) from error
    except ValueError as error:
        raise _invalid(where, [f"not JSON: {error}"]) from error
    except RecursionError as error:
        raise _invalid(where, [_too_deep()]) from error
    if twice:
        places = {id(held): pointer for pointer, held in _objects(document)}
        # An object that lost its own key to a later one is in no place; the one that replaced it is told of.
        told = [(places[id(held)], name) for held, name in twice if id(held) in places]
        raise _invalid(where, [f"{spoken(at)}: key {name!r} is written more than once; keep one" for at, name in told])
    if not isinstance(document, dict):
        raise _invalid(where, ['the root: a schema is a JSON object, {"type": "object", "properties": {…}}'])
    if deeper_than(document, MAX_DEPTH):
        raise _invalid(where, [_too_deep()])
    return document


def _objects(document: JSON) -> Iterator[tuple[str, dict[str, JSON]]]:
    waiting: list[tuple[str, JSON]] = [("", document)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, dict):
            yield pointer, value
            waiting.extend((step(pointer, name), child) for name, child in value.items())
        elif isinstance(value, list):
            waiting.extend((step(pointer, index), child) for index, child in enumerate(value))


def _too_deep() -> str:
    return f"nested deeper than {MAX_DEPTH} levels; move inner parts to $defs and refer to them"


def deeper_than(value: JSON, levels: int) -> bool:
    """Whether lists and objects stand in each other more than so many levels deep. Takes no recursion."""
    layer: list[JSON] = [value]
    for _ in range(levels):
        layer = [
            child
            for node in layer
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not layer:
            return False
    return True


def _invalid(where: str, found: list[str]) -> ConfigInvalid:
    return ConfigInvalid(f"{where}: not a schema that can be used", faults=found, todo=f"mend {where}, then run again")
