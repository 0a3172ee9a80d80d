"""Kidneys: bean-shaped, the hilum facing inward and forward, the upper pole nearer the spine."""

from dataclasses import dataclass

import numpy as np

from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.contrast import Contrast, Phase
from renalseg.cohort.phantom.grid import Box
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.shapes import ellipsoid, step, without
from renalseg.types import AnyArray


@dataclass(frozen=True, eq=False)
class Kidney:
    """Where a kidney lies and how large it is, in the patient's mm.

    Attributes:
        side: -1 right, 1 left.
        center: Its middle (down, back, left).
        radii: Along its axis, toward the hilum, and from front to back.
        frame: Rows are those three directions.
        bend: How far the poles bow toward the hilum.
        sinus: Size of the renal sinus, about 1.
    """

    side: float
    center: AnyArray
    radii: AnyArray
    frame: AnyArray
    bend: float
    sinus: float

    def local(self, at: tuple[AnyArray, AnyArray, AnyArray]) -> list[AnyArray]:
        """Positions along the kidney's own axes."""
        away = [axis - np.float32(c) for axis, c in zip(at, self.center, strict=True)]
        rows = self.frame.astype(np.float32)
        return [row[0] * away[0] + row[1] * away[1] + row[2] * away[2] for row in rows]

    def to_patient(self, local: AnyArray) -> AnyArray:
        """The patient position of a local one."""
        return np.asarray(self.center + self.frame.T @ local)

    def shapes(self, local: list[AnyArray], lobes: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Signed distances: the bean without its sinus, the bean, the sinus."""
        along, inward, across = local
        a, b, c = (float(r) for r in self.radii)
        bowed = inward - np.float32(self.bend) * ((along / a) ** 2 - 0.3)
        bean = ellipsoid((along, bowed, across), (0, 0, 0), (a, b, c)) + lobes
        s = self.sinus
        sinus = ellipsoid(
            (along, bowed, across), (0, 0.72 * b, 0), (0.5 * a * s, 0.62 * b * s, 0.36 * c * s)
        )
        mouth = ellipsoid((along, bowed, across), (0, 1.25 * b, 0), (0.3 * a, 0.6 * b, 0.5 * c))
        return without(without(bean, sinus, 3.0), mouth, 3.0), bean, np.minimum(sinus, mouth)


def draw_kidneys(rng: np.random.Generator, patient: Patient) -> list[Kidney]:
    """Draw both kidneys, or in one case of ten a single one."""
    sides = [-1.0, 1.0]
    if rng.random() < 0.1:
        sides = [float(rng.choice(sides))]
    size = float(np.clip(rng.normal(1.0, 0.09), 0.78, 1.25))
    height = float(rng.normal(0, 10))
    kidneys = []
    for side in sides:
        own = size * float(rng.normal(1, 0.05)) * (1.12 if len(sides) == 1 else 1.0)
        radii = own * np.array([55, 28.5, 24.5]) * rng.normal(1, 0.05, 3)
        away = 60 + 0.16 * (patient.half_width - 120) + 0.25 * patient.visceral + rng.normal(0, 3)
        low = height + (10 if side < 0 else -6) + rng.normal(0, 6)
        center = np.array([low, rng.normal(-2, 4) - 0.1 * patient.visceral, side * away])
        axis = np.array([1.0, -rng.uniform(0.08, 0.35), side * rng.uniform(0.12, 0.4)])
        axis /= np.linalg.norm(axis)
        turn = np.deg2rad(rng.normal(38, 13))
        inward = np.array([0.0, -np.sin(turn), -side * np.cos(turn)])
        inward -= axis * (inward @ axis)
        inward /= np.linalg.norm(inward)
        frame = np.stack([axis, inward, np.cross(axis, inward)])
        bend = float(rng.uniform(5, 12)) * own
        kidneys.append(Kidney(side, center, radii, frame, bend, float(rng.uniform(0.75, 1.2))))
    return kidneys


def paint_fat_capsule(
    canvas: Canvas, box: Box, bean: AnyArray, bounds: AnyArray, *, thick_mm: float, fat: float
) -> AnyArray:
    """Paint the fat around a kidney and the fascia around that; return what it covers."""
    rng = canvas.rng
    reach = thick_mm * (1 + 0.6 * canvas.texture(box, 45))
    capsule = np.maximum(bean - np.maximum(reach, 1.5), bounds)
    strands = canvas.texture(box, 8)
    dirty = float(rng.choice([3, 8, 22], p=[0.5, 0.35, 0.15]))
    canvas.blend(box, capsule - 1.2, 5.0)
    canvas.blend(box, capsule + 0.3, fat + dirty * np.clip(strands, -0.4, 3))
    return np.asarray(capsule)


def paint_kidney(
    canvas: Canvas,
    box: Box,
    kidney: AnyArray,
    inner: tuple[list[AnyArray], AnyArray, AnyArray] | None,
    contrast: Contrast,
) -> None:
    """Paint cortex and medulla by depth, and what lies in the sinus.

    Args:
        canvas: Where to.
        box: The kidney's box.
        kidney: Signed distance of the kidney.
        inner: Local positions, bean and sinus; None where only an annotation is known.
        contrast: HU of the tissues.
    """
    rng = canvas.rng
    grain, patches = canvas.texture(box, 5), canvas.texture(box, 13)
    thick = float(rng.uniform(4.5, 7.5))
    depth = -kidney if inner is None else -inner[1]
    pyramids = step(depth, thick - 1, thick + 2.5)
    # Columns of cortex reach inward between the pyramids.
    pyramids *= step(patches + 0.35 * grain, -0.75, -0.2)
    cortex, medulla = contrast.hu["cortex"], contrast.hu["medulla"]
    uneven = 1.5 if contrast.phase is Phase.NONE else 5.0
    hu = cortex + (medulla - cortex) * pyramids + uneven * grain
    if inner is not None:
        _, bean, sinus = inner
        branches = canvas.texture(box, 8)
        content = np.where(branches > 0.25, contrast.hu["urine"], contrast.fat * 0.75)
        vessels = contrast.hu["cava"] if contrast.phase is not Phase.NONE else 30.0
        content = np.where(branches < -0.7, vessels, content)
        canvas.blend(box, np.maximum(sinus - 1, bean - 2), content)
        pelvis = ellipsoid((inner[0][0], inner[0][1], inner[0][2]), (4, 16, 2), (9, 11, 5))
        canvas.blend(box, pelvis, contrast.hu["urine"])
    canvas.blend(box, kidney, hu)
    if inner is not None and rng.random() < 0.12:
        stone = rng.uniform([-15, 4, -4], [15, 12, 4])
        canvas.blend(box, ellipsoid(tuple(inner[0]), list(stone), [rng.uniform(1.5, 5)] * 3), 800.0)
