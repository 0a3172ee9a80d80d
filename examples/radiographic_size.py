"""The largest tumor's diameter against the size that a radiologist read from the CT.

For every case of a KiTS23 cohort the largest tumor of the reference and of each annotator is
measured, and held against ``radiographic_size`` of ``kits23.json``: correlation, bias and Bland and
Altman's limits of agreement, a plot, and how often R of R.E.N.A.L. is another one by each line.

    python examples/radiographic_size.py COHORT KITS23_JSON [--plot FILE]
"""

import argparse
import json
from pathlib import Path

import numpy as np

from renalseg.clinical.diameters import axial_diameter, diameter_3d
from renalseg.clinical.size import renal_points
from renalseg.cohort.annotations import find_instances
from renalseg.labels import Label
from renalseg.volume import read_labels
from renalseg.volume.boxes import bounding_box

OUTLIER_MM = 15.0
Sizes = dict[str, tuple[float, float]]


def main() -> None:
    """Measure every case, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("clinical", type=Path)
    parser.add_argument("--plot", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    read_mm = {
        record["case_id"]: 10 * record["radiographic_size"]
        for record in json.loads(arguments.clinical.read_text())
        if record["radiographic_size"] is not None
    }
    rows = {
        case: sizes_of(arguments.cohort / case)
        for case in sorted(read_mm)
        if (arguments.cohort / case).is_dir()
    }
    read = np.array([read_mm[case] for case in rows])
    print(f"{len(rows)} cases; differences: measured less read, mm")
    print(f"{'by':<12}{'line':<8}{'r':>7}{'bias':>8}{'limits of agreement':>22}{'median |d|':>12}")
    for who in next(iter(rows.values())):
        for number, line in enumerate(("axial", "3D")):
            measured = np.array([sizes.get(who, (np.nan,) * 2)[number] for sizes in rows.values()])
            known = np.isfinite(measured)
            difference = (measured - read)[known]
            bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
            r = np.corrcoef(measured[known], read[known])[0, 1]
            limits = f"{bias - spread:.1f} to {bias + spread:.1f}"
            middle = np.median(np.abs(difference))
            print(f"{who:<12}{line:<8}{r:>7.3f}{bias:>8.1f}{limits:>22}{middle:>12.1f}")
    references = np.array([sizes["reference"] for sizes in rows.values()])
    by_reading, by_axial, by_3d = (
        np.array([renal_points(mm)[0] for mm in lengths]) for lengths in (read, *references.T)
    )
    print(f"R of R.E.N.A.L., {len(rows)} tumors: cases that change, of these upwards")
    for name, one, other in (
        ("read to axial", by_reading, by_axial),
        ("read to 3D", by_reading, by_3d),
        ("axial to 3D", by_axial, by_3d),
    ):
        print(f"{name:<14}{(one != other).sum():>4}{(other > one).sum():>4}")
    for case, sizes in rows.items():
        axial, in_space = sizes["reference"]
        if abs(axial - read_mm[case]) > OUTLIER_MM:
            others = ", ".join(f"{v[0]:.0f}" for name, v in sizes.items() if name != "reference")
            print(
                f"{case}: read {read_mm[case]:.0f}, axial {axial:.0f}, 3D {in_space:.0f}; "
                f"annotators' axial {others}"
            )
    if arguments.plot:
        draw(read, references, arguments.plot)


def sizes_of(folder: Path) -> Sizes:
    """Axial and 3D diameter of the largest tumor, of the reference and of each annotator."""
    files = {"reference": [folder / "segmentation.nii.gz"]}
    for instance in find_instances(folder / "instances"):
        if instance.label is Label.TUMOR:
            for annotation in instance.annotations:
                files.setdefault(f"annotator {annotation.number}", []).append(annotation.path)
    return {who: max(map(largest_tumor, paths)) for who, paths in sorted(files.items())}


def largest_tumor(path: Path) -> tuple[float, float]:
    """Both diameters of the largest piece of tumor in a label map or an annotation, in mm."""
    import cc3d

    labels = read_labels(path)
    values = labels.array == (Label.TUMOR if path.name == "segmentation.nii.gz" else 1)
    box = bounding_box(values)
    if not values[box].size:
        return 0.0, 0.0
    mask = cc3d.largest_k(values[box], k=1, connectivity=26) > 0
    axial = axial_diameter(mask, box, labels.affine)
    return axial.long.length_mm, diameter_3d(mask, box, labels.affine).length_mm


def draw(read: np.ndarray, measured: np.ndarray, path: Path) -> None:
    """Bland and Altman's plot of both diameters."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for panel, values, name in zip(panels, measured.T, ("axial", "3D"), strict=True):
        difference = values - read
        bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
        panel.scatter((values + read) / 2, difference, s=18, color="#346eeb", alpha=0.8)
        for level, style in ((bias, "-"), (bias - spread, "--"), (bias + spread, "--")):
            panel.axhline(level, color="black", linestyle=style, linewidth=1)
            panel.annotate(
                f" {level:.1f}", (1, level), xycoords=("axes fraction", "data"), va="center"
            )
        panel.set_title(f"largest {name} diameter")
        panel.set_xlabel("mean of measured and read, mm")
    panels[0].set_ylabel("measured less read, mm")
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
