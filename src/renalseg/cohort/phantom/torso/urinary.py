"""Paint kidneys with cortex, medulla and collecting system in step, and their lesions."""

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast, Phase
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.shapes import step
from renalseg.cohort.phantom.torso.kidneys import Organ
from renalseg.cohort.phantom.torso.stage import Material, Region, Shape, Stage
from renalseg.cohort.phantom.torso.timing import tumor_hu
from renalseg.labels import Label
from renalseg.types import AnyArray


def paint_capsule(
    stage: Stage, rng: np.random.Generator, p: Patient, organ: Organ, contrast: Contrast
) -> None:
    """Paint the fat around a kidney, stranded or bloody in some, and its fascia.

    In many it is thin, and here and there absent, so that other organs touch the kidney.
    """
    shape = np.minimum(organ.whole, organ.bean)
    region = Region(organ.box, shape)
    reach = min(p.visceral, 15.0) * (1 + 0.55 * stage.texture(region, rng, 60))
    least = 1.0
    if stage.config.has("contact"):
        reach = reach * float(rng.choice([1.0, rng.uniform(0.1, 1)], p=[0.4, 0.6]))
        if rng.random() < 0.6:
            reach = reach - 18 * step(stage.texture(region, rng, 70), 0.1, 0.9)
            least = -3.0
    capsule = np.maximum(shape - np.maximum(reach, least), stage.belly[organ.box])
    dirty = float(rng.choice([3, 10, 26], p=[0.5, 0.33, 0.17]))
    region = Region(organ.box, np.asarray(capsule - 1.2, np.float32))
    stage.paint(region, rng, Material(contrast.fat + 45))
    region.distance[:] = capsule + 0.6
    if stage.config.has("findings") and rng.random() < 0.04:  # blood or urine around it
        stage.paint(region, rng, Material(float(rng.uniform(5, 65)), fine_hu=6, coarse_hu=8))
        return
    stage.paint(region, rng, Material(contrast.fat + 0.3 * dirty, fine_hu=dirty, fine_mm=9))


def paint_neighbours(
    stage: Stage, rng: np.random.Generator, organ: Organ, contrast: Contrast
) -> None:
    """Lay a few loops of bowel against a kidney's front, outer side or lower pole, in some."""
    if rng.random() > 0.5:
        return
    near = np.argwhere((np.abs(organ.whole) < 3) & (organ.bean < 5))
    if not len(near):
        return
    starts = [s.start for s in organ.box]
    middle = stage.at[(slice(None), *(near.mean(0).astype(int) + starts))].astype(float)
    for _ in range(int(rng.integers(1, 4))):
        spot = stage.at[(slice(None), *(near[int(rng.integers(len(near)))] + starts))].astype(float)
        out = spot - middle
        out /= max(float(np.linalg.norm(out)), 1.0)
        if out[1] > 0.55 or out[2] * np.sign(middle[2]) < -0.6:  # behind it, or by the spine
            continue
        girth = float(rng.uniform(8, 21))
        center = spot + out * (girth + float(rng.uniform(-3, 3)))
        along = np.cross(out, rng.normal(0, 1, 3))
        along *= float(rng.uniform(8, 38)) / max(float(np.linalg.norm(along)), 1e-3)
        path = [center - along, center, center + along + out * float(rng.uniform(0, 20))]
        wall = contrast.hu["wall"]
        filled = rng.random() < 0.5
        material = Material(
            float(rng.uniform(8, 45)) if filled else wall - 6,
            fine_hu=float(rng.uniform(3, 9)),
            coarse_hu=float(rng.uniform(2, 9)),
            shell_hu=wall,
            shell_mm=float(rng.uniform(1.5, 3.5)),
            bubbles=float(rng.uniform(1.4, 4)),
            bubble_mm=float(rng.uniform(8, 20)),
        )
        loop = Shape().tube(path, girth * rng.uniform(0.8, 1.2, 3))
        stage.draw(loop, rng, material, within_mm=2, bumps=(0.12 * girth, 16))


