"""The pages hold what the code holds: generated parts are fresh; files, tests, columns and statuses that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import reference
from pipeline.errors import StorageFailed
from pipeline.records import Status
from pipeline.write.table_columns import OWN

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_what_the_code_tells_is_told_as_it_is_now(page: Path) -> None:
    text = page.read_text("utf-8")
    assert reference.whole(text) == text, f"{page.name} is not what the code says any more: run `make reference`"


def test_each_block_of_the_code_stands_on_one_page() -> None:
    names = [found["name"] for path in PAGES for found in reference.BLOCK.finditer(path.read_text("utf-8"))]
    assert sorted(names) == sorted(reference.BLOCKS)


def test_a_link_leads_to_a_file(page: Path) -> None:
    """On a code host; what `make docs` holds besides are the links and anchors among the pages of the site."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_a_file_of_the_project_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"(?<![\w/-])(?:tests|docs|pipeline)/[\w./-]+\.(?:py|md|yaml|html|css|js)\b", page.read_text("utf-8"))
    # In an installed package the price file lies beside the code.
    assert [name for name in named if name != "pipeline/prices.yaml" and not (ROOT / name).exists()] == []


def test_a_test_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"\b(tests/[\w/]+\.py)::(\w+)", page.read_text("utf-8"))
    assert [name for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")] == []


def test_the_columns_of_the_table_are_told_with_their_types() -> None:
    page = (ROOT / "docs" / "output.md").read_text("utf-8")
    rows = re.findall(r"^\| (`_[^|]*) \| ([^|]*) \|", page, re.MULTILINE)
    told = {name: kind.replace("\\", "").removesuffix("?") for names, kind in rows for name in re.findall(r"`(\w+)`", names)}
    types = {"list<item: string>": "list<string>", "timestamp[us, tz=UTC]": "timestamp[us, UTC]"}
    held = {field.name: types.get(str(field.type), str(field.type)) for field in OWN}
    assert {name: told.get(name) for name in held} == held
    code = (ROOT / "pipeline" / "write" / "table_columns.py").read_text("utf-8")
    assert [name for name in told if f'"{name}"' not in code] == [], "columns that only some jobs have stand in the code, too"


def test_each_status_is_told_but_the_one_that_no_finished_table_has() -> None:
    page = (ROOT / "docs" / "output.md").read_text("utf-8")
    table = page.partition("| status | meaning |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {*Status} - {Status.PENDING}


def test_an_error_that_another_room_makes_for_itself_is_not_told() -> None:
    class OfAnotherRoom(StorageFailed):
        pass

    assert OfAnotherRoom.__name__ not in reference.exit_codes()
    assert StorageFailed.__name__ in reference.exit_codes()
