"""The public JSON-Schema-Test-Suite, read from beside the checkout, and the reference implementation that runs it too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # it publishes no types
from referencing import Resource
from referencing.jsonschema import DRAFT7, DRAFT202012

from pipeline.schema.validator import Draft

SUITE = Path(__file__).parents[3] / "shared" / "suites" / "JSON-Schema-Test-Suite"
FOLDERS: dict[Draft, str] = {"2020-12": "draft2020-12", "draft-07": "draft7"}
REMOTE = "http://localhost:1234"


@dataclass(frozen=True)
class Case:
    file: str
    group: str
    schema: Any
    name: str
    value: Any
    valid: bool

    def __str__(self) -> str:
        return f"{self.file}: {self.group}: {self.name}"


def cases(of: Draft, part: str = ".") -> list[Case]:
    """The cases of a draft; `part` is `.` for the required ones, `optional`, or `optional/format`."""
    folder = SUITE / "tests" / FOLDERS[of] / part
    if not folder.is_dir():
        pytest.skip(f"the public suite is not beside this checkout at {folder}")
    return [
        Case(file.name, group["description"], group["schema"], case["description"], case["data"], case["valid"])
        for file in sorted(folder.glob("*.json"))
        for group in json.loads(file.read_text(encoding="utf-8"))
        for case in group["tests"]
    ]


def remotes(of: Draft) -> dict[str, Any]:
    """URI → schema: what the suite has a server for. Those of another draft are left out."""

    def found() -> Iterator[tuple[str, Any]]:
        for file in (SUITE / "remotes").rglob("*.json"):
            name = file.relative_to(SUITE / "remotes").as_posix()
            top = name.partition("/")[0]
            if top == FOLDERS[of] or not (top.startswith("draft") or top == "v1"):
                yield f"{REMOTE}/{name}", json.loads(file.read_text(encoding="utf-8"))

    return dict(found())


def reference(schema: Any, of: Draft, known: dict[str, Any] | None = None) -> Validator:
    """`jsonschema`, slow and independent: the implementation that ours is held against. It retrieves nothing either."""
    named, specification = (Draft202012Validator, DRAFT202012) if of == "2020-12" else (Draft7Validator, DRAFT7)
    held = REGISTRY.with_resources(
        (uri, Resource.from_contents(read, default_specification=specification)) for uri, read in (known or {}).items()
    )
    return named(schema, registry=held)
