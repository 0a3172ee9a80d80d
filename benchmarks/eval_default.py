"""How well the model in the box does on torsos it never saw, and what it misses.

Torsos with the kidneys of held-out patients (bent, as in training), on five grids from 1.5 mm cubes
to slices of 5 mm, at any time after contrast or without any. Each is segmented as ``renalseg
predict`` does it. Dice is the challenge's (two empty masks score 1, one empty mask 0), its
intervals are those of ``renalseg evaluate``.

Every patient of KiTS has a tumor; a torso may have none, or a speck. So masses and tumors are
judged on torsos with 1 ml or more of them, beside the means over all torsos; what is called a mass
in the others is counted. A kidney is a piece of kidney and mass of 10 ml or more; it is missed
where less than half of it is found. A false finding is a piece of more than 2 ml that touches
nothing of the reference. Each case is kept in ``--folder``: a run that is started again goes on,
unless its voxels, the weights or what is cleaned away changed.

    python benchmarks/eval_default.py --shapes held-out.bin [--model FOLDER] [--cases 40]
        [--folder FOLDER] [--scan FILE] [--json FILE] [--pictures 4] [--quick]

``--shapes`` are those that ``renalseg experiment torsos --shapes KITS`` keeps for tests. ``--scan``
also gives wall time and memory of ``renalseg predict`` on a file.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

SEED = 4711
GRIDS = (
    ((3.0, 1.5, 1.5), (110, 220, 288)),
    ((5.0, 1.2, 1.2), (90, 272, 360)),
    ((2.0, 2.0, 2.0), (160, 166, 216)),
    ((1.5, 1.5, 1.5), (200, 220, 288)),
    ((3.0, 3.0, 3.0), (128, 112, 144)),
)
TARGETS = {"kidney_and_mass": 0.93, "mass": 0.70, "tumor": 0.65}
KIDNEY_ML, FALSE_ML, FOUND_SHARE, MASS_ML = 10.0, 2.0, 0.5, 1.0


def main() -> None:
    """Segment and score every case that is not yet, then print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=Path, required=True, help="Written by ShapeBank.save.")
    parser.add_argument("--model", type=Path, help="An ensemble; else the one in the box.")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--folder", type=Path, default=Path("eval-default"), help="Keeps cases.")
    parser.add_argument("--scan", type=Path, help="Also time a prediction of this file.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    parser.add_argument("--pictures", type=int, default=0, help="Draw so many of the worst cases.")
    parser.add_argument("--quick", action="store_true", help="Two cases.")
    arguments = parser.parse_args()
    cases = run_cases(
        arguments.shapes,
        arguments.model,
        2 if arguments.quick else arguments.cases,
        arguments.folder,
    )
    result: dict[str, Any] = {"cases": len(cases), "groups": groups(cases)}
    result |= {
        "findings": findings(cases),
        "seconds": statistics.median(c["seconds"] for c in cases),
    }
    if arguments.scan:
        result["scan"] = timed(arguments.scan, arguments.model)
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result | {"each": cases}, indent=2) + "\n")
    for case in sorted(cases, key=lambda c: c["dice"]["kidney_and_mass"])[: arguments.pictures]:
        draw(case, arguments.shapes, arguments.folder)


def run_cases(shapes: Path, model: Path | None, count: int, folder: Path) -> list[dict[str, Any]]:
    """Every case, from the folder where it stands there."""
    from renalseg.pipeline import Segmenter

    segmenter = Segmenter.load(model) if model else Segmenter.load()
    model_says = sorted(segmenter.record.files.values())
    model_says += [str(segmenter.cleaning)]
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for number in range(count):
        path = folder / f"case_{number:03d}.json"
        torso, spacing = make(shapes, number)
        key = key_of(torso, model_says)
        case = json.loads(path.read_text()) if path.is_file() else {}
        if case.get("key") != key:
            case = run_case(segmenter, torso, spacing, path.with_suffix(".nii.gz"))
            case |= {"key": key, "number": number}
            beside = path.with_suffix(".part")
            beside.write_text(json.dumps(case, indent=2) + "\n")
            beside.replace(path)
        cases.append(case)
        dice = " ".join(f"{case['dice'][name]:.3f}" for name in TARGETS)
        print(f"{number:3d} {case['phase']:<15}{case['variant']:<10}{dice}", flush=True)
    return cases


