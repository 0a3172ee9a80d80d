"""Spine, ribs and pelvis, and the muscles along the spine."""

import numpy as np

from renalseg.cohort.phantom.body import Trunk
from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.grid import Box, is_empty
from renalseg.cohort.phantom.shapes import ellipsoid, step, union
from renalseg.types import AnyArray

#: Height of everything that runs the length of the trunk.
_ALL = 400.0


def paint_back_muscles(canvas: Canvas, contrast: Contrast, lean: float) -> None:
    """Paint psoas, quadratus lumborum and the extensors of the spine."""
    box = canvas.place.box(np.array([0, 30, 0]), np.array([_ALL, 55, 95]))
    down, back, left = canvas.place.coordinates(box)
    left = np.abs(left)
    grain = 4 * canvas.texture(box, 6)
    fatty = np.clip(canvas.texture(box, 10) - 0.2, 0, 2) * 40 * (1.3 - lean)
    hu = contrast.hu["muscle"] + grain
    low = step(down, -30, 90)
    girth = 0.8 + 0.35 * lean
    psoas = ellipsoid(
        (
            (back - (6 - 16 * low)) / (girth * (0.35 + 0.75 * low)),
            (left - (27 + 17 * low)) / (girth * (0.35 + 0.75 * low)),
        ),
        (0, 0),
        (20, 15),
    ) * (girth * (0.35 + 0.75 * low))
    psoas = np.maximum(psoas, -35 - down)
    quadratus = np.maximum(ellipsoid((back, left), (31, 60), (8 * girth, 19)), -25 - down)
    extensor = ellipsoid((back, left), (46, 31), (20 * girth, 31))
    canvas.blend(box, quadratus, hu)
    canvas.blend(box, psoas, hu)
    seam = 1.6 * canvas.texture(box, 20)
    canvas.blend(box, extensor - seam, contrast.fat)
    canvas.blend(box, extensor, hu - fatty)


def paint_spine(canvas: Canvas, height: float, bone: float, contrast: Contrast) -> None:
    """Paint the vertebrae and the discs between them."""
    box = canvas.place.box(np.array([0, 28, 0]), np.array([_ALL, 52, 60]))
    down, back, left = canvas.place.coordinates(box)
    rng = canvas.rng
    size = float(rng.uniform(0.92, 1.1)) * (1 + np.float32(0.0009) * np.clip(down, -120, 90))
    level = down / np.float32(height)
    # -0.5 to 0.5 within a vertebra; the disc fills the ends.
    within = (level - np.round(level)) * np.float32(height)
    ends = np.float32(0.5 * height - 4.5) - np.abs(within)
    waist = 1 - np.float32(0.09) * step(ends, 0, 11)
    scale = size * waist
    body = ellipsoid((back / scale, left / scale), (0, 0), (16, 22)) * scale
    disc = ellipsoid((back / size, left / size), (0, 0), (16.5, 23)) * size
    texture = canvas.texture(box, 4)
    spongy = np.clip(bone + 35 * texture, 40, 700)
    spur = float(rng.uniform(300, 700))
    solid = np.maximum(body, -ends)
    canal = ellipsoid((back, left), (25.5, 0), (8.5, 11))
    canvas.blend(box, disc, 75 + 6 * texture)
    canvas.blend(box, canal - 4, 60.0)
    arch = _arch(within, back, np.abs(left), down)
    shell = np.clip(1 - (np.abs(solid + 1.2) / 1.6), 0, 1)
    canvas.blend(box, solid, spongy + shell * spur)
    edge = np.clip(1 - (np.abs(arch + 1.2) / 2.0), 0, 1)
    canvas.blend(box, arch, bone * 1.3 + 40 * texture + edge * spur)
    canvas.blend(box, canal, contrast.fat * 0.3 + 25)
    canvas.blend(box, ellipsoid((back, left), (25.5, 0), (6, 7.5)), 30.0)


