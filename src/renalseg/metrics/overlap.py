"""Overlap of two masks."""

import numpy as np

from renalseg.types import MaskArray


def dice(prediction: MaskArray, reference: MaskArray) -> float:
    """Sørensen-Dice coefficient of two masks.

    Two empty masks agree: 1. One empty mask: 0 (KiTS21).
    """
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    if total == 0:
        return 1.0
    return 2 * np.count_nonzero(prediction & reference) / total
