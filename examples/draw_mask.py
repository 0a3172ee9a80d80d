"""Draw a scan with its mask: axial slices from the upper to the lower end of what was found.

python examples/draw_mask.py SCAN MASK PICTURE
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from renalseg.labels import COLORS, FOREGROUND
from renalseg.volume import read_image, read_labels

COUNT = 8


def main(scan: Path, mask: Path, picture: Path) -> None:
    """Choose slices and draw each with the contours of every class."""
    image, labels = read_image(scan), read_labels(mask).array
    found = np.flatnonzero((labels > 0).any((1, 2)))
    rows, columns = (np.flatnonzero((image.array > -300).any(axes)) for axes in ((0, 2), (0, 1)))
    body = np.s_[rows[0] : rows[-1], columns[0] : columns[-1]]
    _, row_mm, column_mm = image.spacing_mm
    figure, axes = plt.subplots(2, COUNT // 2, figsize=(12, 5.2), facecolor="black")
    for axis, number in zip(
        axes.flat, np.linspace(found[0], found[-1], COUNT + 2)[1:-1], strict=True
    ):
        here = round(number)
        shown = np.clip(image.array[here][body], -120, 220)
        axis.imshow(shown, cmap="gray", aspect=row_mm / column_mm)
        for label in FOREGROUND:
            if (labels[here][body] == label).any():
                colour = np.array(COLORS[label]) / 255
                axis.contour(labels[here][body] == label, [0.5], colors=[colour], linewidths=1.2)
        axis.axis("off")
    figure.subplots_adjust(0, 0, 1, 1, 0.01, 0.01)
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
