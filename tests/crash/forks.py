"""`python -m tests.crash.forks`: a process that has imported the program and forks a run of it for each line it reads.

A start of `python -m pipeline run` takes 2.5 s of CPU, nearly all of it imports (measured 2026-11): a thousand kills would
take an hour. A forked run begins where those imports end, and from there on is the program as it is, from its command line to
its exit code.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import sys
from typing import Any, NoReturn

import anthropic.resources.messages  # noqa: F401 the SDK imports its parts late

import pipeline.call.client
import pipeline.commands.run
import pipeline.write.table_parquet  # noqa: F401
from pipeline import cli
from tests.crash.deaths import Circumstances, Death


def main() -> None:
    """Reads {"warm": folder}, {"start": {…}} or {"wait": pid}, one a line; answers each with a line holding one number.

    When there is nothing more to read, what still runs is killed.
    """
    faulthandler.enable()
    running: set[int] = set()
    for line in sys.stdin:
        match json.loads(line):
            case {"warm": folder}:
                # What is made at first use, such as the SDK's models, is made once for all.
                os.chdir(folder)
                tell(cli.exit_code(["run", "job.yaml", "--quiet"]))
                gc.collect()
                gc.freeze()
            case {"start": order}:
                pid = os.fork()
                if pid == 0:
                    become(order)
                running.add(pid)
                tell(pid)
            case {"wait": int(pid)}:
                tell(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                running.discard(pid)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def tell(number: int) -> None:
    os.write(1, f"{number}\n".encode())


def become(order: dict[str, Any]) -> NoReturn:
    """Turns a fresh fork into a run of the program."""
    os.chdir(order["folder"])
    for handle, path in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        opened = os.open(path, os.O_RDONLY if handle == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, handle)
        os.close(opened)
    if order["gate"] is not None:
        os.close(os.open(order["gate"], os.O_RDONLY))  # a FIFO: opens for all at once
    death = order["death"]
    Circumstances(None if death is None else Death(**death), order["largest_file"]).arrange()
    sys.argv = ["pipeline", *order["arguments"]]
    cli.main()


if __name__ == "__main__":
    main()
