"""What lies around a patient: couch, arms, clothing, lines."""

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.torso.stage import Material, Shape, Stage


def paint_outside(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    """Paint arms, clothing and lines in some, the couch in most."""
    if rng.random() < 0.22:
        _arms(stage, rng, p, contrast)
    if rng.random() < 0.3:
        _cloth(stage, rng)
    if rng.random() < 0.2:
        _lines(stage, rng, p)
    if rng.random() < 0.85:
        _couch(stage, rng, p)


def _arms(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    muscle = contrast.hu["muscle"]
    fat = 3 + 0.25 * p.fat
    for side in (-1.0, 1.0):
        if rng.random() < 0.2:
            continue
        out = (p.half_width + 1.2 * p.fat + float(rng.uniform(38, 75))) * side
        back = p.middle + float(rng.uniform(-30, 45))
        elbow = float(rng.uniform(-80, 60))
        path = [(-420.0, back + 10, 0.95 * out), (elbow, back, out), (elbow + 260, back - 30, out)]
        for radius, hu in ((34 + fat, 20.0), (32 + fat, contrast.fat), (31.0, muscle)):
            stage.draw(Shape().tube(path, [radius * 1.1, radius, radius * 0.8]), rng, Material(hu))
        bone = Material(60.0, shell_hu=float(rng.uniform(700, 1200)), shell_mm=3)
        stage.draw(Shape().tube(path[:2], 11), rng, bone)
        for shift in (-9, 9):
            lower = [(z, y + shift, x + 0.5 * shift) for z, y, x in path[1:]]
            stage.draw(Shape().tube(lower, 7), rng, bone)


def _air(stage: Stage, share: np.ndarray, hu: float) -> None:
    """Mix something thin into voxels of air, in the rows that have a share of it."""
    rows = np.flatnonzero(share.any((0, 2)))
    if not len(rows):
        return
    part = slice(rows[0], rows[-1] + 1)
    voxels = stage.hu[:, part]
    air = np.clip((-850 - voxels) / 100, 0, 1)
    voxels += share[:, part] * air * (hu - voxels)


def _couch(stage: Stage, rng: np.random.Generator, p: Patient) -> None:
    """A shell or two, flat or hollow; a mattress on it in some."""
    lies = stage.origin_mm[1] + p.back + 1.15 * p.fat + float(rng.uniform(4, 30))
    _, back, left = stage.grid.axes(stage.grid.whole)
    middle = stage.origin_mm[2] + float(rng.normal(0, 10))
    half = float(rng.uniform(190, 240))
    form = rng.choice(["round", "flat", "wavy"], p=[0.55, 0.2, 0.25])
    radius = float(rng.uniform(260, 480))
    away = np.abs(left - middle)
    if form == "flat":
        drop = 0 * away
    elif form == "round":
        drop = radius - np.sqrt(np.maximum(radius**2 - away**2, 1))
    else:
        drop = 30 * (1 - np.cos(np.clip(away / half, 0, 1) * np.pi)) / 2
    below = back - np.float32(lies) + drop
    sides = np.clip((away - half) / 6, 0, 1) * 200
    thin, gap = float(rng.uniform(1.0, 3.0)), float(rng.uniform(8, 60))
    shell = float(rng.uniform(-700, 100))
    for offset in (0.0, gap) if rng.random() < 0.7 else (0.0,):
        line = np.clip((thin + 1.5 - np.abs(below - offset) - sides) / stage.edge_mm, 0, 1)
        _air(stage, line, shell)
    if rng.random() < 0.4:
        mat = np.clip((9 - np.abs(below + 10) - sides) / stage.edge_mm, 0, 1)
        _air(stage, mat, float(rng.uniform(-980, -800)))


def _cloth(stage: Stage, rng: np.random.Generator) -> None:
    """Folds of cloth over the skin."""
    from scipy import ndimage

    body = ndimage.uniform_filter((stage.hu > -300).astype(np.float32), 5)
    near = np.clip(body * 6, 0, 1) * (stage.hu < -800)
    first = float(rng.uniform(0.1, 0.5))
    folds = ndimage.gaussian_filter(rng.standard_normal(stage.hu.shape, np.float32), 1.5) * 8
    _air(stage, near * (np.abs(folds) < first), float(rng.uniform(-900, -600)))


def _lines(stage: Stage, rng: np.random.Generator, p: Patient) -> None:
    """Wires and tubes on the skin."""
    front = p.middle - p.half_depth - 1.15 * p.fat - float(rng.uniform(4, 14))
    for _ in range(int(rng.integers(1, 4))):
        x = float(rng.uniform(-90, 90))
        path = [
            (z, front + 0.0012 * x**2 * 3, x + rng.normal(0, 15)) for z in (-260, -120, 0, 120, 260)
        ]
        hu = float(rng.choice([-200.0, 300.0, 2200.0]))
        stage.draw(Shape().tube(path, 1.3), rng, Material(hu))
