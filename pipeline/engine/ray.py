"""A Ray cluster, as far as this program uses it: looked at, and actors on its nodes. The one file that imports Ray.

Ray places processes and carries bytes. It never repeats a call (each may be billed), starts nothing again by itself, and
stores nothing: actors end with the run's own process, whatever ends that.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pipeline.engine.senders import Gone
from pipeline.errors import AccountRefused, ConfigInvalid, ServiceDown
from pipeline.settings import is_loopback

if TYPE_CHECKING:
    from ray.actor import ActorHandle

T = TypeVar("T")

AUTO = "auto"
REACH_S = 10.0
LOOK_S = 60.0
"""How long the nodes may take to say what they are: each starts a Python for it."""
CALLS = 8
"""Of one actor at a time. Requests are no calls: as many as are given to it are out at once."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A node of the cluster that is alive."""

    id: str
    address: str
    cpus: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """One that this process has joined."""

    address: str
    version: str

    @property
    def machines(self) -> list[Machine]:
        """Those that are alive."""
        import ray

        return [
            Machine(node["NodeID"], node["NodeManagerAddress"], node["Resources"].get("CPU", 0.0))
            for node in ray.nodes()
            if node["Alive"]
        ]

    def look(self, about: Callable[[], T], machines: Sequence[Machine]) -> dict[Machine, T | str | None]:
        """What a function of this package says on each of them; in words, why it cannot. None: there was no answer, since it
        takes a while until the cluster knows that a machine is gone. Waits for no free CPU."""
        import ray
        from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        def asked(machine: Machine) -> Any:
            there = NodeAffinitySchedulingStrategy(machine.id, soft=False)
            return ray.remote(about).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote()

        said: dict[Machine, T | str | None] = {}
        references = {machine: asked(machine) for machine in machines}
        if references:
            ray.wait([*references.values()], num_returns=len(references), timeout=LOOK_S)
        for machine, reference in references.items():
            try:
                said[machine] = ray.get(reference, timeout=1.0)
            except (RayTaskError, RuntimeEnvSetupError) as error:
                said[machine] = _last_line(error)
            except RayError:  # also one that says that time is up
                said[machine] = None
        return said

    def actor(self, kind: Callable[[], object]) -> Actor:
        """A new actor, spread over the nodes, once there is a CPU free; returns at once. `kind` is a class of this
        package, which every node imports for itself. Raises Gone."""
        import ray
        from ray.exceptions import RayError

        options = {
            "num_cpus": 1,
            "max_concurrency": CALLS,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
        }
        if not ray.is_initialized():  # Ray would start a cluster of its own here
            raise Gone("the connection to the cluster is lost")
        try:
            return Actor(ray.remote(kind).options(**options).remote())
        except (RayError, ConnectionError) as error:
            raise Gone(_words(error)) from None


@dataclass(frozen=True, slots=True)
class Actor:
    """A process on some node. What was asked of it when it ends may or may not have been done."""

    handle: ActorHandle[Any]

    async def call(self, method: str, *arguments: bytes | float) -> Any:
        """What the method returns. Raises Gone."""
        from ray.exceptions import RayError

        try:
            return await getattr(self.handle, method).remote(*arguments)
        except (RayError, ConnectionError) as error:  # the second by ray://, when the head is gone
            raise Gone(_words(error)) from None

    def kill(self) -> None:
        import ray

        try:
            ray.kill(self.handle)
        except Exception as error:  # noqa: BLE001 it is gone, or the cluster is; then nothing of it is left to end
            logging.getLogger("pipeline").debug("an actor could not be ended: %s", type(error).__name__)


@contextmanager
def joined(address: str) -> Iterator[Cluster]:
    """Connects this process to a cluster: `auto` for the one that this machine is part of, host:port, or ray://host:port.

    Raises ConfigInvalid where Ray is not installed or does not fit, AccountRefused where the cluster wants another token,
    ServiceDown where there is none. A connection that this process has already, in a notebook for example, is used and stays.
    """
    ray = _imported()
    from ray.exceptions import AuthenticationError

    if ray.is_initialized():
        yield Cluster(ray.get_runtime_context().gcs_address, ray.__version__)
        return
    _refuse_unreachable(address)
    with _as_before():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
        except AuthenticationError as error:
            raise AccountRefused(
                f"run.ray: {address}: the cluster refuses: {_last_line(error)}",
                todo="give this machine the token of the cluster (RAY_AUTH_TOKEN), not the key of the API, then run again",
            ) from error
        except RuntimeError as error:  # another version of Ray or Python
            raise ConfigInvalid(f"run.ray: {address}: {_last_line(error)}") from error
        except (ConnectionError, ValueError) as error:
            raise _no_cluster(address, _last_line(error)) from error
    try:
        yield Cluster(address, ray.__version__)
    finally:
        ray.shutdown()


def _imported() -> Any:
    before = sys.excepthook
    try:
        import ray
        import ray._private.worker as worker
    except ImportError as error:
        raise ConfigInvalid(
            "run.engine: ray needs Ray, which is not installed here",
            todo="pip install 'pipeline[ray]' here and on every node of the cluster, or set run.engine to local",
        ) from error
    finally:
        sys.excepthook = before  # Ray's own would send tracebacks to the cluster
    # Ray tells of the death of a node on standard output, where --json prints its one line, whatever log_to_driver says
    # (2.60). This switch is the one of its debugger.
    worker._worker_logs_enabled = False
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what concerns a run is raised
    return ray


@contextmanager
def _as_before() -> Iterator[None]:
    """Signals mean what they meant: Ray takes SIGTERM for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:  # what Ray's own handler makes of it, amid the connecting
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_unreachable(address: str) -> None:
    """Ray itself would try for minutes."""
    if address == AUTO:
        return
    where = urlsplit(address if "://" in address else f"//{address}")
    host = where.hostname or ""
    if is_loopback(host) and not where.scheme:
        from ray.util import get_node_ip_address

        host = get_node_ip_address()  # for which Ray takes it
    try:
        socket.create_connection((host, where.port or 0), REACH_S).close()
    except OSError as error:
        raise _no_cluster(address, error.strerror or str(error)) from error


def _no_cluster(address: str, why: str) -> ServiceDown:
    if address == AUTO:
        return ServiceDown(
            "run.ray: this machine is part of no Ray cluster",
            todo="start one (ray start --head), or name its address in run.ray or RAY_ADDRESS",
        )
    return ServiceDown(
        f"run.ray: there is no Ray cluster at {address}: {why}",
        todo="start it, or mend run.ray or RAY_ADDRESS, then run the same command again: finished rows are kept",
    )


def _words(error: Exception) -> str:
    """What has become of an actor. Ray's own text goes on for a page."""
    text = str(error)
    for says, words in (
        ("node has died", "its node has died"),
        ("worker process has died", "its process has died"),
        ("out of memory", "the node ran out of memory"),
        ("ray.kill", "it was killed"),
        ("unavailable", "it cannot be reached"),
    ):
        if says in text:
            return words
    return _last_line(error)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
