"""Scores of one case: Dice and Surface Dice of every HEC, mean over the references."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from renalseg.errors import EvaluationError
from renalseg.labels import HECS, Hec, Label
from renalseg.metrics.overlap import dice
from renalseg.metrics.surface import surface_dice
from renalseg.types import AnyArray, LabelArray, MaskArray


class Counted(Protocol):
    """A reference label map, and how many of the official files hold it."""

    @property
    def array(self) -> LabelArray:
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
    prediction: LabelArray,
    references: Sequence[LabelArray | Counted],
    *,
    spacing_mm: tuple[float, float, float],
) -> CaseScore:
    """Score a prediction against one or several references.

    Args:
        prediction: Label map, (slice, row, column).
        references: Label maps of the same shape, or objects with ``array`` and ``count``: a map
            that stands in several official files is scored once and counted as often.
        spacing_mm: Voxel size along the three axes.

    Raises:
        EvaluationError: If there is no reference, shapes differ, or a label is not 0-3.
    """
    if not references:
        raise EvaluationError("no reference to score against; expected at least one label map")
    _check(prediction, "prediction")
    sums = np.zeros((len(HECS), 2))
    total = 0
    known: dict[tuple[str, bytes], tuple[float, float]] = {}
    for number, reference in enumerate(references):
        array, count = (
            (reference, 1)
            if isinstance(reference, np.ndarray)
            else (reference.array, reference.count)
        )
        _check(array, f"reference {number + 1}")
        if array.shape != prediction.shape:
            raise EvaluationError(
                f"prediction and reference {number + 1} must have the same shape, "
                f"got {prediction.shape} and {array.shape}"
            )
        total += count
        for row, hec in enumerate(HECS):
            wanted = _mask(array, hec)
            # maps share annotations: many differ in the kidney and have the same tumor
            key = (hec.name, hashlib.sha256(np.packbits(wanted).tobytes()).digest())
            if key not in known:
                known[key] = _score(_mask(prediction, hec), wanted, spacing_mm, hec)
            sums[row] += count * np.array(known[key])
    scores = [HecScore(float(a), float(b)) for a, b in sums / total]
    return CaseScore(*scores)


def _score(
    prediction: MaskArray, reference: MaskArray, spacing_mm: tuple[float, float, float], hec: Hec
) -> tuple[float, float]:
    return (
        dice(prediction, reference),
        surface_dice(prediction, reference, spacing_mm, hec.tolerance_mm),
    )


def _mask(labels: LabelArray, hec: Hec) -> MaskArray:
    mask: MaskArray = np.isin(labels, hec.labels)
    return mask


def _check(labels: AnyArray, what: str) -> None:
    if labels.ndim != 3:
        raise EvaluationError(f"{what}: expected a 3D label map, got {labels.ndim} dimensions")
    if labels.size and (labels.max() > max(Label) or labels.min() < 0):
        found = f"{int(labels.min())}-{int(labels.max())}"
        raise EvaluationError(f"{what}: expected labels 0-{int(max(Label))}, got {found}")
