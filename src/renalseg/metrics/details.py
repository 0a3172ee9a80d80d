"""What else a reader asks of one prediction: distances in mm, volumes in ml, lesions found."""

from dataclasses import dataclass

import numpy as np

from renalseg.labels import HECS, Hec
from renalseg.metrics.distances import Surface, surface_distances
from renalseg.metrics.score import HEC_BITS, boxed_labels
from renalseg.types import LabelArray
from renalseg.volume.boxes import BoxedLabels, merge_boxes


@dataclass(frozen=True)
class HecDetails:
    """One class of one prediction against one reference.

    Attributes:
        hd95_mm: The greater of the two directed 95th percentiles of surface distance, weighted by
            area; NaN where one of the masks is empty, 0 where both are.
        mean_surface_distance_mm: Mean distance over both surfaces, weighted by area; as above.
        volume_ml: The prediction's volume.
        reference_volume_ml: The reference's volume.
    """

    hd95_mm: float
    mean_surface_distance_mm: float
    volume_ml: float
    reference_volume_ml: float

    @property
    def volume_difference_ml(self) -> float:
        """Prediction minus reference."""
        return self.volume_ml - self.reference_volume_ml


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of one class, as 26-connected components; one shared voxel is an overlap.

    Attributes:
        reference: Lesions of the reference.
        detected: Those of them that the prediction overlaps.
        predicted: Lesions of the prediction.
        false_positive: Those of them that overlap no lesion of the reference.
    """

    reference: int
    detected: int
    predicted: int
    false_positive: int

    def __add__(self, other: "LesionCounts") -> "LesionCounts":
        """Counts of two regions, or of two cases, together."""
        return LesionCounts(
            self.reference + other.reference,
            self.detected + other.detected,
            self.predicted + other.predicted,
            self.false_positive + other.false_positive,
        )

    @property
    def sensitivity(self) -> float:
        """Detected lesions of the reference's; NaN where it has none."""
        return self.detected / self.reference if self.reference else float("nan")

    @property
    def precision(self) -> float:
        """True lesions of the prediction's; NaN where it has none."""
        if not self.predicted:
            return float("nan")
        return (self.predicted - self.false_positive) / self.predicted


@dataclass(frozen=True)
class CaseDetails:
    """The details of one case, against one reference."""

    kidney_and_mass: HecDetails
    mass: HecDetails
    tumor: HecDetails
    mass_lesions: LesionCounts
    tumor_lesions: LesionCounts

    def of(self, hec: Hec) -> HecDetails:
        """The details of one class."""
        details: HecDetails = getattr(self, hec.name)
        return details


def measure_case(
    prediction: LabelArray | BoxedLabels,
    reference: LabelArray | BoxedLabels,
    *,
    spacing_mm: tuple[float, float, float],
) -> CaseDetails:
    """Measure a prediction against one reference.

    Args:
        prediction: Label map, (slice, row, column), or boxed.
        reference: Label map of the same shape.
        spacing_mm: Voxel size along the three axes.

    Raises:
        EvaluationError: A label is not 0-3.
    """
    ours = boxed_labels(prediction, "prediction")
    theirs = boxed_labels(reference, "reference")
    measured = {
        hec.name: _measure(ours, theirs, number, spacing_mm) for number, hec in enumerate(HECS)
    }
    return CaseDetails(
        **measured,
        mass_lesions=_count_lesions(ours, theirs, 1),
        tumor_lesions=_count_lesions(ours, theirs, 2),
    )


def _measure(
    ours: BoxedLabels, theirs: BoxedLabels, number: int, spacing_mm: tuple[float, float, float]
) -> HecDetails:
    surfaces = [Surface.of(labels, HEC_BITS, number, spacing_mm) for labels in (ours, theirs)]
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    volumes = [
        sum(int(np.isin(piece, HECS[number].labels).sum()) for _, piece in labels.pieces) * voxel_ml
        for labels in (ours, theirs)
    ]
    hd95_mm, mean_mm = surface_distances(*surfaces)
    return HecDetails(hd95_mm, mean_mm, *volumes)


def _count_lesions(ours: BoxedLabels, theirs: BoxedLabels, number: int) -> LesionCounts:
    import cc3d

    counts = LesionCounts(0, 0, 0, 0)
    for box in merge_boxes([*ours.boxes, *theirs.boxes]):
        found, wanted = (
            cc3d.connected_components(np.isin(labels.within(box), HECS[number].labels))
            for labels in (ours, theirs)
        )
        predicted, reference = int(found.max()), int(wanted.max())
        hit, true = np.unique(wanted[found > 0]), np.unique(found[wanted > 0])
        counts += LesionCounts(
            reference, int((hit > 0).sum()), predicted, predicted - int((true > 0).sum())
        )
    return counts
