"""One training in two processes, on shares of the cores as it would be on GPUs."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from renalseg.errors import ExperimentError
from renalseg.experiment.config import load_experiment
from renalseg.experiment.demo import run_demo
from renalseg.experiment.progress import Silent
from renalseg.models.checkpoints import FINAL, LATEST, load_checkpoint
from renalseg.training.parallel import train_fold_in_parallel
from renalseg.training.run import train_fold
from renalseg.training.workspace import Workspace

PLACE = ("Dataset021_KiTS", "3d_fullres", 0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A workspace with preprocessed cases, and recipes of two epochs."""
    folder = tmp_path_factory.mktemp("parallel")
    content = yaml.safe_load(Path(__file__).with_name("tiny.yaml").read_text())
    content["schedule"] |= {"epochs": 2, "iterations": 3}
    term = {"neighbours": 6, "beta": 5}
    content["recipes"] = [{"name": "shared", "annotations": "mean", "regularization": term}]
    content |= {"default": ["shared"], "ensembles": {"ensemble": ["shared"]}}
    content |= {"folds": [0]}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("renalseg.experiment.runner._train", lambda *_: None)
        patch.setattr("renalseg.experiment.demo.conclude", lambda *_, **__: None)
        run_demo(folder / "run", Silent(), device="cpu", workers=1, config=folder / "tiny.yaml")
    return Workspace(folder / "run"), load_experiment(folder / "tiny.yaml").recipes[0]


def test_two_processes_train_one_network_and_one_can_go_on(prepared):
    """With a soft target and the regularised loss; the processes are no part of the model."""
    workspace, recipe = prepared
    dataset, stage, fold = PLACE
    model = train_fold_in_parallel(2, workspace, dataset, recipe, stage, fold)
    assert model == workspace.model("shared", dataset, stage)
    folder = model / "fold_0"
    done = load_checkpoint(folder / FINAL)
    assert done["recipe"] == recipe.fingerprint
    assert not any(key.startswith("module.") for key in done["network_weights"])
    assert all(bool(torch.isfinite(t).all()) for t in done["network_weights"].values())
    curves = json.loads((folder / "curves.json").read_text())
    assert len(curves["train_losses"]) == 2
    assert len(list(folder.glob("training_log*"))) == 1  # the first process alone writes
    (folder / FINAL).rename(folder / LATEST)
    train_fold(workspace, dataset, recipe, stage, fold)
    assert load_checkpoint(folder / FINAL)["current_epoch"] == done["current_epoch"]


def test_more_processes_than_patches_are_said(prepared):
    workspace, recipe = prepared
    dataset, stage, fold = PLACE
    with pytest.raises(ExperimentError, match="3 processes cannot share a batch of 2"):
        train_fold_in_parallel(3, workspace, dataset, recipe, stage, fold)
