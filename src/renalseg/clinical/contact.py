"""The surface that two structures share."""

from itertools import product

import numpy as np

from renalseg.metrics.surfels import surfel_areas_mm2
from renalseg.types import MaskArray


def contact_mm2(mask: MaskArray, other: MaskArray, spacing_mm: tuple[float, float, float]) -> float:
    """Area of a structure's surface that touches another structure.

    The surface is that of Surface Dice (``metrics/surfels.py``): that of a ball is a tenth too
    large, where voxels' faces are half too large. An element whose outer voxels are the other
    structure's in part counts in part.

    Args:
        mask: The structure, (slice, row, column).
        other: The other one on the same grid; the two do not overlap.
        spacing_mm: Voxel size.
    """
    inside, touching = np.pad(mask, 1), np.pad(other, 1)
    shape = [n - 1 for n in inside.shape]
    codes, others = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for number, corner in enumerate(product(range(2), repeat=3)):
        part = tuple(slice(start, start + n) for start, n in zip(corner, shape, strict=True))
        codes |= inside[part].astype(np.uint8) << (7 - number)
        others += touching[part]
    shared = others > 0
    codes, others = codes[shared], others[shared]
    outside = np.maximum(8 - np.bitwise_count(codes), 1)
    return float((surfel_areas_mm2(spacing_mm)[codes] * others / outside).sum())
