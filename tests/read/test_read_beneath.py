"""Names in rows → files: what may be read, and what may not."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.read.beneath import Folder, Refused


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "a").mkdir(parents=True)
    (made / "a" / "file").write_bytes(b"held")
    (tmp_path / "outside").write_bytes(b"CANARY")
    return made


@pytest.mark.parametrize("name", ["a/file", "./a/file", "a/../a/file", "a//file"])
def test_a_file_below_the_root_is_read(root: Path, name: str) -> None:
    assert Folder(root).read(name, 4) == b"held"


def test_a_link_is_followed_where_it_stays_below_the_root(root: Path) -> None:
    (root / "link").symlink_to("a/file")
    (root / "folder").symlink_to(root / "a")
    assert Folder(root).read("link", 10) == Folder(root).read("folder/file", 10) == b"held"


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(root)
    assert Folder(tmp_path / "elsewhere").read("a/file", 10) == b"held"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../outside", "lies outside of"),
        ("a/../../outside", "lies outside of"),
        ("/etc/passwd", "must be a name below input.root"),
        ("~/file", "must be a name below input.root"),
        ("..\\outside", "must be a name below input.root"),
        ("file:///etc/passwd", "is a URL"),
        ("a/file\0.png", "has a NUL"),
        ("link", "lies outside of"),
        ("folder/outside", "lies outside of"),
        ("zero", "lies outside of"),
        ("loop", "cannot be read"),
        ("pipe", "is no regular file"),
        ("a", "is no regular file"),
        (".", "lies outside of"),
        ("none", "cannot be read below"),
        ("a/file/more", "cannot be read below"),
        ("x" * 300, "cannot be read below"),
        ("half \ud800", "cannot be read below"),
    ],
)
def test_anything_else_is_refused(root: Path, name: str, why: str) -> None:
    (root / "link").symlink_to("../outside")
    (root / "folder").symlink_to("..")
    (root / "zero").symlink_to("/dev/zero")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    with pytest.raises(Refused, match=why):
        Folder(root).read(name, 100)


UPWARD = (
    "..",
    "../.",
    ".. ",
    "..;",
    "....",
    "%2e%2e",
    "%252e%252e",
    ".%00.",
    "\uff0e\uff0e",
    "\u2025",
    "..\u200b",
    "\u202e..",
    "a/..",
    "A/..",
)
BETWEEN = ("/", "//", "/./", "\\", "\\/", "%2f", "%5c", "\u2215", "\uff0f", "/\0/", "/\n/")
TARGETS = (
    *("outside", "OUTSIDE", "outside\0.png", "outside%00.png", "outside/", "outside/.", "root/../outside", "outs\u0131de"),
    *(
        "etc/passwd",
        "proc/self/environ",
        "proc/self/mem",
        "proc/self/fd/0",
        "proc/self/root/etc/passwd",
        "proc/self/cwd/outside",
    ),
    *("dev/zero", "dev/stdin", "dev/fd/0", "sys/kernel/notes"),
)
BEFORE = (
    "",
    "/",
    "//",
    "./",
    "a/",
    "inside/",
    "up/",
    "file:",
    "file://",
    "\\\\?\\",
    "C:\\",
    "~",
    "~root/",
    "root/",
    " ",
    "\ufeff",
)


def test_no_spelling_of_a_way_out_is_one(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "inside").symlink_to("a")
    (root / "up").symlink_to("..")
    (root / "proc").symlink_to("/proc")
    os.mkfifo(root / "a" / "outside")
    monkeypatch.chdir(root)
    folder, reached = Folder(root), 0
    spellings = list(product(BEFORE, UPWARD, BETWEEN, TARGETS, (0, 1, 2, len(root.parts))))
    for before, upward, between, target, depth in Random(7).sample(spellings, 4_000):  # noqa: S311 no secret
        name = before + (upward + between) * depth + target
        reached += "\0" not in name and Path(f"{root}/{name}").is_file()
        with pytest.raises(Refused):
            folder.read(name, 1_000)
    assert reached > 20, "the corpus leads out wherever nobody looks"


def test_a_file_that_is_too_large_is_refused_unread(root: Path) -> None:
    with (root / "large").open("wb") as file:
        file.truncate(1 << 40)  # sparse: more than there is memory
    with pytest.raises(Refused, match="has 1,099,511,627,776 bytes, more than the 100 that are taken"):
        Folder(root).read("large", 100)
    with pytest.raises(Refused, match="more than the 3 "):
        Folder(root).read("a/file", 3)


def test_a_link_put_in_place_of_a_folder_after_the_check_is_not_followed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write below the root waits for the moment between check and use."""
    (tmp_path / "file").write_bytes(b"CANARY")
    real = os.path.realpath

    def swapped(path: str) -> str:
        found = real(path)
        if found.endswith("/a/file"):
            (root / "a").rename(root / "b")
            (root / "a").symlink_to(tmp_path)
        return found

    monkeypatch.setattr(os.path, "realpath", swapped)
    with pytest.raises(Refused, match="cannot be read below"):
        Folder(root).read("a/file", 100)


@given(st.text(st.sampled_from("./\\~a\0:outside%2e"), max_size=20))
def test_no_name_leads_out(name: str) -> None:
    root = Path(__file__).parent
    try:
        held = Folder(root).read(name, 1 << 20)
    except Refused:
        return
    assert any(path.read_bytes() == held for path in root.rglob("*") if path.is_file())
