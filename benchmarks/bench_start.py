"""The model in the box as a start for others: how much sooner a training reaches the same Dice.

The paper's baseline on a phantom cohort that has nothing to do with torsos, at a scale of minutes:
5 mm, the paper's normalisation, and the feature widths of the model in the box, so that its weights
fit. Once from random weights, and once from the model's (``weights`` of an experiment file; the
last layers stay random, as after the paper's pretraining on LiTS), with equal seeds, hence equal
batches. The peer is the random start. Dice is that of the validation patches after each epoch
(``curves.json``), mean over the classes. What is trained stays in ``--folder``, and a run that is
started again goes on.

    python benchmarks/bench_start.py [--weights FILE] [--epochs 16] [--seeds 1] [--device cpu]
        [--folder FOLDER] [--json FILE] [--quick]

``--weights`` is a ``checkpoint_final.pth``; the close network of the model in the box when absent.
"""

import argparse
import json
import math
from itertools import accumulate
from pathlib import Path
from typing import Any

LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
STARTS = ("random", "model")


def main() -> None:
    """Make a cohort, train from both starts, compare the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="A checkpoint to start from.")
    parser.add_argument("--epochs", type=int, default=16, help="Of 15 iterations.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, default=Path("bench-start"), help="Keeps all.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    parser.add_argument("--quick", action="store_true", help="A few iterations.")
    arguments = parser.parse_args()
    weights = arguments.weights or model_in_the_box()
    folder = arguments.folder / "quick" if arguments.quick else arguments.folder
    epochs, iterations, cases = (2, 2, 4) if arguments.quick else (arguments.epochs, 15, 40)
    settings = experiment(weights.absolute(), epochs, iterations, arguments.seeds)
    curves = train(settings, cases, folder, arguments.device)
    figures = {f"seed {n}": compare(curves, n) for n in range(arguments.seeds)}
    for name, figure in figures.items():
        show(name, figure)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    ratios = [figure["ratio"] for figure in figures.values() if figure["ratio"]]
    if ratios:
        ratio = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"ratio: {ratio:.1f} (epochs to the random start's best Dice, peer over ours)")
    else:
        print("ratio: none; the model's start did not reach the random start's best Dice")


def model_in_the_box() -> Path:
    """The checkpoint of its network at full resolution."""
    from renalseg.models.checkpoints import FINAL
    from renalseg.models.default_model import default_model

    return default_model() / "close" / "fold_0" / FINAL


def experiment(weights: Path, epochs: int, iterations: int, seeds: int):
    """The baseline from both starts, for every seed."""
    from renalseg.experiment.config import Experiment
    from renalseg.models.plans import PAPER_PLAN

    resolution = {"spacing_mm": (5.0, 5.0, 5.0), "patch_size": (32, 32, 32)}
    schedule = {
        "epochs": epochs,
        "iterations": iterations,
        "validation_iterations": 6,
        "learning_rate": 0.05,
        "momentum": 0.9,
        "foreground_oversampling": 0.5,
        "mirror": False,
    }
    recipes = [
        {"name": f"{start}-{n}", "pretrained": start == "model", "seed": n, "schedule": schedule}
        for n in range(seeds)
        for start in STARTS
    ]
    plan = {
        "fullres": resolution,
        "lowres": resolution,
        "features": (32, 64, 128, 160),
        "intensity": PAPER_PLAN.intensity.model_dump(),
        "resampling": "linear",
    }
    return Experiment.model_validate(
        {
            "name": "start",
            "plan": plan,
            "splits": 2,
            "folds": (0,),
            "held_out": 1,
            "weights": weights,
            "recipes": recipes,
            "ensembles": {"ensemble": [recipe["name"] for recipe in recipes]},
        }
    )


def train(settings, cases: int, folder: Path, device: str) -> dict[str, dict[str, Any]]:
    """Train every recipe; the curves of each."""
    import torch

    from renalseg.cohort import Cohort
    from renalseg.cohort.phantom import PhantomConfig, write_phantom_cohort
    from renalseg.experiment.cohorts import kits_training_set
    from renalseg.experiment.progress import Silent
    from renalseg.experiment.runner import Job, run
    from renalseg.models.plans import FULLRES
    from renalseg.training.curves import CURVES
    from renalseg.training.workspace import Workspace
    from renalseg.workers import Serial

    torch.set_num_threads(1)
    config = PhantomConfig(
        cases=cases, seed=2029, in_plane_mm=(3.0, 4.0), slice_mm=(2.5, 5.0), tumor_mm=(40.0, 80.0)
    )
    write_phantom_cohort(folder / "cohort", config)
    workspace = Workspace(folder)
    training_set = kits_training_set(
        Cohort.open(folder / "cohort"), settings.splits, workspace, Silent()
    )
    job = Job(
        experiment=settings,
        recipes=settings.recipes,
        folds=settings.folds,
        workspace=workspace,
        training_set=training_set,
        pretraining_set=None,
        device=device,
    )
    run(job, Serial(), Silent())
    return {
        recipe.name: json.loads(
            (
                workspace.model(recipe.name, training_set.name, FULLRES) / "fold_0" / CURVES
            ).read_text()
        )
        for recipe in settings.recipes
    }


def compare(curves: dict[str, dict[str, Any]], seed: int) -> dict[str, Any]:
    """When each start reaches each level, and the random start's best."""
    found: dict[str, Any] = {}
    for start in STARTS:
        curve = curves[f"{start}-{seed}"]
        dice = [value if value and math.isfinite(value) else 0.0 for value in curve["mean_fg_dice"]]
        seconds = list(accumulate(curve["epoch_seconds"]))
        found[start] = {"dice": dice, "seconds": seconds}
    best = max(found["random"]["dice"])
    found["levels"] = {
        f"{level:.3f}": {start: reached(found[start], level) for start in STARTS}
        for level in (*(level for level in LEVELS if level < best), best)
    }
    last = found["levels"][f"{best:.3f}"]
    found["ratio"] = last["random"][0] / last["model"][0] if last["model"] else None
    return found


def reached(curve: dict[str, list[float]], level: float) -> tuple[int, float] | None:
    """The first epoch, counted from one, with a Dice of the level, and the seconds by then."""
    for number, (dice, seconds) in enumerate(zip(curve["dice"], curve["seconds"], strict=True), 1):
        if dice >= level:
            return number, seconds
    return None


def show(name: str, figure: dict[str, Any]) -> None:
    """Print both curves and when they reach the levels."""
    print(f"\n{name}\nepoch   {'  '.join(f'{start:>7}' for start in STARTS)}")
    for number, row in enumerate(zip(*(figure[start]["dice"] for start in STARTS), strict=True), 1):
        print(f"{number:>5}   {'  '.join(f'{dice:7.3f}' for dice in row)}")
    print(f"{'Dice':<8}" + "".join(f"{start + ': epochs':>16}{'seconds':>9}" for start in STARTS))
    for level, row in figure["levels"].items():
        cells = (row[start] or ("-", float("nan")) for start in STARTS)
        print(f"{level:<8}" + "".join(f"{epochs:>16}{seconds:>9.0f}" for epochs, seconds in cells))


if __name__ == "__main__":
    main()
