"""Which cluster, how many workers, and which nodes may not send for a run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.call.caller import Access
from pipeline.commands.account import account
from pipeline.commands.cluster import address, most, unfit
from pipeline.commands.node import Facts
from pipeline.config.parse import parse
from pipeline.engine.ray import Machine
from pipeline.errors import AccountRefused, ConfigInvalid
from pipeline.settings import Job
from tests.jobs import KEY, JobFolder

ACCESS = Access("https://api.anthropic.com", False, 120.0, 1000, True, 21_333, "2026-10-21")
HERE: Facts = {"host": "head", "pipeline": "1.2.0", "anthropic": "2.12.0", "account": "c86f71c0"}
CONFIG = """\
name: reviews
input: {path: a.csv}
schema: s.json
prompt: {user: "{{ text }}"}
model: {name: claude-haiku-5-5}
output: {path: out.parquet}
run: {engine: ray}
"""


def job(*overrides: str) -> Job:
    return parse(CONFIG, "job.yaml", overrides)


def machines(number: int, cpus: float = 4.0) -> list[Machine]:
    return [Machine(f"id{count}", f"10.0.0.{count}", cpus) for count in range(number)]


def said(*answers: Facts | str, access: Access = ACCESS) -> object:
    return unfit(dict(zip(machines(len(answers)), answers, strict=True)), HERE, access)


@pytest.mark.parametrize("where", ["auto", "10.0.0.1:6379", "ray://head.example.com:10001", "[::1]:6379"])
def test_addresses_of_clusters(where: str) -> None:
    assert job(f"run.ray='{where}'").run.ray == where


@pytest.mark.parametrize(
    "where", ["10.0.0.1", "ray://", "http://head:1", "ray://user:word@head:1", "head:1/x", "head:99999", "local", ""]
)
def test_what_is_no_address_is_refused(where: str) -> None:
    with pytest.raises(ConfigInvalid, match="expected auto, host:port or ray://host:port"):
        job(f"run.ray='{where}'")


def test_the_config_names_the_cluster_then_the_environment_then_ray_finds_it() -> None:
    assert address(job("run.ray=a:1"), {"RAY_ADDRESS": "b:2"}) == "a:1"
    assert address(job(), {"RAY_ADDRESS": "b:2"}) == "b:2"
    assert address(job(), {"RAY_ADDRESS": ""}) == "auto"


@pytest.mark.parametrize(
    ("workers", "nodes", "cpus", "concurrency", "expected"),
    [
        ("7", 2, 4.0, 1000, 7),
        ("auto", 5, 4.0, 1000, 5),
        ("auto", 1, 16.0, 3000, 6),
        ("auto", 1, 2.0, 3000, 2),
        ("auto", 1, 16.0, 100, 1),
        ("auto", 0, 0.0, 1000, 1),
        ("auto", 500, 4.0, 1000, 64),
    ],
)
def test_workers(workers: str, nodes: int, cpus: float, concurrency: int, expected: int) -> None:
    access = replace(ACCESS, connections=concurrency)
    assert most(job(f"run.workers={workers}"), access, machines(nodes, cpus)) == expected


def test_nodes_like_this_machine_are_fit() -> None:
    assert said({**HERE, "host": "a"}, {**HERE, "host": "b"}) is None
    assert said() is None


def test_all_that_is_wrong_is_told_at_once() -> None:
    error = said(
        {**HERE, "host": "a", "pipeline": "1.1.0", "anthropic": "2.13.0"},
        {**HERE, "host": "b", "account": None},
        "ModuleNotFoundError: No module named 'pipeline'",
    )
    assert isinstance(error, ConfigInvalid)
    assert error.message.splitlines() == [
        "nodes of the cluster cannot send for this run:",
        "  10.0.0.0 (a) has pipeline 1.1.0, here it is 1.2.0",
        "  10.0.0.0 (a) has anthropic 2.13.0, here it is 2.12.0",
        "  10.0.0.2: ModuleNotFoundError: No module named 'pipeline'",
        "  10.0.0.1 (b) has no key in its environment",
    ]


@pytest.mark.parametrize(
    ("theirs", "words"),
    [(None, "has no key in its environment"), ("ab12cd34", "has another key (ab12cd34) than this machine (c86f71c0)")],
)
def test_a_node_with_another_key_would_ask_on_another_account(theirs: str | None, words: str) -> None:
    error = said(HERE, {**HERE, "host": "b", "account": theirs})
    assert isinstance(error, AccountRefused)
    assert error.message.splitlines()[1:] == [f"  10.0.0.1 (b) {words}"]


def test_a_server_without_keys_needs_none_on_the_nodes() -> None:
    assert said({**HERE, "account": None}, access=replace(ACCESS, keyless=True)) is None


def test_a_server_of_this_machine_cannot_be_reached_from_another() -> None:
    access = replace(ACCESS, base_url="http://127.0.0.1:8000", keyless=True)
    error = said(HERE, {**HERE, "host": "b"}, access=access)
    assert isinstance(error, ConfigInvalid)
    assert "10.0.0.1 (b) cannot reach http://127.0.0.1:8000" in error.message
    assert "10.0.0.0" not in error.message


def test_what_stands_for_a_key_does_not_show_it() -> None:
    assert account({}) is None
    assert account({"ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": KEY}) == account({"ANTHROPIC_API_KEY": KEY}) == "c86f71c0"
    assert account({"ANTHROPIC_API_KEY": f"{KEY}2"}) != "c86f71c0"


def test_without_ray_the_run_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = JobFolder(tmp_path / "job", ["good"], "http://127.0.0.1:9", run={"engine": "ray"}).do("run")
    assert ended.code == 78
    assert ended.err.splitlines()[-2:] == [
        "pipeline: run.engine: ray needs Ray, which is not installed here",
        "what to do: pip install 'pipeline[ray]' here and on every node of the cluster, or set run.engine to local",
    ]
