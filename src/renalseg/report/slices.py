"""Slices of a CT with label maps over them, as a radiologist looks at them.

Canonical arrays are (slice, row, column) = (head to foot, front to back, right to left), so an
axial slice shows the patient's right on the left of the picture and the front at its top, and a
coronal one the head at its top, without any flip.
"""

from typing import Literal

import numpy as np

from renalseg.labels import COLORS
from renalseg.types import AnyArray, ImageArray, LabelArray

#: The abdominal window: level 40 HU, width 400 HU.
WINDOW_HU = (-160.0, 240.0)
FILL = 0.35
CHANGED = (255, 214, 10)

Plane = Literal["axial", "coronal"]
AXES: dict[Plane, int] = {"axial": 0, "coronal": 1}


def window(image_hu: AnyArray) -> AnyArray:
    """Map HU to gray, uint8 RGB, by the abdominal window."""
    low, high = WINDOW_HU
    gray = np.clip((image_hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=-1)


def overlay(gray: AnyArray, labels: AnyArray, changed: AnyArray | None = None) -> AnyArray:
    """Colour a picture by its labels: translucent inside, opaque at the border.

    Args:
        gray: RGB picture, uint8, (height, width, 3).
        labels: Labels of its pixels, (height, width).
        changed: Where to draw a yellow border, (height, width).
    """
    from scipy import ndimage

    picture = gray.astype(np.float32)
    for label, color in COLORS.items():
        inside = labels == label
        border = inside & ~ndimage.binary_erosion(inside)
        picture[inside] = (1 - FILL) * picture[inside] + FILL * np.array(color)
        picture[border] = color
    if changed is not None and changed.any():
        picture[ndimage.binary_dilation(changed, iterations=2) & ~changed] = CHANGED
    return picture.astype(np.uint8)


def slice_pictures(
    image: ImageArray,
    maps: list[LabelArray | None],
    plane: Plane,
    index: int,
    spacing_mm: tuple[float, float, float],
    *,
    changed: AnyArray | None = None,
    width: int = 360,
) -> list[AnyArray]:
    """Cut one slice out of a CT and draw each label map on a copy of it.

    Args:
        image: CT in HU, (slice, row, column).
        maps: Label maps of the same shape; None leaves the CT plain.
        plane: How to cut.
        index: Where to cut.
        spacing_mm: Voxel size along the three axes.
        changed: Voxels to mark on the last picture.
        width: Width of the pictures in pixels; the height follows from the voxel size.

    Returns:
        RGB pictures, uint8, (height, width, 3).
    """
    axis = AXES[plane]
    vertical = [1, 0][axis]
    size_mm = (image.shape[vertical] * spacing_mm[vertical], image.shape[2] * spacing_mm[2])
    shape = (max(1, round(width * size_mm[0] / size_mm[1])), width)
    gray = window(_resize(image.take(index, axis), shape, smooth=True))
    mark = None if changed is None else _resize(changed.take(index, axis), shape, smooth=False)
    pictures = []
    for number, labels in enumerate(maps):
        if labels is None:
            pictures.append(gray)
            continue
        flat = _resize(labels.take(index, axis), shape, smooth=False)
        pictures.append(overlay(gray, flat, mark if number == len(maps) - 1 else None))
    return pictures


def richest(labels: LabelArray, plane: Plane) -> int:
    """Index of the slice with most tumor and cyst, else most kidney, else the middle."""
    others = tuple(axis for axis in range(3) if axis != AXES[plane])
    for mask in (labels >= 2, labels >= 1):
        counts = mask.sum(axis=others)
        if counts.any():
            return int(counts.argmax())
    return int(labels.shape[AXES[plane]]) // 2


def _resize(plane: AnyArray, shape: tuple[int, int], *, smooth: bool) -> AnyArray:
    from PIL import Image

    if smooth:
        picture = Image.fromarray(plane.astype(np.float32))
        return np.asarray(picture.resize(shape[::-1], Image.Resampling.BICUBIC))
    picture = Image.fromarray(plane.astype(np.uint8))
    resized = np.asarray(picture.resize(shape[::-1], Image.Resampling.NEAREST))
    return resized.astype(plane.dtype)
