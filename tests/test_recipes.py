"""Every kind of recipe, trained for a few iterations on phantoms, predicted and scored."""

import json
from pathlib import Path

import blosc2
import numpy as np
import pytest
import torch
import yaml

from models import write_model
from renalseg.cohort import Cohort, plausible_maps
from renalseg.experiment.config import load_experiment
from renalseg.experiment.demo import run_demo
from renalseg.experiment.progress import Silent
from renalseg.models.checkpoints import FINAL, load_checkpoint
from renalseg.training import cascade
from renalseg.training.annotations import MAPS
from renalseg.training.cascade import ScaledSoftmax
from renalseg.training.soft_target import decode_mean
from renalseg.training.variants import VariantDataset
from renalseg.training.workspace import Workspace

RECIPES = [
    {"name": "one-map", "annotations": "case-1"},
    {"name": "fresh", "annotations": "fresh", "regularization": {"neighbours": 26, "beta": 2}},
    {"name": "mean", "annotations": "mean", "regularization": {"neighbours": 6, "beta": 2}},
    {"name": "baseline-2d", "configuration": "2d", "regularization": {"neighbours": 4, "beta": 2}},
    {"name": "residual", "network": "resenc-m"},
    {
        "name": "cascade",
        "configuration": "cascade",
        "annotations": "mean",
        "pretrained": True,
        "regularization": {"neighbours": 18, "beta": 2, "levels": "all"},
        "first_stage": {"annotations": "fresh", "regularization": None},
    },
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    content = yaml.safe_load(Path(__file__).with_name("tiny.yaml").read_text())
    content["schedule"] |= {"epochs": 1, "iterations": 2}
    content |= {"recipes": RECIPES, "default": [r["name"] for r in RECIPES], "folds": [0]}
    content["ensembles"] = {"ensemble": ["fresh", "baseline-2d", "cascade"]}
    config = folder / "recipes.yaml"
    config.write_text(yaml.safe_dump(content))
    outcome = run_demo(folder / "run", Silent(), device="cpu", workers=1, config=str(config))
    return Workspace(folder / "run"), outcome


def test_every_recipe_is_trained_predicted_and_scored(trained):
    _, outcome = trained
    assert set(outcome.results) >= {recipe["name"] for recipe in RECIPES} | {"ensemble"}
    assert all(np.isfinite(found.d1) for found in outcome.results.values())
    planar = outcome.filled[-1].rows[-1]
    assert (planar.model, planar.ours) == ("2D U-Net", outcome.results["baseline-2d"])


def test_a_first_stage_is_averaged_by_softmax_for_the_second_too(trained, monkeypatch):
    """As the ensemble does; the file that stood was made in the same way."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    workspace, _ = trained
    experiment = load_experiment(workspace.root.parent / "recipes.yaml")
    (recipe,) = experiment.select(["cascade"], everything=False)
    folder = cascade.next_stage_folder(workspace, "Dataset021_KiTS", recipe)
    path = min(folder.glob("*.b2nd"))
    before = path.read_bytes()
    scores = []
    original = nnUNetPredictor.predict_sliding_window_return_logits

    def watched(*arguments):
        scores.append(original(*arguments).float())
        return scores[-1]

    monkeypatch.setattr(nnUNetPredictor, "predict_sliding_window_return_logits", watched)
    for average in ("logits", "softmax"):
        path.unlink()
        for fold in (0, 1):
            cascade.predict_next_stage(workspace, "Dataset021_KiTS", recipe, fold, average=average)
    logits, softmax = scores[0], scores[-1]
    assert (logits.sum(0) - 1).abs().max() > 0.1
    assert (softmax.sum(0) / ScaledSoftmax.FACTOR - 1).abs().max() < 0.01
    assert path.read_bytes() == before


def maps_folder(workspace, variant, configuration="3d_fullres"):
    return workspace.labels("Dataset021_KiTS", configuration, variant)


def read(folder, case_id):
    return blosc2.open(urlpath=str(folder / f"{case_id}.b2nd"), mode="r")[:]


def test_the_images_of_a_configuration_stand_once(trained):
    workspace, _ = trained
    images = [p for p in workspace.preprocessed.rglob("case_*.b2nd") if "variants" not in p.parts]
    names = sorted(f"{p.parent.name}/{p.name}" for p in images if "_seg" not in p.name)
    wanted = ("nnUNetPlans_2d", "nnUNetPlans_3d_fullres", "nnUNetPlans_3d_lowres")
    assert names == [f"{folder}/case_{i:05d}.b2nd" for folder in wanted for i in range(4)]


def test_equal_maps_share_one_file(trained):
    workspace, _ = trained
    for case in Cohort.open(workspace.root / "cohort").cases:
        files = [maps_folder(workspace, f"map-{i}") / f"{case.case_id}.b2nd" for i in range(MAPS)]
        distinct = {plausible.choice for plausible in plausible_maps(case)}
        assert len({file.stat().st_ino for file in files}) <= len(distinct)


def test_the_soft_target_is_the_mean_of_the_preprocessed_maps(trained):
    import torch

    workspace, _ = trained
    code = read(maps_folder(workspace, "mean"), "case_00001")
    assert code.dtype == np.int16
    shares = decode_mean(torch.from_numpy(np.maximum(code, 0))[None], 4)[0].numpy()
    maps = [read(maps_folder(workspace, f"map-{i}"), "case_00001")[0] for i in range(MAPS)]
    for label in (1, 2, 3):
        wanted = np.mean([m == label for m in maps], axis=0)
        np.testing.assert_allclose(shares[label], wanted, atol=1e-6)


def test_fresh_annotations_show_every_map(trained):
    workspace, _ = trained
    folders = [maps_folder(workspace, f"map-{i}") for i in range(MAPS)]
    images = workspace.images("Dataset021_KiTS", "3d_fullres")
    dataset = VariantDataset(str(images), ["case_00001"], labels=folders)
    np.random.seed(0)
    seen = {dataset.load_case("case_00001")[1][:].tobytes() for _ in range(200)}
    assert seen == {read(folder, "case_00001").tobytes() for folder in folders}
    assert len(seen) > 1


def test_a_residual_network_is_a_plain_nnunet_model(trained):
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    workspace, _ = trained
    folder = workspace.model("residual", "Dataset021_KiTS", "3d_fullres_resenc_m")
    predictor = nnUNetPredictor(device=__import__("torch").device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), (0,), FINAL)
    assert type(predictor.network).__name__ == "ResidualEncoderUNet"


def test_a_planar_network_sees_axial_slices(trained):
    workspace, _ = trained
    plans = json.loads((workspace.preprocessed / "Dataset021_KiTS/nnUNetPlans.json").read_text())
    assert plans["transpose_forward"] == [2, 1, 0]
    checkpoint = load_checkpoint(
        workspace.model("baseline-2d", "Dataset021_KiTS", "2d") / "fold_0" / FINAL
    )
    first = next(iter(checkpoint["network_weights"].values()))
    assert first.ndim in (1, 4)


@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 17, 17), (24, 24, 24), (33, 33, 33)])
def test_scores_of_a_sure_network_are_added_up_by_nnunet_without_overflow(tmp_path, shape):
    """Tiles that nearly coincide are the worst case: one voxel more than a patch."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    class Sure(torch.nn.Module):
        def forward(self, image):
            return torch.cat([20 + 0 * image, 0 * image, 0 * image, 0 * image], 1)

    folder = write_model(tmp_path / "m", folds=(0,))
    predictor = nnUNetPredictor(
        device=torch.device("cpu"), allow_tqdm=False, perform_everything_on_device=False
    )
    predictor.initialize_from_trained_model_folder(str(folder), (0,), "checkpoint_final.pth")
    predictor.network = torch.nn.Sequential(Sure(), ScaledSoftmax())
    scores = predictor.predict_sliding_window_return_logits(torch.zeros(1, *shape)).float()
    assert torch.isfinite(scores).all()
    assert (scores.sum(0) / ScaledSoftmax.FACTOR - 1).abs().max() < 0.02
    assert (scores.argmax(0) == 0).all()
