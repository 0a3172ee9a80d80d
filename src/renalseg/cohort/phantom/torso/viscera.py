"""Liver, gall bladder, spleen, stomach, pancreas with duodenum, adrenals, heart."""

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast, Phase
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.torso.stage import Material, Region, Shape, Stage


def paint_liver(
    stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast
) -> Region | None:
    """Paint liver, its vessels and lesions, and the gall bladder."""
    width, depth = p.half_width - p.wall, p.half_depth - p.wall
    tip = float(rng.normal(15, 30))
    back, left = p.inside(-0.52, 0.02)
    # It fills the right dome: its upper end is the diaphragm's, which it is cut off at.
    half = 0.5 * (tip - p.dome) + 28
    shape = Shape().ball(
        (tip - half, back, left - 4), (half, 1.2 * depth, rng.uniform(0.54, 0.68) * width)
    )
    # A tongue of liver reaches down beside the right kidney in some.
    if rng.random() < 0.3:
        shape.ball((tip - 8, p.inside(0, 0.0)[0], p.inside(-0.8, 0)[1]), (48, 36, 22), blend_mm=14)
    reach = float(rng.uniform(0.35, 0.85)) * width
    shape.ball((p.dome + 42, p.inside(0, -0.4)[0], 0), (56, 0.5 * depth, reach), blend_mm=18)
    shape.tube([(-420.0, 4, 6), (200.0, 4, 6)], 38, op=1)
    hollow = p.inside(-0.3, 0.5)
    shape.ball((float(rng.uniform(10, 40)), *hollow), (36, 22, 28), op=1)
    region = stage.region(shape)
    if region is None:
        return None
    stage.bump(region, rng, float(rng.choice([1.5, 3.0, 5.0])), 40)
    stage.bump(region, rng, float(rng.uniform(0.2, 1.2)), 14)
    stage.within(region, 2.0)
    hu = contrast.hu["liver"]
    stage.paint(region, rng, Material(hu, fine_hu=2, fine_mm=7, coarse_hu=float(rng.uniform(1, 5))))
    _vessels(stage, rng, region, contrast)
    for _ in range(int(rng.choice([0, 1, 3, 8], p=[0.55, 0.2, 0.17, 0.08]))):
        _lesion(stage, rng, region, contrast)
    if rng.random() < 0.82:
        spot = (tip - rng.uniform(5, 40), p.inside(0, -0.4)[0], p.inside(-0.4, 0)[1])
        radii = np.array([rng.uniform(18, 36), rng.uniform(10, 20), rng.uniform(10, 20)])
        bile = float(rng.uniform(0, 25) if rng.random() < 0.85 else rng.uniform(40, 120))
        bag = stage.region(Shape().ball(spot, radii))
        if bag is not None:
            stage.within(bag, 3.0)
            wall = float(rng.choice([1.5, 4.0], p=[0.85, 0.15]))
            material = Material(bile, fine_hu=1.5, shell_hu=contrast.hu["wall"], shell_mm=wall)
            stage.paint(bag, rng, material)
            if rng.random() < 0.15 and stage.config.has("findings"):
                for _ in range(int(rng.integers(1, 6))):
                    at = np.array(spot) + radii * [
                        rng.uniform(-0.4, 0.4),
                        0.6,
                        rng.uniform(-0.4, 0.4),
                    ]
                    stone = Shape().ball(at, float(rng.uniform(2, 6)))
                    stage.draw(stone, rng, Material(float(rng.uniform(60, 500))))
    return region


def _vessels(stage: Stage, rng: np.random.Generator, region: Region, contrast: Contrast) -> None:
    if not stage.config.has("textures"):
        return
    a, b = stage.texture(region, rng, 45), stage.texture(region, rng, 45)
    tubes = np.sqrt(a * a + b * b) * np.float32(30) - np.float32(rng.uniform(1.5, 4.2))
    tubes = np.maximum(tubes, region.distance + 7)
    vein = {Phase.NONE: 40.0, Phase.ARTERIAL: contrast.hu["liver"] + 8}
    hu = vein.get(contrast.phase, contrast.hu["cava"] * float(rng.uniform(0.85, 1.15)))
    stage.paint(Region(region.box, tubes), rng, Material(hu))


def _lesion(stage: Stage, rng: np.random.Generator, liver: Region, contrast: Contrast) -> None:
    deep = np.argwhere(liver.distance < -6)
    if not len(deep):
        return
    voxel = deep[int(rng.integers(len(deep)))] + liver.start
    center = stage.at[:, voxel[0], voxel[1], voxel[2]]
    radius = float(np.clip(rng.lognormal(np.log(8), 0.6), 3, 45))
    hu = float(rng.uniform(0, 15)) if rng.random() < 0.5 else contrast.hu["lesion"]
    region = stage.region(Shape().ball(center, radius * rng.uniform(0.8, 1.2, 3)))
    if region is not None:
        stage.bump(region, rng, 0.1 * radius, max(6.0, radius))
        stage.within(region, 3.0)
        stage.paint(region, rng, Material(hu, fine_hu=3, coarse_hu=0.1 * radius))


