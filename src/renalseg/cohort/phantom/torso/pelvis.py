"""Hip bones, sacrum and femora; bladder, rectum, womb or prostate; muscles of the floor."""

from dataclasses import dataclass

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.torso.stage import Material, Shape, Stage


@dataclass(frozen=True)
class Pelvis:
    """Where a pelvis stands.

    Attributes:
        scale: About 1.
        female: Wider, with a womb.
        hip: A hip joint's middle (down, back, left).
        bone: HU of spongy bone.
        cortex: HU of its shell.
    """

    scale: float
    female: bool
    hip: tuple[float, float, float]
    bone: float
    cortex: float

    @classmethod
    def draw(cls, rng: np.random.Generator, patient: Patient) -> "Pelvis":
        """Draw one for a build."""
        scale = float(np.clip(0.5 + patient.half_width / 270 + rng.normal(0, 0.03), 0.88, 1.12))
        female = bool(rng.random() < 0.5)
        low = 3.5 * patient.vertebra + rng.uniform(78, 96) * scale
        hip = (float(low), float(rng.uniform(-14, 4)), (91 + 3 * female) * scale)
        return cls(scale, female, hip, patient.bone, float(rng.uniform(350, 850)))

    @property
    def solid(self) -> Material:
        """Bone with its shell."""
        return Material(self.bone, fine_hu=30, fine_mm=7, shell_hu=self.cortex, shell_mm=2.2)

    def place(self, down: float, back: float, left: float, side: float) -> tuple[float, ...]:
        """A position given from the middle between the hips."""
        s = self.scale
        return (self.hip[0] + s * down, self.hip[1] + s * back, s * left * side)


def paint_bones(stage: Stage, rng: np.random.Generator, pelvis: Pelvis, fat: float) -> None:
    """Paint the bones of the pelvis, and the femora."""
    s = pelvis.scale
    replaced = [rng.random() < 0.06, rng.random() < 0.06]
    for number, side in enumerate((-1.0, 1.0)):

        def at(down: float, back: float, left: float, side: float = side) -> tuple[float, ...]:
            return pelvis.place(down, back, left, side)

        wing = Shape()
        # The wing: rows of short rods from the joint with the sacrum to the crest in front.
        for share in np.linspace(0, 1, 17):
            low = (-22 - 12 * abs(share - 0.45), 30 - 42 * share, 64 + 26 * share)
            high = (-118 + 95 * (share - 0.45) ** 2, 58 - 100 * share, 58 + 68 * share)
            middle = [0.5 * (a + b) for a, b in zip(low, high, strict=True)]
            bowed = (middle[0], middle[1], middle[2] + 3)
            wing.tube([at(*low), at(*bowed), at(*high)], [8.0 * s, 5.0 * s, 5.0 * s], blend_mm=6)
        wing.tube([at(-22, 28, 68), at(-8, 12, 82), at(0, -8, 84)], [13 * s, 15 * s, 18 * s])
        stage.draw(wing, rng, pelvis.solid)
        lower = Shape().ball(at(0, -4, 86), 31 * s)
        lower.ball(at(1, -1, 96), 25.5 * s, op=1)
        lower.tube([at(4, 18, 76), at(28, 34, 62), at(44, 28, 54)], [14 * s, 11 * s, 12 * s])
        lower.tube([at(44, 26, 54), at(42, 0, 34), at(30, -26, 12)], [8 * s, 5 * s, 6 * s])
        lower.tube([at(4, -20, 76), at(10, -36, 44), at(24, -42, 8)], [10 * s, 7 * s, 9 * s])
        stage.draw(lower, rng, pelvis.solid)
        if replaced[number] and stage.config.has("findings"):
            stem = (
                Shape()
                .ball(at(0, 0, 93), 23)
                .tube([at(0, 0, 93), at(14, 2, 118), at(120, -2, 112)], [8.0, 9.0, 6.0])
            )
            _femur(stage, rng, pelvis, side)
            stage.draw(stem, rng, Material(float(rng.uniform(2500, 3071))))
        else:
            _femur(stage, rng, pelvis, side)
    _sacrum(stage, rng, pelvis, fat)


def _femur(stage: Stage, rng: np.random.Generator, pelvis: Pelvis, side: float) -> None:
    def at(down: float, back: float, left: float) -> tuple[float, ...]:
        return pelvis.place(down, back, left, side)

    s = pelvis.scale
    femur = Shape().ball(at(0, 0, 94), 23.5 * s)
    femur.tube([at(0, 0, 94), at(18, 4, 122)], [15 * s, 14 * s])
    femur.tube(
        [at(8, 10, 130), at(34, 6, 128), at(120, -2, 114), at(330, -8, 92)],
        [13 * s, 16 * s, 14 * s, 14 * s],
    )
    stage.draw(femur, rng, pelvis.solid)
    marrow = Shape().tube(
        [at(60, 4, 124), at(120, -2, 114), at(330, -8, 92)], [6 * s, 7 * s, 7 * s]
    )
    stage.draw(marrow, rng, Material(-40.0, fine_hu=10))


