"""What is measured of a segmentation, as data: kidneys, lesions, diameters, scores.

Points are given twice: in the patient's coordinates (RAS+, mm) for people and other programs, and
as canonical voxel indices (slice, row, column; fractions allowed) for pictures.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from renalseg.labels import DiameterLine

Side = Literal["left", "right"]
LesionLabel = Literal["tumor", "cyst"]
SinusSource = Literal["ct", "geometry"]
Vector = tuple[float, float, float]


class Record(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(Record):
    """A place in the patient.

    Attributes:
        mm: Patient coordinates, RAS+.
        index: Canonical voxel index: slice, row, column.
    """

    mm: Vector
    index: Vector


class Diameter(Record):
    """A straight line across a lesion.

    Attributes:
        length_mm: Its length.
        ends: Where it begins and ends.
    """

    length_mm: float
    ends: tuple[Point, Point]


class Interval(Record):
    """How the members of an ensemble differ in one number.

    Attributes:
        low: The least of them.
        high: The greatest.
        members: How many members found the thing at all.
    """

    low: float
    high: float
    members: int


class Intensity(Record):
    """CT values within a mask, in HU."""

    mean_hu: float
    sd_hu: float
    median_hu: float
    p5_hu: float
    p95_hu: float


class LinePoints(Record):
    """What a line gives for a tumor's largest diameter.

    Attributes:
        line: The line.
        length_mm: Its length.
        points: Points of a score by it.
    """

    line: DiameterLine
    length_mm: float
    points: int


class Component(Record):
    """One component of a nephrometry score.

    Attributes:
        name: Its letter or short name: ``R``, ``E``, ``N``, ``A``, ``L``.
        title: What it looks at.
        value: The measured quantity; None where it is no number or cannot be known.
        unit: Of the value: ``mm``, ``%`` or nothing.
        finding: In words: ``anterior``, ``50 % or more exophytic``; what could not be told.
        points: Points; None where the component gives none or cannot be known.
        margin: Distance of the value from the nearest threshold between points, in its unit; small
            margins are worth a second look.
        by_line: Of the largest diameter: what each line gives.
    """

    name: str
    title: str
    value: float | None = None
    unit: str = ""
    finding: str = ""
    points: int | None = None
    margin: float | None = None
    by_line: tuple[LinePoints, ...] = ()


class Score(Record):
    """A nephrometry score of one lesion.

    Attributes:
        system: ``R.E.N.A.L.``, ``PADUA`` or ``C-index``.
        components: In the order of its publication.
        total: Sum of the points, or the index; None while a component is open.
        text: As it is written in a chart: ``7a``, ``7x (h open)``.
        risk: The publication's group: ``low``, ``intermediate``, ``high``; None where it has none.
        sinus_from: Where the renal sinus was taken from.
        diameter: The line that was taken for the tumor's largest diameter; in 3D for records that
            do not say, as they were made before there was a choice.
    """

    system: Literal["R.E.N.A.L.", "PADUA", "C-index"]
    components: tuple[Component, ...]
    total: float | None
    text: str
    risk: str | None = None
    sinus_from: SinusSource | None = None
    diameter: DiameterLine = DiameterLine.IN_3D


class KidneyRecord(Record):
    """One kidney.

    Attributes:
        side: The patient's side.
        volume_ml: With its lesions.
        parenchyma_ml: Without them.
        length_mm: Along its longest principal axis, lesions left out.
        centroid: Of kidney and lesions.
        orientation: Unit vector of its longest principal axis, RAS+, pointing to the head.
        components: Number of connected pieces (26 neighbours) of kidney and lesions.
        intensity: Of the parenchyma, where the CT is given.
        intervals: By the name of the number, where the members are given.
    """

    side: Side
    volume_ml: float
    parenchyma_ml: float
    length_mm: float
    centroid: Point
    orientation: Vector
    components: int
    intensity: Intensity | None = None
    intervals: dict[str, Interval] = {}


class LesionRecord(Record):
    """One tumor or cyst.

    Attributes:
        number: 1 for the largest of the scan, over tumors and cysts.
        label: What it is.
        side: Of the kidney that it belongs to.
        volume_ml: Its volume.
        largest_axial_diameter_mm: The longest line within an axial slice, voxels' extent included.
        axial_diameter: The same with its ends.
        short_axis_mm: The longest line perpendicular to it in the same slice.
        short_axis: The same with its ends.
        largest_3d_diameter_mm: The longest line in space.
        diameter_3d: The same with its ends.
        orientation: Unit vector of its longest principal axis, RAS+, pointing to the head.
        centroid: Its centre of mass.
        components: Number of connected pieces; 1 but for lesions put together on purpose.
        contact_mm2: Surface shared with the parenchyma.
        sinus_distance_mm: Least distance from its surface to the renal sinus; 0 where it reaches
            in; None where there is no kidney to have one.
        sinus_from: Where the sinus was taken from.
        intensity: Where the CT is given.
        intervals: By the name of the number, where the members are given.
        scores: Nephrometry; of tumors alone.
    """

    number: int
    label: LesionLabel
    side: Side
    volume_ml: float
    largest_axial_diameter_mm: float
    axial_diameter: Diameter
    short_axis_mm: float
    short_axis: Diameter
    largest_3d_diameter_mm: float
    diameter_3d: Diameter
    orientation: Vector
    centroid: Point
    components: int
    contact_mm2: float
    sinus_distance_mm: float | None = None
    sinus_from: SinusSource | None = None
    intensity: Intensity | None = None
    intervals: dict[str, Interval] = {}
    scores: tuple[Score, ...] = ()


class Measurements(Record):
    """All that is measured of one segmentation.

    Attributes:
        notice: What the numbers must not be used for.
        renalseg: Version that measured.
        spacing_mm: Voxel size: slice, row, column.
        kidneys: Right before left.
        lesions: Largest first.
        notes: What a reader should know: one kidney only, a lesion far from any kidney, and so on.
    """

    notice: str
    renalseg: str
    spacing_mm: Vector
    kidneys: tuple[KidneyRecord, ...]
    lesions: tuple[LesionRecord, ...]
    notes: tuple[str, ...] = ()