def paint_spleen(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    """Paint the spleen, striped in the arterial phase, and a small second one in some."""
    size = float(np.clip(rng.lognormal(0.05, 0.22), 0.65, 1.9))
    back, left = p.inside(0.8, 0.28)
    center = np.array([p.dome + 42 * size + rng.uniform(0, 22), back, left])
    shape = Shape().ball(center, (52 * size, 46 * size, 29 * size))
    shape.ball(center + np.array([8, -16, -36]), (56, 34, 26), op=1)
    stripes = float(rng.uniform(10, 30)) if contrast.phase is Phase.ARTERIAL else 2.0
    hu = contrast.hu["spleen"]
    stage.draw(
        shape, rng, Material(hu, fine_hu=stripes, fine_mm=12), within_mm=2.5, bumps=(2.5, 28)
    )
    if rng.random() < 0.15:
        spot = center + np.array([22 * size, -10, -36])
        stage.draw(Shape().ball(spot, float(rng.uniform(4, 9))), rng, Material(hu))


def paint_stomach(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    """Paint the stomach: gas in front, contents behind."""
    back, left = p.inside(rng.uniform(0.3, 0.52), rng.uniform(-0.35, -0.05))
    top, full = p.dome + 30, float(rng.uniform(0.6, 1.4))
    low = float(rng.uniform(55, 120))
    path = [
        (top, back + 26, left + 10),
        (top + 40, back, left + 4),
        (top + low, back - 24, left - 48),
        (top + low - 8, back - 14, -28),
    ]
    radii = [34 * full, 30 * full, 21 * full, 12]
    content = float(rng.choice([6.0, 32.0, 60.0, 260.0], p=[0.4, 0.35, 0.1, 0.15]))
    material = Material(
        content,
        fine_hu=0.12 * content + 6,
        fine_mm=8,
        shell_hu=contrast.hu["wall"] + 4,
        shell_mm=float(rng.uniform(3, 7)),
        level=back + float(rng.uniform(-30, 14)) if rng.random() < 0.8 else -1000.0,
        bubbles=float(rng.uniform(0.9, 2)) if rng.random() < 0.3 else 9.0,
    )
    shape = Shape().tube(path, radii, blend_mm=10)
    # The fundus fills what the spleen leaves under the left dome.
    fundus = np.array([42, 46, 44]) * np.sqrt(full)
    shape.ball((top + 2, back + 12, left + 14), fundus, blend_mm=12)
    stage.draw(shape, rng, material, within_mm=4, bumps=(3, 18))


def paint_pancreas(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    """Paint the pancreas, the duodenum around its head, and both adrenals."""
    back = p.inside(0, 0.12)[0]
    lift = float(rng.normal(0, 8))
    path = [
        (10, back + 2, -36),
        (-14, back - 8, -20),
        (-22, back - 20, 8),
        (-34, back - 8, 40),
        (-48, back + 12, 76),
    ]
    thick = float(rng.uniform(6, 13))
    lobed = Material(contrast.hu["pancreas"], fine_hu=float(rng.uniform(4, 22)), fine_mm=7)
    stage.draw(
        Shape().tube([(z + lift, y, x) for z, y, x in path], thick),
        rng,
        lobed,
        within_mm=3,
        bumps=(2.5, 9),
    )
    loop = [(-18, back - 12, -42), (12, back, -56), (36, back + 6, -44), (40, back + 6, 5)]
    loop.append((16, back - 8, 34))
    stage.draw(
        Shape().tube([(z + lift, y, x) for z, y, x in loop], rng.uniform(8, 14, 5)),
        rng,
        Material(
            float(rng.choice([15.0, 32.0, 160.0], p=[0.45, 0.45, 0.1])),
            fine_hu=8,
            shell_hu=contrast.hu["wall"],
            shell_mm=3.2,
            bubbles=float(rng.uniform(1.0, 2.4)),
        ),
        bumps=(2, 12),
    )
    for side in (-1.0, 1.0):
        top = (-52.0, -6.0, 34.0 * side)
        gland = Shape().tube([top, (-36, 4, 40 * side)], 3.4).tube([top, (-36, 6, 30 * side)], 3.0)
        if rng.random() < 0.08 and stage.config.has("findings"):
            gland.ball((-42, 0, 38 * side), float(rng.uniform(7, 26)))
        hu = float(rng.uniform(0, 40)) + 0.4 * (contrast.hu["pancreas"] - 35)
        stage.draw(gland, rng, Material(hu, fine_hu=3))


def paint_heart(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    """Paint the heart's lower part, and the gullet."""
    back = p.middle - 0.25 * p.half_depth
    center = (p.dome - 42, back, 22.0)
    blood = contrast.hu["cava"] + 0.3 * (contrast.hu["aorta"] - contrast.hu["cava"])
    stage.draw(Shape().ball(center, (52, 44, 62)), rng, Material(contrast.fat, fine_hu=5))
    stage.draw(
        Shape().ball(center, (46, 38, 55)),
        rng,
        Material(
            blood,
            coarse_hu=0.15 * max(blood - 40, 0),
            shell_hu=contrast.hu["wall"] + 20,
            shell_mm=9,
        ),
    )
    gullet = Shape().tube([(-400, -34, 6), (p.dome + 20, -38, 12), (p.dome + 40, -40, 26)], 8.0)
    stage.draw(gullet, rng, Material(contrast.hu["wall"], fine_hu=5))
