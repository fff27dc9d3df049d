"""The wheel holds all that runs, the archive of sources all that the repository holds. `make dist` installs and uses both."""

from __future__ import annotations

import email
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import pipeline


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    folder: Path = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True)
    return folder


@pytest.fixture
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture
def metadata(wheel: zipfile.ZipFile) -> Message:
    return email.message_from_bytes(wheel.read(f"pipeline-{pipeline.__version__}.dist-info/METADATA"))


def test_the_wheel_holds_every_file_of_the_package_and_the_prices(wheel: zipfile.ZipFile, checkout: Path) -> None:
    files = {path for path in (checkout / "pipeline").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    held = {name for name in wheel.namelist() if not name.startswith(f"pipeline-{pipeline.__version__}.dist-info/")}
    assert held == {str(path.relative_to(checkout)) for path in files} | {"pipeline/prices.yaml"}
    assert "pipeline/py.typed" in held
    assert wheel.read("pipeline/prices.yaml") == (checkout / "configs" / "prices.yaml").read_bytes()


def test_the_archive_of_sources_holds_all_that_the_repository_holds(built: Path, checkout: Path) -> None:
    """Tests, docs, samples, the lock and the gate with it: what is unpacked can be tested as a clone can."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        pytest.skip("no clone of the repository")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=checkout, check=True, capture_output=True, text=True).stdout
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    there = {name for name in listed.split("\0") if name and (checkout / name).exists()}
    assert there - held == set()
    assert held - there <= {"PKG-INFO"} | _new(checkout, git)


def _new(checkout: Path, git: str) -> set[str]:
    """Files that are not committed yet and will be."""
    command = [git, "ls-files", "-z", "--others", "--exclude-standard"]
    return set(subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True).stdout.split("\0"))


def test_version_licence_and_readme_come_from_one_place_each(metadata: Message, wheel: zipfile.ZipFile, checkout: Path) -> None:
    assert metadata["Version"] == pipeline.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    (licence,) = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    assert wheel.read(licence) == (checkout / "LICENSE").read_bytes()
    readme = metadata.get_payload(decode=True)
    assert isinstance(readme, bytes)
    assert readme.decode() == (checkout / "README.md").read_text("utf-8")


def test_a_released_version_is_told_in_the_changelog(checkout: Path) -> None:
    heads = re.findall(r"(?m)^## \[?([^\]\s]+)", (checkout / "CHANGELOG.md").read_text("utf-8"))
    assert heads[0] in ("Unreleased", pipeline.__version__)


def test_the_versions_of_python_that_are_named_are_the_same_everywhere(metadata: Message, checkout: Path) -> None:
    """README, metadata and lint; which of them are tested, and how, stands in CONTRIBUTING.md."""
    named = [one.rpartition(" ")[2] for one in metadata.get_all("Classifier", []) if re.search(r"Python :: \d\.\d+$", one)]
    assert f"Python {named[0]} to {named[-1]}" in (checkout / "README.md").read_text("utf-8")
    assert f"Python {named[0]} to {named[-1]}" in (checkout / "CONTRIBUTING.md").read_text("utf-8")
    assert metadata["Requires-Python"] == f">={named[0]}"
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["ruff"]["target-version"] == f"py{named[0].replace('.', '')}"
