"""A patient's build and position: drawn once, used by everything that is painted."""

from dataclasses import dataclass

import numpy as np

from renalseg.cohort.phantom.config import PhantomConfig
from renalseg.cohort.phantom.grid import Grid, Place, SmoothField
from renalseg.types import AnyArray


@dataclass(frozen=True)
class Patient:
    """A patient's build, mm. The fascia is the outer surface of the muscles.

    Attributes:
        half_width: Of the fascia, side to side.
        half_depth: Of the fascia, front to back.
        fat: Thickness of the fat under the skin.
        wall: Thickness of the muscular wall.
        visceral: Thickness of the fat around the kidneys, which goes with that between organs.
        vertebra: Height of a vertebra with its disc.
        dome: Where the right dome of the diaphragm stands (down from the origin; negative).
        back: How far the fascia lies behind the origin.
        lean: How muscular, 0 to 1.
        bone: HU of spongy bone.
    """

    half_width: float
    half_depth: float
    fat: float
    wall: float
    visceral: float
    vertebra: float
    dome: float
    back: float
    lean: float
    bone: float

    @property
    def middle(self) -> float:
        """Where the fascia's center lies behind the origin (negative: in front)."""
        return self.back - self.half_depth

    def inside(self, across: float, ahead: float) -> tuple[float, float]:
        """A place in the belly (back, left) from shares of its half depth and half width."""
        depth, width = self.half_depth - self.wall, self.half_width - self.wall
        return self.middle + ahead * depth, across * width


def draw_patient(rng: np.random.Generator, field_mm: float) -> Patient:
    """Draw a build that fits a field of view, as those who choose the field would."""
    fat = float(np.clip(rng.lognormal(np.log(17), 0.55), 4, 55))
    width = float(np.clip(rng.normal(137, 11) + 0.12 * fat, 112, 172))
    width = min(width, 0.485 * field_mm - 0.9 * fat)
    if width < 108:
        fat, width = max(4.0, fat - (108 - width) / 0.9), 108.0
    return Patient(
        half_width=width,
        half_depth=float(width * rng.uniform(0.66, 0.8)),
        fat=fat,
        wall=float(rng.uniform(11, 19)),
        visceral=float(np.clip(rng.normal(6 + 0.35 * fat, 3.5), 2, 22)),
        vertebra=float(rng.uniform(31, 38)),
        dome=float(rng.uniform(-140, -100)),
        back=float(rng.uniform(60, 72)),
        lean=float(rng.uniform(0, 1)),
        bone=float(rng.uniform(110, 260)),
    )


def draw_patient_and_grid(rng: np.random.Generator, config: PhantomConfig) -> tuple[Patient, Grid]:
    """Draw a build, and a field of view around it.

    At the spacings of scanners the grid is 512 x 512; where pixels are coarser it is smaller.
    """
    pixel = round(float(rng.uniform(*config.in_plane_mm)), 4)
    thick = _slice_mm(rng, config.slice_mm)
    full = 300 <= 512 * pixel <= 500
    patient = draw_patient(rng, 512 * pixel if full else 440.0)
    field_mm = 2.04 * (patient.half_width + 0.9 * patient.fat) * float(rng.uniform(1.02, 1.25))
    columns = 512 if full else round(float(np.clip(field_mm, 290, 450)) / pixel)
    slices = round(float(rng.uniform(180, 280)) / thick)
    return patient, Grid((slices, columns, columns), (thick, pixel, pixel))


def _slice_mm(rng: np.random.Generator, span: tuple[float, float]) -> float:
    usual = [
        mm for mm in (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.75, 4.0, 5.0) if span[0] <= mm <= span[1]
    ]
    drawn = float(rng.uniform(*span))
    return float(rng.choice(usual)) if usual and rng.random() < 0.7 else round(drawn, 3)


def draw_place(rng: np.random.Generator, grid: Grid, patient: Patient) -> Place:
    """Draw how the patient lies: shifted, turned, tilted, and both kidneys in view."""
    extent = np.array(grid.shape) * grid.spacing_mm
    above = float(rng.uniform(88, max(90.0, extent[0] - 95)))
    slack = max(2.0, 0.5 * extent[2] - patient.half_width - 0.8 * patient.fat)
    across = 0.5 * extent[2] + float(np.clip(rng.normal(0, 8), -slack, slack))
    # The couch is set so that the body's middle is near the field's.
    back = 0.5 * extent[1] - patient.middle + float(rng.normal(5, 10))
    return place_at(rng, grid, np.array([above, back, across]))


def place_at(rng: np.random.Generator, grid: Grid, origin_mm: AnyArray) -> Place:
    """Lay the patient's origin at a position in the grid."""
    tilt, lean, turn = np.deg2rad(rng.normal(0, [2.5, 2.0, 4.0]))
    rotation = np.eye(3)
    for a, b, angle in ((0, 1, tilt), (0, 2, lean), (1, 2, turn)):
        one = np.eye(3)
        one[[a, b], [a, b]] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ one
    knot_mm = float(rng.uniform(55, 90))
    fields = [SmoothField.draw(grid, rng, knot_mm) for _ in range(3)]
    return Place(
        grid,
        np.asarray(origin_mm, np.float64),
        rotation,
        bend_mm=float(rng.uniform(0, 9)),
        warp=(fields[0], fields[1], fields[2]),
        warp_mm=float(rng.uniform(1.5, 4.5)),
    )
