"""One patient's scan and what was found in it, for a reader."""

from dataclasses import dataclass

from renalseg.clinical.records import LesionRecord, Measurements
from renalseg.errors import VolumeError
from renalseg.provenance import Provenance
from renalseg.volume import Volume

TITLE = "Kidneys, tumors and cysts in CT"


@dataclass(frozen=True)
class Patient:
    """Who it is; shown only where given, and never written into a file's metadata.

    Attributes:
        name: The patient's name.
        id: Number or letters of the hospital.
        date: Of the examination, as it should be read.
    """

    name: str = ""
    id: str = ""
    date: str = ""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is given, with its name."""
        named = (("Patient", self.name), ("Identifier", self.id), ("Examined", self.date))
        return tuple((title, text) for title, text in named if text)


@dataclass(frozen=True, eq=False)
class Study:
    """What a report is made of.

    Attributes:
        ct: The scan in HU; without it the pictures show the labels alone.
        labels: The label map, on the same grid.
        measurements: What was measured of it.
        provenance: What made it, where that is known.
        patient: Who it is; nobody unless given.
        title: Heading.

    Raises:
        VolumeError: Scan and label map lie on different grids.
    """

    ct: Volume | None
    labels: Volume
    measurements: Measurements
    provenance: Provenance | None = None
    patient: Patient | None = None
    title: str = TITLE

    def __post_init__(self) -> None:
        """Refuse a CT of another grid."""
        if self.ct is not None and not self.ct.same_grid(self.labels):
            raise VolumeError(
                f"CT and segmentation lie on different grids (shapes {self.ct.shape} and "
                f"{self.labels.shape}); give the CT that was segmented"
            )

    @property
    def tumors(self) -> tuple[LesionRecord, ...]:
        """The tumors, largest first."""
        return tuple(lesion for lesion in self.measurements.lesions if lesion.label == "tumor")

    @property
    def cysts(self) -> tuple[LesionRecord, ...]:
        """The cysts, largest first."""
        return tuple(lesion for lesion in self.measurements.lesions if lesion.label == "cyst")


def name_of(lesion: LesionRecord) -> str:
    """How a lesion is called throughout the report: ``Tumor 1``."""
    return f"{lesion.label.capitalize()} {lesion.number}"
