"""Training on torsos that are made as a network trains."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from renalseg.cli.main import app
from renalseg.cohort.phantom.torso import ShapeBank, TorsoConfig
from renalseg.errors import CohortError, ExperimentError
from renalseg.experiment.progress import Silent
from renalseg.experiment.torsos import (
    load_torso_experiment,
    split_shapes,
    train_on_torsos,
)
from renalseg.models.checkpoints import FINAL, LATEST, load_checkpoint
from renalseg.models.ensemble import Ensemble
from renalseg.models.plans import Intensity
from renalseg.training.feed import Feed
from renalseg.training.torsos import TorsoSource, normalized

INTENSITY = Intensity(clip_hu=(-160, 340), mean_hu=40, std_hu=100)
CONFIG = TorsoConfig(seed=3, spacing_mm=(8.0, 8.0, 8.0))
FEED = Feed(shape=(32, 24, 40), least_slices=16, uses=2)

EXPERIMENT = """
name: tiny
seed: 1
plan:
  fullres: {spacing_mm: [6.0, 6.0, 6.0], patch_size: [16, 16, 16]}
  lowres: {spacing_mm: [8.0, 8.0, 8.0], patch_size: [16, 16, 24]}
  batch_size: 2
  features: [4, 8, 8]
  convolutions: 1
  intensity: {clip_hu: [-160, 340], mean_hu: 40, std_hu: 100}
  resampling: linear
schedule: {epochs: 2, iterations: 2, validation_iterations: 1, mirror: false}
networks:
  - {name: whole, configuration: lowres, finds: true,
     torsos: {shape: [40, 28, 36], least_slices: 24, around: anywhere, uses: 2}}
  - {name: close, torsos: {shape: [32, 28, 40], uses: 3}}