def paint_kidney(stage: Stage, rng: np.random.Generator, organ: Organ, contrast: Contrast) -> None:
    """Paint parenchyma and what lies in the sinus."""
    plain = Region(organ.box, organ.whole)
    grain, patches = stage.texture(plain, rng, 7), stage.texture(plain, rng, 17)
    textured = stage.config.has("textures")
    thick = float(rng.uniform(4.5, 8))
    depth = -organ.bean
    pyramids = step(depth, thick - 1, thick + 2.5)
    pyramids = pyramids * step(patches + 0.35 * grain, -0.75, -0.2)
    cortex, medulla = contrast.hu["cortex"], contrast.hu["medulla"]
    uneven = (1.5 if contrast.phase is Phase.NONE else 5.0) if textured else 0.0
    hu = cortex + (medulla - cortex) * pyramids + uneven * grain
    urine = contrast.hu["urine"]
    branches = stage.texture(plain, rng, 10)
    fatty = float(rng.uniform(0.2, 0.95)) * contrast.fat
    content = np.where(branches > 0.35, urine, fatty)
    blood = contrast.hu["cava"] if contrast.phase is not Phase.NONE else 36.0
    content = np.where(branches < -0.75, blood, content)
    sinus = np.maximum(organ.bean + 1.5, -organ.whole - 3)
    if organ.dilated:
        # An obstructed kidney is late: its urine has little contrast or none.
        late = float(rng.uniform(0, 1)) ** 2
        content = np.where(sinus < -1.5, min(urine, 12 + late * urine), content)
    _blend(stage, organ, sinus, content)
    _blend(stage, organ, organ.whole, hu)


def paint_lesions(stage: Stage, rng: np.random.Generator, organ: Organ, contrast: Contrast) -> None:
    """Paint cysts, then tumors."""
    for wanted in (Label.CYST, Label.TUMOR):
        for label, shape in organ.lesions:
            if label is not wanted or not (shape < 0).any():
                continue
            region = Region(organ.box, np.asarray(shape, np.float32))
            if label is Label.CYST:
                _cyst(stage, rng, region, contrast)
            else:
                _tumor(stage, rng, region, contrast)


def _cyst(stage: Stage, rng: np.random.Generator, region: Region, contrast: Contrast) -> None:
    hu = float(rng.uniform(40, 85)) if rng.random() < 0.1 else float(rng.uniform(-4, 20))
    shell = float(rng.choice([0.0, 1.5], p=[0.85, 0.15]))
    wall = contrast.hu["wall"] if rng.random() < 0.7 else 250.0
    stage.paint(region, rng, Material(hu, fine_hu=1.5, shell_hu=wall, shell_mm=shell))


def _tumor(stage: Stage, rng: np.random.Generator, region: Region, contrast: Contrast) -> None:
    shape = region.distance
    radius = max(float(-shape.min()), 2.0)
    rise = max(contrast.hu["tumor"] - 33, 4.0)
    textured = stage.config.has("textures")
    coarse = stage.texture(region, rng, max(6.0, 0.7 * radius))
    living = tumor_hu(rng, contrast) + (
        float(rng.uniform(0.05, 0.4)) * rise * coarse if textured else 0
    )
    living = living + 2.5 * stage.texture(region, rng, 6)
    if rng.random() < 0.15 + 0.5 * (radius > 16):
        core = step(-shape / radius + 0.35 * coarse, 0.25, 0.75) * rng.uniform(0.5, 1)
        living = living + (float(rng.uniform(5, 32)) - living) * core
    if rng.random() < 0.3:
        living = living + float(rng.uniform(-0.3, 0.4)) * rise * step(shape, -3.5, -1.0)
    if rng.random() < 0.06:  # a tumor with fat
        living = living - float(rng.uniform(40, 110)) * step(coarse, -0.2, 0.6)
    if rng.random() < 0.06:  # bled into
        living = living + float(rng.uniform(15, 45)) * step(coarse, 0.3, 0.9)
    organ = Organ(region.box, shape, shape, np.zeros(3))
    _blend(stage, organ, shape, living)
    if rng.random() < 0.1:
        chalk = np.maximum(shape + 1, (1.3 - stage.texture(region, rng, 8)) * 6)
        _blend(stage, organ, chalk, float(rng.uniform(150, 600)))


def paint_stones(stage: Stage, rng: np.random.Generator, organ: Organ) -> None:
    """Paint a few stones, or a staghorn, where the collecting system is."""
    sinus = np.maximum(organ.bean + 5, -organ.whole)
    if rng.random() < 0.06:
        region = Region(organ.box, np.asarray(sinus + 3, np.float32))
        stage.bump(region, rng, 2.5, 12)
        stage.paint(region, rng, Material(float(rng.uniform(300, 1200))))
        return
    rim = np.argwhere(np.abs(sinus) < 3)
    for _ in range(int(rng.integers(1, 5))):
        if len(rim):
            voxel = rim[int(rng.integers(len(rim)))] + [s.start for s in organ.box]
            center = stage.at[:, voxel[0], voxel[1], voxel[2]].astype(float)
            stone = Shape().ball(center, float(rng.uniform(1.2, 5.5)))
            stage.draw(stone, rng, Material(float(rng.uniform(250, 1300))))


def _blend(stage: Stage, organ: Organ, shape: AnyArray, hu: AnyArray | float) -> None:
    share = np.clip(np.float32(0.5) - shape * np.float32(1 / stage.edge_mm), 0, 1)
    view = stage.hu[organ.box]
    view += share * (hu - view)
