"""A worker by itself: what it does when it cannot work, and when nobody is there any more. That it works, whole runs show."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

from pipeline.call.caller import Broken, Response
from pipeline.call.frames import Ask, Begin, Here, Told, Unframing, framed
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


def test_a_bug_costs_its_own_request_only_and_is_told_without_the_document() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, serving(lambda _: message("x")) as api:
        process = subprocess.Popen(COMMAND, stdin=theirs.fileno(), stderr=subprocess.PIPE)
        theirs.close()
        no_request, request = b'{"messages":"secret"}', b'{"model":"m","max_tokens":9,"messages":[]}'
        for frame in (Begin(replace(ACCESS, base_url=api.url)), Ask(1, no_request), Ask(2, request)):
            ours.sendall(b"".join(framed(frame)))
        unframing, told = Unframing(), dict[int, Response | Broken]()
        while len(told) < 2:
            told |= {frame.number: frame.result for frame in unframing.fed(ours.recv(1 << 16)) if isinstance(frame, Told)}
        ours.close()
        _, said = process.communicate(timeout=60)
    assert told[1] == Broken(sent=True, error="the worker met a KeyError", latency_s=0.0)
    assert isinstance(told[2], Response)
    assert (process.returncode, said) == (0, b"")
