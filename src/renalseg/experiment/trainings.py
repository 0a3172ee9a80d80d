"""Every training of an experiment as steps: pretraining first, a cascade stage by stage."""

import json
from collections.abc import Sequence
from pathlib import Path

from renalseg.experiment.config import Experiment, start_resolution
from renalseg.experiment.start_weights import checkpoint_for
from renalseg.experiment.steps import Step
from renalseg.experiment.tasks import Task, is_done
from renalseg.models.checkpoints import FINAL
from renalseg.models.plans import CASCADE, LOWRES
from renalseg.training.cascade import predict_next_stage
from renalseg.training.curves import CURVES
from renalseg.training.parallel import train_fold_in_parallel
from renalseg.training.recipe import Recipe
from renalseg.training.run import train_fold
from renalseg.training.workspace import Workspace

PRETRAIN = "pretrain on liver and lesions"


def pretraining_tasks(experiment: Experiment, recipes: Sequence[Recipe]) -> list[Task]:
    """The networks that pretrained recipes start from, where the experiment trains them itself."""
    return [
        Task(experiment.pretraining_recipe(resolution), resolution, 0)
        for resolution in experiment.pretrainings(recipes)
    ]


def pretraining_title(resolution: str) -> str:
    """The title of the step that pretrains at a resolution."""
    return f"{PRETRAIN}, {resolution}"


def training_steps(
    workspace: Workspace,
    dataset: str,
    liver: str | None,
    experiment: Experiment,
    wanted: Sequence[Task],
    device: str,
    share: int = 1,
) -> list[Step]:
    """The steps that are left to do.

    Args:
        workspace: Where the preprocessed data lie and the models go.
        dataset: The cohort's data set.
        liver: The data set to pretrain on, or None where the experiment names weights.
        experiment: The experiment.
        wanted: The trainings.
        device: A torch device.
        share: Processes that share each training's batch.
    """
    steps: list[Step] = []
    own: dict[str, Path] = {}
    if liver is not None:
        for task in pretraining_tasks(experiment, [task.recipe for task in wanted]):
            model = workspace.model(task.recipe.name, liver, task.stage)
            own[task.stage] = model / "fold_0" / FINAL
            if not is_done(workspace, liver, task):
                first = (workspace, liver, task, None, device, share)
                steps.append(Step(pretraining_title(task.stage), train, first))
    for task in wanted:
        weights: Path | None = None
        needs: set[str] = set()
        if task.recipe.at(task.stage).pretrained:
            resolution = start_resolution(task.stage)
            if experiment.weights is not None:
                weights = checkpoint_for(experiment.weights, resolution)
            elif resolution in own:
                weights, needs = own[resolution], {pretraining_title(resolution)}
        if task.stage == CASCADE:
            needs |= {_next_stage(task.recipe, fold) for fold in range(experiment.splits)}
        if not is_done(workspace, dataset, task):
            arguments = (workspace, dataset, task, weights, device, share)
            steps.append(Step(f"train {task.title}", train, arguments, frozenset(needs)))
        if task.stage == LOWRES and task.recipe.configuration == "cascade":
            steps.append(
                Step(
                    _next_stage(task.recipe, task.fold),
                    predict_next_stage,
                    (workspace, dataset, task.recipe, task.fold, device, experiment.fold_average),
                    frozenset({f"train {task.title}"}),
                )
            )
    return steps


def train(
    workspace: Workspace,
    dataset: str,
    task: Task,
    start: Path | None,
    device: str,
    share: int = 1,
) -> None:
    """Train one network; runs in a worker."""
    arguments = (workspace, dataset, task.recipe, task.stage, task.fold)
    if share == 1:
        train_fold(*arguments, start=start, device=device)
    else:
        train_fold_in_parallel(share, *arguments, start=start, device=device)


def finished_epochs(workspace: Workspace, dataset: str, task: Task) -> int:
    """How many epochs of a training are done, as far as its curves tell."""
    model = workspace.model(task.recipe.name, dataset, task.stage)
    path = model / f"fold_{task.fold}" / CURVES
    if not path.is_file():
        return 0
    return len(json.loads(path.read_text())["train_losses"])


def _next_stage(recipe: Recipe, fold: int) -> str:
    return f"predict {recipe.name} first stage, fold {fold}, for the second"
