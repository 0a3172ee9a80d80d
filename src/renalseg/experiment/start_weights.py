"""The weights that pretrained recipes start from (section 3.2), each stage from its resolution's.

The paper starts from nnU-Net's published LiTS network. Where it is installed and the plan is the
paper's, it is taken unless an experiment file names other weights; without it an experiment
pretrains on liver data of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from renalseg.errors import ExperimentError
from renalseg.experiment.config import Experiment, StageWeights
from renalseg.models.checkpoints import FINAL
from renalseg.models.install import models_folder
from renalseg.models.plans import LOWRES, PAPER_PLAN
from renalseg.models.published import PUBLISHED
from renalseg.training.recipe import Recipe

#: nnU-Net's published LiTS network, as ``renalseg models install`` names it.
LITS = "Task029_LITS"


def with_default_weights(experiment: Experiment) -> Experiment:
    """Let an experiment that names no weights start from the published LiTS network.

    Only where that is installed, and where the plan is the paper's, which it fits.
    """
    folder = models_folder() / LITS
    is_papers = experiment.fixed_plan == PAPER_PLAN
    if experiment.weights is not None or not is_papers or not folder.is_dir():
        return experiment
    return experiment.model_copy(update={"weights": folder})


def checkpoint_for(weights: Path | StageWeights, resolution: str) -> Path:
    """The checkpoint that a stage starts from.

    Args:
        weights: A checkpoint for every stage, one for each resolution, a model folder, or a folder
            of an installed model with a model folder for each configuration.
        resolution: ``3d_fullres`` or ``3d_lowres``.

    Raises:
        ExperimentError: If there is none of that resolution.
    """
    if isinstance(weights, StageWeights):
        field = "lowres" if resolution == LOWRES else "fullres"
        named: Path | None = getattr(weights, field)
        if named is None:
            raise ExperimentError(
                f"weights: {field} is needed and not named; add it in the experiment file"
            )
        return checkpoint_for(named, resolution)
    if not weights.is_dir():
        if not weights.is_file():
            install = f"run `renalseg models install {weights.name}`, or "
            raise ExperimentError(
                f"{weights}: no such checkpoint to start from; "
                f"{install if weights.name in PUBLISHED else ''}see weights in the experiment file"
            )
        return weights
    folder = weights if (weights / "plans.json").is_file() else weights / resolution
    checkpoints = sorted(folder.glob(f"fold_*/{FINAL}"), key=_fold)
    if not checkpoints:
        raise ExperimentError(
            f"{folder}: expected fold_N/{FINAL} to start {resolution} from, got none; install the "
            "model again, or name other weights in the experiment file"
        )
    return checkpoints[0]


def check_start(experiment: Experiment, recipes: Sequence[Recipe], *, has_liver: bool) -> None:
    """Fail before anything is done if a recipe has nothing to start from.

    Raises:
        ExperimentError: If weights are missing, or neither weights nor liver data were given.
    """
    needed = experiment.start_resolutions(recipes)
    if experiment.weights is not None:
        for resolution in needed:
            checkpoint_for(experiment.weights, resolution)
    elif needed and not has_liver:
        names = [recipe.name for recipe in recipes if experiment.start_resolutions([recipe])]
        raise ExperimentError(
            f"{', '.join(names)}: no LiTS network to start from; run `renalseg models install "
            f"{LITS}`, give LiTS's training data with --liver, or name weights in the experiment "
            "file"
        )


def _fold(checkpoint: Path) -> tuple[bool, int]:
    """In the order of their numbers; the one that was trained on all cases last."""
    number = checkpoint.parent.name.removeprefix("fold_")
    return (True, 0) if not number.isdigit() else (False, int(number))
