"""The trunk: skin, fat, muscular wall, the fat of the belly, diaphragm and lungs, the couch."""

from dataclasses import dataclass

import numpy as np

from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.grid import Box
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.shapes import step
from renalseg.types import AnyArray

AIR = -1000.0


@dataclass(frozen=True, eq=False)
class Trunk:
    """The surfaces of the trunk, which organs keep within.

    Attributes:
        patient: The build.
        belly: Signed distance of the belly, float16; filled when the trunk is painted.
    """

    patient: Patient
    belly: AnyArray

    def fascia(self, down: AnyArray, back: AnyArray, left: AnyArray) -> AnyArray:
        """Signed distance of the outer surface of the muscles."""
        p = self.patient
        ahead = back - np.float32(p.middle)
        # Ribs flare, the waist is narrow, the hips are wide.
        narrow = np.float32(1) - np.float32(0.06) * np.exp(-(((down - 55) / 45) ** 2))
        across = left / (narrow * np.float32(p.half_width))
        groove = np.float32(9) * np.exp(-((left / 22) ** 2)) * (back > 0)
        depth = (ahead + groove) / np.float32(p.half_depth)
        across, depth = np.abs(across), np.abs(depth)
        # A superellipse of exponent 2.5; numpy's exp and log are far quicker than its power.
        total = across * across * np.sqrt(across) + depth * depth * np.sqrt(depth)
        level = np.exp(np.float32(0.4) * np.log(total + np.float32(1e-4)))
        radius = np.sqrt(ahead * ahead + left * left)
        return np.asarray(radius - radius / level)

    def cavity(self, fascia: AnyArray, down: AnyArray, back: AnyArray) -> AnyArray:
        """Signed distance of the inner surface of the wall, from that of the fascia."""
        p = self.patient
        front = step(-(back - np.float32(p.middle)) / np.float32(p.half_depth), 0.2, 0.9)
        hips = step(down, 95, 150)
        return np.asarray(fascia + np.float32(p.wall) * (1 - 0.35 * front) + 26 * hips)

    def diaphragm(
        self, cavity: AnyArray, down: AnyArray, back: AnyArray, left: AnyArray
    ) -> AnyArray:
        """How far a position lies above the diaphragm (positive: in the chest), mm."""
        p = self.patient
        behind = step(back - np.float32(p.middle), -0.4 * p.half_depth, 0.7 * p.half_depth)
        # The lungs reach far down beside the dome, in a narrow recess along the wall.
        recess = np.exp(np.minimum(cavity, 0) * np.float32(1 / 13))
        side = np.clip(left * np.float32(1 / p.half_width), -1, 1)
        dome = p.dome + (25 + 45 * behind) * recess + 10 * side + 88 * (np.abs(side) - 0.5) ** 2
        # Steep at the wall: a vertical distance overstates how far away the surface is.
        return np.asarray((dome - down) / (1 + 2.5 * recess))

    def below(self, box: Box, gap_mm: float) -> AnyArray:
        """Signed distance of the belly: within the wall and below the diaphragm."""
        return np.asarray(self.belly[box].astype(np.float32) + np.float32(gap_mm))


def paint_trunk(canvas: Canvas, trunk: Trunk, contrast: Contrast) -> None:
    """Paint everything that is not an organ, a vessel or a bone."""
    p, rng = trunk.patient, canvas.rng
    lobes, strands, grain = canvas.field(45), canvas.field(9), canvas.field(5)
    bronchi = canvas.field(7)
    stranding = float(rng.choice([4, 8, 18], p=[0.5, 0.35, 0.15]))
    marbling = float(rng.uniform(2, 9)) + 14 * (1 - p.lean) ** 2
    belly = float(rng.uniform(0.6, 1.5))
    behind = float(rng.uniform(0.9, 1.6))
    lung = float(rng.uniform(-880, -780))
    for box in canvas.grid.slabs():
        at = canvas.place.coordinates(box)
        down, back, left = at
        fascia = trunk.fascia(*at)
        ahead = (back - np.float32(p.middle)) / np.float32(p.half_depth)
        shift = 1 + (behind - 1) * step(ahead, 0.0, 0.9) + (belly - 1) * step(-ahead, 0.0, 0.9)
        # Less fat at the flanks of the chest than at those of the hips.
        shift *= 0.8 + 0.4 * step(down, -60, 90)
        fat = np.float32(p.fat) * shift * (1 + np.float32(0.12) * lobes.on(box))
        skin = fascia - np.maximum(fat, 2)
        texture = strands.on(box)
        canvas.blend(box, skin - 1, 35.0)
        septa = np.exp(-((texture / 0.12) ** 2)) * 14
        canvas.blend(box, skin + 1, contrast.fat + septa + 2 * texture)
        depth = -fascia / np.float32(p.wall)
        layers = np.exp(-(((depth - 0.4) / 0.09) ** 2)) + np.exp(-(((depth - 0.72) / 0.08) ** 2))
        layers *= step(np.abs(left), 35, 60) * (1 - step(back, 10, 40))
        muscle = contrast.hu["muscle"] - marbling * np.clip(texture, -0.5, 2) + 3 * grain.on(box)
        canvas.blend(box, fascia, muscle - 55 * layers)
        cavity = trunk.cavity(fascia, down, back)
        above = trunk.diaphragm(cavity, *at)
        trunk.belly[box] = np.maximum(cavity, above)
        strand = stranding * np.clip(texture, -0.4, 3)
        canvas.blend(box, cavity, contrast.fat + strand + 4)
        air = np.maximum(cavity + 1, -above)
        canvas.blend(box, air - 3, contrast.hu["muscle"])
        vessels = np.clip(bronchi.on(box) - 1.2, 0, 1.5) * 450
        canvas.blend(box, air, lung + vessels)


def paint_couch(canvas: Canvas, patient: Patient) -> None:
    """Paint the couch under the patient: a thin shell, flat or hollow; sometimes out of view."""
    rng = canvas.rng
    if rng.random() < 0.15:
        return
    lies = canvas.place.origin_mm[1] + patient.back + 1.15 * patient.fat + rng.uniform(8, 25)
    radius = float(rng.choice([260, 380, 5000]))
    shell, gap = float(rng.uniform(-250, 80)), float(rng.uniform(15, 40))
    middle = 0.5 * canvas.grid.shape[2] * canvas.grid.spacing_mm[2]
    whole: Box = (slice(0, 1), *canvas.grid.whole[1:])
    _, back, left = canvas.grid.axes(whole)
    drop = radius - np.sqrt(np.maximum(radius**2 - (left - middle) ** 2, 1.0))
    below = back - np.float32(lies) + drop.astype(np.float32)
    below = below + 1000 * (np.abs(left - middle) > 210)
    for offset, hu in ((0.0, shell), (gap, shell - 150)):
        share = np.clip(1.3 - np.abs(below - offset) / canvas.edge_mm, 0, 1)
        for box in canvas.grid.slabs():
            view = canvas.hu[box]
            view += share * (view < -800) * (hu - view)
