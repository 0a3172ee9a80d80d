"""Small bowel and colon: loops that fill what fat the organs leave, with gas, stool, contrast."""

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.grid import is_empty
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.torso.stage import Material, Region, Shape, Stage


def paint_bowel(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    """Paint mesentery, small bowel and colon."""
    _colon(stage, rng, p, contrast)
    _small_bowel(stage, rng, p, contrast)


def _whole(stage: Stage, low: list[float], high: list[float]) -> Region | None:
    box = stage.box(np.array(low), np.array(high))
    if is_empty(box):
        return None
    return Region(box, np.zeros([s.stop - s.start for s in box], np.float32))


def _small_bowel(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    top = float(rng.uniform(-30, 15))
    wide = 0.9 * p.half_width
    region = _whole(
        stage, [top, p.middle - p.half_depth, -wide], [225, p.middle + 0.6 * p.half_depth, wide]
    )
    if region is None:
        return
    down, back, left = stage.at[(slice(None), *region.box)]
    vessels = np.hypot(stage.texture(region, rng, 24), stage.texture(region, rng, 24))
    vessels = vessels * np.float32(15) - np.float32(rng.uniform(1.0, 2.2))
    # Loops: where three warped waves agree (a gyroid), one thick tube cut across again and again.
    size = float(rng.uniform(48, 84))
    wave = np.float32(2 * np.pi / size)
    push = [wave * np.float32(0.22 * size) * stage.texture(region, rng, 60) for _ in range(3)]
    z, y, x = wave * down + push[0], wave * back + push[1], wave * left + push[2]
    wind = np.sin(z) * np.cos(y) + np.sin(y) * np.cos(x) + np.sin(x) * np.cos(z)
    crowd = float(rng.uniform(-0.3, 0.85))
    shape = (np.float32(crowd) - wind) * np.float32(0.62 / wave)
    behind = back - np.float32(p.middle + 0.4 * p.half_depth)
    behind = behind - 60 * np.clip((down - 120) / 60, 0, 1)
    bounds = np.maximum(behind, np.float32(top) - down + 0.25 * np.abs(left))
    shape = np.maximum(shape, bounds)
    veins = np.maximum(vessels, bounds)
    for one, material in (
        (veins, Material(0.5 * contrast.hu["cava"] + 20, free=1)),
        (shape, None),
    ):
        part = Region(region.box, np.ascontiguousarray(one, dtype=np.float32))
        stage.within(part, 6)
        if material is not None:
            stage.paint(part, rng, material)
            continue
        collapsed = rng.random() < 0.6
        wall = float(rng.uniform(2, 3.5))
        content = contrast.hu["wall"] - 6 if collapsed else float(rng.uniform(8, 30))
        full = rng.random() < 0.18
        stage.paint(
            part,
            rng,
            Material(
                content,
                fine_hu=6,
                coarse_hu=-float(rng.uniform(60, 250)) if full else 5.0,
                coarse_mm=55,
                shell_hu=contrast.hu["wall"],
                shell_mm=wall,
                bubbles=float(rng.uniform(0.9, 2.6)),
                bubble_mm=float(rng.uniform(14, 30)),
                free=1,
            ),
        )


def _colon(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    def at(down: float, across: float, ahead: float) -> tuple[float, float, float]:
        return (down, *p.inside(across, ahead))

    right, left = float(rng.uniform(0, 50)), float(rng.uniform(-55, 0))
    sag = float(rng.uniform(0, 90))
    wander = float(rng.uniform(0.02, 0.1))

    def course(*points: tuple[float, float, float]) -> list[tuple[float, float, float]]:
        return [
            at(d + rng.normal(0, 6), a + rng.normal(0, wander), h + rng.normal(0, wander))
            for d, a, h in points
        ]

    behind = float(rng.uniform(-0.1, 0.42))
    ascending = course((140, -0.58, -0.2), (95, -0.74, 0.1), (right + 25, -0.76, behind))
    ascending += course((right, -0.66, 0.1))
    across = [ascending[-1]]
    across += course(
        (right + 0.5 * sag, -0.42, -0.68), (20 + sag, 0.0, -0.78), (left + 0.5 * sag, 0.48, -0.6)
    )
    across += course((left, 0.74, 0.0))
    descending = [across[-1]]
    descending += course((left + 40, 0.8, behind), (75, 0.82, 0.2), (125, 0.72, 0.05))
    sigmoid = [descending[-1]]
    bend = float(rng.uniform(-0.1, 0.45))
    sigmoid += [
        (158.0, *p.inside(0.42, -0.1)),
        (float(rng.uniform(120, 170)), *p.inside(bend, -0.35)),
        (170.0, 12.0, float(rng.uniform(-20, 20))),
        (178.0, 34.0, 10.0),
    ]
    stool = rng.random() < 0.6
    for number, path in enumerate((ascending, across, descending, sigmoid)):
        smooth = _rounded(path)
        girth = float(rng.uniform(13, 27) if number < 2 else rng.uniform(8, 21))
        pouch = 1 + 0.2 * np.sin(np.arange(len(smooth)) * 1.9) * rng.uniform(0.3, 1)
        region = stage.region(Shape().tube(smooth, girth * pouch, blend_mm=3))
        if region is None:
            continue
        stage.bump(region, rng, 0.16 * girth, 18)
        stage.within(region, 3.5)
        stage.paint(region, rng, _content(rng, contrast, stool, girth, smooth))


def _rounded(path: list[tuple[float, float, float]]) -> list[tuple[float, ...]]:
    """A smooth course through points, about every 12 mm."""
    from scipy.interpolate import CubicSpline

    points = np.array(path)
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    count = max(3, int(steps[-1] / 13))
    found = CubicSpline(steps, points)(np.linspace(0, steps[-1], count))
    return [tuple(row) for row in found]


def _content(
    rng: np.random.Generator,
    contrast: Contrast,
    stool: bool,
    girth: float,
    path: list[tuple[float, ...]],
) -> Material:
    shares = [0.62, 0.2, 0.06, 0.12] if stool else [0.2, 0.45, 0.15, 0.2]
    kind = rng.choice(["stool", "gas", "contrast", "collapsed"], p=shares)
    wall, thick = contrast.hu["wall"] + 3, float(rng.uniform(2.2, 4))
    middle = float(np.mean([point[1] for point in path]))
    if kind == "stool":
        return Material(
            float(rng.uniform(-20, 70)),
            fine_hu=float(rng.uniform(15, 60)),
            fine_mm=float(rng.uniform(5, 9)),
            coarse_hu=20,
            coarse_mm=40,
            shell_hu=wall,
            shell_mm=thick,
            gas_hu=-650,
            bubbles=float(rng.uniform(0.35, 1.5)),
            bubble_mm=float(rng.uniform(5, 9)),
        )
    if kind == "gas":
        level = middle + girth * float(rng.uniform(-0.5, 1.6))
        return Material(
            float(rng.uniform(5, 50)), fine_hu=10, shell_hu=wall, shell_mm=thick, level=level
        )
    if kind == "contrast":
        return Material(
            float(rng.uniform(120, 600)),
            fine_hu=40,
            coarse_hu=60,
            shell_hu=wall,
            shell_mm=thick,
            bubbles=1.2,
            bubble_mm=14,
        )
    return Material(wall - 4, fine_hu=8, coarse_hu=8, shell_hu=wall, shell_mm=thick, bubbles=1.8)
