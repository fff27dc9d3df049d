"""YAML text → plain values, and the line of every key. No file is read here.

ruamel.yaml scans and composes (YAML 1.2, pure Python); nothing of it constructs values, so a tag cannot make an object.
A tree is only text, numbers, booleans, null, lists and mappings: whatever else the text holds becomes a fault, and all
faults of one text come together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError, MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from pipeline.records import JSON

Key: TypeAlias = "tuple[str | int, ...]"
"""Where a value stands: names of mappings and indexes of lists, from the root."""

MAX_CHARACTERS = 1 << 20
MAX_NODES = 5_000
"""Aliases count as what they stand for. ruamel composes some 10,000 nodes a second (measured 2026-11-23)."""
MAX_DEPTH = 32
TOO_MANY = f"more than {MAX_NODES:,} values, counting aliases as what they stand for"
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


@dataclass(frozen=True, slots=True)
class Fault:
    key: Key
    problem: str
    line: int | None = None
    """From 1; None: the line of the key."""


@dataclass(frozen=True, slots=True)
class Tree:
    root: JSON
    """None for an empty text. Where there is a fault, a value may be missing or null."""
    lines: Mapping[Key, int]
    """The line, from 1, on which each key or list item begins."""
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why the text is no YAML document, in one line."""

    line: int
    column: int
    problem: str


def read(text: str) -> Tree | Malformed:
    """The one document that the text holds."""
    if len(text) > MAX_CHARACTERS:
        return Malformed(1, 1, f"too long: {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _Composer
    yaml.max_depth = MAX_DEPTH
    try:
        root = yaml.compose(text)
        if root is None:
            return Tree(None, {}, ())
        walk = _Walk()
        value = walk.value(root, (), 0)
    except MarkedYAMLError as error:
        return _malformed(error)
    except ReaderError as error:
        return _malformed_at(text, error.position, "a character that YAML does not allow")
    except (ValueError, OverflowError):
        # ruamel hands the number of an escape such as "\UFFFFFFFF" to chr() as it is.
        escape = BEYOND_UNICODE.search(text)
        return _malformed_at(text, escape.start() if escape else 0, "an escape for a character that does not exist")
    return Tree(value, walk.lines, tuple(walk.faults))


BEYOND_UNICODE = re.compile(r"\\U(?!000|0010)[0-9A-Fa-f]{8}")
HINTS = {
    "mapping values are not allowed here": "a value that holds a colon and a space needs quotes",
    "found character '\\t' that cannot start any token": "indent with spaces, not tabs",
    "found character '%' that cannot start any token": "a value that begins with % or {% needs quotes",
    "expected <block end>, but found '<scalar>'": "a value that begins with { or a quote ends where that ends: "
    "put the whole of it in quotes",
}


def _malformed_at(text: str, position: int, problem: str) -> Malformed:
    return Malformed(text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position), problem)


def _malformed(error: MarkedYAMLError) -> Malformed:
    mark: Any = error.problem_mark or error.context_mark
    problem = TOO_DEEP if isinstance(error, MaxDepthExceededError) else str(error.problem)
    hint = f" ({HINTS[problem]})" if problem in HINTS else ""
    context = f"{error.context}, " if error.context else ""
    return Malformed(mark.line + 1, mark.column + 1, " ".join(f"{context}{problem}{hint}".split()))


class _Composer(Composer):
    """ruamel's composer, kept to one version of YAML and to a number of nodes that takes no time."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        self.warn_double_anchors = False
        self.nodes = 0

    def compose_document(self) -> Node:
        start = self.parser.peek_event()
        if start.version not in (None, (1, 2)):
            # Under %YAML 1.1 `no` would turn into false again.
            raise ComposerError(None, None, "expected YAML 1.2, without another %YAML directive", start.start_mark)
        node: Node = super().compose_document()
        return node

    def compose_node(self, parent: Node | None, index: object) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ComposerError(None, None, TOO_MANY, self.parser.peek_event().start_mark)
        node: Node = super().compose_node(parent, index)
        return node


class _Walk:
    """From nodes to values, once over the tree with its aliases expanded."""

    def __init__(self) -> None:
        self.lines: dict[Key, int] = {}
        self.faults: list[Fault] = []
        self.nodes = 0

    def value(self, node: Node, key: Key, depth: int) -> JSON:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ComposerError(None, None, TOO_MANY, node.start_mark)
        if depth >= MAX_DEPTH:
            raise ComposerError(None, None, TOO_DEEP, node.start_mark)
        self.lines.setdefault(key, node.start_mark.line + 1)
        if node.tag not in KINDS.get(type(node), ()):
            tag = str(node.tag).replace(CORE, "!!")
            self.fault(key, node, f"tag {tag} is not read, expected a plain value without a tag")
            return None
        if isinstance(node, MappingNode):
            return self.mapping(node, key, depth)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*key, index), depth + 1) for index, item in enumerate(node.value)]
        return self.scalar(node, key)

    def mapping(self, node: MappingNode, key: Key, depth: int) -> JSON:
        values: dict[str, JSON] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, ScalarNode):
                problem = "a key must be text; a template such as {{ text }} needs quotes around it"
                self.fault(key, name_node, problem)
                continue
            try:
                name = _text(str(name_node.value))
            except ValueError:
                self.fault(key, name_node, f"a key {UNWRITABLE}")
                continue
            here = (*key, name)
            if name in values:
                self.fault(here, name_node, f"given twice, first on line {self.lines[here]}")
                continue
            self.lines[here] = name_node.start_mark.line + 1
            values[name] = self.value(value_node, here, depth + 1)
        return values

    def scalar(self, node: Node, key: Key) -> JSON:
        try:
            text = _text(str(node.value))
        except ValueError:
            self.fault(key, node, UNWRITABLE)
            return None
        try:
            return SCALARS[str(node.tag)](text)
        except ValueError:
            kind = str(node.tag).removeprefix(CORE)
            self.fault(key, node, f"cannot be read as {kind}; if it is meant as text, put it in quotes")
            return None

    def fault(self, key: Key, node: Node, problem: str) -> None:
        self.faults.append(Fault(key, problem, node.start_mark.line + 1))


CORE = "tag:yaml.org,2002:"
UNWRITABLE = "holds a NUL or half a surrogate pair, expected text that UTF-8 can carry"


def _text(text: str) -> str:
    """The text with surrogate pairs joined, as JSON writes an emoji. ValueError: for what no file or path can hold."""
    if "\0" in text:
        raise ValueError(text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise ValueError(text)
    return lowered == "true"


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    number = int(digits, 0 if digits.lstrip("+-")[:2] in ("0b", "0o", "0x") else 10)
    if abs(number) >= 1 << 63:
        raise ValueError(text)
    return number


def _number(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


SCALARS: Mapping[str, Callable[[str], JSON]] = {
    CORE + "null": lambda _: None,
    CORE + "bool": _boolean,
    CORE + "int": _integer,
    CORE + "float": _number,
    CORE + "str": str,
    # ruamel knows these three beside the core schema of YAML 1.2; here they are the text that they look like.
    CORE + "timestamp": str,
    CORE + "merge": str,
    CORE + "value": str,
}
KINDS: Mapping[type[Node], tuple[str, ...]] = {
    MappingNode: (CORE + "map",),
    SequenceNode: (CORE + "seq",),
    ScalarNode: tuple(SCALARS),
}
