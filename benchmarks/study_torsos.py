"""What each kind of realism of the torsos buys: one small network trained without each of them.

Every network has the same seed, schedule and size (one resolution of 5 mm). It is trained on torsos
with all realism, without one kind of it, or without any; ``again`` has all and another seed, and
shows how far two equal trainings are apart. All are scored on the same held-out torsos with all
realism, and shown a real CT, where what lies away from the kidneys is false. ``renalseg predict``
without post-processing makes the masks. What is trained and scored stays in ``--folder``, and a run
that is started again goes on.

    python benchmarks/study_torsos.py --shapes train.bin --held-out held-out.bin
        [--scan FILE --mask FILE] [--picture FILE] [--folder FOLDER] [--json FILE] [--quick]

``--mask`` is the best mask there is of the scan; volumes near it and Dice refer to it.
"""

import argparse
import json
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # a process a core

import numpy as np  # noqa: E402  threads are set before numpy loads

SEED, TEST_SEED = 2031, 4712
SPACING_MM = (5.0, 5.0, 5.0)
PATCH, TORSO, TEST = (32, 32, 40), (80, 56, 88), (96, 64, 88)
FEATURES = (12, 24, 48, 96)
NEAR_MM = 10.0
ALL, AGAIN, NONE = "all", "again", "none"


def main() -> None:
    """Train and score every variant, side by side; print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=Path, required=True, help="To train on.")
    parser.add_argument("--held-out", type=Path, required=True, help="To score on.")
    parser.add_argument("--scan", type=Path, help="A real CT.")
    parser.add_argument("--mask", type=Path, help="The best mask of it.")
    parser.add_argument("--picture", type=Path, help="Draw the real CT with what each found.")
    parser.add_argument("--folder", type=Path, default=Path("study-torsos"), help="Keeps all.")
    parser.add_argument("--epochs", type=int, default=16, help="Of 50 iterations.")
    parser.add_argument("--cases", type=int, default=40, help="Held-out torsos.")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="+", help="Only these variants.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    parser.add_argument("--quick", action="store_true", help="Three variants, a few iterations.")
    arguments = parser.parse_args()
    if bool(arguments.scan) != bool(arguments.mask):
        parser.error("--scan and --mask belong together")
    if arguments.quick:
        arguments.folder, arguments.epochs, arguments.cases = arguments.folder / "quick", 2, 3
        arguments.only = arguments.only or [ALL, "pelvis", NONE]
    chosen = [name for name in variants() if not arguments.only or name in arguments.only]
    results: dict[str, dict[str, Any]] = {}
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        running = {pool.submit(study, name, arguments): name for name in chosen}
        for done in as_completed(running):
            results[running[done]] = done.result()
            print(f"{running[done]}: {len(results)} of {len(chosen)} done", flush=True)
    results = {name: results[name] for name in chosen}
    figures = {
        name: {**figures_of(row), "differs": differs(row, results)} for name, row in results.items()
    }
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if arguments.picture:
        draw(arguments.picture, arguments, results)


def variants() -> dict[str, tuple[str, ...]]:
    """What each variant leaves out."""
    from renalseg.cohort.phantom.torso import REALISM

    return {ALL: (), AGAIN: (), **{kind: (kind,) for kind in REALISM}, NONE: REALISM}


def experiment(name: str, epochs: int, iterations: int):
    """One small network for whole torsos."""
    from renalseg.experiment.torsos import TorsoExperiment

    resolution = {"spacing_mm": SPACING_MM, "patch_size": PATCH}
    schedule = {
        "epochs": epochs,
        "iterations": iterations,
        "validation_iterations": 1,
        "learning_rate": 0.3,
        "momentum": 0.9,
        "foreground_oversampling": 0.7,
        "mirror": False,
    }
    network = {
        "name": name,
        "seed": int(name == AGAIN),
        "schedule": schedule,
        "torsos": {"shape": TORSO, "uses": 8, "leave_out": variants()[name]},
    }
    return TorsoExperiment.model_validate(
        {
            "name": name,
            "seed": SEED,
            "plan": {
                "fullres": resolution,
                "lowres": resolution,
                "batch_size": 2,
                "features": FEATURES,
                "convolutions": 1,
                "intensity": {"clip_hu": (-160, 340), "mean_hu": 40, "std_hu": 100},
                "resampling": "linear",
            },
            "networks": [network],
        }
    )


def study(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train a variant and score it, unless both have been done."""
    import torch

    from renalseg.experiment.progress import Silent
    from renalseg.experiment.torsos import train_on_torsos
    from renalseg.pipeline import Segmenter

    torch.set_num_threads(1)
    folder = arguments.folder / name
    settings = experiment(name, arguments.epochs, 5 if arguments.quick else 50)
    ensemble = train_on_torsos(
        settings, arguments.shapes, folder, Silent(), device=arguments.device
    )
    record = folder / "result.json"
    asked = [arguments.cases, *map(str, (arguments.held_out, arguments.scan, arguments.mask))]
    known = json.loads(record.read_text()) if record.is_file() else {}
    if known.get("asked") == asked:
        return known
    segmenter = Segmenter.load(ensemble.folder, clean=False, device=arguments.device)
    result = {"asked": asked, "torsos": held_out(segmenter, arguments.held_out, arguments.cases)}
    if arguments.scan:
        result["scan"] = real(segmenter, arguments.scan, arguments.mask, folder / "scan.nii.gz")
    beside = record.with_suffix(".part")
    beside.write_text(json.dumps(result, indent=2) + "\n")
    beside.replace(record)
    return result


