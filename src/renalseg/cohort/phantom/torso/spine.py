"""Vertebrae and discs, compiled; psoas, iliacus and the muscles of the back."""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.grid import is_empty
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.torso.kernels import noise
from renalseg.cohort.phantom.torso.stage import Material, Shape, Stage
from renalseg.cohort.phantom.torso.tile import SIDE, noise_tile
from renalseg.compiled import compiled

#: Where the fifth lumbar vertebra ends, in vertebrae below the middle of the second.
_LAST = 3.5


def paint_spine(
    stage: Stage, rng: np.random.Generator, patient: Patient, contrast: Contrast
) -> None:
    """Paint the vertebrae down to the sacrum."""
    end = _LAST * patient.vertebra
    box = stage.box(np.array([-420.0, -22, -62]), np.array([end, 84, 62]))
    if is_empty(box):
        return
    _spine(
        stage.hu,
        np.array([[s.start, s.stop] for s in box]),
        stage.at,
        noise_tile(),
        stage.edge_mm,
        patient.vertebra,
        end,
        patient.bone,
        float(rng.uniform(150, 520)),
        float(rng.uniform(0.9, 1.12)),
        contrast.fat,
        rng.uniform(0, SIDE, 3),
    )


@compiled(nogil=True, error_model="numpy")
def _round(x, y, a, b):
    u, v = x / a, y / b
    level = np.sqrt(u * u + v * v)
    return level * (level - 1) / np.sqrt((u / a) ** 2 + (v / b) ** 2 + 1e-9)


@compiled(nogil=True, error_model="numpy")
def _ball(x, y, z, a, b, c):
    u, v, w = x / a, y / b, z / c
    level = np.sqrt(u * u + v * v + w * w)
    return level * (level - 1) / np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2 + 1e-9)


@compiled(nogil=True, error_model="numpy")
def _share(d, edge):
    return min(max(0.5 - d / edge, 0.0), 1.0)


@compiled(nogil=True, error_model="numpy")
def _spine(hu, box, at, tile, edge, height, end, bone, hard, size, fat, offset):
    for i in range(box[0, 0], box[0, 1]):
        for j in range(box[1, 0], box[1, 1]):
            for k in range(box[2, 0], box[2, 1]):
                down, back, left = at[0, i, j, k], at[1, i, j, k], abs(at[2, i, j, k])
                if down > end or left > 56 or back > 72 or back < -24:
                    continue
                value = hu[i, j, k]
                grow = size * (1 + 0.0009 * min(max(down, -140.0), 90.0))
                level = down / height
                within = (level - np.round(level)) * height
                ends = 0.5 * height - 4.5 - abs(within)
                waist = min(max(ends / 11, 0.0), 1.0)
                scale = grow * (1 - 0.09 * waist)
                n = noise(
                    tile, down * 0.7 + offset[0], back * 0.7 + offset[1], left * 0.7 + offset[2]
                )
                body = _round(back, left, 16 * scale, 22 * scale)
                disc = _round(back, left, 16.5 * grow, 23 * grow)
                canal = _round(back - 25.5, left, 8.5, 11.0)
                value += _share(disc, edge) * (78 + 6 * n - value)
                solid = max(body, -ends)
                rim = min(max(1 - abs(solid + 1.2) / 1.8, 0.0), 1.0)
                value += _share(solid, edge) * (bone + 30 * n + rim * hard - value)
                pedicle = _ball(within + 4, back - 20, left - 14, 8.0, 11.0, 5.0)
                lamina = max(abs(_round(back - 26, left, 12.5, 15.0)) - 3.2, abs(within - 3) - 11)
                lamina = max(lamina, 26 - back)
                facet = _ball(within - 12, back - 32, left - 17, 13.0, 7.0, 7.0)
                spinous = max(left - 3.4, abs(within - 7) - 10 + (back - 45) ** 2 / 200)
                spinous = max(spinous, 34 - back, back - 60)
                arch = min(pedicle, lamina, facet, spinous)
                tip = _ball(within + 2, back - 27 + 0.12 * (left - 20), left - 28, 5.5, 4.5, 17.0)
                arch = min(arch, tip)
                rim = min(max(1 - abs(arch + 1.2) / 2.2, 0.0), 1.0)
                value += _share(arch, edge) * (1.3 * bone + 40 * n + rim * hard - value)
                value += _share(canal, edge) * (0.3 * fat + 25 - value)
                value += _share(_round(back - 25.5, left, 6.0, 7.5), edge) * (30 - value)
                hu[i, j, k] = value


def paint_muscles(
    stage: Stage, rng: np.random.Generator, patient: Patient, contrast: Contrast
) -> None:
    """Paint psoas, quadratus lumborum and the extensors, each in a thin coat of fat."""
    girth = 0.75 + 0.45 * patient.lean
    hu = contrast.hu["muscle"]
    marbled = float(rng.uniform(2, 6) + 30 * max(0.0, 0.6 - patient.lean))
    plain = Material(hu, fine_hu=3, fine_mm=7, coarse_hu=3)
    faint = float(rng.uniform(0.2, 1.0))
    coat = Material(hu + faint * (contrast.fat - hu), fine_hu=6, fine_mm=8)
    fatty = Material(hu - 0.5 * marbled, fine_hu=marbled, fine_mm=8, coarse_hu=4, coarse_mm=30)
    behind = patient.back - 18
    for side in (-1.0, 1.0):
        extensor = [(-420.0, behind, 26 * side), (40.0, behind, 31 * side)]
        extensor += [(120.0, behind + 4, 27 * side), (175.0, behind + 12, 20 * side)]
        deep = [(-420.0, behind - 6, 12 * side), (120.0, behind - 4, 14 * side)]
        deep += [(170.0, behind + 8, 14 * side)]
        shape = Shape().tube(extensor, [14 * girth, 21 * girth, 17 * girth, 7.0])
        stage.draw(shape, rng, coat)
        shape = Shape().tube(extensor, [13 * girth, 19.5 * girth, 15 * girth, 5.0])
        stage.draw(shape, rng, fatty, bumps=(1.0, 20))
        stage.draw(Shape().tube(deep, [11.5, 14 * girth + 2, 10.0]), rng, coat)
        stage.draw(Shape().tube(deep, [10, 13 * girth + 1, 9.0]), rng, fatty)
        slab = Shape().ball((45, 30, 58 * side), (72, 8.5 * girth, 20))
        stage.draw(slab, rng, plain, bumps=(1.0, 20))
        psoas = [(-38, 10, 25), (0, 4, 32), (45, -3, 42), (95, -10, 52), (140, -16, 60)]
        psoas += [(180, -36, 72), (215, -42, 84), (250, -10, 82)]
        radii = np.array([5, 11, 17, 20, 18, 15, 13, 8]) * girth
        path = [(z, y, x * side) for z, y, x in psoas]
        if not stage.config.has("pelvis"):
            path, radii = path[:5], radii[:5]
        stage.draw(Shape().tube(path, radii + 1.5), rng, coat)
        stage.draw(Shape().tube(path, radii), rng, plain, bumps=(1.0, 25))
