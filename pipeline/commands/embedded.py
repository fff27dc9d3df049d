"""The embedded server as its own process, for the length of one run (`call.base_url: local`)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipeline.errors import ConfigInvalid

STOP_S = 10.0
SMALL_MODEL = "smollm2-135m"
REHEARSAL = "rehearsal"


def served(model: str) -> str:
    """The local model that answers for a model name: the small one for itself, the rehearsal for every other."""
    return SMALL_MODEL if model == SMALL_MODEL else REHEARSAL


@contextmanager
def running(model: str, faults: str | None = None) -> Iterator[str]:
    """Starts `pipeline serve` on a free loopback port and gives its base URL; stops it at the end.

    `faults` is the path of the file that tells a rehearsal how to go.

    It runs in a session of its own, so that ctrl-C on a terminal reaches only the run, which still needs it while it drains;
    and it ends with its standard input, so that it never outlives a run that was killed. Raises ConfigInvalid with what it
    said if it does not start.
    """
    command = [sys.executable, "-P", "-m", "pipeline", "serve", "--model", served(model), "--port", "0", "--until-eof"]
    command += [] if faults is None else ["--faults", faults]
    with tempfile.TemporaryFile() as said:
        server = subprocess.Popen(  # noqa: S603 our own interpreter and our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True
        )
        if server.stdin is None or server.stdout is None:
            raise AssertionError("both were asked for")
        try:
            base_url = server.stdout.readline().strip()
            if not base_url.startswith("http://127.0.0.1:"):
                server.wait()
                said.seek(0)
                raise ConfigInvalid(
                    f"the embedded server did not start:\n{said.read().decode('utf-8', 'replace').strip()[-2000:]}",
                    todo="mend what it says, or set call.base_url to another server",
                )
            yield base_url
        finally:
            with suppress(BrokenPipeError):
                server.stdin.close()
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            server.stdout.close()
