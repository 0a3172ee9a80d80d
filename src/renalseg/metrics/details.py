"""What else a reader asks of one prediction: distances in mm, volumes in ml, lesions found."""

from dataclasses import dataclass

from renalseg.labels import Hec


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
