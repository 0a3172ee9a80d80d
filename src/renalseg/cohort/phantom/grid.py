"""The voxel grid of a phantom, and where the patient lies in it.

Positions in the grid are mm from the first voxel, along its I-P-L axes. Positions in the
patient are mm from the middle of the second lumbar vertebra: (down, back, left).
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from renalseg.types import AnyArray

Box = tuple[slice, slice, slice]


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
            start = int(np.clip(np.floor(low / mm), 0, n))
            parts.append(slice(start, int(np.clip(np.ceil(high / mm) + 1, start, n))))
        return (parts[0], parts[1], parts[2])


def is_empty(box: Box) -> bool:
    """Whether a box holds no voxel."""
    return any(s.stop <= s.start for s in box)


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A smooth random field over a grid, made where it is asked for.

    Normal random knots under cubic B-splines: mean 0, standard deviation 1.

    Attributes:
        grid: The grid.
        knots: The random knots.
        knot_mm: The distance between them, which is about the length of correlation.
    """

    grid: Grid
    knots: AnyArray
    knot_mm: float

    @classmethod
    def draw(cls, grid: Grid, rng: np.random.Generator, knot_mm: float) -> "SmoothField":
        """Draw one."""
        count = [
            int(n * mm / knot_mm) + 5 for n, mm in zip(grid.shape, grid.spacing_mm, strict=True)
        ]
        # Cubic B-spline weights have a mean sum of squares of 0.479 per axis.
        knots = rng.standard_normal(count, np.float32) * np.float32(0.479**-1.5)
        return cls(grid, knots, knot_mm)

    def on(self, box: Box) -> AnyArray:
        """Its values in a box."""
        weights = [self._weights(axis, box[axis]) for axis in range(3)]
        planes = np.tensordot(weights[0], self.knots, 1)
        return np.asarray(np.matmul(np.matmul(weights[1], planes), weights[2].T))

    def _weights(self, axis: int, part: slice) -> AnyArray:
        at = np.arange(part.start, part.stop) * (self.grid.spacing_mm[axis] / self.knot_mm)
        away = np.abs(at[:, None] + 1.5 - np.arange(self.knots.shape[axis])[None])
        near = 2 / 3 - away**2 + away**3 / 2
        far = np.clip(2 - away, 0, None) ** 3 / 6
        return np.where(away < 1, near, far).astype(np.float32)


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