def held_out(segmenter, shapes: Path, cases: int) -> list[dict[str, Any]]:
    """Scores on torsos of patients that no network has seen, with all realism."""
    from renalseg.cohort.phantom.torso import TorsoConfig, make_torso
    from renalseg.metrics import score_case
    from renalseg.volume import Volume

    config = TorsoConfig(
        seed=TEST_SEED, spacing_mm=SPACING_MM, shape=TEST, shapes=shapes, real_share=1.0
    )
    rows = []
    for number in range(cases):
        torso = make_torso(config, number)
        found = segmenter.segment(Volume(torso.image, torso.affine)).labels.array
        score = score_case(found, [torso.labels], spacing_mm=SPACING_MM)
        voxel_ml = float(np.prod(SPACING_MM)) / 1000
        rows.append(
            {"score": asdict(score), **volumes(found > 0, torso.labels > 0, SPACING_MM, voxel_ml)}
        )
    return rows


def real(segmenter, scan: Path, mask: Path, target: Path) -> dict[str, Any]:
    """What is found in a real CT."""
    from renalseg.metrics import dice
    from renalseg.volume import read_image, read_labels

    volume, reference = read_image(scan), read_labels(mask)
    segmentation = segmenter.segment(volume)
    segmentation.save(target)
    found, wanted = segmentation.labels.array > 0, reference.array > 0
    voxel_ml = float(np.prod(volume.spacing_mm)) / 1000
    return {
        "dice": dice(found, wanted),
        "reference_ml": float(wanted.sum()) * voxel_ml,
        **volumes(found, wanted, volume.spacing_mm, voxel_ml),
    }


def volumes(found, reference, spacing_mm, voxel_ml: float) -> dict[str, float]:
    """What lies within 10 mm of the reference, and what lies farther away, in ml."""
    from scipy import ndimage

    if not reference.any():
        return {"near_ml": 0.0, "false_ml": float(found.sum()) * voxel_ml}
    near = ndimage.distance_transform_edt(~reference, sampling=spacing_mm) <= NEAR_MM
    return {
        "near_ml": float((found & near).sum()) * voxel_ml,
        "false_ml": float((found & ~near).sum()) * voxel_ml,
    }


def figures_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Mean Dice with its interval, false ml of a torso, and the figures of the real CT."""
    from renalseg.evaluation.statistics import bootstrap

    rows = result["torsos"]
    return {
        "dice": asdict(bootstrap(scores(result))["D1"]),
        "false_ml": float(np.mean([row["false_ml"] for row in rows])),
        "scan": result.get("scan"),
    }


def differs(result: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any] | None:
    """A variant against all realism, torso by torso."""
    from renalseg.evaluation.statistics import compare

    if ALL not in results or result is results[ALL]:
        return None
    found = compare({"this": scores(result), ALL: scores(results[ALL])}, ALL)
    return next(asdict(one) for one in found if one.figure == "D1")


def scores(result: Mapping[str, Any]):
    """Scores by case."""
    from renalseg.evaluation.case import score_of

    return {f"{n:04d}": score_of(row["score"]) for n, row in enumerate(result["torsos"])}


def show(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table in Markdown."""
    print(
        "\n| left out | Dice of kidney and mass | difference | false ml "
        "| real CT: Dice | near ml | false ml |"
    )
    print("|---|---|---|---|---|---|---|")
    titles = {ALL: "nothing", AGAIN: "nothing, another seed", NONE: "everything"}
    for name, row in figures.items():
        dice, scan = row["dice"], row["scan"]
        cells = [titles.get(name, name)]
        cells.append(f"{dice['mean']:.3f} ({dice['low']:.3f}-{dice['high']:.3f})")
        cells.append(f"{row['differs']['mean_difference']:+.3f}" if row["differs"] else "")
        cells.append(f"{row['false_ml']:.1f}")
        if scan:
            cells += [f"{scan['dice']:.3f}", f"{scan['near_ml']:.0f}", f"{scan['false_ml']:.0f}"]
        print(f"| {' | '.join(cells)} |")


def draw(path: Path, arguments: argparse.Namespace, results: Mapping[str, Any]) -> None:
    """The real CT's coronal slice with most kidney, and what each variant found there."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from renalseg.volume import read_image, read_labels

    scan, reference = read_image(arguments.scan), read_labels(arguments.mask)
    row = int(np.argmax((reference.array > 0).sum((0, 2))))
    aspect = scan.spacing_mm[0] / scan.spacing_mm[2]
    columns = 5
    lines = -(-len(results) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(15, 3.2 * lines), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, name in zip(axes.flat, results, strict=False):
        found = read_labels(arguments.folder / name / "scan.nii.gz")
        axis.imshow(np.clip(scan.array[:, row], -150, 250), cmap="gray", aspect=aspect)
        for labels, color in ((reference, "#2eb84c"), (found, "#d63031")):
            if (labels.array[:, row] > 0).any():
                axis.contour(labels.array[:, row] > 0, [0.5], colors=color, linewidths=1.2)
        axis.set_title(
            {ALL: "all realism", AGAIN: "all, another seed", NONE: "none"}.get(
                name, f"without {name}"
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)
    plt.close(figure)


if __name__ == "__main__":
    main()