def key_of(torso, model_says: list[str]) -> str:
    """What a case depends on, as one hash: its voxels, the weights, what is cleaned away."""
    said = hashlib.sha256(json.dumps(model_says).encode())
    said.update(torso.image.tobytes() + torso.labels.tobytes())
    return said.hexdigest()[:16]


def make(shapes: Path, number: int):
    """A held-out torso and its voxel size."""
    from renalseg.cohort.phantom.torso import TorsoConfig, make_torso

    spacing, shape = GRIDS[number % len(GRIDS)]
    config = TorsoConfig(seed=SEED, spacing_mm=spacing, shape=shape, shapes=shapes, real_share=1.0)
    return make_torso(config, number), spacing


def run_case(segmenter, torso, spacing, mask: Path) -> dict[str, Any]:
    """Segment and score one torso."""
    from renalseg.labels import HECS
    from renalseg.metrics import score_case
    from renalseg.volume import Volume

    began = time.perf_counter()
    found = segmenter.segment(Volume(torso.image, torso.affine))
    seconds = time.perf_counter() - began
    found.save(mask)
    labels = np.asarray(found.labels.array)
    score = score_case(labels, [torso.labels], spacing_mm=spacing)
    return {
        "phase": torso.phase.name.lower(),
        "variant": torso.variant,
        "spacing_mm": spacing,
        "seconds": seconds,
        "dice": {hec.name: score.of(hec).dice for hec in HECS},
        "score": asdict(score),
        "reference_ml": {h.name: volume_ml(torso.labels, h.labels, spacing) for h in HECS},
        "found_ml": {h.name: volume_ml(labels, h.labels, spacing) for h in HECS},
        **pieces(labels > 0, torso.labels > 0, float(np.prod(spacing)) / 1000),
    }


def volume_ml(labels, wanted, spacing_mm) -> float:
    """Of some labels together."""
    return float(np.isin(labels, wanted).sum() * np.prod(spacing_mm) / 1000)


def pieces(found, reference, voxel_ml: float) -> dict[str, Any]:
    """Kidneys, those of them that are missed, and the volumes of false findings."""
    import cc3d

    known = cc3d.connected_components(reference, connectivity=26)
    sizes = np.bincount(known.ravel())[1:] * voxel_ml
    shares = np.bincount(known[found], minlength=len(sizes) + 1)[1:] * voxel_ml / sizes
    ours = cc3d.connected_components(found, connectivity=26)
    volumes = np.bincount(ours.ravel())[1:] * voxel_ml
    touched = np.unique(ours[reference & found])
    is_false = ~np.isin(np.arange(1, len(volumes) + 1), touched) & (volumes > FALSE_ML)
    return {
        "kidneys": int((sizes >= KIDNEY_ML).sum()),
        "missed_ml": [float(ml) for ml in sizes[(sizes >= KIDNEY_ML) & (shares < FOUND_SHARE)]],
        "false_ml": [float(ml) for ml in volumes[is_false]],
    }