def _arch(within: AnyArray, back: AnyArray, left: AnyArray, down: AnyArray) -> AnyArray:
    """Pedicles, laminae, facets, transverse and spinous processes (mirrored)."""
    pedicle = ellipsoid((within, back, left), (-4, 20, 14), (8, 11, 5))
    lamina = np.maximum(
        np.abs(ellipsoid((back, left), (26, 0), (12.5, 15))) - 3.2, np.abs(within - 3) - 11
    )
    lamina = np.maximum(lamina, 26 - back)
    facet = ellipsoid((within, back, left), (12, 32, 17), (13, 7, 7))
    spinous = np.maximum(np.abs(left) - 3.4, np.abs(within - 7) - 10 + 0.1 * (back - 45) ** 2 / 20)
    spinous = np.maximum(spinous, np.maximum(34 - back, back - 58))
    transverse = ellipsoid((within, back + 0.12 * (left - 20), left), (-2, 27, 28), (5.5, 4.5, 17))
    transverse = np.where(down < 120, transverse, 99)
    shape = union(union(pedicle, lamina, 2), facet, 2)
    return union(union(shape, spinous, 2), transverse, 2)


def paint_ribs(canvas: Canvas, trunk: Trunk, height: float, contrast: Contrast) -> None:
    """Paint the ribs, which lie in the wall and run down and forward; the last ones end early."""
    p, rng = trunk.patient, canvas.rng
    last = -1.9 * height + float(rng.uniform(-8, 8))
    slope, hard = float(rng.uniform(60, 90)), float(rng.uniform(280, 600))
    texture = canvas.field(5)
    top = canvas.place.box(np.array([-150, p.middle, 0]), np.array([215, 220, 220]))
    for slab in canvas.grid.slabs():
        slices = slice(max(slab[0].start, top[0].start), min(slab[0].stop, top[0].stop))
        box: Box = (slices, top[1], top[2])
        if is_empty(box):
            continue
        at = canvas.place.coordinates(box)
        down, back, left = at
        # 0 at the spine, 1 at the breastbone.
        round_ = np.arctan2(np.abs(left) / p.half_width, (back - p.middle) / p.half_depth) / np.pi
        lowered = down - slope * round_ * (1.6 - 0.6 * round_) - last
        number = np.minimum(np.round(lowered / 27), 0)
        ends = np.where(number > -0.5, 0.42, np.where(number > -1.5, 0.6, 0.74))
        deep = trunk.fascia(*at) + 0.55 * p.wall
        rib = np.sqrt((deep / 0.62) ** 2 + (lowered - 27 * number) ** 2) - 6.6
        rib = np.maximum(rib * 0.75, (round_ - ends) * 150)
        rib = np.maximum(rib, 18 - np.abs(left))
        edge = np.clip(1 - np.abs(rib + 1.0) / 1.8, 0, 1)
        canvas.blend(box, rib, 170 + 30 * texture.on(box) + hard * edge)
        cartilage = np.maximum(np.sqrt((deep / 0.62) ** 2 + (lowered - 27 * number) ** 2) - 6, 0)
        cartilage = np.maximum(cartilage, np.where(number < -1.5, (ends - round_) * 150, 99))
        canvas.blend(box, cartilage + 1, contrast.hu["muscle"] + 55)


def paint_pelvis(canvas: Canvas, trunk: Trunk, bone: float) -> None:
    """Paint the wings of the iliac bones and the sacrum, where the scan reaches them."""
    p = trunk.patient
    crest = 78 + float(canvas.rng.uniform(-12, 12))
    for side in (-1.0, 1.0):
        center = np.array([crest + 75, 8.0, side * 0.62 * p.half_width])
        box = canvas.place.box(center, np.array([90, 100, 75]))
        if is_empty(box):
            continue
        down, back, left = canvas.place.coordinates(box)
        away = (left * side - 0.66 * p.half_width) * 0.83 + (back - 0) * 0.52
        away = away + (down - crest - 30) * 0.3 + 0.004 * (back - 5) ** 2 - 6
        along = ellipsoid((down, back), (crest + 85, 0), (85, 78))
        wing = np.maximum(np.abs(away) - 4.2 - 2 * step(back, 20, 50), along)
        edge = np.clip(1 - np.abs(wing + 1.2) / 1.8, 0, 1)
        canvas.blend(box, wing, bone + 25 * canvas.texture(box, 5) + 480 * edge)
    box = canvas.place.box(np.array([140, 40, 0]), np.array([50, 45, 70]))
    if not is_empty(box):
        down, back, left = canvas.place.coordinates(box)
        sacrum = ellipsoid((down, back - 0.35 * (down - 110), left), (145, 24, 0), (48, 20, 52))
        edge = np.clip(1 - np.abs(sacrum + 1.2) / 1.8, 0, 1)
        canvas.blend(box, sacrum, bone + 30 * canvas.texture(box, 6) + 350 * edge)
