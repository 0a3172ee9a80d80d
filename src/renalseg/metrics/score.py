"""Scores of one case: Dice and Surface Dice of every HEC, mean over the references."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from renalseg.errors import EvaluationError
from renalseg.labels import HECS, Hec, Label
from renalseg.metrics.surface import agreements
from renalseg.metrics.surfels import surfel_areas_mm2
from renalseg.types import AnyArray, LabelArray
from renalseg.volume.boxes import BoxedLabels

#: For each label, the HECs that hold it: bit ``h`` stands for ``HECS[h]``.
HEC_BITS = np.array(
    [sum(1 << number for number, hec in enumerate(HECS) if label in hec.labels) for label in Label],
    np.uint8,
)


class Counted(Protocol):
    """A reference label map, and how many of the official files hold it."""

    @property
    def boxed(self) -> BoxedLabels:
        """The label map."""

    @property
    def count(self) -> int:
        """Its weight in the mean."""


@dataclass(frozen=True)
class HecScore:
    """Scores of one hierarchical evaluation class."""

    dice: float
    surface_dice: float


@dataclass(frozen=True)
class CaseScore:
    """Scores of one case."""

    kidney_and_mass: HecScore
    mass: HecScore
    tumor: HecScore

    def of(self, hec: Hec) -> HecScore:
        """The score of one class."""
        score: HecScore = getattr(self, hec.name)
        return score


def score_case(
    prediction: LabelArray | BoxedLabels,
    references: Sequence[LabelArray | BoxedLabels | Counted],
    *,
    spacing_mm: tuple[float, float, float],
) -> CaseScore:
    """Score a prediction against one or several references.

    Dice and Surface Dice of each HEC are those of KiTS21 and KiTS23; two empty masks score 1, one
    empty mask 0. Where the references share parts, these are scored once.

    Args:
        prediction: Label map, (slice, row, column), or boxed.
        references: Label maps of the same shape, or objects with ``boxed`` and ``count``: a map
            that stands in several official files is scored once and counted as often.
        spacing_mm: Voxel size along the three axes.

    Raises:
        EvaluationError: If there is no reference, shapes differ, a label is not 0-3, or the
            spacing is not three positive numbers.
    """
    if not references:
        raise EvaluationError("no reference to score against; expected at least one label map")
    if len(spacing_mm) != 3 or not all(np.isfinite(size) and size > 0 for size in spacing_mm):
        raise EvaluationError(f"spacing_mm: expected three positive sizes, got {spacing_mm}")
    ours = boxed_labels(prediction, "prediction")
    theirs, counts = [], []
    for number, reference in enumerate(references, start=1):
        known = reference if isinstance(reference, np.ndarray | BoxedLabels) else reference.boxed
        theirs.append(boxed_labels(known, f"reference {number}"))
        counts.append(getattr(reference, "count", 1))
        if theirs[-1].shape != ours.shape:
            raise EvaluationError(
                f"prediction and reference {number} must have the same shape, "
                f"got {ours.shape} and {theirs[-1].shape}"
            )
    found = agreements(
        ours,
        theirs,
        spacing_mm=spacing_mm,
        bits=HEC_BITS,
        tolerances_mm=[hec.tolerance_mm for hec in HECS],
    )
    areas_mm2 = surfel_areas_mm2(spacing_mm)
    scores = []
    for mask in range(len(HECS)):
        dices = [agreement.dice(mask) for agreement in found]
        surfaces = [agreement.surface_dice(mask, areas_mm2) for agreement in found]
        scores.append(
            HecScore(
                float(np.average(dices, weights=counts)),
                float(np.average(surfaces, weights=counts)),
            )
        )
    return CaseScore(*scores)


def boxed_labels(labels: AnyArray | BoxedLabels, what: str) -> BoxedLabels:
    """A label map in boxes, checked.

    Args:
        labels: Label map of any integer type, or boxed already.
        what: Named in errors.

    Raises:
        EvaluationError: It is not 3D, or holds labels other than 0-3.
    """
    if isinstance(labels, BoxedLabels):
        return labels
    if labels.ndim != 3:
        raise EvaluationError(f"{what}: expected a 3D label map, got {labels.ndim} dimensions")
    if labels.dtype != np.uint8:
        labels = _as_uint8(labels, what)
    boxed = BoxedLabels.of(labels)
    highest = max((int(piece.max()) for _, piece in boxed.pieces), default=0)
    if highest > max(Label):
        raise EvaluationError(
            f"{what}: expected labels 0-{int(max(Label))}, got {int(labels.min())}-{highest}"
        )
    return boxed


def _as_uint8(labels: AnyArray, what: str) -> LabelArray:
    low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
    if not (low >= 0 and high <= max(Label)):
        raise EvaluationError(f"{what}: expected labels 0-{int(max(Label))}, got {low:g}-{high:g}")
    whole: LabelArray = labels.astype(np.uint8)
    if not np.issubdtype(labels.dtype, np.integer) and not np.array_equal(whole, labels):
        raise EvaluationError(f"{what}: expected whole numbers as labels, got {labels.dtype}")
    return whole
