"""What the profiles cost and what they keep: accuracy against time, section 5 of the paper.

New phantoms, which no model was trained on, through one ensemble by every profile, with and without
the search for the kidneys. ``exact`` without the search is what nnU-Net computes, and is the peer.
Times are of a loaded ensemble, scans taken in turn by every setting.

    python benchmarks/bench_profiles.py ENSEMBLE [--cases N] [--plot FILE] [--json FILE] [--quick]
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

PEER = ("exact", "off")
SETTINGS = [PEER, ("exact", "auto"), ("balanced", "off"), ("balanced", "auto"), ("fast", "auto")]


def main() -> None:
    """Make phantoms, run every setting, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ensemble", type=Path)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="Two phantoms.")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="Draw time against Dice.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cases = make_phantoms(Path(folder), 2 if arguments.quick else arguments.cases)
        rows = measure(arguments.ensemble, cases)
    peer = rows["/".join(PEER)]
    print(f"{'profile/roi':<15}{'s a scan':>10}{'Dice':>8}{'equal to exact/off':>20}{'ratio':>8}")
    for name, row in rows.items():
        row["ratio"] = peer["seconds"] / row["seconds"]
        print(
            f"{name:<15}{row['seconds']:>10.2f}{row['dice']:>8.4f}{row['agreement']:>20.4f}"
            f"{row['ratio']:>8.2f}"
        )
    if arguments.plot:
        draw(rows, arguments.plot)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    ours = rows["balanced/auto"]
    print(
        f"ratio: {ours['ratio']:.1f} (peer {peer['seconds']:.2f} s, "
        f"renalseg {ours['seconds']:.2f} s)"
    )


def make_phantoms(folder: Path, cases: int):
    """Scans and references of new phantoms, at a hospital's voxel size."""
    from renalseg.cohort import Cohort
    from renalseg.cohort.phantom import PhantomConfig, write_phantom_cohort
    from renalseg.volume import read_image, read_labels

    config = PhantomConfig(
        cases=1, seed=77, in_plane_mm=(1.5, 2.0), slice_mm=(2.5, 5.0), tumor_mm=(40.0, 80.0)
    )
    for number in range(cases):
        write_phantom_cohort(folder, replace(config, first_case=number))
    return [
        (read_image(case.folder / "imaging.nii.gz"), read_labels(majority(case)))
        for case in Cohort.open(folder).cases
    ]


def majority(case) -> Path:
    """The case's reference."""
    return case.folder / "aggregated_MAJ_seg.nii.gz"


def measure(ensemble: Path, cases):
    """Median seconds, mean Dice over classes and cases, and voxels equal to the peer's."""
    import renalseg

    segmenters = {
        "/".join(s): renalseg.load(ensemble, profile=s[0], roi=s[1], device="cpu") for s in SETTINGS
    }
    seconds = {name: [] for name in segmenters}
    dice = {name: [] for name in segmenters}
    equal = {name: [] for name in segmenters}
    for scan, reference in cases:
        masks = {}
        for name, segmenter in segmenters.items():
            began = perf_counter()
            masks[name] = segmenter.predict(scan).labels.array
            seconds[name].append(perf_counter() - began)
            dice[name].append(mean_dice(masks[name], reference.array))
        peer = masks["/".join(PEER)]
        for name, mask in masks.items():
            equal[name].append(foreground_dice(mask, peer))
    return {
        name: {
            "seconds": statistics.median(seconds[name]),
            "dice": float(np.mean(dice[name])),
            "agreement": float(np.mean(equal[name])),
        }
        for name in segmenters
    }


def mean_dice(mask, reference) -> float:
    """Mean over the challenge's three classes."""
    from renalseg.labels import HECS

    return float(
        np.mean([dice_of(np.isin(mask, h.labels), np.isin(reference, h.labels)) for h in HECS])
    )


def foreground_dice(mask, peer) -> float:
    """Of all voxels that either holds for kidney or mass, label by label."""
    both = (mask > 0) | (peer > 0)
    return float((mask[both] == peer[both]).mean()) if both.any() else 1.0


def dice_of(one, other) -> float:
    """Dice of two masks; 1 if both are empty."""
    total = one.sum() + other.sum()
    return float(2 * (one & other).sum() / total) if total else 1.0


def draw(rows, path: Path) -> None:
    """Time against Dice."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, row in rows.items():
        axes.plot(row["seconds"], row["dice"], "o", color="#345ea8")
        axes.annotate(name, (row["seconds"], row["dice"]), (6, 6), textcoords="offset points")
    axes.set(
        xscale="log",
        xlabel="seconds a scan, two cores",
        ylabel="mean Dice of the three classes",
        title="Demo ensemble on new phantoms",
    )
    axes.margins(0.25)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
