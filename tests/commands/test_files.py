from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.files import schema
from pipeline.errors import ConfigInvalid


def written(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def referring(folder: Path, ref: str) -> Path:
    return written(folder / "s.json", {"type": "object", "properties": {"x": {"$ref": ref}}})


def test_a_schema_reads_the_files_below_its_folder(tmp_path: Path) -> None:
    written(tmp_path / "schemas" / "common" / "label.json", {"enum": ["yes", "no"]})
    found = schema(referring(tmp_path / "schemas", "common/label.json"))
    assert found.enums() == {"x": ("yes", "no")}


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    written(tmp_path / "real.json", {"enum": ["yes"]})
    (tmp_path / "link.json").symlink_to("real.json")
    assert schema(referring(tmp_path, "link.json")).enums() == {"x": ("yes",)}


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    written(tmp_path / "real" / "label.json", {"enum": ["yes"]})
    referring(tmp_path / "real", "label.json")
    (tmp_path / "linked").symlink_to("real")
    assert schema(tmp_path / "linked" / "s.json").enums() == {"x": ("yes",)}


@pytest.mark.parametrize(
    ("ref", "word"),
    [
        ("none.json", "No such file"),
        ("out.json", "a link out of the schema's folder"),
        ("out/secret.json", "a link out of the schema's folder"),
        ("round.json", "cannot be read"),
        ("folder", "is no file"),
        ("pipe", "is no file"),
        ("latin.json", "is not UTF-8"),
        ("a%00b", "cannot hold NUL"),
        ("n" * 300, "cannot be read"),
    ],
)
def test_whatever_else_it_names_is_refused_with_the_reason(tmp_path: Path, ref: str, word: str) -> None:
    home = tmp_path / "home"
    path = referring(home, ref)
    written(tmp_path / "outside" / "secret.json", {"enum": ["secret"]})
    (home / "out.json").symlink_to("../outside/secret.json")
    (home / "out").symlink_to("../outside")
    (home / "round.json").symlink_to("round.json")
    (home / "folder").mkdir()
    os.mkfifo(home / "pipe")
    (home / "latin.json").write_bytes(b'{"title": "\xe9"}')
    with pytest.raises(ConfigInvalid) as caught:
        schema(path)
    (fault,) = caught.value.faults
    assert fault.startswith("/properties/x: $ref ")
    assert word in fault
    assert "secret" not in fault.replace(ref, "")
