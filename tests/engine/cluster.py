"""A Ray cluster of several nodes on this machine: `python -m tests.engine.cluster`, a process of its own.

Ray takes signals, standard output and warnings of the process that it is started in for itself; so no test imports it. Nodes
have the key in their environment, as those of a real cluster; each is a raylet with its own workers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.jobs import KEY
from tests.processes import children

CHECKOUT = Path(__file__).parents[2]


class Nodes:
    """The cluster, from outside."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.folder = folder
        """Where Ray writes its logs and spills objects."""
        self.address = self.say("start")
        """host:port."""

    def say(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())  # type: ignore[no-any-return]

    def kill_node(self) -> None:
        """The one that was added last, with all that runs there, as by SIGKILL."""
        self.say("kill")

    def add_node(self) -> None:
        self.say("add")

    def workers(self) -> list[int]:
        """Pids of our actors, on all nodes."""
        return sorted(
            pid for parent in [self._process.pid, *_below(self._process.pid)] for pid in children(parent, "ray::Node")
        )

    def kill_workers(self) -> None:
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)

    def stored(self) -> int:
        """Bytes in the object stores of all nodes."""
        return int(self.say("stored"))


def _below(pid: int) -> Iterator[int]:
    for child in children(pid, ""):
        yield child
        yield from _below(child)


@contextmanager
def nodes() -> Iterator[Nodes]:
    """Two, of two CPUs each."""
    folder = Path(mkdtemp(prefix="ray-", dir="/tmp"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "RAY_"))}
    environment |= {
        "ANTHROPIC_API_KEY": KEY,
        "PYTHONPATH": str(CHECKOUT),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.cluster", str(folder)],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # for runs, too: from Ray 2.61 on a cluster has a token of its own
        yield Nodes(process, folder)
        assert process.stdin is not None
        process.stdin.close()
    rmtree(folder, ignore_errors=True)


def main() -> None:
    """Reads a command a line, answers each with a line of JSON; ends with its input."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints
    from ray._common.utils import get_default_ray_temp_dir
    from ray.cluster_utils import Cluster

    cluster: Any = None
    node = {"num_cpus": 2, "object_store_memory": 80 << 20}
    added: list[Any] = []
    for command in sys.stdin:
        answer: object = None
        match command.strip():
            case "start":
                Path(get_default_ray_temp_dir()).mkdir(
                    parents=True, exist_ok=True
                )  # where Cluster notes its address, come what may
                cluster = Cluster(True, head_node_args={**node, "include_dashboard": False, "temp_dir": sys.argv[1]})
                added.append(cluster.add_node(**node))
                answer = cluster.address
            case "add":
                added.append(cluster.add_node(**node))
            case "kill":
                cluster.remove_node(added.pop(), allow_graceful=False)
            case "stored":
                answer = _stored(cluster.address)
        print(json.dumps(answer), file=out, flush=True)
    cluster.shutdown()


def _stored(address: str) -> int:
    import ray
    from ray._private.internal_api import node_stats

    ray.init(address, log_to_driver=False)
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
        stats = [node_stats(node["NodeManagerAddress"], node["NodeManagerPort"]) for node in alive]
        return sum(one.store_stats.object_store_bytes_used for one in stats)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
