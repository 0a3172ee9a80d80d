"""Aorta, cava and their branches; renal vessels and ureters."""

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.torso.stage import Material, Shape, Stage

#: Where the aorta and the cava lie beside the spine: (back, left).
AORTA, CAVA = (-27.0, 9.0), (-24.0, -21.0)


def paint_great_vessels(stage: Stage, rng: np.random.Generator, contrast: Contrast) -> None:
    """Paint aorta, cava and iliac vessels down to the groins; calcified in some."""
    fork = float(rng.uniform(62, 88))
    wide = float(rng.uniform(8, 12.5))
    if rng.random() < 0.05 and stage.config.has("findings"):
        wide *= float(rng.uniform(1.5, 2.6))
    curl = float(rng.normal(0, 5))
    sick = stage.config.has("findings") and rng.random() < 0.45
    flat = float(rng.uniform(0.5, 1.0))
    cava = [(-420.0, CAVA[0] - 12, CAVA[1]), (-60.0, CAVA[0] - 4, CAVA[1])]
    cava += [(fork + 8, CAVA[0], CAVA[1] + 4)]
    mixed = 0.5 * contrast.hu["cava"] + 20
    blood = Material(contrast.hu["cava"], fine_hu=2, coarse_hu=0.08 * contrast.hu["cava"])
    stage.draw(Shape().tube(cava, [13.0, 12 * (0.5 + 0.5 * flat), 11 * flat]), rng, blood)
    legs: list[tuple[list[tuple[float, float, float]], float]] = []
    for side in (-1.0, 1.0):
        down = [(fork, AORTA[0], 5 + 4 * side), (fork + 45, -18.0, 34 * side)]
        down += [(fork + 90, -34.0, 62 * side), (212.0, -62.0, 72 * side), (420.0, -52, 78 * side)]
        legs.append((down, 5.5))
        veins = [(z + 5, y + 9, x - 3 * side) for z, y, x in down]
        stage.draw(Shape().tube(veins, [8, 8, 8, 8, 7]), rng, Material(mixed))
        inner = [(fork + 45, -18.0, 34 * side), (fork + 95, 28, 46 * side), (215, 30, 44 * side)]
        stage.draw(Shape().tube(inner, [4.5, 3.5, 2.5]), rng, Material(mixed))
    shape = Shape().tube(
        [
            (-420.0, -20, 16),
            (-90.0, -24, 11),
            (fork * 0.4, AORTA[0] - 2, AORTA[1] + curl),
            (fork + 2, AORTA[0], 5),
        ],
        [wide * 1.15, wide * 1.1, wide, wide * 0.9],
    )
    for path, radius in legs:
        shape.tube(path, [radius * 1.1, radius, 5, 4.8, 4.2])
    region = stage.region(shape)
    if region is not None:
        stage.paint(
            region,
            rng,
            Material(contrast.hu["aorta"], fine_hu=2, shell_hu=contrast.hu["wall"], shell_mm=0.8),
        )
        if sick:
            plaque = np.abs(region.distance + 0.8) - 1.6
            where = float(rng.uniform(0.5, 1.3))
            region.distance[:] = np.maximum(plaque, (where - stage.texture(region, rng, 12)) * 7)
            stage.paint(region, rng, Material(float(rng.uniform(300, 900))))
    front = Shape().tube([(-40, -36, 8), (-30, -52, 7), (40, -62, 0), (95, -70, -12)], 3.6)
    stage.draw(front, rng, Material(contrast.hu["aorta"]))
    trunk = Shape().tube([(-44, -40, 6), (-48, -52, 0), (-56, -46, -26)], 3.0)
    stage.draw(trunk, rng, Material(contrast.hu["aorta"]))
    portal = Shape().tube([(60, -64, -10), (-20, -60, -8), (-38, -55, -18), (-62, -52, -42)], 6.0)
    portal.tube([(-30, -50, -8), (-34, -36, 40), (-46, -18, 74)], 4.0)
    stage.draw(portal, rng, Material(contrast.hu["cava"]))


def paint_renal_vessels(
    stage: Stage, rng: np.random.Generator, contrast: Contrast, hilum: np.ndarray
) -> None:
    """Paint artery and vein of a kidney (``hilum`` in the patient's mm)."""
    down, back, left = (float(v) for v in hilum)
    side = 1.0 if left > 0 else -1.0
    if abs(left) < 26 or down > 110:
        return  # an ectopic kidney's vessels are as they are
    start = (min(down, 10) - 12, AORTA[0], AORTA[1] + 9 * side)
    artery = [start, (down - 6, -8 if side < 0 else -15, 32 * side), (down - 2, back, left)]
    vein = [
        (down - 10, -33 if side > 0 else -26, -16 if side > 0 else -28),
        (down - 7, -36 if side > 0 else -28, 14 if side > 0 else -36),
        (down, back - 4, left),
    ]
    stage.draw(Shape().tube(vein, float(rng.uniform(3.5, 6.5))), rng, Material(contrast.hu["cava"]))
    stage.draw(
        Shape().tube(artery, float(rng.uniform(2, 3.4))), rng, Material(contrast.hu["aorta"])
    )


def paint_ureter(
    stage: Stage,
    rng: np.random.Generator,
    contrast: Contrast,
    hilum: np.ndarray,
    end: tuple[float, ...],
    *,
    wide_mm: float,
    stent: bool,
) -> None:
    """Paint a ureter from the pelvis of a kidney to the bladder, stented in some."""
    down, back, left = (float(v) for v in hilum)
    side = 1.0 if left > 0 else -1.0
    if down > 100:
        return
    path = [(down + 8, back - 2, left), (down + 34, -4.0, 36 * side), (95.0, -24.0, 34 * side)]
    path += [
        (150.0, 6.0, 52 * side),
        (end[0], end[1] + 12, 26 * side),
        (end[0] + 4, end[1], 14 * side),
    ]
    urine = contrast.hu["urine"] if rng.random() < 0.6 else contrast.hu["wall"]
    stage.draw(
        Shape().tube(path, wide_mm),
        rng,
        Material(urine, shell_hu=contrast.hu["wall"], shell_mm=1.0),
    )
    if stent:
        curl = [(end[0] - 6, end[1], 4 * side), (end[0], end[1] - 10, 10 * side)]
        stage.draw(Shape().tube(path + curl, 1.2), rng, Material(1600.0))
