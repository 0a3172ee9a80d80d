"""The trainings that an experiment consists of, in an order in which they can run."""

from collections.abc import Sequence
from dataclasses import dataclass

from renalseg.experiment.config import Experiment
from renalseg.models.plans import LOWRES
from renalseg.training.recipe import Recipe
from renalseg.training.run import is_trained
from renalseg.training.workspace import Workspace


@dataclass(frozen=True)
class Task:
    """One network to train: one fold of one stage of one recipe."""

    recipe: Recipe
    stage: str
    fold: int

    @property
    def title(self) -> str:
        """How the task is shown."""
        return f"{self.recipe.name} {self.stage} fold {self.fold}"


def tasks(
    experiment: Experiment, recipes: Sequence[Recipe], folds: Sequence[int] | None = None
) -> list[Task]:
    """List every training of an experiment.

    The second stage of a cascade trains on cases that all folds of its first stage predicted, so
    the first stage trains in every fold of the cross-validation.

    Args:
        experiment: The experiment.
        recipes: The recipes to train.
        folds: The folds to train, the experiment's own when None.
    """
    chosen = experiment.folds if folds is None else tuple(folds)
    return [
        Task(recipe, stage, fold)
        for recipe in recipes
        for stage in recipe.stages
        for fold in (range(experiment.splits) if stage == LOWRES != recipe.stages[-1] else chosen)
    ]


def is_done(workspace: Workspace, dataset: str, task: Task) -> bool:
    """Tell whether a task's final checkpoint stands."""
    return is_trained(workspace, dataset, task.recipe, task.stage, task.fold)
