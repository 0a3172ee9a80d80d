import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from renalseg.errors import WorkerError
from renalseg.experiment.steps import Step, run_steps
from renalseg.workers import Serial, default_workers, worker_pool


def run(steps, pool):
    order = []
    run_steps(steps, pool, order.append, lambda: None)
    return order


@pytest.mark.parametrize("workers", [0, 3])
def test_a_step_comes_after_what_it_needs(workers):
    log = []
    steps = [
        Step("c", log.append, ("c",), frozenset({"a", "b"})),
        Step("a", log.append, ("a",)),
        Step("b", log.append, ("b",), frozenset({"a", "done long ago"})),
    ]
    with ThreadPoolExecutor(workers) if workers else Serial() as pool:
        assert run(steps, pool) == ["a", "b", "c"]
    assert log == ["a", "b", "c"]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_ends_the_run(workers):
    log = []
    steps = [Step("a", int, ("x",)), Step("b", log.append, ("b",), frozenset({"a"}))]
    with (
        ThreadPoolExecutor(workers) if workers else Serial() as pool,
        pytest.raises(ValueError, match="invalid literal"),
    ):
        run(steps, pool)
    assert log == []


def test_workers_share_the_cores_and_ignore_ctrl_c():
    with worker_pool(2) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
        threads = pool.submit(os.getenv, "OMP_NUM_THREADS").result()
        assert int(threads) == max(1, os.cpu_count() // 2)
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN


def test_one_worker_is_this_process():
    with worker_pool(1) as pool:
        assert pool.submit(os.getpid).result() == os.getpid()


def interrupt_a_long_job():
    with worker_pool(2) as pool:
        pool.submit(os.getpid).result()
        pool.submit(time.sleep, 600)
        raise KeyboardInterrupt


def test_an_interrupt_does_not_wait_for_what_still_runs():
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupt_a_long_job()
    assert time.monotonic() - began < 300


def test_killed_worker_is_one_line():
    with pytest.raises(WorkerError, match="lack of memory"), worker_pool(2) as pool:
        pool.submit(os.abort).result()


def test_a_gpu_has_one_worker():
    assert default_workers("cuda") == 1
    assert default_workers("cpu") >= 1