def groups(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Means, medians and intervals of all cases, by phase, variant and voxel size."""
    ways: dict[str, Callable[[dict[str, Any]], str]] = {
        "phase": lambda case: case["phase"],
        "kidneys": lambda case: case["variant"],
        "voxels": lambda case: " x ".join(f"{mm:g}" for mm in case["spacing_mm"]) + " mm",
    }
    found = {"all": summary(cases)}
    for name in ("mass", "tumor"):
        if having := [case for case in cases if case["reference_ml"][name] >= MASS_ML]:
            found[f"with a {name}"] = summary(having)
    for way, of in ways.items():
        for value in sorted({of(case) for case in cases}):
            found[f"{way}: {value}"] = summary([case for case in cases if of(case) == value])
    for phase in sorted({case["phase"] for case in cases}):
        chosen = [c for c in cases if c["phase"] == phase and c["reference_ml"]["mass"] >= MASS_ML]
        if chosen:
            found[f"with a mass, {phase}"] = summary(chosen)
    return found


def summary(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each class: mean with its interval, and median."""
    from renalseg.evaluation.case import score_of
    from renalseg.evaluation.statistics import bootstrap

    intervals = bootstrap({str(c["number"]): score_of(c["score"]) for c in cases})
    return {"cases": len(cases)} | {
        name: {
            **asdict(intervals[f"D{number}"]),
            "median": statistics.median(case["dice"][name] for case in cases),
        }
        for number, name in enumerate(TARGETS, 1)
    }


def findings(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over all cases."""
    without = [c["found_ml"]["mass"] for c in cases if c["reference_ml"]["mass"] < MASS_ML]
    return {
        "without_mass": len(without),
        "mass_found_in_them": sum(ml > FALSE_ML for ml in without),
        "largest_mass_in_them_ml": max(without, default=0.0),
        "kidneys": sum(case["kidneys"] for case in cases),
        "missed": sum(len(case["missed_ml"]) for case in cases),
        "cases_with_false_findings": sum(bool(case["false_ml"]) for case in cases),
        "false_findings": sum(len(case["false_ml"]) for case in cases),
        "largest_false_ml": max((ml for case in cases for ml in case["false_ml"]), default=0.0),
    }


def timed(scan: Path, model: Path | None) -> dict[str, float]:
    """Wall time and peak memory of the command on a file."""
    import peers

    with tempfile.TemporaryDirectory() as folder:
        command = [Path(sys.executable).parent / "renalseg", "predict", scan]
        command += ["-o", Path(folder) / "mask.nii.gz", *(("-m", model) if model else ())]
        return peers.measure(command)


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"\n{'':<28}{'cases':>6}" + "".join(f"{name:>33}" for name in TARGETS))
    print(f"{'':<34}" + f"{'mean (95 %)':>24}{'median':>9}" * len(TARGETS))
    for name, row in result["groups"].items():
        line = f"{name:<28}{row['cases']:>6}"
        for figure in (row[target] for target in TARGETS):
            span = f"{figure['mean']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"
            line += f"{span:>24}{figure['median']:>9.3f}"
        print(line)
    found = result["findings"]
    print(f"\n{found['missed']} of {found['kidneys']} kidneys missed")
    print(
        f"{found['false_findings']} false findings over {FALSE_ML:g} ml, in "
        f"{found['cases_with_false_findings']} of {result['cases']} cases, the largest of "
        f"{found['largest_false_ml']:.1f} ml"
    )
    print(
        f"a mass over {FALSE_ML:g} ml in {found['mass_found_in_them']} of {found['without_mass']} "
        f"cases without one, the largest of {found['largest_mass_in_them_ml']:.1f} ml"
    )
    print(f"{result['seconds']:.1f} s a case (median)")
    if "scan" in result:
        scan = result["scan"]
        print(f"the scan: {scan['seconds']:.1f} s, {scan['peak_bytes'] / 1e9:.2f} GB")
    for name, target in TARGETS.items():
        group = "all" if name == "kidney_and_mass" else f"with a {name}"
        mean = result["groups"].get(group, {}).get(name, {}).get("mean", float("nan"))
        print(
            f"{name} ({group}): {mean:.3f} of {target:.2f}, {'' if mean >= target else 'not '}met"
        )


def draw(case: dict[str, Any], shapes: Path, folder: Path) -> None:
    """Slices of a case: the reference in outlines of one colour, what was found in another."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from renalseg.volume import read_labels

    torso, spacing = make(shapes, case["number"])
    mask = np.asarray(read_labels(folder / f"case_{case['number']:03d}.nii.gz").array)
    either = np.flatnonzero(((torso.labels > 0) | (mask > 0)).any((1, 2)))
    slices = np.unique(np.linspace(either[0], either[-1], 15).astype(int))
    figure, axes = plt.subplots(3, 5, figsize=(24, 13), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, number in zip(axes.flat, slices, strict=False):
        axis.imshow(np.clip(torso.image[number], -100, 250), cmap="gray")
        axis.set_aspect(spacing[1] / spacing[2])
        for labels, style in ((torso.labels, "dashed"), (mask, "solid")):
            for label, color in ((1, "red"), (2, "lime"), (3, "deepskyblue")):
                if (labels[number] == label).any():
                    axis.contour(
                        labels[number] == label, [0.5], colors=color, linestyles=style, linewidths=1
                    )
        axis.set_title(str(number), fontsize=8)
    dice = ", ".join(f"{name} {case['dice'][name]:.2f}" for name in TARGETS)
    figure.suptitle(
        f"case {case['number']}, {case['phase']}, {case['variant']}: {dice}; dashed: reference"
    )
    figure.savefig(folder / f"case_{case['number']:03d}.png", dpi=60)
    plt.close(figure)


if __name__ == "__main__":
    main()
