import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from renalseg.errors import WorkerError
from renalseg.experiment.steps import Step, run_steps
from renalseg.workers import Serial, default_workers, worker_pool


def run(steps, pool, failures=None):
    order, found = [], {} if failures is None else failures
    run_steps(steps, pool, order.append, lambda: None, found.__setitem__)
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
def test_an_error_takes_with_it_what_needs_it_and_no_more(workers):
    log, failures = [], {}
    steps = [
        Step("a", int, ("x",)),
        Step("b", log.append, ("b",), frozenset({"a"})),
        Step("c", log.append, ("c",), frozenset({"b"})),
        Step("d", log.append, ("d",)),
    ]
    with ThreadPoolExecutor(workers) if workers else Serial() as pool:
        assert run(steps, pool, failures) == ["d"]
    assert log == ["d"]
    assert sorted(failures) == ["a", "b", "c"]
    assert isinstance(failures["a"], ValueError)
    assert str(failures["b"]) == "not begun, as this failed: a"


def abort_the_first_time(marker):
    if not marker.exists():
        marker.touch()
        os.abort()


def test_a_step_whose_worker_was_lost_is_tried_again(tmp_path):
    failures = {}
    steps = [
        Step("a", abort_the_first_time, (tmp_path / "a",)),
        Step("b", os.getpid, (), frozenset({"a"})),
    ]
    with worker_pool(2) as pool:
        assert run(steps, pool, failures) == ["a", "b"]
    assert failures == {}


def test_a_step_that_always_loses_its_worker_fails_alone(tmp_path):
    failures = {}
    steps = [
        Step("a", os.abort, ()),
        Step("b", os.getpid, (), frozenset({"c"})),
        Step("c", os.getpid, ()),
    ]
    with worker_pool(2) as pool:
        done = run(steps, pool, failures)
    assert set(failures) == {"a"}
    assert set(done) == {"b", "c"}


def test_every_worker_sees_one_gpu(tmp_path):
    with worker_pool(3, gpus=["4", "7"]) as pool:
        futures = [pool.submit(gpu_when_all_are_there, tmp_path, 3) for _ in range(3)]
        assert sorted(future.result() for future in futures) == ["4", "4", "7"]


def gpu_when_all_are_there(folder, count):
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < count:
        time.sleep(0.01)
    return os.environ["CUDA_VISIBLE_DEVICES"]


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
