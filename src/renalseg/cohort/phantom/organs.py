"""Liver with its lesions, gallbladder, spleen, pancreas and stomach."""

import numpy as np

from renalseg.cohort.phantom.body import Trunk
from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.contrast import Contrast, Phase
from renalseg.cohort.phantom.grid import Box
from renalseg.cohort.phantom.shapes import ellipsoid, tube, union
from renalseg.types import AnyArray


def paint_liver(
    canvas: Canvas, trunk: Trunk, contrast: Contrast
) -> tuple[Box, AnyArray, list[tuple[Box, AnyArray]]]:
    """Paint the liver.

    Returns:
        Its box and signed distance, and the same of each lesion.
    """
    p, rng = trunk.patient, canvas.rng
    width, depth = p.half_width - p.wall, p.half_depth - p.wall
    tip = float(rng.uniform(-25, 55))
    back, left = p.inside(-0.5, 0.12)
    center = np.array([-60.0, back, left + 10])
    box = canvas.place.box(center + np.array([-5, 0, 35]), np.array([115, depth, 1.1 * width]), 6)
    at = canvas.place.coordinates(box)
    middle = 0.5 * (p.dome + tip)
    right = ellipsoid(
        at,
        (middle, back, left),
        (0.5 * (tip - p.dome) + 8, 0.92 * depth, rng.uniform(0.5, 0.6) * width),
    )
    reach = float(rng.uniform(0.45, 0.8)) * width
    lobe = ellipsoid(at, (p.dome + 48, p.inside(0, -0.42)[0], 0.0), (42, 0.42 * depth, reach))
    texture = canvas.texture(box, 30)
    shape = union(right, lobe, 18) + 3 * texture
    shape = np.maximum(shape, trunk.below(box, 2.5))
    # The inferior vena cava and spine keep the liver off the middle.
    shape = np.maximum(shape, -ellipsoid(at[1:], (8, 4), (38, 42)))
    hu = contrast.hu["liver"]
    vein = {Phase.NONE: -8, Phase.ARTERIAL: 12, Phase.NEPHROGRAPHIC: 45, Phase.EXCRETORY: 18}
    veins = vein[contrast.phase] * rng.uniform(0.6, 1.3) * (0.6 if hu > 30 else -1.0)
    canvas.blend(box, shape, hu + 2.5 * canvas.texture(box, 8) + 3 * texture)
    vessels = np.maximum(canvas.vessels(box, 40, rng.uniform(2, 4.2)), shape + 8)
    canvas.blend(box, vessels, hu + veins)
    if rng.random() < 0.8:
        spot = (tip - rng.uniform(15, 45), p.inside(0, -0.45)[0], p.inside(-0.38, 0)[1])
        radii = (rng.uniform(18, 34), rng.uniform(10, 19), rng.uniform(10, 18))
        bladder = np.maximum(ellipsoid(at, spot, radii), trunk.below(box, 3))
        canvas.blend(box, bladder - 1.2, contrast.hu["wall"])
        canvas.blend(box, bladder, rng.uniform(2, 22))
        shape = np.maximum(shape, -bladder + 1)
    return box, shape, _lesions(canvas, box, at, shape, contrast)


def _lesions(
    canvas: Canvas, box: Box, at: tuple[AnyArray, ...], liver: AnyArray, contrast: Contrast
) -> list[tuple[Box, AnyArray]]:
    rng = canvas.rng
    deep = np.argwhere(liver < -7)
    if not len(deep) or rng.random() < 0.25:
        return []
    found = []
    for _ in range(int(rng.integers(1, 6))):
        voxel = tuple(deep[int(rng.integers(len(deep)))])
        center = [float(np.broadcast_to(axis, liver.shape)[voxel]) for axis in at]
        radius = float(np.clip(rng.lognormal(np.log(9), 0.55), 3.5, 42))
        shape = ellipsoid(at, center, radius * rng.uniform(0.8, 1.2, 3))
        shape = np.maximum(shape + 0.12 * radius * canvas.texture(box, radius), liver + 1)
        hu = (
            min(contrast.lesion(rng), contrast.hu["liver"] - 12)
            if rng.random() < 0.85
            else (contrast.hu["liver"] + rng.uniform(15, 60))
        )
        core = np.clip(-shape / radius, 0, 1) * rng.uniform(-25, 8)
        canvas.blend(box, shape, hu + core + 5 * canvas.texture(box, 5))
        found.append((box, shape))
    return found


