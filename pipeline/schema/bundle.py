"""A schema and the files beside it that it refers to → one document that refers to nothing outside itself.

What a `$ref` means in another file becomes a definition of the document, and the `$ref` names it there. So the model, the API
and both validators get one whole schema, and no stage has to know that there were files. Only what is referred to is taken
over, under the name that it had: the rest of a shared file would cost tokens in every prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pipeline.errors import ConfigInvalid
from pipeline.records import JSON
from pipeline.schema.tree import Node, Tree, encoded, fragment, percent_decoded, spoken, step, with_children

Beside: TypeAlias = "Callable[[str], dict[str, JSON]]"
"""Path below the schema's folder (`common/money.json`) → the schema in that file. Raises ConfigInvalid where there is none."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:|//")
_SUFFIX = re.compile(r"(\.schema)?\.[^.]*$")


@dataclass(frozen=True, slots=True)
class Bundle:
    document: dict[str, JSON]
    files: Mapping[str, dict[str, JSON]]
    """The files beside, as they were read, by their path below the schema's folder."""
    origins: Mapping[str, tuple[str, str]]
    """Pointer of a definition that came from such a file → the file, and the pointer there."""
    faults: tuple[str, ...]
    """Every `$ref` that leads nowhere, each with its place and a mend. The document is not to be used then."""

    def place(self, pointer: str) -> str:
        """Where a person finds what stands at the pointer."""
        for definition, (file, there) in self.origins.items():
            if pointer == definition or pointer.startswith(f"{definition}/"):
                return f"{file}: {spoken(there + pointer.removeprefix(definition))}"
        return spoken(pointer)


def bundled(document: dict[str, JSON], name: str, beside: Beside, *, draft07: bool) -> Bundle:
    """The document closed to the outside. `name` is what its file is called in its folder. The document is changed."""
    work = _Work({name: document}, beside, draft07, home=name)
    for pointer, node in sorted(Tree(document, draft07).nodes().items()):
        if isinstance(node, dict) and isinstance(ref := node.get("$ref"), str):
            node["$ref"] = encoded(ref) if ref.startswith("#") else work.inside(name, pointer, ref)
    work.finish()
    if work.definitions:
        held = document.setdefault(work.container, {})
        if isinstance(held, dict):
            held.update(work.definitions)
    return Bundle(
        document,
        {file: read for file, read in work.files.items() if file != name and read is not None},
        {step(f"/{work.container}", definition): origin for origin, definition in work.names.items()},
        tuple(dict.fromkeys(work.faults)),
    )


def excerpt(document: dict[str, JSON], pointer: str, node: Node, *, draft07: bool) -> Node:
    """One schema of a closed document as a document of its own, with the definitions that it refers to."""
    work = _Work({"": document}, _nothing, draft07)
    alone = work.copied("", pointer, node)
    work.finish()
    if isinstance(alone, dict) and work.definitions:
        alone[work.container] = work.definitions
    return alone


def _nothing(path: str) -> dict[str, JSON]:
    raise ConfigInvalid(f"no file {path} can be read here")


@dataclass(slots=True)
class _Work:
    files: dict[str, dict[str, JSON] | None]
    """What was read; None for a file that cannot be used, which is said once."""
    beside: Beside
    draft07: bool
    home: str | None = None
    """The file whose own definitions stay where they are."""
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    """File and pointer of what is taken over → the name of its definition."""
    definitions: dict[str, JSON] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _waiting: list[tuple[str, str, Node]] = field(default_factory=list)

    @property
    def container(self) -> str:
        return "definitions" if self.draft07 else "$defs"

    def inside(self, file: str, at: str, ref: str) -> str:
        """The `$ref` as the bundle writes it."""
        there, _, within = ref.partition("#")
        target = file if not there or there == self._own(file) else self._path(file, at, ref, percent_decoded(there))
        document = None if target is None else self._read(target, f"{self._at(file, at)}: $ref {ref!r}")
        if target is None or document is None:
            return ref
        if target == self.home:
            return encoded(f"#{within}")
        found = Tree(document, self.draft07).resolve(f"#{within}")
        if found is None:
            self.faults.append(f"{self._at(file, at)}: $ref {ref!r} points nowhere in {target or 'this file'}")
            return ref
        return fragment(step(f"/{self.container}", self._named(target, *found)))

    def finish(self) -> None:
        """Takes over all that was referred to, and what that refers to."""
        while self._waiting:
            file, pointer, node = self._waiting.pop()
            self.definitions[self.names[file, pointer]] = self.copied(file, pointer, node)

    def copied(self, file: str, pointer: str, node: Node) -> Node:
        """The node as it stands in the bundle: its refs lead to definitions there, so its own definitions can go."""
        if isinstance(node, bool):
            return node
        kept = {k: v for k, v in node.items() if k not in ("$defs", "definitions", "$anchor")}
        if pointer == "":
            kept = {k: v for k, v in kept.items() if k not in ("$schema", "$id")}
        if isinstance(ref := kept.get("$ref"), str):
            kept["$ref"] = self.inside(file, pointer, ref)
        return with_children(kept, pointer, lambda at, child: self.copied(file, at, child))

    def _named(self, file: str, pointer: str, node: Node) -> str:
        if (file, pointer) not in self.names:
            token = pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
            wanted = token if pointer else _SUFFIX.sub("", file.rpartition("/")[2]) or "root"
            name, number = wanted, 1
            while name in self._taken():
                number += 1
                name = f"{wanted}_{number}"
            self.names[file, pointer] = name
            self._waiting.append((file, pointer, node))
        return self.names[file, pointer]

    def _taken(self) -> set[str]:
        root = next(iter(self.files.values()))
        held = root.get(self.container) if root is not None and "" not in self.files else None
        return {*self.names.values(), *(held if isinstance(held, dict) else ())}

    def _own(self, file: str) -> str | None:
        """What the file calls itself."""
        document = self.files[file]
        own = document.get("$id") if document is not None else None
        return own.rstrip("#") if isinstance(own, str) else None

    def _read(self, file: str, who: str) -> dict[str, JSON] | None:
        if file not in self.files:
            try:
                self.files[file] = self.beside(file)
            except ConfigInvalid as error:
                self.files[file] = None
                self.faults.extend([f"{file}: {fault}" for fault in error.faults] or [f"{who}: {error}"])
        return self.files[file]

    def _path(self, file: str, at: str, ref: str, there: str) -> str | None:
        """The file that a `$ref` names, as a path below the schema's folder."""
        who = f"{self._at(file, at)}: $ref {ref!r}"
        if re.match(r"https?:|//", there, re.IGNORECASE):
            self.faults.append(f"{who} points to the network, and nothing is fetched; save that schema beside this one")
        elif _SCHEME.match(there) or there.startswith("/"):
            self.faults.append(f"{who} is no path below the schema's folder; copy that file there and name it by its path")
        else:
            parts = file.split("/")[:-1]
            for part in there.split("/"):
                if part == ".." and not parts:
                    self.faults.append(f"{who} points out of the schema's folder; copy that file into it")
                    return None
                parts = parts[:-1] if part == ".." else parts if part in ("", ".") else [*parts, part]
            return "/".join(parts)
        return None

    def _at(self, file: str, pointer: str) -> str:
        return spoken(pointer) if file == next(iter(self.files)) else f"{file}: {spoken(pointer)}"
