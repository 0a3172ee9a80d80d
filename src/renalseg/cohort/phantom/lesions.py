"""Tumors and cysts of the kidney."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.contrast import Contrast, Phase
from renalseg.cohort.phantom.grid import Box
from renalseg.cohort.phantom.kidneys import Kidney
from renalseg.cohort.phantom.shapes import ellipsoid, step
from renalseg.types import AnyArray

Kind = Literal["tumor", "cyst"]


@dataclass(frozen=True, eq=False)
class Lesion:
    """A tumor or cyst.

    Attributes:
        kind: Which.
        kidney: Number of its kidney in the list of kidneys.
        center: In the patient's mm.
        radii: Along the patient's axes.
        lobed: How far its surface departs from an ellipsoid, mm.
    """

    kind: Kind
    kidney: int
    center: AnyArray
    radii: AnyArray
    lobed: float

    def shape(self, canvas: Canvas, box: Box, at: tuple[AnyArray, ...]) -> AnyArray:
        """Signed distance."""
        bumps = canvas.field(float(np.clip(0.8 * self.radii.mean(), 5, 22))).on(box)
        return ellipsoid(at, self.center, self.radii) + np.float32(self.lobed) * bumps


def draw_lesions(
    rng: np.random.Generator, kidneys: list[Kidney], tumor_mm: tuple[float, float]
) -> list[Lesion]:
    """Draw tumors (one or more in every case, as in KiTS) and cysts (in every second case)."""
    tumors = int(rng.choice([1, 2, 3], p=[0.86, 0.1, 0.04]))
    cysts = 0 if rng.random() < 0.5 else int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    found: list[Lesion] = []
    for number in range(tumors + cysts):
        kind: Kind = "tumor" if number < tumors else "cyst"
        for _ in range(30):
            lesion = _draw(rng, kind, kidneys, tumor_mm)
            gaps = [np.linalg.norm(lesion.center - other.center) for other in found]
            reach = [1.05 * (lesion.radii.max() + other.radii.max()) for other in found]
            spine = abs(lesion.center[2]) - lesion.radii.max() < 22
            if not spine and all(gap > far for gap, far in zip(gaps, reach, strict=True)):
                found.append(lesion)
                break
    return found


def _draw(
    rng: np.random.Generator, kind: Kind, kidneys: list[Kidney], tumor_mm: tuple[float, float]
) -> Lesion:
    number = int(rng.integers(len(kidneys)))
    kidney = kidneys[number]
    if kind == "tumor":  # as wide as KiTS's: the median radiographic size there is about 45 mm
        radius = _log_normal(rng, 44, tumor_mm) / 2
    else:
        radius = _log_normal(rng, 22, (9, 72)) / 2
    along = float(rng.uniform(-0.85, 0.85))
    # Away from the hilum: the outer half, front and back.
    angle = float(rng.uniform(0.42, 1.58)) * np.pi
    rim = np.sqrt(1 - along**2)
    a, b, c = kidney.radii
    surface = np.array([a * along, b * rim * np.cos(angle), c * rim * np.sin(angle)])
    surface[1] += kidney.bend * (along**2 - 0.3)
    outward = surface / np.array([a, b, c]) ** 2
    outward /= np.linalg.norm(outward)
    out = float(rng.uniform(-0.75, 0.6)) * radius
    radii = radius * (rng.uniform(0.85, 1.15, 3) if kind == "tumor" else rng.uniform(0.93, 1.07, 3))
    lobed = (0.1 if kind == "tumor" else 0.025) * radius * float(rng.uniform(0.4, 1.4))
    return Lesion(kind, number, kidney.to_patient(surface + out * outward), radii, lobed)


def _log_normal(rng: np.random.Generator, median: float, span: tuple[float, float]) -> float:
    """Draw from a log-normal distribution cut off at both ends of a span."""
    spread = NormalDist(float(np.log(median)), 0.5)
    low, high = (spread.cdf(float(np.log(end))) for end in span)
    return float(np.clip(np.exp(spread.inv_cdf(float(rng.uniform(low, high)))), *span))


def paint_tumor(canvas: Canvas, box: Box, shape: AnyArray, contrast: Contrast) -> None:
    """Paint a tumor: living tissue of uneven enhancement, necrosis, rim, sometimes calcified."""
    rng = canvas.rng
    radius = max(float(-shape.min()), 2.0) if shape.size else 2.0
    hu = contrast.tumor(rng)
    enhanced = 0.25 if contrast.phase is Phase.NONE else 1.0
    uneven = float(rng.uniform(3, 24)) * enhanced
    texture = canvas.texture(box, max(4.0, 0.45 * radius))
    living = hu + uneven * texture + 3 * canvas.texture(box, 4)
    if rng.random() < 0.2 + 0.5 * (radius > 18):
        core = step(-shape / radius + 0.35 * texture, 0.3, 0.75) * rng.uniform(0.5, 1)
        living = living + (float(rng.uniform(8, 30)) - living) * core
    if rng.random() < 0.3:
        living = living + float(rng.uniform(-20, 25)) * enhanced * step(shape, -3.0, -1.0)
    if rng.random() < 0.05:  # fat-containing tumor
        living = living - 90 * step(texture, 0.3, 0.9)
    canvas.blend(box, shape, living)
    if rng.random() < 0.1:
        chalk = np.maximum(shape + 1, (1.3 - canvas.texture(box, 5)) * 6)
        canvas.blend(box, chalk, float(rng.uniform(200, 600)))


def paint_cyst(canvas: Canvas, box: Box, shape: AnyArray) -> None:
    """Paint a cyst: water, seldom dense."""
    rng = canvas.rng
    hu = float(rng.uniform(45, 75)) if rng.random() < 0.08 else float(rng.uniform(-2, 18))
    canvas.blend(box, shape, hu + canvas.texture(box, 7))
