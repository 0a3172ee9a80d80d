"""Draw a held-out case of the demo as one picture: image, reference and prediction.

Run it after ``renalseg demo``; it made the picture in the README.

    python examples/draw_case.py renalseg-demo case_00003 picture.png
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from renalseg.cohort import Cohort, aggregate
from renalseg.report.render import render
from renalseg.report.slices import richest, slice_pictures
from renalseg.volume import read_image, read_labels


def main(demo: Path, case_id: str, target: Path) -> None:
    """Draw axial and coronal slices and the 3D view of a case side by side."""
    case = Cohort.open(demo / "cohort").case(case_id)
    image = read_image(case.image_path)
    reference = aggregate(case).array
    mask = demo / "predictions" / "ensemble-postprocessed" / f"{case_id}.nii.gz"
    prediction = read_labels(mask).array
    axial = slice_pictures(
        image.array,
        [None, reference, prediction],
        "axial",
        richest(reference, "axial"),
        image.spacing_mm,
        width=330,
    )
    solids = [
        render(labels, image.spacing_mm, frame=reference, width=330)
        for labels in (reference, prediction)
    ]
    pictures = [*axial, *solids]
    height = max(picture.shape[0] for picture in pictures)
    row = [
        np.pad(picture, ((0, height - picture.shape[0]), (0, 0), (0, 0))) for picture in pictures
    ]
    Image.fromarray(np.hstack(row)).save(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