def paint_spleen(canvas: Canvas, trunk: Trunk, contrast: Contrast) -> None:
    """Paint the spleen; in the arterial phase it is striped."""
    p, rng = trunk.patient, canvas.rng
    size = float(rng.uniform(0.85, 1.25))
    back, left = p.inside(0.78, 0.28)
    center = np.array([p.dome + 52 * size + rng.uniform(0, 15), back, left])
    box = canvas.place.box(center, 65 * size, 5)
    at = canvas.place.coordinates(box)
    shape = ellipsoid(at, center, (52 * size, 44 * size, 27 * size)) + 2 * canvas.texture(box, 25)
    hollow = ellipsoid(at, center + np.array([5, -20, -32]), (50, 32, 24))
    shape = np.maximum(np.maximum(shape, -hollow), trunk.below(box, 2.5))
    stripes = 22 if contrast.phase is Phase.ARTERIAL else 2
    canvas.blend(box, shape, contrast.hu["spleen"] + stripes * canvas.texture(box, 11))


def paint_pancreas(canvas: Canvas, trunk: Trunk, contrast: Contrast) -> None:
    """Paint the pancreas and the duodenum that holds its head."""
    p, rng = trunk.patient, canvas.rng
    back = p.inside(0, 0.12)[0]
    path = [
        (8, back + 2, -36),
        (-14, back - 8, -20),
        (-22, back - 20, 8),
        (-34, back - 8, 40),
        (-48, back + 12, 74),
    ]
    box = canvas.place.box(np.array([-15, back, 18]), np.array([55, 40, 72]))
    at = canvas.place.coordinates(box)
    texture = canvas.texture(box, 6)
    shape = np.maximum(tube(at, path, float(rng.uniform(8, 13))), trunk.below(box, 3))
    canvas.blend(box, shape + 2.5 * np.abs(texture), contrast.hu["pancreas"] + 4 * texture)
    loop = [(-18, back - 12, -42), (12, back, -54), (34, back + 6, -44), (38, back + 6, 5)]
    gut = tube(at, loop, 11.0 + 1.5 * texture)
    canvas.blend(box, gut, contrast.hu["wall"])
    canvas.blend(box, gut + 3.5, rng.choice([15.0, 30.0, 150.0], p=[0.5, 0.35, 0.15]) + 8 * texture)


def paint_stomach(canvas: Canvas, trunk: Trunk, contrast: Contrast) -> None:
    """Paint the stomach: gas in front, contents behind, folds in the wall."""
    p, rng = trunk.patient, canvas.rng
    back, left = p.inside(rng.uniform(0.34, 0.5), rng.uniform(-0.35, -0.1))
    top, full = p.dome + 45, float(rng.uniform(0.65, 1.15))
    path = [(top, back + 25, left + 8), (top + 40, back, left), (top + 75, back - 25, left - 60)]
    box = canvas.place.box(np.array([top + 38, back, left - 25]), np.array([80, 75, 90]))
    at = canvas.place.coordinates(box)
    radius = (32 - 0.16 * np.clip(at[0] - top, 0, 80)) * full
    shape = tube(at, path, radius) + 2.5 * canvas.texture(box, 14)
    shape = np.maximum(shape, trunk.below(box, 4))
    canvas.blend(box, shape, contrast.hu["wall"])
    inside = shape + float(rng.uniform(4, 8))
    hu = float(rng.choice([8.0, 35.0, 260.0], p=[0.45, 0.4, 0.15]))
    canvas.blend(box, inside, hu + (0.15 * hu + 10) * canvas.texture(box, 7))
    level = back - radius * rng.uniform(-0.2, 0.9)
    if rng.random() < 0.85:
        canvas.blend(box, np.maximum(inside, at[1] - level), -950.0)
