"""Recipes times folds: prepare, pretrain, train, predict what was held out. It resumes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from renalseg.errors import ExperimentError
from renalseg.experiment.config import Experiment
from renalseg.experiment.failures import failure
from renalseg.experiment.heldout import predict_held_out
from renalseg.experiment.progress import Reporter, stage
from renalseg.experiment.settle import PREDICTIONS, settle
from renalseg.experiment.start_weights import check_start
from renalseg.experiment.steps import run_steps
from renalseg.experiment.tasks import Task, is_done, tasks
from renalseg.experiment.trainings import (
    finished_epochs,
    pretraining_tasks,
    pretraining_title,
    training_steps,
)
from renalseg.inference.network import How
from renalseg.models.ensemble import Ensemble, write_ensemble
from renalseg.models.plans import preprocessed_as
from renalseg.training.annotations import Annotations, needed_variants
from renalseg.training.dataset import TrainingSet
from renalseg.training.preprocess import prepare, preprocess_case
from renalseg.training.recipe import Recipe
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
        pretraining_set: Liver and lesions; needed where a recipe is pretrained and the experiment
            names no weights.
        device: A torch device.
        share: Processes, and GPUs, that share each training's batch.
    """

    experiment: Experiment
    recipes: tuple[Recipe, ...]
    folds: tuple[int, ...]
    workspace: Workspace
    training_set: TrainingSet
    pretraining_set: TrainingSet | None = None
    device: str = "cpu"
    share: int = 1

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

    @property
    def held_out(self) -> list[tuple[int, str]]:
        """The cases that are predicted and scored, each with the fold that has not seen it."""
        splits = self.training_set.folds()
        return [
            (fold, name)
            for fold in self.folds
            for name in splits[fold]["val"][: self.experiment.held_out]
        ]

    def models(self, recipe: Recipe) -> list[Path]:
        """The model folders of a recipe, first stage first."""
        return [self.workspace.model(recipe.name, self.dataset, name) for name in recipe.stages]

    def sets(self) -> dict[str, tuple[str, ...]]:
        """Every set of predictions that can be made: trained recipes, and ensembles of them."""
        names = [recipe.name for recipe in self.trained]
        sets: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
        for ensemble, members in self.experiment.ensembles.items():
            if set(members) <= set(names):
                sets[ensemble] = members
        return sets


def run(job: Job, pool: Executor, reporter: Reporter) -> None:
    """Run an experiment to its held-out predictions and its ensemble folder.

    Raises:
        ExperimentError: If the workspace holds another experiment, or data or weights are
            missing.
    """
    has_liver = job.pretraining_set is not None
    check_start(job.experiment, job.recipes, has_liver=has_liver)
    settle(job.workspace, job.experiment, job.recipes, job.training_set)
    wanted = tasks(job.experiment, job.recipes, job.folds)
    _preprocess(job, pool, reporter)
    _train(job, wanted, pool, reporter)
    with stage(reporter, "predict held-out cases"):
        predict_held_out(
            job.training_set,
            job.held_out,
            {recipe.name: job.models(recipe) for recipe in job.trained},
            job.sets(),
            job.experiment.final,
            predictions_folder(job.workspace),
            pool,
            how=How(device=job.device, average=job.experiment.fold_average),
            on_progress=reporter.update,
        )
    if job.experiment.final in job.sets():
        with stage(reporter, "write the ensemble"):
            keep_ensemble(job)


def predictions_folder(workspace: Workspace) -> Path:
    """Where the held-out predictions stand, one folder per model or ensemble."""
    return workspace.root / PREDICTIONS


def ensemble_folder(workspace: Workspace) -> Path:
    """Where the final ensemble stands."""
    return workspace.root / "ensemble"


def keep_ensemble(job: Job) -> Ensemble:
    """Gather the final ensemble's models into its folder."""
    folder = ensemble_folder(job.workspace)
    names = job.experiment.ensembles[job.experiment.final]
    members = {r.name: job.models(r) for r in job.experiment.recipes if r.name in names}
    average = job.experiment.fold_average
    return write_ensemble(folder, members, job.folds, fold_average=average)


def _preprocess(job: Job, pool: Executor, reporter: Reporter) -> None:
    """Preprocess the cohort, and liver and lesions where a recipe starts from them."""
    with stage(reporter, "preprocess the cohort"):
        plans = prepare(job.workspace, job.training_set, job.experiment.fixed_plan)
        variants = _needed_variants(job.recipes)
        _preprocess_cases(job, job.training_set, plans, variants, pool, reporter)
    resolutions, liver = job.experiment.pretrainings(job.recipes), job.pretraining_set
    if not resolutions or liver is None:
        return
    with stage(reporter, "preprocess liver and lesions"):
        plans = prepare(job.workspace, liver, plans)
        labels: dict[str, tuple[Annotations, ...]] = dict.fromkeys(resolutions, ("majority",))
        _preprocess_cases(job, liver, plans, labels, pool, reporter)


def _needed_variants(recipes: Sequence[Recipe]) -> dict[str, tuple[Annotations, ...]]:
    """The label variants to preprocess, by configuration; a mean after its maps."""
    needed: dict[str, list[Annotations]] = {}
    for recipe in recipes:
        for name in recipe.stages:
            variants = needed_variants(recipe.at(name).annotations)
            needed.setdefault(preprocessed_as(name), []).extend(variants)
    return {name: tuple(dict.fromkeys(needed[name])) for name in sorted(needed)}


def _preprocess_cases(
    job: Job,
    training_set: TrainingSet,
    plans: dict[str, Any],
    variants: Mapping[str, tuple[Annotations, ...]],
    pool: Executor,
    reporter: Reporter,
) -> None:
    one = partial(preprocess_case, job.workspace, training_set, plans, variants=variants)
    for done, _ in enumerate(pool.map(one, training_set.cases), 1):
        reporter.update(done, len(training_set.cases))


def _train(job: Job, wanted: list[Task], pool: Executor, reporter: Reporter) -> None:
    liver = job.pretraining_set.name if job.pretraining_set else None
    steps = training_steps(
        job.workspace, job.dataset, liver, job.experiment, wanted, job.device, job.share
    )
    trainings = [(job.dataset, task) for task in wanted]
    titles = {step.title for step in steps}
    for task in pretraining_tasks(job.experiment, job.recipes):
        if liver and pretraining_title(task.stage) in titles:
            trainings.append((liver, task))
    total = sum(task.recipe.schedule.epochs for _, task in trainings)
    logs = job.workspace.root / "logs"

    def show() -> None:
        epochs = (finished_epochs(job.workspace, data, task) for data, task in trainings)
        reporter.update(sum(epochs), total)

    networks = sum(not step.title.startswith("predict") for step in steps)
    with stage(reporter, f"train {networks} networks, {len(trainings) - networks} already done"):
        run_steps(
            steps,
            pool,
            reporter.done,
            show,
            lambda title, error: reporter.problem(failure(title, error, logs)),
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
