"""Agreement of two surfaces within a tolerance, by DeepMind's ``surface-distance``."""

import numpy as np

from renalseg.types import AnyArray, MaskArray


def surface_dice(
    prediction: MaskArray,
    reference: MaskArray,
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float,
) -> float:
    """Surface Dice of two masks (Nikolov et al. 2018).

    Two empty masks agree: 1. One empty mask: 0 (KiTS21).

    Args:
        prediction: Mask, (slice, row, column).
        reference: Mask of the same shape.
        spacing_mm: Voxel size along the three axes.
        tolerance_mm: Distance up to which two surface elements agree.
    """
    if not prediction.any() and not reference.any():
        return 1.0
    if not prediction.any() or not reference.any():
        return 0.0
    import surface_distance

    box = _bounding_box(prediction | reference)
    distances = surface_distance.compute_surface_distances(
        reference[box], prediction[box], spacing_mm
    )
    return float(surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm))


def _bounding_box(mask: AnyArray) -> tuple[slice, ...]:
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)