def _sacrum(stage: Stage, rng: np.random.Generator, pelvis: Pelvis, fat: float) -> None:
    def at(down: float, back: float, left: float) -> tuple[float, ...]:
        return pelvis.place(down, back, left, 1.0)

    s = pelvis.scale
    top = -92
    sacrum = Shape()
    for side in (-1.0, 1.0):
        sacrum.tube(
            [at(top + 8, 22, 14 * side), at(top + 18, 36, 42 * side), at(top + 58, 62, 30 * side)],
            [17 * s, 17 * s, 10 * s],
            blend_mm=10,
        )
    sacrum.tube(
        [at(top, 16, 0), at(top + 40, 52, 0), at(top + 80, 68, 0), at(top + 112, 54, 0)],
        [19 * s, 14 * s, 9 * s, 5 * s],
        blend_mm=10,
    )
    for side in (-1.0, 1.0):
        sacrum.ball(at(top + 26, 36, 26 * side), np.array([30.0, 17, 27]) * s, blend_mm=10)
    spongy = Material(
        pelvis.bone, fine_hu=40, fine_mm=7, shell_hu=0.5 * pelvis.cortex + 60, shell_mm=2.4
    )
    stage.draw(sacrum, rng, spongy)
    canal = Shape().tube([at(top, 44, 0), at(top + 40, 66, 0)], [8.0, 5.0])
    stage.draw(canal, rng, Material(0.4 * fat + 20))
    for side in (-1.0, 1.0):
        for number in range(3):
            hole = Shape().tube(
                [
                    at(top + 26 + 19 * number, 30 + 10 * number, 20 * side),
                    at(top + 26 + 19 * number, 62 + 8 * number, 22 * side),
                ],
                3.5,
            )
            stage.draw(hole, rng, Material(0.6 * fat))


def paint_pelvic_organs(
    stage: Stage, rng: np.random.Generator, pelvis: Pelvis, contrast: Contrast
) -> None:
    """Paint what lies in the pelvis: the floor, rectum, bladder, womb or prostate."""
    muscle = Material(contrast.hu["muscle"], fine_hu=3)

    def at(down: float, back: float, left: float) -> tuple[float, ...]:
        return pelvis.place(down, back, left, 1.0)

    for side in (-1.0, 1.0):
        inner = Shape().tube(
            [at(-30, 22, 62 * side), at(5, 5, 58 * side), at(35, 5, 44 * side)], [6, 9, 8]
        )
        stage.draw(inner, rng, muscle, bumps=(1.0, 15))
        levator = Shape().tube(
            [at(20, 0, 48 * side), at(42, 14, 24 * side), at(52, 26, 6 * side)], 4.0
        )
        stage.draw(levator, rng, muscle)
    gas = float(rng.uniform(-0.6, 1.5))
    wide = float(rng.uniform(11, 24))
    rectum = Shape().tube(
        [at(-58, 36, 16), at(-30, 50, -6), at(5, 50, 0), at(30, 34, 0), at(60, 34, 0)],
        [wide * 0.8, wide, wide, 11, 8],
    )
    content = Material(
        float(rng.uniform(15, 55)),
        fine_hu=15,
        fine_mm=7,
        shell_hu=contrast.hu["wall"],
        shell_mm=4,
        bubbles=gas if rng.random() < 0.6 else 9.0,
        bubble_mm=9,
    )
    stage.draw(rectum, rng, Material(contrast.fat), bumps=None)
    stage.draw(rectum, rng, content, bumps=(1.5, 16))
    full = float(rng.uniform(0.45, 1.45)) if rng.random() > 0.06 else 0.3
    rise = 34 * full
    center = at(14 - rise * 0.9, -22 - 4 * full, float(rng.normal(0, 4)))
    radii = np.array([rise, 30 * min(full, 1.2), 38 * min(full, 1.25)])
    bladder = Shape().ball(center, radii)
    # The bladder fills last: contrast lies at the bottom, which is behind.
    urine = contrast.hu["urine"]
    mixed = float(rng.uniform(0.0, 1.0)) * max(urine - 10, 0) * 0.6
    layered = urine > 150 and rng.random() < 0.6
    material = Material(
        float(rng.uniform(-2, 14)) + mixed,
        fine_hu=1.5,
        shell_hu=contrast.hu["wall"] + 4,
        shell_mm=float(rng.choice([2.0, 3.0, 7.0], p=[0.5, 0.4, 0.1])) / max(full, 0.6),
        level=center[1] + float(rng.uniform(-10, 15)) if layered else -1000.0,
        gas_hu=float(rng.uniform(0, 20)) if layered else -950.0,
    )
    if pelvis.female:
        womb = at(-26 + float(rng.uniform(-14, 8)), 12, float(rng.normal(0, 8)))
        shape = Shape().ball(womb, (float(rng.uniform(18, 34)), 20, float(rng.uniform(22, 34))))
        shape.tube([womb, at(18, 18, 0)], 13)
        rise_hu = (
            contrast.hu["muscle"]
            + float(rng.uniform(-6, 6))
            + 0.4 * max(contrast.hu["wall"] - 35, 0)
        )
        stage.draw(
            shape, rng, Material(rise_hu, fine_hu=4, coarse_hu=6, coarse_mm=18), bumps=(3, 22)
        )
        for side in (-1.0, 1.0):
            ovary = Shape().ball(at(-22, 10, 44 * side), float(rng.uniform(8, 17)))
            stage.draw(ovary, rng, Material(float(rng.uniform(5, 45)), fine_hu=4), bumps=(2, 12))
    stage.draw(bladder, rng, material, bumps=(2.5, 35))
    if not pelvis.female:
        size = float(rng.uniform(17, 32))
        stage.draw(
            Shape().ball(at(32, -6, 0), (size, size * 0.8, size)),
            rng,
            Material(contrast.hu["muscle"] - 6, fine_hu=4, coarse_hu=4, coarse_mm=14),
        )
        for side in (-1.0, 1.0):
            vesicle = Shape().tube([at(8, 16, 6 * side), at(0, 20, 28 * side)], [5, 7])
            stage.draw(vesicle, rng, Material(float(rng.uniform(15, 35))))
