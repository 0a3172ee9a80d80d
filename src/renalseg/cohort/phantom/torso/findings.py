"""What else may be found: fluid, free air, nodes, other masses, metal."""

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.grid import is_empty
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.torso.stage import Material, Region, Shape, Stage


def paint_fluid(stage: Stage, rng: np.random.Generator, p: Patient) -> None:
    """Paint ascites or free air in some; before the kidneys, which lie behind both."""
    draw = rng.random(2)
    if draw[0] > 0.09 and draw[1] > 0.04:
        return
    box = stage.box(
        np.array([p.dome - 20, p.middle - p.half_depth, -p.half_width]),
        np.array([250.0, p.back, p.half_width]),
    )
    if is_empty(box):
        return
    region = Region(box, np.zeros([s.stop - s.start for s in box], np.float32))
    down, back, left = stage.at[(slice(None), *box)]
    belly = stage.belly[box]
    if draw[0] <= 0.09:
        thick = float(rng.uniform(4, 40)) * (1 + 0.5 * stage.texture(region, rng, 70))
        thick = thick * (0.5 + np.clip(np.abs(left) / p.half_width, 0, 1))
        thick = thick + 30 * np.clip((down - 130) / 60, 0, 1)
        region.distance[:] = np.maximum(belly + 1, -belly - thick)
        region.distance[:] = np.maximum(region.distance, back - 25)
        stage.paint(region, rng, Material(float(rng.uniform(0, 25)), fine_hu=2, free=1))
    if draw[1] <= 0.04:
        front = p.middle - p.half_depth + p.wall + float(rng.uniform(4, 28))
        region.distance[:] = np.maximum(belly + 1, back - front)
        stage.paint(region, rng, Material(-960.0))


def paint_masses(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    """Paint nodes beside the aorta and masses that are no kidney's, in some."""
    if rng.random() < 0.2:
        for _ in range(int(rng.integers(1, 9))):
            center = (rng.uniform(-60, 120), rng.uniform(-45, -5), rng.normal(0, 24))
            node = Shape().ball(center, rng.uniform(4, 13, 3))
            hu = contrast.hu["muscle"] + float(rng.uniform(-15, 30))
            stage.draw(node, rng, Material(hu, fine_hu=3), bumps=(1.5, 12))
    if rng.random() < 0.22:
        for _ in range(int(rng.integers(1, 4))):
            across, ahead = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.55)
            center = (float(rng.uniform(p.dome + 20, 200)), *p.inside(across, ahead))
            radius = float(np.clip(rng.lognormal(np.log(20), 0.5), 6, 60))
            kind = rng.choice(["solid", "cyst", "fat", "bright"], p=[0.5, 0.3, 0.1, 0.1])
            hu = {"solid": contrast.hu["muscle"], "cyst": 8.0, "fat": contrast.fat + 8}.get(
                str(kind), contrast.hu["cortex"]
            )
            material = Material(
                hu + float(rng.uniform(-12, 12)), fine_hu=4, coarse_hu=8, coarse_mm=max(radius, 8)
            )
            mass = Shape().ball(center, radius * rng.uniform(0.7, 1.3, 3))
            stage.draw(mass, rng, material, within_mm=1, bumps=(0.15 * radius, max(radius, 9)))


def paint_metal(stage: Stage, rng: np.random.Generator, p: Patient) -> None:
    """Paint clips, coils, rods in the spine, a drain or a feeding tube, in some."""
    kinds = rng.random(4)
    if kinds[0] < 0.1:
        for _ in range(int(rng.integers(2, 9))):
            center = (
                rng.uniform(-90, 60),
                *p.inside(rng.uniform(-0.7, 0.7), rng.uniform(-0.5, 0.6)),
            )
            stage.draw(Shape().ball(center, (1, 1, 3)), rng, Material(3071.0))
    if kinds[1] < 0.03:
        level = float(rng.uniform(-60, 60))
        for side in (-1.0, 1.0):
            rod = Shape().tube([(level, 42, 18 * side), (level + 70, 42, 18 * side)], 3.0)
            for step in (0, 35, 70):
                rod.tube([(level + step, 42, 18 * side), (level + step, 6, 10 * side)], 2.8)
            stage.draw(rod, rng, Material(3071.0))
    if kinds[2] < 0.08:
        side = float(rng.choice([-1.0, 1.0]))
        across = [
            p.inside(side * 1.35, 0.3),
            p.inside(side * 0.9, 0.2),
            p.inside(side * 0.55, 0.45),
        ]
        drain = [(60.0 - 20 * n, *spot) for n, spot in enumerate(across)]
        hu = float(rng.uniform(100, 700))
        stage.draw(Shape().tube(drain, 2.5), rng, Material(-400.0, shell_hu=hu, shell_mm=1.5))
    if kinds[3] < 0.08:
        feed = [(-400.0, -34, 8), (p.dome + 40, -38, 22), (p.dome + 80, *p.inside(0.2, -0.3))]
        stage.draw(Shape().tube(feed, 1.8), rng, Material(600.0))
