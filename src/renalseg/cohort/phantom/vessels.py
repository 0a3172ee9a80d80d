"""Aorta, inferior vena cava, renal and mesenteric vessels."""

from collections.abc import Sequence

import numpy as np

from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.grid import is_empty
from renalseg.cohort.phantom.shapes import ellipsoid, step, tube, union


def paint_great_vessels(canvas: Canvas, contrast: Contrast) -> None:
    """Paint aorta and cava down to the iliac vessels, calcified in some."""
    rng = canvas.rng
    box = canvas.place.box(np.array([0, -36, 0]), np.array([400, 40, 65]))
    if is_empty(box):
        return
    down, back, left = at = canvas.place.coordinates(box)
    fork = float(rng.uniform(62, 85))
    wide = float(rng.uniform(8, 12.5)) * (1.9 if rng.random() < 0.04 else 1.0)
    flat = float(rng.uniform(0.55, 1.0))
    spread = 0.33 * np.clip(down - fork, 0, 110)
    grain = 4 * canvas.texture(box, 8)
    trunk_ = np.maximum(ellipsoid((back, left), (-27, 9), (wide, wide)), down - fork)
    iliac = np.maximum(
        ellipsoid((back - 0.15 * spread, np.abs(left - 5) - spread), (-27, 0), (6.5, 6.5)),
        fork - 4 - down,
    )
    aorta = union(trunk_, iliac, 4)
    cava = ellipsoid((back + 0.12 * np.clip(-down - 60, 0, 70), left), (-24, -20), (11 * flat, 13))
    cava = np.maximum(cava, down - fork - 8)
    vein = np.maximum(
        ellipsoid((back - 0.2 * spread, np.abs(left + 8) - spread), (-20, 0), (7, 7)), fork - down
    )
    veins = union(cava, vein, 4)
    # Blood from the kidneys has contrast before blood from the legs has.
    mixed = contrast.hu["cava"] - (contrast.hu["cava"] - 45) * 0.6 * step(down, -5, 60)
    canvas.blend(box, veins, mixed + grain)
    canvas.blend(box, aorta - 1.2, contrast.hu["wall"])
    canvas.blend(box, aorta, contrast.hu["aorta"] + grain)
    if rng.random() < 0.4:
        plaque = np.maximum(np.abs(aorta - 0.3) - 1.3, (1.1 - canvas.texture(box, 9)) * 9)
        canvas.blend(box, plaque, float(rng.uniform(350, 900)))
    front = tube(at, [(-40, -36, 8), (-30, -52, 7), (40, -62, 0), (90, -70, -12)], 4.0)
    canvas.blend(box, front, contrast.hu["aorta"])
    canvas.blend(
        box, tube(at, [(-38, -55, -18), (-20, -60, -8), (60, -64, -10)], 5.5), contrast.hu["cava"]
    )


def paint_renal_vessels(canvas: Canvas, contrast: Contrast, hilum: Sequence[float]) -> None:
    """Paint artery and vein of a kidney from the great vessels to its hilum (patient mm)."""
    side = 1.0 if hilum[2] > 0 else -1.0
    center = np.array([hilum[0], 0.5 * (hilum[1] - 30), 0.5 * hilum[2]])
    box = canvas.place.box(center, np.array([25, 30, 0.6 * abs(hilum[2]) + 12]))
    if is_empty(box):
        return
    at = canvas.place.coordinates(box)
    down, back, left = hilum
    start = (min(down, 10) - 12, -27.0, 9 + 9 * side)
    artery = [start, (down - 6, -8 if side < 0 else -15, 32 * side), (down - 2, back, left)]
    vein_start = (down - 10, -33 if side > 0 else -26, -16 if side > 0 else -28)
    vein = [
        vein_start,
        (down - 7, -36 if side > 0 else -28, 14 if side > 0 else -36),
        (down, back - 4, left),
    ]
    canvas.blend(box, tube(at, vein, float(canvas.rng.uniform(4, 6))), contrast.hu["cava"] * 1.05)
    canvas.blend(box, tube(at, artery, float(canvas.rng.uniform(2.3, 3.4))), contrast.hu["aorta"])
