"""Three people draw one outline: each a little off, differently from place to place."""

import numpy as np

from renalseg.cohort.phantom.grid import Box, Grid, SmoothField
from renalseg.types import AnyArray, MaskArray

ANNOTATORS = 3


def annotate(
    rng: np.random.Generator, grid: Grid, box: Box, shape: AnyArray, radius_mm: float
) -> tuple[MaskArray, ...]:
    """Draw an instance three times.

    Args:
        rng: Random numbers of this instance alone.
        grid: The grid.
        box: The instance's box.
        shape: Its true signed distance in the box, mm.
        radius_mm: About its radius: on small things people err by less.

    Returns:
        Three masks in the box; none is empty if the instance is not.
    """
    scale = float(np.clip(radius_mm / 12, 0.45, 1.0))
    masks = []
    for _ in range(ANNOTATORS):
        bias = rng.normal(0, 0.3) * scale
        wander = rng.uniform(0.4, 0.85) * scale
        off = SmoothField.draw(grid, rng, 9.0, box).on(box) * np.float32(wander) + np.float32(bias)
        mask = _ends(rng, shape + off < 0)
        masks.append(mask if mask.any() else shape <= shape.min(initial=0.0))
    return tuple(masks)


def _ends(rng: np.random.Generator, mask: MaskArray) -> MaskArray:
    """Where a structure begins and ends is a matter of taste: a slice more or less."""
    from scipy import ndimage

    slices = np.flatnonzero(mask.any((1, 2)))
    if len(slices) < 4:
        return mask
    for end, outward in ((slices[0], -1), (slices[-1], 1)):
        taste = rng.random()
        if taste < 0.12:
            mask[end] = False
        elif taste < 0.24 and 0 <= end + outward < len(mask):
            mask[end + outward] = ndimage.binary_erosion(mask[end])
    return mask
