"""A patient's build, from thin to fat, and its outlines from chest to thigh."""

import numpy as np

from renalseg.cohort.phantom.patient import Patient
from renalseg.types import AnyArray

#: The profile's rows: from this far above the loin, this far apart.
FIRST_MM, STEP_MM = -260.0, 10.0
_LEVELS = np.arange(FIRST_MM, 441.0, STEP_MM)

#: Of an average body: shares of the half width and depth, and mm; by level.
_KNOTS = (-260, -180, -120, -60, -10, 40, 80, 120, 160, 200, 240, 280, 340, 440)
_WIDTH = (0.93, 0.98, 1.0, 1.0, 0.97, 0.93, 0.95, 1.02, 1.09, 1.13, 1.14, 1.12, 1.05, 1.0)
_DEPTH = (1.02, 1.05, 1.05, 1.03, 1.0, 0.95, 0.92, 0.92, 0.93, 0.92, 0.86, 0.80, 0.75, 0.7)
_BEHIND = (-8, -6, -3, 0, 0, -3, 0, 8, 16, 18, 12, 2, -4, -6)
_FRONT_FAT = (0.5, 0.5, 0.6, 0.8, 1.0, 1.15, 1.2, 1.2, 1.1, 0.9, 0.8, 0.6, 0.6, 0.6)
_BACK_FAT = (0.6, 0.6, 0.6, 0.7, 0.9, 1.2, 1.5, 1.6, 1.5, 1.4, 1.2, 0.9, 0.7, 0.6)
_SIDE_FAT = (0.5, 0.5, 0.6, 0.7, 0.9, 1.1, 1.2, 1.15, 1.1, 1.1, 1.1, 1.0, 0.9, 0.9)
#: The pelvic cavity narrows to its floor: half width and depth, mm.
_CAVITY_KNOTS = (60, 90, 120, 150, 180, 210, 235, 255, 268)
_CAVITY_WIDTH = (1.0, 0.9, 0.76, 0.62, 0.52, 0.47, 0.42, 0.3, 0.0)
_CAVITY_BACK = (36, 30, 22, 30, 42, 44, 36, 18, 0)


def draw_build(rng: np.random.Generator, *, varied: bool) -> Patient:
    """Draw a build; where not ``varied``, one of middling weight."""
    if varied:
        fat = float(np.clip(rng.lognormal(np.log(16), 0.65), 2.5, 70))
    else:
        fat = float(rng.uniform(12, 20))
    width = float(np.clip(rng.normal(151, 14) + 0.12 * fat, 112, 192))
    # Men keep their fat within, women under the skin.
    inner = float(rng.uniform(0.1, 0.7))
    return Patient(
        half_width=width,
        half_depth=float(width * np.clip(rng.normal(0.71, 0.05) + 0.0015 * fat, 0.6, 0.88)),
        fat=fat,
        wall=float(rng.uniform(9, 20)),
        visceral=float(np.clip(rng.normal(2 + inner * fat, 3), 0.5, 28)),
        vertebra=float(rng.uniform(31, 38)),
        dome=float(rng.uniform(-150, -95)),
        back=float(rng.uniform(60, 74)),
        lean=float(rng.uniform(0, 1)),
        bone=float(rng.uniform(60, 250)),
    )


def profile(patient: Patient, rng: np.random.Generator) -> AnyArray:
    """Outlines level by level; see `layers.PROFILE`."""
    p = patient

    def along(values: tuple[float, ...], spread: float) -> AnyArray:
        own = np.asarray(values) + rng.normal(0, spread, len(values))
        return np.asarray(np.interp(_LEVELS, _KNOTS, own))

    width = p.half_width * along(_WIDTH, 0.015)
    depth = p.half_depth * along(_DEPTH, 0.012)
    behind = p.back + along(_BEHIND, 1.5)
    middle = behind - depth
    # A paunch hangs in front of the belly only.
    paunch = float(rng.uniform(-6, 4) + 0.5 * p.visceral) * np.exp(-(((_LEVELS - 50) / 80) ** 2))
    depth, middle = depth + 0.5 * paunch, middle - 0.5 * paunch
    front, flank = p.wall * 0.6, p.wall
    cavity_width, cavity_depth = width - flank, depth - 0.5 * (front + 20)
    cavity_middle = middle + 0.5 * (front - 20)
    low = np.clip((_LEVELS - 60) / 60, 0, 1)
    bony = np.interp(_LEVELS, _CAVITY_KNOTS, _CAVITY_WIDTH) * 132 * rng.uniform(0.95, 1.08)
    cavity_width = np.minimum(cavity_width, (1 - low) * cavity_width + low * bony)
    ends = np.interp(_LEVELS, _CAVITY_KNOTS, _CAVITY_BACK)
    rear = (1 - low) * (cavity_middle + cavity_depth) + low * ends
    # Below the pubic bones the front wall turns back.
    ahead = middle - depth + front + np.interp(_LEVELS, (150, 220, 260), (0, 26, 70))
    cavity_depth = np.maximum((rear - ahead) / 2, 1.0)
    cavity_middle = (rear + ahead) / 2
    cavity_width[_LEVELS > 265] = 0.0
    thigh = np.interp(_LEVELS, (200, 260, 440), (72, 78, 62)) * p.half_width / 134
    across = np.interp(_LEVELS, (200, 260, 440), (80, 84, 80)) * p.half_width / 134
    fat = p.fat
    return np.stack(
        [
            width,
            middle,
            depth,
            fat * along(_FRONT_FAT, 0.08) * rng.uniform(0.7, 1.5),
            fat * along(_BACK_FAT, 0.08) * rng.uniform(0.7, 1.2),
            fat * along(_SIDE_FAT, 0.08),
            cavity_width,
            cavity_middle,
            cavity_depth,
            across,
            thigh,
        ],
        axis=1,
    )
