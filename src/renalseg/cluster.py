"""A Ray cluster as a pool of workers (extra ``ray``).

A node that goes away costs what its workers had not yet written; Ray runs their work elsewhere, and
a training goes on from its last checkpoint. All nodes must see the same files under the same names.
"""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from renalseg.errors import WorkerError

#: How often Ray runs a piece of work again whose worker or node was lost.
RETRIES = 5
_ANSWER_SECONDS = 10
#: Ray adds 66 bytes and more to the folder for temporary files.
_LONGEST_TEMPORARY = 38
_SHORT_TEMPORARY = "/tmp/ray"  # noqa: S108  # Ray's own default


class Cluster(Executor):
    """Runs functions on the nodes of a Ray cluster, one per GPU, or per share of the cores."""

    def __init__(self, gpus: int = 0, cores: int = 1) -> None:
        """Take the resources of each function; the connection must be open.

        Args:
            gpus: GPUs that each needs.
            cores: Cores that each needs.
        """
        import ray

        self.has_gpus = ray.cluster_resources().get("GPU", 0) > 0
        self._call = ray.remote(_call).options(
            num_gpus=gpus if self.has_gpus else 0, num_cpus=cores, max_retries=RETRIES
        )

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function on some node."""
        outer: Future[Any] = Future()
        outer.set_running_or_notify_cancel()

        def settle(inner: Future[Any]) -> None:
            error = inner.exception()
            if error is None:
                outer.set_result(inner.result())
            else:
                outer.set_exception(getattr(error, "cause", None) or error)

        self._call.remote(fn, args, kwargs).future().add_done_callback(settle)
        return outer


@contextmanager
def cluster(address: str, *, gpus: int = 1, cores: int = 1) -> Iterator[Cluster]:
    """Connect to a Ray cluster; what still runs when the block is left by an error is stopped.

    Args:
        address: As for ``ray.init``: ``auto``, ``HOST:PORT``, or ``local`` to start one here.
        gpus: GPUs for each piece of work, where the cluster has any.
        cores: Cores for each.

    Raises:
        WorkerError: If Ray is not installed, or there is no such cluster.
    """
    if find_spec("ray") is None:
        raise WorkerError("Ray is not installed; pip install 'renalseg[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report to its makers
    import ray

    try:
        _knock(address)
        more = {"_temp_dir": _SHORT_TEMPORARY} if address == "local" and _is_long() else {}
        ray.init(address, log_to_driver=False, configure_logging=False, **more)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WorkerError(
            f"{address}: no Ray cluster there ({reason}); start one with `ray start --head`"
        ) from error
    try:
        yield Cluster(gpus, cores)
    finally:
        ray.shutdown()


def _is_long() -> bool:
    """Whether Ray's sockets would have longer names than a system allows (107 bytes)."""
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return len(os.fsencode(folder)) > _LONGEST_TEMPORARY


def _knock(address: str) -> None:
    """Refuse an address where nobody answers, for which Ray would wait minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "//" not in address:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)
