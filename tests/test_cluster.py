"""Steps on a Ray cluster of two nodes on this machine."""

import os
import sys
import time

import pytest
import ray
from ray.cluster_utils import Cluster as LocalCluster

from renalseg.cluster import cluster
from renalseg.errors import WorkerError
from renalseg.experiment.steps import Step, run_steps

# the nodes do not find this file
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def address(ray_lock):
    with ray_lock:
        yield from _cluster()


def _cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    yield nodes.address
    nodes.shutdown()


def run(steps, pool):
    done, failures = [], {}
    run_steps(steps, pool, done.append, lambda: None, failures.__setitem__)
    return done, failures


def where(folder, count):
    """The node; waits until as many run at the same time."""
    node = ray.get_runtime_context().get_node_id()
    (folder / node).touch()
    while len(list(folder.iterdir())) < count:
        time.sleep(0.01)
    return node


def die_the_first_time(marker):
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), 9)


def test_steps_run_on_both_nodes(address, tmp_path):
    with cluster(address) as pool:
        futures = [pool.submit(where, tmp_path, 2) for _ in range(2)]
        assert len({future.result() for future in futures}) == 2


def test_a_step_whose_worker_was_killed_is_done_again(address, tmp_path):
    steps = [
        Step("a", die_the_first_time, (tmp_path / "a",)),
        Step("b", os.getpid, (), frozenset({"a"})),
    ]
    with cluster(address) as pool:
        assert run(steps, pool) == (["a", "b"], {})


def test_an_error_comes_back_as_it_was_raised(address):
    steps = [Step("a", int, ("x",)), Step("b", int, ("3",))]
    with cluster(address) as pool:
        done, failures = run(steps, pool)
    assert done == ["b"]
    assert isinstance(failures["a"], ValueError)


def test_no_cluster_is_one_line():
    with pytest.raises(WorkerError, match="no Ray cluster there"), cluster("127.0.0.1:1"):
        pass
