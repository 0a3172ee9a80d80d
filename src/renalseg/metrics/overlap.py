"""Overlap of two masks."""

from renalseg.types import MaskArray


def dice(prediction: MaskArray, reference: MaskArray) -> float:
    """Sørensen-Dice coefficient of two masks.

    Two empty masks agree: 1. One empty mask: 0 (KiTS21).
    """
    total = int(prediction.sum()) + int(reference.sum())
    if total == 0:
        return 1.0
    return 2 * int((prediction & reference).sum()) / total
