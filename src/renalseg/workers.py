"""Processes that share a machine's cores.

Small networks keep one core busy and not two, so on a CPU trainings, predictions and scores run
side by side. A worker leaves with the process that started it, even if that is killed: the next
run must not find somebody still writing.
"""

import multiprocessing
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread
from typing import Any

from renalseg.errors import WorkerError
from renalseg.notices import show_warnings_as_lines


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
    """Two on a CPU with two cores or more, whose memory holds two trainings; one per GPU."""
    return min(2, cores()) if device == "cpu" else max(1, len(visible_gpus(device)))


def visible_gpus(device: str) -> list[str]:
    """The GPUs that workers on a device may be given, as CUDA numbers them.

    Args:
        device: ``cuda`` has all that this process sees; any other device has none to choose from.
    """
    if device != "cuda":
        return []
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(n) for n in range(torch.cuda.device_count())]


class Pool(Executor):
    """Processes of this machine; a lost one costs what it did, and is replaced on request."""

    def __init__(self, workers: int, gpus: Sequence[str] = ()) -> None:
        """Start workers.

        Args:
            workers: Number of processes; each has its share of the cores.
            gpus: Each worker sees one of these, as CUDA numbers them; they are dealt in turn.
        """
        self._workers, self._gpus = workers, gpus
        self._before = set(multiprocessing.active_children())
        self._pool = self._open()

    def _open(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        dealt = context.SimpleQueue()
        for number in range(self._workers if self._gpus else 0):
            dealt.put(self._gpus[number % len(self._gpus)])
        threads = max(1, cores() // self._workers)
        start = (threads, dealt if self._gpus else None)
        return ProcessPoolExecutor(self._workers, context, _begin, start)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in a worker."""
        return self._pool.submit(_call, fn, args, kwargs)

    def restart(self) -> None:
        """Replace all workers, after one was lost."""
        self.kill()
        self._pool = self._open()

    def kill(self) -> None:
        """Stop what runs."""
        for child in set(multiprocessing.active_children()) - self._before:
            child.kill()
        self._pool.shutdown(cancel_futures=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


@contextmanager
def worker_pool(workers: int, gpus: Sequence[str] = ()) -> Iterator[Executor]:
    """Start workers; what still runs when the block is left by an error is stopped.

    Args:
        workers: Number of processes; each has its share of the cores. One works in this process.
        gpus: What each worker sees of the machine's GPUs, in turn.

    Raises:
        WorkerError: If a worker was killed.
    """
    if workers == 1:
        yield Serial()
        return
    pool = Pool(workers, gpus)
    try:
        yield pool
    except BaseException as error:
        pool.kill()
        if isinstance(error, BrokenProcessPool):
            raise WorkerError(
                "a worker was killed, most likely for lack of memory; run again with --jobs 1"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function; an error that cannot be sent to the parent is replaced by its description.

    The parent would otherwise take the worker for killed.
    """
    try:
        return fn(*args, **kwargs)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
        except Exception:
            text = "".join(traceback.format_exception(error))
            raise RuntimeError(f"{type(error).__name__} in a worker:\n{text}") from None
        raise


def _begin(threads: int, gpus: Any) -> None:
    """Prepare a worker: its share of cores, no Ctrl-C of its own, no life without its parent."""
    show_warnings_as_lines()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before anything loads OpenMP
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus.get()  # before anything loads CUDA
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_with_parent()


def leave_with_parent() -> None:
    """End this process when the one that started it has ended, even by a kill."""
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
