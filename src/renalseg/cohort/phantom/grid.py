"""The voxel grid of a phantom, and where the patient lies in it.

Positions in the grid are mm from the first voxel, along its I-P-L axes. Positions in the
patient are mm from the middle of the second lumbar vertebra: (down, back, left).
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor
from zlib import crc32

import numpy as np

from renalseg.types import AnyArray

Box = tuple[slice, slice, slice]

#: Grids of more voxels compute positions where they are needed rather than keep them all.
_KEPT = 6_000_000


def stream(seed: int, index: int, concept: str) -> np.random.Generator:
    """The random numbers of one concept of one case, whatever else is drawn."""
    return np.random.default_rng([seed, index, crc32(concept.encode())])


@dataclass(frozen=True)
class Grid:
    """A voxel grid.

    Attributes:
        shape: Slices, rows, columns.
        spacing_mm: Along the same axes.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @property
    def affine(self) -> AnyArray:
        """Voxel to world (RAS+, mm): I-P-L without translation, as KiTS stores it."""
        affine = np.zeros((4, 4))
        affine[0, 2], affine[1, 1], affine[2, 0] = -1.0, -1.0, -1.0
        affine[:3, :3] *= np.array(self.spacing_mm)[[2, 1, 0]][:, None]
        affine[3, 3] = 1.0
        return affine

    @property
    def whole(self) -> Box:
        """All of it."""
        return (slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2]))

    def slabs(self, voxels: int = 1_500_000) -> list[Box]:
        """The grid in slabs of slices, small enough for the processor's cache to help."""
        step = max(1, voxels // (self.shape[1] * self.shape[2]))
        _, rows, columns = self.whole
        return [
            (slice(a, min(a + step, self.shape[0])), rows, columns)
            for a in range(0, self.shape[0], step)
        ]

    def axes(self, box: Box) -> list[AnyArray]:
        """The three coordinates of a box in mm, ready to broadcast."""
        return [
            (np.arange(s.start, s.stop, dtype=np.float32) * np.float32(mm)).reshape(
                [-1 if axis == other else 1 for other in range(3)]
            )
            for axis, (s, mm) in enumerate(zip(box, self.spacing_mm, strict=True))
        ]

    def box(self, low_mm: AnyArray, high_mm: AnyArray) -> Box:
        """The voxels between two corners; empty slices where they lie outside."""
        parts = []
        for low, high, mm, n in zip(low_mm, high_mm, self.spacing_mm, self.shape, strict=True):
            start = min(max(floor(low / mm), 0), n)
            parts.append(slice(start, min(max(ceil(high / mm) + 1, start), n)))
        return (parts[0], parts[1], parts[2])


def is_empty(box: Box) -> bool:
    """Whether a box holds no voxel."""
    return any(s.stop <= s.start for s in box)


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A smooth random field over a box of a grid, made where it is asked for.

    Normal random knots under cubic B-splines: mean 0, standard deviation 1.

    Attributes:
        grid: The grid.
        start_mm: Where the first knots lie.
        knots: The random knots.
        knot_mm: The distance between them, which is about the length of correlation.
    """

    grid: Grid
    start_mm: tuple[float, ...]
    knots: AnyArray
    knot_mm: float

    @classmethod
    def draw(
        cls, grid: Grid, rng: np.random.Generator, knot_mm: float, box: Box | None = None
    ) -> "SmoothField":
        """Draw one for a box, or for the whole grid."""
        box = box or grid.whole
        start = tuple(s.start * mm for s, mm in zip(box, grid.spacing_mm, strict=True))
        count = [
            int((s.stop - s.start) * mm / knot_mm) + 5
            for s, mm in zip(box, grid.spacing_mm, strict=True)
        ]
        # Cubic B-spline weights have a mean sum of squares of 0.479 per axis.
        knots = rng.standard_normal(count, np.float32) * np.float32(0.479**-1.5)
        return cls(grid, start, knots, knot_mm)

    def on(self, box: Box) -> AnyArray:
        """Its values in a box, which must lie in the one that it was drawn for."""
        if is_empty(box):
            return np.zeros([s.stop - s.start for s in box], np.float32)
        first, weights = self._taps(0, box[0])
        planes = self.knots[int(first[0]) : int(first[-1]) + 4]
        planes = self._stretch(planes, 2, box[2])
        planes = self._stretch(planes, 1, box[1])
        # Slice by slice: four planes that stay in the processor's cache.
        out = np.empty((len(first), *planes.shape[1:]), np.float32)
        part = np.empty(planes.shape[1:], np.float32)
        for k, (knot, taps) in enumerate(zip(first - first[0], weights, strict=True)):
            np.multiply(planes[knot], taps[0], out=out[k])
            for tap in (1, 2, 3):
                out[k] += np.multiply(planes[knot + tap], taps[tap], out=part)
        return out

    def _stretch(self, knots: AnyArray, axis: int, part: slice) -> AnyArray:
        first, weights = self._taps(axis, part)
        shape = [-1 if axis == other else 1 for other in range(3)]
        out = np.take(knots, first, axis)
        out *= weights[:, 0].reshape(shape)
        for tap in (1, 2, 3):
            other = np.take(knots, first + tap, axis)
            other *= weights[:, tap].reshape(shape)
            out += other
        return np.asarray(out)

    def _taps(self, axis: int, part: slice) -> tuple[AnyArray, AnyArray]:
        mm = self.grid.spacing_mm[axis]
        at = (np.arange(part.start, part.stop) * mm - self.start_mm[axis]) / self.knot_mm
        first = np.floor(at + 1e-9).astype(np.intp)
        t = at - first
        taps = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
        return first, (np.stack(taps, 1) / 6).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Place:
    """Where the patient lies in the grid: turned, tilted, bent and warped.

    Attributes:
        grid: The grid.
        origin_mm: The patient's origin in the grid.
        rotation: Grid axes to patient axes.
        bend_mm: How far back the spine lies 10 cm above and below the loin.
        warp: Three fields that make no two anatomies alike.
        warp_mm: How far they move things, as a standard deviation.
    """

    grid: Grid
    origin_mm: AnyArray
    rotation: AnyArray
    bend_mm: float
    warp: tuple[SmoothField, SmoothField, SmoothField]
    warp_mm: float

    def coordinates(self, box: Box) -> tuple[AnyArray, AnyArray, AnyArray]:
        """Patient positions (down, back, left) of the voxels of a box, mm."""
        if np.prod(self.grid.shape) > _KEPT:
            return self._compute(box)
        down, back, left = self._all
        return down[box], back[box], left[box]

    @cached_property
    def _all(self) -> tuple[AnyArray, AnyArray, AnyArray]:
        return self._compute(self.grid.whole)

    def _compute(self, box: Box) -> tuple[AnyArray, AnyArray, AnyArray]:
        away = [
            axis - np.float32(mm)
            for axis, mm in zip(self.grid.axes(box), self.origin_mm, strict=True)
        ]
        turned = self.rotation.astype(np.float32)
        down, back, left = (
            turned[i, 0] * away[0]
            + turned[i, 1] * away[1]
            + turned[i, 2] * away[2]
            + np.float32(self.warp_mm) * self.warp[i].on(box)
            for i in range(3)
        )
        back -= np.float32(self.bend_mm) * ((down - 15) / 100) ** 2
        return down, back, left

    def box(self, center: AnyArray, reach: AnyArray | float, margin_mm: float = 0.0) -> Box:
        """The voxels around a patient position, warps allowed for."""
        center = np.asarray(center, np.float64)
        back = np.array([0.0, self.bend_mm * ((center[0] - 15) / 100) ** 2, 0.0])
        middle = self.rotation.T @ (center + back) + self.origin_mm
        half = np.abs(self.rotation.T) @ np.broadcast_to(np.asarray(reach, np.float64), 3)
        half = half + margin_mm + 3 * self.warp_mm
        return self.grid.box(middle - half, middle + half)
