"""A batch on a Ray cluster of two nodes on this machine."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import ray
from ray.cluster_utils import Cluster as LocalCluster
from typer.testing import CliRunner

from models import write_model
from renalseg import batch_cluster
from renalseg.batch import Options, pair_files, predict_files
from renalseg.batch_cluster import predict_on_cluster
from renalseg.cli.main import app
from renalseg.errors import ModelError, WorkerError
from renalseg.results import Wanted
from renalseg.volume import read_labels

# the nodes do not find this file
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

IPL = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-4.0, 0, 0, 40], [0, 0, 0, 1.0]])


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


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    model = write_model(tmp_path_factory.mktemp("model") / "model", folds=(0,))
    return Options(model, device="cpu", backend="torch")


@pytest.fixture
def pairs(tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for number, name in enumerate("abcd"):
        array = np.random.RandomState(number).normal(40, 150, (12, 20, 22)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(array, IPL), scans / f"{name}.nii.gz")
    return pair_files(scans, tmp_path / "masks")


@dataclass(frozen=True)
class Dying(Options):
    """Loads an ensemble that kills its process in the middle of its second scan, but once."""

    marker: Path = Path()

    def load(self):
        options = Options(self.folder, device=self.device, backend=self.backend)
        return DyingSegmenter(options.load(), self.marker)


class DyingSegmenter:
    def __init__(self, segmenter, marker):
        self.segmenter, self.marker, self.scans = segmenter, marker, 0

    def segment(self, volume, source, **options):
        self.scans += 1
        return self.segmenter.segment(volume, source, **options | {"on_tile": self.on_tile})

    def on_tile(self, done, total):
        if self.scans == 2 and done == total // 2 and not self.marker.exists():
            self.marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), 9)


def made(results):
    return {r.source: r.volumes_ml is not None for r in results if not r.problem}


def test_it_makes_the_masks_that_one_machine_makes(address, options, pairs, tmp_path):
    found = list(predict_on_cluster(pairs, options, address, wanted=Wanted(uncertainty=True)))
    assert made(found) == {source: True for source, _ in pairs}
    alone = pair_files(tmp_path / "scans", tmp_path / "alone")
    expected = {r.source: r for r in predict_files(alone, options.load)}
    for result in found:
        assert (result.source, result.target) in pairs
        assert result.volumes_ml == expected[result.source].volumes_ml
        assert result.target.read_bytes() == expected[result.source].target.read_bytes()
    names = {path.name for path in (tmp_path / "masks").iterdir()}
    assert {"a.nii.gz", "a.json", "a-entropy.nii.gz"} < names


def test_the_scan_of_a_worker_that_was_killed_is_done_by_another(address, options, pairs, tmp_path):
    dying = Dying(options.folder, device="cpu", backend="torch", marker=tmp_path / "killed")
    found = list(predict_on_cluster(pairs, dying, address))
    assert (tmp_path / "killed").exists()
    assert made(found) == {source: True for source, _ in pairs}
    assert all(read_labels(target).shape == (12, 20, 22) for _, target in pairs)
    assert not list((tmp_path / "masks").glob(".*"))


def test_a_scan_whose_worker_is_lost_each_time_is_its_own_problem(
    address, options, pairs, monkeypatch
):
    def lost(pair, options, *_):
        if pair[0].name == "b.nii.gz":
            raise ray.exceptions.WorkerCrashedError
        return predict_files([pair], options.load).__next__()

    monkeypatch.setattr(batch_cluster, "_predict_one", lost)
    found = list(predict_on_cluster(pairs, options, address))
    (problem,) = (r.problem for r in found if r.problem)
    assert len(made(found)) == 3
    assert "b.nii.gz: The worker died unexpectedly" in problem
    assert "\n" not in problem


def test_a_bad_scan_stops_no_other_and_masks_that_stand_are_kept(address, options, pairs):
    (kept, mask), (bad, _), *_ = pairs
    mask.parent.mkdir()
    mask.write_bytes(b"there")
    bad.write_bytes(b"not an image")
    found = list(predict_on_cluster(pairs, options, address))
    assert made(found) == {source: source != kept for source, _ in pairs if source != bad}
    (problem,) = (r.problem for r in found if r.problem)
    assert "b.nii.gz: expected a NIfTI file, got one that begins" in problem
    assert mask.read_bytes() == b"there"


def test_nothing_to_do_needs_no_cluster(options, pairs):
    (_, mask) = pairs[0]
    mask.parent.mkdir()
    mask.touch()
    assert made(predict_on_cluster(pairs[:1], options, "127.0.0.1:1")) == {pairs[0][0]: False}


def test_what_cannot_be_loaded_is_said_once(options, pairs, tmp_path):
    for wrong in (Options(tmp_path), Options(options.folder, member="none")):
        with pytest.raises(ModelError, match=r"expected a renalseg ensemble|no member 'none'"):
            list(predict_on_cluster(pairs, wrong, "127.0.0.1:1"))


def test_weights_that_cannot_be_loaded_are_said_once(address, options, pairs):
    damaged = write_model(pairs[0][1].parent.with_name("damaged"), folds=(0,))
    (damaged / "fold_0" / "checkpoint_final.pth").write_bytes(b"")
    with pytest.raises(ModelError, match=r"checkpoint_final\.pth"):
        list(predict_on_cluster(pairs, Options(damaged, backend="torch"), address))


def test_no_cluster_is_one_line(options, pairs):
    with pytest.raises(WorkerError, match="no Ray cluster there"):
        list(predict_on_cluster(pairs, options, "127.0.0.1:1"))


def test_the_command_runs_on_a_cluster(address, options, pairs, tmp_path):
    pairs[1][0].write_bytes(b"not an image")
    arguments = ["predict", tmp_path / "scans", "-o", tmp_path / "masks", "-m", options.folder]
    arguments += ["--backend", "torch", "--engine", "ray", "--address", address]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 1
    assert "3 of 4 scans" in result.stderr
    assert len(list((tmp_path / "masks").glob("*.nii.gz"))) == 3
