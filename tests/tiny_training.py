"""A training set of seconds, preprocessed as a real one: for the tests of the training core."""

import io
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import torch

from renalseg.experiment.config import load_experiment
from renalseg.models.plans import FULLRES, Budget, Intensity, Plan, Resolution, preprocessed_as
from renalseg.training.dataset import TrainingCase, TrainingSet
from renalseg.training.preprocess import prepare, preprocess_case
from renalseg.training.run import make_trainer
from renalseg.training.workspace import Workspace
from renalseg.volume import Volume

#: The paper's recipes by name.
PAPER = {recipe.name: recipe for recipe in load_experiment("paper.yaml").recipes}
CLASSES = ("kidney", "tumor", "cyst")
INTENSITY = Intensity(clip_hu=(-62, 310), mean_hu=104.9, std_hu=75.3)


def tiny_plan(patch_size, features, *, spacing_mm=1.0):
    """The paper's plan with a small patch and narrow layers."""
    mm = (spacing_mm,) * 3
    return Plan(
        fullres=Resolution(spacing_mm=mm, patch_size=patch_size),
        lowres=Resolution(spacing_mm=(2.0, 2.0, 2.0), patch_size=patch_size),
        features=features,
        convolutions=1,
        intensity=INTENSITY,
        budgets={"2d": Budget(patch_size=(64, 64), batch_size=3)},
    )


#: As deep as the paper's network: five levels are supervised.
DEEP = tiny_plan((64, 32, 32), (2, 2, 3, 3, 4, 4))
#: Small patches, in which foreground that is rare is rare.
SHALLOW = tiny_plan((16, 16, 16), (2, 3, 3, 4))


def ipl_affine(spacing_mm):
    """The affine of an array stored I-P-L, spacing in its order: slice, row, column."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = [-mm for mm in spacing_mm] + [-1]
    affine[3, 3] = 1
    return affine


def write_case(folder, name, image_hu, labels, spacing_mm=(1.0, 1.0, 1.0)):
    """A case from arrays; ``labels`` gives the label map of a choice of annotations."""
    affine = ipl_affine(spacing_mm)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.nii.gz"
    Volume(np.asarray(image_hu, np.float32), affine).save(path)
    return TrainingCase(name, path, lambda choice: Volume(labels(choice).astype(np.uint8), affine))


def write_training_set(
    root: Path, cases, plan, variants, *, classes=CLASSES, splits=5, number=21
) -> tuple[Workspace, TrainingSet]:
    """Preprocess cases: for each configuration its label variants."""
    workspace = Workspace(root)
    training_set = TrainingSet(number, "Tiny", classes, tuple(cases), splits)
    plans = prepare(workspace, training_set, plan)
    with redirect_stdout(io.StringIO()):
        for case in cases:
            preprocess_case(workspace, training_set, plans, case, variants)
    return workspace, training_set


@contextmanager
def trainer_of(workspace, recipe, stage=FULLRES, *, fold=0, dataset="Dataset021_Tiny"):
    """A trainer of one of the paper's recipes, by name, or of one of its own, initialized."""
    recipe = PAPER[recipe] if isinstance(recipe, str) else recipe
    with workspace.environment(recipe.name), redirect_stdout(io.StringIO()):
        trainer = make_trainer(workspace, dataset, recipe, stage, fold, "cpu")
        torch.manual_seed(fold)
        trainer.initialize()
        yield trainer


def images_of(workspace, configuration=FULLRES, dataset="Dataset021_Tiny"):
    """The folder of a configuration's preprocessed images."""
    return workspace.images(dataset, preprocessed_as(configuration))
