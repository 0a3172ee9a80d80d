"""The demo: a phantom cohort through the whole experiment."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path

from renalseg.cohort import Cohort
from renalseg.cohort.phantom import PhantomConfig, write_liver_cohort, write_phantom_cohort
from renalseg.experiment.cohorts import kits_training_set, liver_training_set
from renalseg.experiment.config import load_experiment
from renalseg.experiment.outcome import Outcome, conclude
from renalseg.experiment.progress import Reporter, stage
from renalseg.experiment.runner import Job, run
from renalseg.experiment.settle import check_place
from renalseg.models.device import AUTO, resolve_device
from renalseg.training.workspace import Workspace
from renalseg.workers import default_workers, visible_gpus, worker_pool

NOTE = "Trained for minutes on synthetic phantoms. Not a medical device, and not a result."


def run_demo(
    folder: Path,
    reporter: Reporter,
    *,
    everything: bool = False,
    device: str = AUTO,
    workers: int | None = None,
    config: str = "demo.yaml",
) -> Outcome:
    """Make the cohort, train, predict, score, and write the page; finished work is kept.

    Args:
        folder: Where everything goes.
        reporter: Told of every stage.
        everything: Train every recipe, not only the ensemble's.
        device: A torch device, or ``auto``.
        workers: Processes that share the cores; by default what the device suggests.
        config: The experiment file; it must have a ``phantom`` section.
    """
    experiment = load_experiment(config)
    settings = experiment.phantom
    if settings is None:
        raise ValueError(f"{config} has no phantom section")
    kidneys = PhantomConfig(
        cases=settings.cases,
        seed=settings.seed,
        in_plane_mm=settings.in_plane_mm,
        slice_mm=settings.slice_mm,
        tumor_mm=settings.tumor_mm,
    )
    livers = replace(kidneys, cases=settings.liver_cases, seed=settings.seed + 1)
    device = resolve_device(device)
    check_place(Workspace(folder))
    with worker_pool(workers or default_workers(device), visible_gpus(device)) as pool:
        with stage(reporter, f"make {settings.cases} phantoms with kidneys, tumors and cysts"):
            _write(write_phantom_cohort, folder / "cohort", kidneys, pool, reporter)
        with stage(reporter, f"make {settings.liver_cases} phantoms with livers and lesions"):
            _write(write_liver_cohort, folder / "liver", livers, pool, reporter)
        cohort = Cohort.open(folder / "cohort")
        workspace = Workspace(folder)
        job = Job(
            experiment=experiment,
            recipes=experiment.select(None, everything=everything),
            folds=experiment.folds,
            workspace=workspace,
            training_set=kits_training_set(cohort, experiment.splits, workspace, reporter),
            pretraining_set=liver_training_set(folder / "liver"),
            device=device,
        )
        run(job, pool, reporter)
        return conclude(job, cohort, pool, reporter, notes=[NOTE])


def _write(
    write: Callable[[Path, PhantomConfig], object],
    folder: Path,
    config: PhantomConfig,
    pool: Executor,
    reporter: Reporter,
) -> None:
    """Write a cohort case by case on all workers; a phantom depends on its number alone."""
    parts = [replace(config, cases=1, first_case=number) for number in config.numbers]
    write(folder, parts[0])  # lays claim to the folder
    for done, _ in enumerate(pool.map(partial(write, folder), parts), 1):
        reporter.update(done, len(parts))
