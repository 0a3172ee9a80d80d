"""Processes that share a machine's cores.

Small networks keep one core busy and not two, so on a CPU trainings, predictions and scores run
side by side. A worker leaves with the process that started it, even if that is killed: the next
run must not find somebody still writing.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread
from typing import Any

from renalseg.errors import WorkerError


class Serial(Executor):
    """Runs everything at once and in this process, as a GPU wants it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function now."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers(device: str) -> int:
    """Two on a CPU with two cores or more, whose memory holds two trainings; one on a GPU."""
    return min(2, cores()) if device == "cpu" else 1


@contextmanager
def worker_pool(workers: int) -> Iterator[Executor]:
    """Start workers; what still runs when the block is left by an error is stopped.

    Args:
        workers: Number of processes; each has its share of the cores. One works in this process.

    Raises:
        WorkerError: If a worker was killed.
    """
    if workers == 1:
        yield Serial()
        return
    threads = max(1, cores() // workers)
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _begin, (threads,))
    try:
        yield pool
    except BaseException as error:
        for child in set(multiprocessing.active_children()) - before:
            child.kill()
        if isinstance(error, BrokenProcessPool):
            raise WorkerError(
                "a worker was killed, most likely for lack of memory; run again with --workers 1"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(threads: int) -> None:
    """Prepare a worker: its share of cores, no Ctrl-C of its own, no life without its parent."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before anything loads OpenMP
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
