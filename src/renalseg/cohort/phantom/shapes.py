"""Signed distances of simple shapes: negative inside, mm, good near the surface."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from renalseg.types import AnyArray

Points = Sequence[AnyArray]
Numbers = Sequence[float] | AnyArray


def ellipsoid(at: Points, center: Numbers, radii: Numbers) -> AnyArray:
    """An ellipsoid with its axes along the coordinates; two coordinates make a cylinder."""
    scaled: AnyArray | float = 0.0
    steep: AnyArray | float = 0.0
    for value, middle, radius in zip(at, center, radii, strict=True):
        away = (value - np.float32(middle)) ** 2
        scaled = scaled + away * np.float32(radius**-2)
        steep = steep + away * np.float32(radius**-4)
    level = np.sqrt(scaled)
    return np.asarray(level * (level - 1) / np.sqrt(steep + np.float32(1e-9)))


def tube(at: Points, path: Sequence[Numbers], radius: AnyArray | float) -> AnyArray:
    """A tube around a polyline."""
    nearest: AnyArray | float = np.inf
    for start, end in pairwise(path):
        along = [np.float32(b - a) for a, b in zip(start, end, strict=True)]
        away = [value - np.float32(a) for value, a in zip(at, start, strict=True)]
        length = sum(float(step) ** 2 for step in along) + 1e-6
        share = sum(a * step for a, step in zip(away, along, strict=True)) / np.float32(length)
        share = np.clip(share, 0, 1)
        squared = sum((a - share * step) ** 2 for a, step in zip(away, along, strict=True))
        nearest = np.minimum(nearest, squared)
    return np.asarray(np.sqrt(nearest) - radius)


def union(a: AnyArray, b: AnyArray, blend_mm: float) -> AnyArray:
    """Two shapes in one, the crease between them rounded."""
    mix = np.clip(0.5 + (b - a) * np.float32(0.5 / blend_mm), 0, 1)
    return np.asarray(b + (a - b) * mix - np.float32(blend_mm) * mix * (1 - mix))


def without(a: AnyArray, b: AnyArray, blend_mm: float) -> AnyArray:
    """The first shape less the second, the edge rounded."""
    return -union(-a, b, blend_mm)


def step(x: AnyArray, low: float, high: float) -> AnyArray:
    """A smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
