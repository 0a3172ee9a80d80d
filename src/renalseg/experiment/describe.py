"""An experiment in words, before a single iteration is run."""

from collections.abc import Sequence
from typing import Any

from renalseg.experiment.config import Experiment, start_resolution
from renalseg.experiment.heldout import POSTPROCESSED
from renalseg.experiment.paper_tables import tables_with
from renalseg.experiment.start_weights import checkpoint_for
from renalseg.experiment.tasks import Task, tasks
from renalseg.models.plans import CASCADE, FULLRES, Plan, nnunet_plans
from renalseg.training.dataset import crossval_splits
from renalseg.training.recipe import Recipe, Regularization, Schedule

RANDOM = "random"


def describe(
    experiment: Experiment, recipes: Sequence[Recipe], folds: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Everything that a run of an experiment would do.

    Args:
        experiment: The experiment.
        recipes: Those of its recipes that would run.
        folds: Those of its folds that would run.
        names: Names of the cohort's cases.

    Returns:
        Plain values for JSON: ``cohort``, ``plan``, ``runs`` and ``ensembles``.
    """
    splits = crossval_splits(sorted(names), experiment.splits)
    sizes = [(len(split["train"]), len(split["val"])) for split in splits]
    runs = [_run(experiment, task, *sizes[task.fold]) for task in tasks(experiment, recipes, folds)]
    first = [_pretraining(experiment, name) for name in experiment.pretrainings(recipes)]
    final = experiment.final + POSTPROCESSED
    return {
        "experiment": experiment.name,
        "cases": len(names),
        "splits": [{"train": train, "validate": validate} for train, validate in sizes],
        "plan": _plan(experiment.fixed_plan),
        "fold_average": experiment.fold_average,
        "runs": [*first, *runs],
        "ensembles": [
            {"model": name, "tables": tables_with(name, experiment), "members": list(members)}
            for name, members in (
                *experiment.ensembles.items(),
                (final, experiment.ensembles[experiment.final]),
            )
        ],
    }


def _plan(plan: Plan | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {
        "fullres_spacing_mm": list(plan.fullres.spacing_mm),
        "lowres_spacing_mm": list(plan.lowres.spacing_mm),
        "fullres_patch": list(plan.fullres.patch_size),
        "lowres_patch": list(plan.lowres.patch_size),
        "batch_size": plan.batch_size,
        "features": list(plan.features),
        "kernel": [3, 3, 3],
        "downsamplings": plan.downsamplings,
        "convolutions_per_stage": plan.convolutions,
        "clip_hu": list(plan.intensity.clip_hu),
        "mean_hu": plan.intensity.mean_hu,
        "std_hu": plan.intensity.std_hu,
    }


def _run(experiment: Experiment, task: Task, train: int, validate: int) -> dict[str, Any]:
    recipe, plan = task.recipe.at(task.stage), experiment.fixed_plan
    term = recipe.regularization
    described: dict[str, Any] = {
        "model": recipe.name,
        "tables": tables_with(recipe.name, experiment),
        "stage": task.stage,
        "fold": task.fold,
        "train": train,
        "validate": validate,
        "annotations": recipe.variant,
        "initial_weights": _start(experiment, task.stage) if recipe.pretrained else RANDOM,
        "loss": loss_name(recipe),
        "lambda": None if term is None else term.weight,
        "beta": None if term is None else term.beta,
        **_schedule(recipe.schedule),
    }
    return described | _resolution(plan, task.stage)


def _start(experiment: Experiment, stage: str) -> str:
    resolution = start_resolution(stage)
    if experiment.weights is not None:
        return str(checkpoint_for(experiment.weights, resolution))
    return f"{resolution}, pretrained on liver and lesions (LiTS)"


def _pretraining(experiment: Experiment, resolution: str) -> dict[str, Any]:
    return {
        "model": "pretraining",
        "tables": [],
        "stage": resolution,
        "fold": 0,
        "annotations": "liver and lesions (LiTS)",
        "initial_weights": RANDOM,
        "loss": "Dice + cross-entropy",
        "lambda": None,
        "beta": None,
        **_schedule(experiment.pretraining),
        **_resolution(experiment.fixed_plan, resolution),
    }


def _resolution(plan: Plan | None, stage: str) -> dict[str, Any]:
    """What a stage sees, from the plans that nnU-Net would read."""
    if plan is None:
        return {}
    plans = nnunet_plans(plan, "", [plan.fullres.spacing_mm], [plan.fullres.patch_size])
    settings = plans["configurations"][FULLRES if stage == CASCADE else stage]
    return {
        "spacing_mm": settings["spacing"],
        "patch": settings["patch_size"],
        "batch_size": settings["batch_size"],
        "downsamplings": settings["architecture"]["arch_kwargs"]["n_stages"] - 1,
        "clip_hu": list(plan.intensity.clip_hu),
    }


def loss_name(recipe: Recipe) -> str:
    """The loss that a stage is trained with (eq. 1)."""
    term, loss = recipe.regularization, "Dice + cross-entropy"
    return loss if term is None else f"{loss} + {term.weight:g} x {_term_name(term)} loss"


def _term_name(term: Regularization) -> str:
    """The term as the paper names it, and by its neighbours where the paper has none."""
    name = {4: "image", 6: "volume"}.get(term.neighbours, f"{term.neighbours}-neighbour")
    return name if term.dilation == 1 else f"{name} (dilation {term.dilation})"


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return {
        "epochs": schedule.epochs,
        "iterations": schedule.iterations,
        "learning_rate": schedule.learning_rate,
        "momentum": schedule.momentum,
        "foreground_oversampling": schedule.foreground_oversampling,
    }
