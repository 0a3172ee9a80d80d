"""Train one fold of one stage of a recipe; finished and interrupted work is taken up."""

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from renalseg.errors import ExperimentError
from renalseg.models.checkpoints import FINAL, LATEST, load_checkpoint
from renalseg.models.plans import PLANS_NAME, preprocessed_as
from renalseg.training.annotations import variant_name
from renalseg.training.recipe import Recipe
from renalseg.training.workspace import Workspace

if TYPE_CHECKING:
    from renalseg.training.trainer import DataSource

#: Called with finished epochs and all epochs.
Progress = Callable[[int, int], None]


def is_trained(workspace: Workspace, dataset: str, recipe: Recipe, stage: str, fold: int) -> bool:
    """Tell whether the final checkpoint of a recipe stands.

    Raises:
        ExperimentError: If there is one that another recipe of this name has trained.
    """
    path = workspace.model(recipe.name, dataset, stage) / f"fold_{fold}" / FINAL
    if not path.is_file():
        return False
    if load_checkpoint(path).get("recipe") != recipe.fingerprint:
        raise ExperimentError(
            f"{path}: trained by another recipe named {recipe.name}; give the recipe another name, "
            "or remove its folder"
        )
    return True


def train_fold(
    workspace: Workspace,
    dataset: str,
    recipe: Recipe,
    stage: str,
    fold: int,
    *,
    start: Path | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
    source: "DataSource | None" = None,
    same_classes: bool = False,
) -> Path:
    """Train one network.

    Args:
        workspace: Where the preprocessed data set lies and the model goes.
        dataset: Name of the data set, e.g. ``Dataset021_KiTS``.
        recipe: What to train.
        stage: One of the recipe's; a cascade's second stage needs the first stage's predictions
            (:func:`renalseg.training.cascade.predict_next_stage`).
        fold: Index into ``splits_final.json``.
        start: Checkpoint whose weights the network starts from, except the last layers.
        device: A torch device.
        on_progress: Called after every epoch.
        source: Where patches come from; the data set's cases when absent.
        same_classes: Whether the last layers are taken from ``start``, too.

    Returns:
        The nnU-Net model folder.
    """
    import torch

    from renalseg.training.trainer import seed_everything
    from renalseg.training.transfer import transfer_weights

    model = workspace.model(recipe.name, dataset, stage)
    if is_trained(workspace, dataset, recipe, stage, fold):
        return model
    on_gpu = torch.device(device).type == "cuda"
    with (
        workspace.environment(recipe.name, on_gpu=on_gpu),
        redirect_stdout(io.StringIO()),
        # a class that no validation patch holds has no pseudo Dice: nnU-Net divides 0 by 0
        np.errstate(invalid="ignore"),
    ):
        trainer = make_trainer(workspace, dataset, recipe, stage, fold, device, source)
        seed_everything(recipe.seed, fold)
        trainer.initialize()
        latest = trainer.folder / LATEST
        if latest.is_file() and load_checkpoint(latest).get("recipe") == recipe.fingerprint:
            trainer.load_checkpoint(str(latest))
        elif start is not None:
            report = transfer_weights(trainer.module, start, same_classes=same_classes)
            trainer.print_to_log_file(f"start from {start}: {report}")
        trainer.on_progress = on_progress
        trainer.run_training()
    return model


def make_trainer(
    workspace: Workspace,
    dataset: str,
    recipe: Recipe,
    stage: str,
    fold: int,
    device: str,
    source: "DataSource | None" = None,
) -> Any:
    """Construct nnU-Net's trainer on the files of the workspace and give it the recipe.

    The workspace's environment must be active.
    """
    import json

    import torch

    from renalseg.training.trainer import RenalTrainer
    from renalseg.training.variants import VariantSource

    folder = workspace.preprocessed / dataset
    plans = json.loads((folder / f"{PLANS_NAME}.json").read_text())
    dataset_json = json.loads((folder / "dataset.json").read_text())
    plans["continue_training"] = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no GPU, it says
        trainer = RenalTrainer(plans, stage, fold, dataset_json, torch.device(device))
    if torch.device(device).type != "cuda":  # nnU-Net's parallel training knows GPUs alone
        trainer.device, trainer.grad_scaler = torch.device(device), None
    data = preprocessed_as(stage)
    trainer.configure(
        recipe,
        stage,
        source
        or VariantSource(
            recipe.at(stage).annotations,
            lambda choice: workspace.labels(dataset, data, variant_name(choice)),
        ),
    )
    return trainer
