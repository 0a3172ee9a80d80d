"""Small bowel and colon: loops that fill what fat the organs leave, with gas and contents."""

import numpy as np

from renalseg.cohort.phantom.body import Trunk
from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.grid import Box, is_empty
from renalseg.cohort.phantom.shapes import step, tube
from renalseg.types import AnyArray


def paint_bowel(canvas: Canvas, trunk: Trunk, contrast: Contrast) -> None:
    """Paint small bowel, colon and the vessels of the mesentery."""
    _paint_mesentery(canvas, trunk, contrast)
    _paint_small_bowel(canvas, trunk, contrast)
    _paint_colon(canvas, trunk, contrast)


def _free(canvas: Canvas, box: Box) -> AnyArray:
    """1 where there is fat, 0 where an organ stands already."""
    return np.asarray(1 - step(canvas.hu[box], -70, -10))


def _fill(canvas: Canvas, box: Box, free: AnyArray, shape: AnyArray, hu: AnyArray | float) -> None:
    share = np.clip(np.float32(0.5) - shape * np.float32(1 / canvas.edge_mm), 0, 1)
    canvas.mix(box, share * free, hu)


def _paint_mesentery(canvas: Canvas, trunk: Trunk, contrast: Contrast) -> None:
    p = trunk.patient
    center = np.array([40.0, p.middle - 0.1 * p.half_depth, 0])
    box = canvas.place.box(center, np.array([110, 0.6 * p.half_depth, 0.7 * p.half_width]))
    if is_empty(box):
        return
    vessels = np.maximum(canvas.vessels(box, 19, 1.7), trunk.below(box, 10))
    _fill(canvas, box, _free(canvas, box), vessels, 0.8 * contrast.hu["cava"])


def _paint_small_bowel(canvas: Canvas, trunk: Trunk, contrast: Contrast) -> None:
    p, rng = trunk.patient, canvas.rng
    top = float(rng.uniform(-25, 5))
    center = np.array([top + 150, p.middle - 0.15 * p.half_depth, 0.0])
    box = canvas.place.box(center, np.array([160, 0.75 * p.half_depth, 0.85 * p.half_width]))
    if is_empty(box):
        return
    at = canvas.place.coordinates(box)
    down, back, left = at
    warp = [10 * canvas.texture(box, 35) for _ in range(3)]
    wave = 2 * np.pi / float(rng.uniform(45, 75))
    z, y, x = (wave * (axis + push) for axis, push in zip(at, warp, strict=True))
    # A gyroid winds as bowel does: one thick tube, cut across again and again.
    wind = np.sin(z) * np.cos(y) + np.sin(y) * np.cos(x) + np.sin(x) * np.cos(z)
    shape = (float(rng.uniform(-0.05, 0.4)) - wind) * np.float32(0.62 / wave)
    bounds = np.maximum(trunk.below(box, 7), top - down + 0.25 * np.abs(left))
    behind = back - (p.middle + 0.42 * p.half_depth) + 12 * step(np.abs(left), 30, 60)
    shape = np.maximum(shape, np.maximum(bounds, behind))
    free = _free(canvas, box)
    loops = canvas.texture(box, 26)
    wall = float(rng.uniform(2, 3.5))
    _fill(canvas, box, free, shape, contrast.hu["wall"])
    hu = 18 + 8 * canvas.texture(box, 6)
    if rng.random() < 0.3:  # positive contrast by mouth reaches some loops
        hu = hu + step(loops, -0.5, 0.6) * rng.uniform(80, 330)
    _fill(canvas, box, free, shape + wall, hu)
    gas = np.maximum(shape + wall, (0.9 - loops) * 15)
    gas = np.maximum(gas, back - (p.middle - 0.35 * p.half_depth))
    _fill(canvas, box, free, gas, -900.0)


def _paint_colon(canvas: Canvas, trunk: Trunk, contrast: Contrast) -> None:
    p, rng = trunk.patient, canvas.rng
    flex_right, flex_left = float(rng.uniform(5, 45)), float(rng.uniform(-50, -5))
    sag = float(rng.uniform(0, 55))

    def at_(down: float, across: float, ahead: float) -> tuple[float, float, float]:
        return (down, *p.inside(across, ahead))

    courses = (
        [at_(190, -0.62, -0.1), at_(95, -0.74, 0.12), at_(flex_right, -0.72, 0.1)],
        [
            at_(flex_right, -0.72, 0.1),
            at_(flex_right + 0.6 * sag, -0.4, -0.68),
            at_(20 + sag, 0.0, -0.78),
            at_(flex_left + 0.4 * sag, 0.5, -0.55),
            at_(flex_left, 0.74, 0.05),
        ],
        [at_(flex_left, 0.76, 0.1), at_(70, 0.8, 0.2), at_(130, 0.74, 0.1), at_(200, 0.4, -0.1)],
    )
    for course in courses:
        points = np.array(course)
        low, high = points.min(0), points.max(0)
        box = canvas.place.box((low + high) / 2, (high - low) / 2, 34)
        if is_empty(box):
            continue
        at = canvas.place.coordinates(box)
        down, back, left = at
        girth = float(rng.uniform(13, 25))
        pouches = np.abs(np.sin(down / 11) * np.cos(left / 13) + 0.4 * canvas.texture(box, 14))
        sway = 7 * canvas.texture(box, 40)
        shape = tube((down, back + sway, left - sway), course, girth * (0.78 + 0.3 * pouches))
        shape = np.maximum(shape, trunk.below(box, 4))
        free = _free(canvas, box)
        _fill(canvas, box, free, shape, contrast.hu["wall"])
        grain = canvas.texture(box, 5)
        kind = rng.choice(["stool", "gas", "contrast", "fluid"], p=[0.45, 0.3, 0.12, 0.13])
        hu: AnyArray | float = {"stool": 25.0, "gas": 40.0, "contrast": 330.0, "fluid": 12.0}[kind]
        hu = hu + (25 if kind == "stool" else 6) * grain
        if kind == "stool":
            hu = hu - 500 * np.clip(grain - 0.9, 0, 1)
        _fill(canvas, box, free, shape + 2.5, hu)
        if kind in ("gas", "stool"):
            level = np.mean(points[:, 1]) - girth * rng.uniform(-0.9, 0.9)
            bubbles = (back - level) if kind == "gas" else (1.1 - sway / 7) * 12
            _fill(canvas, box, free, np.maximum(shape + 2.5, bubbles), -920.0)
