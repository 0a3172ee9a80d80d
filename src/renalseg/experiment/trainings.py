"""Every training of an experiment as steps: pretraining first, a cascade stage by stage."""

import json
from collections.abc import Sequence
from pathlib import Path

from renalseg.experiment.config import Experiment
from renalseg.experiment.steps import Step
from renalseg.experiment.tasks import Task, is_done
from renalseg.models.checkpoints import FINAL
from renalseg.models.plans import CASCADE, FULLRES, LOWRES
from renalseg.training.cascade import predict_next_stage
from renalseg.training.curves import CURVES
from renalseg.training.parallel import train_fold_in_parallel
from renalseg.training.recipe import Recipe
from renalseg.training.run import train_fold
from renalseg.training.workspace import Workspace

PRETRAIN = "pretrain on liver and lesions"


def pretraining_task(experiment: Experiment) -> Task:
    """The network that pretrained recipes start from."""
    return Task(experiment.pretraining_recipe, FULLRES, 0)


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
        liver: The data set to pretrain on, or None.
        experiment: The experiment.
        wanted: The trainings.
        device: A torch device.
        share: Processes that share each training's batch.
    """
    steps, start = [], experiment.weights
    pretraining = pretraining_task(experiment)
    if liver is not None and experiment.pretrains([task.recipe for task in wanted]):
        model = workspace.model(pretraining.recipe.name, liver, pretraining.stage)
        start = model / "fold_0" / FINAL
        if not is_done(workspace, liver, pretraining):
            steps.append(
                Step(PRETRAIN, train, (workspace, liver, pretraining, None, device, share))
            )
    for task in wanted:
        weights = start if task.recipe.at(task.stage).pretrained else None
        needs = {PRETRAIN} if weights and experiment.weights is None else set()
        if task.stage == CASCADE:
            needs = {_next_stage(task.recipe, fold) for fold in range(experiment.splits)}
        if not is_done(workspace, dataset, task):
            arguments = (workspace, dataset, task, weights, device, share)
            steps.append(Step(f"train {task.title}", train, arguments, frozenset(needs)))
        if task.stage == LOWRES and task.recipe.configuration == "cascade":
            steps.append(
                Step(
                    _next_stage(task.recipe, task.fold),
                    predict_next_stage,
                    (workspace, dataset, task.recipe, task.fold, device),
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
