"""Recipes times folds: prepare, pretrain, train, predict what was held out. It resumes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from renalseg.errors import ExperimentError
from renalseg.experiment.config import Experiment
from renalseg.experiment.heldout import predict_held_out
from renalseg.experiment.progress import Reporter, stage
from renalseg.experiment.settle import settle
from renalseg.experiment.tasks import Task, is_done, tasks
from renalseg.models.checkpoints import FINAL
from renalseg.models.ensemble import Ensemble, write_ensemble
from renalseg.models.plans import FULLRES, LOWRES, PLANS_NAME
from renalseg.training.cascade import predict_next_stage
from renalseg.training.dataset import TrainingSet
from renalseg.training.preprocess import prepare
from renalseg.training.recipe import Recipe
from renalseg.training.run import stages, train_fold
from renalseg.training.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """An experiment on its data.

    Attributes:
        experiment: The experiment.
        recipes: Those of its recipes to run.
        folds: Those of its folds to run.
        workspace: Where everything is written.
        training_set: The cohort's complete cases.
        pretraining_set: Liver and lesions; needed where a recipe is pretrained.
        device: A torch device.
    """

    experiment: Experiment
    recipes: tuple[Recipe, ...]
    folds: tuple[int, ...]
    workspace: Workspace
    training_set: TrainingSet
    pretraining_set: TrainingSet | None = None
    device: str = "cpu"

    @property
    def dataset(self) -> str:
        """Name of the nnU-Net data set."""
        return self.training_set.name

    @property
    def trained(self) -> tuple[Recipe, ...]:
        """All recipes of the experiment whose models stand in the workspace, in every fold."""
        return tuple(
            recipe
            for recipe in self.experiment.recipes
            if all(
                is_done(self.workspace, self.dataset, task)
                for task in tasks(self.experiment, [recipe], self.folds)
            )
        )

    def models(self, recipe: Recipe) -> list[Path]:
        """The model folders of a recipe, first stage first."""
        return [self.workspace.model(recipe.name, self.dataset, name) for name in stages(recipe)]

    def sets(self) -> dict[str, tuple[str, ...]]:
        """Every set of predictions that can be made: trained recipes, and ensembles of them."""
        names = [recipe.name for recipe in self.trained]
        sets: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
        for ensemble, members in self.experiment.ensembles.items():
            if set(members) <= set(names):
                sets[ensemble] = members
        return sets


def run(job: Job, reporter: Reporter) -> None:
    """Run an experiment to its held-out predictions and its ensemble folder.

    Raises:
        ExperimentError: If the workspace holds another experiment, or data are missing.
    """
    settle(job.workspace, job.experiment, job.training_set)
    _prepare(job, reporter)
    start = _pretrain(job, reporter)
    for task in tasks(job.experiment, job.recipes, job.folds):
        _train(job, task, start, reporter)
        if task.stage == LOWRES:
            predict_next_stage(
                job.workspace, job.dataset, task.recipe, task.fold, device=job.device
            )
    members = {recipe.name: job.models(recipe) for recipe in job.trained}
    with stage(reporter, "predict held-out cases"):
        predict_held_out(
            job.training_set,
            job.folds,
            members,
            job.sets(),
            job.experiment.final,
            predictions_folder(job.workspace),
            device=job.device,
            on_progress=reporter.update,
        )
    if job.experiment.final in job.sets():
        with stage(reporter, "write the ensemble"):
            keep_ensemble(job)


def predictions_folder(workspace: Workspace) -> Path:
    """Where the held-out predictions stand, one folder per model or ensemble."""
    return workspace.root / "predictions"


def ensemble_folder(workspace: Workspace) -> Path:
    """Where the final ensemble stands."""
    return workspace.root / "ensemble"


def keep_ensemble(job: Job) -> Ensemble:
    """Gather the final ensemble's models into its folder."""
    folder = ensemble_folder(job.workspace)
    names = job.experiment.ensembles[job.experiment.final]
    members = {r.name: job.models(r) for r in job.experiment.recipes if r.name in names}
    return write_ensemble(folder, members, job.folds)


def _prepare(job: Job, reporter: Reporter) -> None:
    variants = list(dict.fromkeys(recipe.annotations for recipe in job.recipes))
    configurations = sorted({name for recipe in job.recipes for name in stages(recipe)})
    with stage(reporter, "preprocess the cohort"):
        prepare(
            job.workspace,
            job.training_set,
            job.experiment.fixed_plan,
            variants,
            configurations,
            reporter.update,
        )


def _pretrain(job: Job, reporter: Reporter) -> Path | None:
    """Train the network that others start from; returns its checkpoint."""
    if not any(recipe.pretrained for recipe in job.recipes):
        return None
    data = job.pretraining_set
    if data is None:
        names = ", ".join(recipe.name for recipe in job.recipes if recipe.pretrained)
        raise ExperimentError(
            f"{names}: needs liver data to pretrain on; give the folder of LiTS's training data"
        )
    recipe = job.experiment.pretraining_recipe
    task = Task(recipe, FULLRES, 0)
    folder = job.workspace.model(recipe.name, data.name, FULLRES)
    if not is_done(job.workspace, data.name, task):
        with stage(reporter, "preprocess liver and lesions"):
            plans = json.loads(
                (job.workspace.preprocessed / job.dataset / f"{PLANS_NAME}.json").read_text()
            )
            prepare(job.workspace, data, plans, ["majority"], [FULLRES], reporter.update)
        with stage(reporter, "pretrain on liver and lesions"):
            train_fold(
                job.workspace,
                data.name,
                recipe,
                FULLRES,
                0,
                device=job.device,
                on_progress=reporter.update,
            )
    return folder / "fold_0" / FINAL


def _train(job: Job, task: Task, start: Path | None, reporter: Reporter) -> None:
    if is_done(job.workspace, job.dataset, task):
        return
    first = task.stage == stages(task.recipe)[0]
    with stage(reporter, f"train {task.title}"):
        train_fold(
            job.workspace,
            job.dataset,
            task.recipe,
            task.stage,
            task.fold,
            start=start if task.recipe.pretrained and first else None,
            device=job.device,
            on_progress=reporter.update,
        )


def chosen_folds(experiment: Experiment, folds: Sequence[int] | None) -> tuple[int, ...]:
    """The folds to run.

    Raises:
        ExperimentError: If a fold is not one of the experiment's.
    """
    unknown = sorted(set(folds or ()) - set(experiment.folds))
    if unknown:
        raise ExperimentError(f"no fold {unknown[0]}; {experiment.name} has {experiment.folds}")
    return tuple(folds) if folds else experiment.folds
