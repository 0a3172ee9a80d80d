"""A whole scan measured: SimpleITK's label statistics against `renalseg measure`.

512 x 512 x 600 voxels with two kidneys, three tumors and two cysts. Both read the same two files in
a process of their own. SimpleITK gives each lesion's volume, largest 3D diameter and mean HU;
renalseg gives these and all else that it measures: axial diameters, contact, sinus, nephrometry.
Volumes and HU must be equal, diameters to within two voxels (SimpleITK's end at voxels' centres),
before times count.

    python benchmarks/bench_measure.py [--quick] [--json FILE]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from peers import measure

PROGRAM = Path(sys.executable).parent / "renalseg"
SPACING_MM = (1.0, 0.78, 0.78)
SHAPE = (600, 512, 512)
QUICK_SHAPE = (160, 512, 512)
#: Label, centre and radii in mm from the middle of the scan: slice, row, column.
BODIES = (
    (1, (0, 20, -70), (56, 28, 31)),
    (1, (0, 20, 70), (53, 27, 30)),
    (2, (-30, 5, -85), (38, 36, 37)),
    (2, (25, 20, 90), (17, 16, 16)),
    (2, (-40, 20, 70), (7, 7, 7)),
    (3, (40, 30, -70), (20, 18, 18)),
    (3, (10, 45, 62), (9, 8, 9)),
)
HU = {0: -60.0, 1: 150.0, 2: 70.0, 3: 8.0}


def main() -> None:
    """Write the case, measure it both ways, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="A smaller scan.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    parser.add_argument("--peer", nargs=3, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        simpleitk(*arguments.peer)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ct, mask = write_case(folder, QUICK_SHAPE if arguments.quick else SHAPE)
        theirs, ours = folder / "peer.json", folder / "ours.json"
        peer = measure([sys.executable, __file__, "--peer", ct, mask, theirs])
        own = measure(["sh", "-c", f"{PROGRAM} measure {mask} --ct {ct} --json > {ours}"])
        found = json.loads(ours.read_text())
        compare(json.loads(theirs.read_text()), found["lesions"])
    for side, one in (("SimpleITK", peer), ("renalseg", own)):
        print(f"{side:<12}{one['seconds']:8.1f} s{one['peak_bytes'] / 1e6:8.0f} MB peak")
    scores = sum(len(lesion["scores"]) for lesion in found["lesions"])
    print(f"{len(found['lesions'])} lesions agree; renalseg also made {scores} scores")
    ratio = peer["seconds"] / own["seconds"]
    if arguments.json:
        figures = {"ratio": ratio, "peer": peer, "renalseg": own}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"ratio: {ratio:.2f} (peer {peer['seconds']:.1f} s, renalseg {own['seconds']:.1f} s)")


def write_case(folder: Path, shape: tuple[int, int, int]) -> tuple[Path, Path]:
    """A CT with noise, and its label map."""
    from renalseg.volume import Volume

    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (*(-mm for mm in SPACING_MM), 1)
    labels = np.zeros(shape, np.uint8)
    for label, centre, radii in BODIES:
        paint(labels, label, centre, radii)
    hu = np.take(list(HU.values()), labels).astype(np.float32)
    for number, plane in enumerate(hu):
        hu[number] = plane + np.random.default_rng(number).normal(0, 20, plane.shape)
    ct, mask = folder / "ct.nii.gz", folder / "mask.nii.gz"
    Volume(np.round(hu).astype(np.int16), affine).save(ct)
    Volume(labels, affine).save(mask)
    return ct, mask


def paint(labels, label, centre_mm, radii_mm):
    """Draw an ellipsoid."""
    middle = [n / 2 + c / mm for n, c, mm in zip(labels.shape, centre_mm, SPACING_MM, strict=True)]
    reach = [r / mm for r, mm in zip(radii_mm, SPACING_MM, strict=True)]
    box = tuple(slice(int(m - r), int(m + r) + 2) for m, r in zip(middle, reach, strict=True))
    grids = np.ogrid[box]
    away = sum(((g - m) / r) ** 2 for g, m, r in zip(grids, middle, reach, strict=True))
    labels[box][away <= 1] = label


def simpleitk(ct: Path, mask: Path, target: Path) -> None:
    """What SimpleITK says of each lesion."""
    import SimpleITK as sitk  # noqa: N813  as everyone calls it

    labels, image = sitk.ReadImage(mask), sitk.ReadImage(ct)
    shapes, values = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelStatisticsImageFilter()
    shapes.ComputeFeretDiameterOn()
    found = []
    for label in (2, 3):
        pieces = sitk.ConnectedComponent(labels == label)
        shapes.Execute(pieces)
        values.Execute(image, pieces)
        found += [
            {
                "volume_ml": shapes.GetPhysicalSize(one) / 1000,
                "diameter_mm": shapes.GetFeretDiameter(one),
                "mean_hu": values.GetMean(one),
            }
            for one in shapes.GetLabels()
        ]
    target.write_text(json.dumps(sorted(found, key=lambda one: -one["volume_ml"])))


def compare(theirs, ours):
    """Refuse times of answers that differ."""
    voxel_mm = float(np.linalg.norm(SPACING_MM))
    if len(theirs) != len(ours):
        sys.exit(f"{len(theirs)} lesions against {len(ours)}")
    for one, other in zip(theirs, ours, strict=True):
        volume = abs(one["volume_ml"] - other["volume_ml"])
        hu = abs(one["mean_hu"] - other["intensity"]["mean_hu"])
        diameter = abs(one["diameter_mm"] - other["largest_3d_diameter_mm"])
        if volume > 1e-6 or hu > 1e-3 or diameter > 2 * voxel_mm:
            sys.exit(f"answers differ: {one} against {other}")


if __name__ == "__main__":
    main()
