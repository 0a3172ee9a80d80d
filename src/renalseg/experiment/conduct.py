"""What ``renalseg experiment`` does: from file names to results."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from renalseg.cluster import cluster
from renalseg.cohort import Cohort
from renalseg.errors import ExperimentError
from renalseg.experiment.cohorts import (
    KITS_DATASET,
    LIVER_DATASET,
    kits_training_set,
    liver_training_set,
)
from renalseg.experiment.config import Experiment, load_experiment
from renalseg.experiment.describe import describe
from renalseg.experiment.outcome import Outcome, conclude
from renalseg.experiment.progress import Reporter
from renalseg.experiment.runner import Job, chosen_folds, run
from renalseg.experiment.settle import check_place, has_own_pretraining, is_experiment
from renalseg.experiment.standing import Progress, look
from renalseg.experiment.start_weights import with_default_weights
from renalseg.experiment.tasks import tasks
from renalseg.experiment.trainings import pretraining_tasks
from renalseg.models.device import AUTO, resolve_device
from renalseg.training.workspace import Workspace
from renalseg.workers import default_workers, visible_gpus, worker_pool


def plan_run(
    config: str,
    cohort: Path,
    recipes: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    *,
    liver: Path | None = None,
    everything: bool = False,
) -> dict[str, Any]:
    """Describe what a run would do; reads nothing of a case but that it is there."""
    experiment = _experiment(config, pretrains=liver is not None)
    chosen = experiment.select(recipes, everything=everything)
    names = [case.case_id for case in Cohort.open(cohort).cases]
    return describe(experiment, chosen, chosen_folds(experiment, folds), names)


def conduct(
    config: str,
    cohort: Path,
    liver: Path | None,
    output: Path,
    recipes: Sequence[str] | None,
    folds: Sequence[int] | None,
    reporter: Reporter,
    *,
    everything: bool = False,
    device: str = AUTO,
    workers: int | None = None,
    ray: str | None = None,
    share: int = 1,
) -> Outcome:
    """Run an experiment on a cohort and write its tables and page.

    Args:
        config: Experiment file.
        cohort: Folder in KiTS layout.
        liver: LiTS's training data, for recipes that are pretrained; where it is absent they start
            from the weights that the experiment names, or from the published LiTS network.
        output: Folder of the experiment.
        recipes: Names of those to run; None for the file's default.
        folds: Those to run; None for the file's own.
        reporter: Told of every stage.
        everything: Run every recipe where none is named.
        device: A torch device, or ``auto``.
        workers: How many trainings run side by side on this machine.
        ray: Address of a Ray cluster to run on in place of this machine.
        share: GPUs, or processes where there are none, that share the batch of each training.
    """
    if ray is not None:  # workers do not stand where the command was given
        cohort, output = cohort.absolute(), output.absolute()
        liver = None if liver is None else liver.absolute()
    check_place(Workspace(output))
    with _workers(device, workers, ray, share) as (pool, resolved):
        opened = Cohort.open(cohort)
        job = _job(config, opened, output, recipes, folds, reporter, liver, everything, resolved)
        job = replace(job, share=share)
        run(job, pool, reporter)
        return conclude(job, opened, pool, reporter)


@contextmanager
def _workers(
    device: str, workers: int | None, ray: str | None, share: int
) -> Iterator[tuple[Executor, str]]:
    """Where steps run, and the device that they have there."""
    if ray is not None:
        with cluster(ray, gpus=share, cores=share) as nodes:
            found = "cuda" if nodes.has_gpus else "cpu"
            yield nodes, found if device == AUTO else device
        return
    resolved = resolve_device(device)
    gpus = visible_gpus(resolved)
    groups = [",".join(gpus[i : i + share]) for i in range(0, len(gpus) - share + 1, share)]
    if gpus and not groups:
        raise ExperimentError(
            f"--gpus-per-training: expected {len(gpus)} or fewer, as this machine has, got {share}"
        )
    with worker_pool(workers or max(1, default_workers(resolved) // share), groups) as pool:
        yield pool, resolved


def report_anew(config: str, cohort: Path, output: Path, reporter: Reporter) -> Outcome:
    """Write tables and page of what is predicted."""
    if not is_experiment(Workspace(output)):
        raise ExperimentError(f"{output}: no experiment; give the folder of one that was run")
    opened = Cohort.open(cohort)
    job = _job(config, opened, output, None, None, reporter, None, True, "cpu")
    with worker_pool(default_workers("cpu")) as pool:
        return conclude(job, opened, pool, reporter)


def progress_of(
    config: str,
    output: Path,
    recipes: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    *,
    everything: bool = False,
) -> Progress:
    """Say where an experiment stands; it may be running."""
    workspace = Workspace(output)
    experiment = _experiment(config, pretrains=has_own_pretraining(workspace))
    chosen = experiment.select(recipes, everything=everything)
    first = [(LIVER_DATASET, task) for task in pretraining_tasks(experiment, chosen)]
    rest = tasks(experiment, chosen, chosen_folds(experiment, folds))
    return look(workspace, [*first, *((KITS_DATASET, task) for task in rest)])


def _experiment(config: str, *, pretrains: bool) -> Experiment:
    """Read an experiment; it pretrains itself, or starts from what is installed."""
    experiment = load_experiment(config)
    return experiment if pretrains else with_default_weights(experiment)


def _job(
    config: str,
    cohort: Cohort,
    output: Path,
    recipes: Sequence[str] | None,
    folds: Sequence[int] | None,
    reporter: Reporter,
    liver: Path | None,
    everything: bool,
    device: str,
) -> Job:
    workspace = Workspace(output)
    experiment = _experiment(config, pretrains=liver is not None)
    return Job(
        experiment=experiment,
        recipes=experiment.select(recipes, everything=everything),
        folds=chosen_folds(experiment, folds),
        workspace=workspace,
        training_set=kits_training_set(cohort, experiment.splits, workspace, reporter),
        pretraining_set=liver_training_set(liver) if liver else None,
        device=device,
    )