least_ml: 10
about: {name: tiny, version: "1", licence: none, trained_on: torsos, notice: for tests}
"""


class Quiet(Silent):
    def problem(self, line):
        raise AssertionError(line)


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "tiny.yaml").write_text(EXPERIMENT)
    return load_torso_experiment(tmp_path / "tiny.yaml")


def weights(ensemble, name):
    return load_checkpoint(ensemble.folder / name / "fold_0" / FINAL)["network_weights"]


def test_a_training_ends_in_an_ensemble_and_is_the_same_again(tmp_path, experiment):
    one, other = (
        train_on_torsos(experiment, None, tmp_path / name, Quiet()) for name in ("a", "b")
    )
    assert Ensemble.open(one.folder).manifest == one.manifest
    assert [bool(member.finds) for member in one.manifest.members] == [True, False]
    assert (one.manifest.least_ml, one.manifest.about.name) == (10, "tiny")
    for name in ("whole", "close"):
        assert all(
            torch.equal(tensor, weights(other, name)[key])
            for key, tensor in weights(one, name).items()
        )


def test_a_training_that_was_killed_is_the_one_that_was_not(tmp_path, experiment):
    class Killed(Quiet):
        def update(self, done, total):
            if done == 1:
                raise KeyboardInterrupt

    whole = train_on_torsos(experiment, None, tmp_path / "whole", Quiet())
    with pytest.raises(KeyboardInterrupt):
        train_on_torsos(experiment, None, tmp_path / "cut", Killed(), networks=["close"])
    (latest,) = (tmp_path / "cut").glob(f"nnUNet_results/close/*/*/fold_0/{LATEST}")
    assert load_checkpoint(latest)["current_epoch"] == 1
    cut = train_on_torsos(experiment, None, tmp_path / "cut", Quiet())
    for name, tensor in weights(whole, "close").items():
        assert torch.equal(tensor, weights(cut, "close")[name])


def test_a_training_goes_on_from_an_ensemble_its_last_layers_too(tmp_path, experiment):
    first = train_on_torsos(experiment, None, tmp_path / "first", Quiet())
    still = experiment.model_copy(
        update={
            "networks": tuple(
                r.model_copy(
                    update={
                        "schedule": r.schedule.model_copy(
                            update={"learning_rate": 1e-12, "epochs": 1, "iterations": 1}
                        )
                    }
                )
                for r in experiment.networks
            )
        }
    )
    then = train_on_torsos(still, None, tmp_path / "then", Quiet(), start=first.folder)
    for name in ("whole", "close"):
        for key, tensor in weights(first, name).items():
            assert torch.allclose(tensor.float(), weights(then, name)[key].float(), atol=1e-3)


def test_torsos_are_used_a_few_times_and_replaced():
    source = TorsoSource(CONFIG, FEED, INTENSITY)
    made = []
    source.training._make = lambda place: made.append(place) or (place, None, None, {})
    np.random.seed(0)
    for _ in range(40):
        source.training.load_case("torso")
    assert 40 / FEED.uses - 4 <= len(made) <= 40 / FEED.uses + 4
    source.begin_epoch()
    source.training.load_case("torso")
    assert made[-1] == 0  # the first place anew


def test_validation_keeps_its_torsos():
    source = TorsoSource(CONFIG, FEED, INTENSITY)
    np.random.seed(0)
    seen = {id(source.validation.load_case("torso")[0]) for _ in range(20)}
    source.begin_epoch()
    seen |= {id(source.validation.load_case("torso")[0]) for _ in range(20)}
    assert len(seen) == 4


def test_a_case_is_what_nnunets_preprocessing_would_give():
    np.random.seed(1)
    source = TorsoSource(CONFIG, FEED, INTENSITY)
    image, labels, previous, properties = source.training.load_case("torso")
    assert previous is None
    assert image.shape == labels.shape
    assert 16 <= image.shape[1] <= 32
    assert image.shape[2:] == (24, 40)
    assert image.dtype == np.float32
    assert image.min() == np.float32((-160 - 40) / 100)
    for label, voxels in properties["class_locations"].items():
        assert all(labels[tuple(voxel)] == label for voxel in voxels[:50])


def test_normalisation_is_nnunets():
    from nnunetv2.preprocessing.normalization.default_normalization_schemes import CTNormalization

    from renalseg.models.plans import intensity_properties

    hu = np.random.RandomState(0).randint(-1024, 2000, (4, 5, 6)).astype(np.int16)
    theirs = CTNormalization(False, intensity_properties(INTENSITY)["0"]).run(hu.copy())
    np.testing.assert_allclose(normalized(hu, INTENSITY), theirs, rtol=1e-6)


def test_held_out_patients_are_not_trained_on(tmp_path):
    for number in range(7):
        (tmp_path / f"case_{number:05d}").mkdir()
    rest, kept = split_shapes(tmp_path, 3)
    assert kept == ("case_00000", "case_00003", "case_00006")
    assert set(rest) & set(kept) == set()
    assert len(rest) + len(kept) == 7
    with pytest.raises(CohortError, match="expected case_"):
        split_shapes(tmp_path / "case_00000", 3)


def test_shapes_of_real_patients_are_cut_once(tmp_path, experiment, real_data, monkeypatch):
    folder = tmp_path / "kits"
    folder.mkdir()
    for path in sorted((real_data / "kits23").glob("case_*"))[:6]:
        (folder / path.name).symlink_to(path)
    train_on_torsos(experiment, folder, tmp_path / "out", Quiet(), networks=["whole"])
    kept = ShapeBank.load(tmp_path / "out" / "shapes" / "held-out.bin")
    used = ShapeBank.load(tmp_path / "out" / "shapes" / "train.bin")
    assert {u.case for u in kept.units} & {u.case for u in used.units} == set()
    said = json.loads((tmp_path / "out" / "shapes" / "patients.json").read_text())
    assert {u.case for u in kept.units} <= set(said["held_out"])
    monkeypatch.setattr(ShapeBank, "make", None)  # what stands is not cut again
    train_on_torsos(experiment, folder, tmp_path / "out", Quiet(), networks=["whole"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("uses: 2", "uses: 0"), "torsos.uses"),
        (("least_slices: 24", "least_slices: 64"), "least_slices"),
        (("uses: 3", "uses: 3, leave_out: [kidney]"), "leave_out"),
        (("networks:", "nets:"), "mapping with plan and networks"),
        (("seed: 1", "seed: ["), "not YAML"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_one_line(tmp_path, change, said):
    path = tmp_path / "bad.yaml"
    path.write_text(EXPERIMENT.replace(*change, 1))
    with pytest.raises(ExperimentError, match=said) as caught:
        load_torso_experiment(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ExperimentError, match="cannot be read"):
        load_torso_experiment(tmp_path / "none.yaml")


def test_the_command_trains_one_network_at_a_time(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    for name, said in (("whole", ""), ("close", "Ensemble")):
        options = ["-o", str(tmp_path / "out"), "--network", name, "--device", "cpu"]
        result = CliRunner().invoke(app, ["experiment", "torsos", str(path), *options])
        assert result.exit_code == 0, result.output
        assert said in result.output
    assert (tmp_path / "out" / "ensemble" / "close").is_dir()


def test_an_unknown_network_is_refused_before_anything_is_made(tmp_path, experiment):
    with pytest.raises(ExperimentError, match="no network 'clsoe' in tiny; it has whole, close"):
        train_on_torsos(experiment, None, tmp_path / "out", Quiet(), networks=["clsoe"])
    assert not (tmp_path / "out").exists()


def test_the_recipe_that_comes_along_is_the_model_that_comes_along():
    experiment = load_torso_experiment("default.yaml")
    manifest = Ensemble.open(Path("default")).manifest
    assert experiment.about == manifest.about
    assert experiment.world == manifest.world
    assert experiment.least_ml == manifest.least_ml
    assert experiment.least_tumor_ml == manifest.least_tumor_ml
    assert experiment.large_ml == manifest.large_ml
    finds = {member.name: bool(member.finds) for member in manifest.members}
    assert finds == {recipe.name: recipe.finds for recipe in experiment.networks}
    for recipe in experiment.networks:
        plans = json.loads(
            (Ensemble.open(Path("default")).folder / recipe.name / "plans.json").read_text()
        )
        settings = plans["configurations"][recipe.stages[0]]
        resolution = experiment.resolution(recipe)
        assert tuple(settings["spacing"]) == resolution.spacing_mm
        assert tuple(settings["patch_size"]) == resolution.patch_size
        kwargs = settings["architecture"]["arch_kwargs"]
        assert tuple(kwargs["features_per_stage"]) == experiment.plan.features
