"""A worker by itself: what it does when it cannot work, and when nobody is there any more. That it works, whole runs show."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

from pipeline.call.frames import Ask, Begin, Here, framed
from pipeline.call.workers import COMMAND
from tests.api import Asked, Canned, message, serving
from tests.call.test_workers import ACCESS


def test_one_that_cannot_make_its_client_says_why_and_ends(tmp_path: Path) -> None:
    """In whatever folder: a file there that is called like a module is not imported."""
    (tmp_path / "orjson.py").write_text("raise SystemExit('not yours')")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        environment = {**os.environ, "ANTHROPIC_API_KEY": "no key at all"}
        process = subprocess.Popen(COMMAND, stdin=theirs.fileno(), stderr=subprocess.PIPE, env=environment, cwd=tmp_path)
        ours.sendall(b"".join(framed(Begin(replace(ACCESS, keyless=False)))))
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith(b"pipeline.errors.AccountRefused: ")


def test_one_ignores_signals_and_ends_with_the_run_whatever_it_has_out() -> None:
    ours, theirs = socket.socketpair()

    def script(asked: Asked) -> Canned:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        alive.append(process.poll() is None)
        ours.close()
        return Canned(200, message("x").body, wait_s=0.5)

    alive: list[bool] = []
    with ours, theirs, serving(script) as api:
        process = subprocess.Popen(COMMAND, stdin=theirs.fileno(), stderr=subprocess.PIPE)
        theirs.close()
        ours.sendall(b"".join(framed(Begin(replace(ACCESS, base_url=api.url)))))
        assert ours.recv(100) == b"".join(framed(Here()))
        ours.sendall(b"".join(framed(Ask(1, b'{"model":"m","max_tokens":9,"messages":[]}'))))
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said, alive) == (0, b"", [True])
