"""What a network sees of a scan, some rows at a time.

A row here is a plane of the network's grid across the first axis. Rows are made when tiles need
them, so that a scan of a thousand slices never stands in memory at the network's resolution.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from renalseg.inference.grid import Box, NetworkGrid
from renalseg.inference.resampling import AxisMap, axis_map, resample
from renalseg.types import AnyArray, LabelArray

if TYPE_CHECKING:
    from torch import Tensor

#: What the nearest voxel's class has ahead of another of the same share.
_TIE = 1e-5


@dataclass(frozen=True)
class Intensity:
    """nnU-Net's ``CTNormalization``: clip, subtract the mean, divide by the deviation."""

    low_hu: float
    high_hu: float
    mean_hu: float
    std_hu: float

    @property
    def floor(self) -> float:
        """What air becomes."""
        return (self.low_hu - self.mean_hu) / self.std_hu

    def apply(self, hu: "Tensor") -> "Tensor":
        """Normalise in place."""
        return hu.clamp_(self.low_hu, self.high_hu).sub_(self.mean_hu).div_(self.std_hu)


@dataclass
class Window:
    """Keeps the rows that were asked for last; the next ones mostly share some with them.

    Attributes:
        make: Computes rows from a start to a stop, (channel, row of tiles, ...).
    """

    make: "Callable[[int, int], Tensor]"
    _start: int = 0
    _rows: "Tensor | None" = field(default=None, repr=False)

    def __call__(self, start: int, stop: int) -> "Tensor":
        """Rows ``start`` to ``stop``."""
        import torch

        kept, have = self._rows, self._start
        end = have if kept is None else have + kept.shape[1]
        if kept is None or start < have or start >= end:
            kept, end = self.make(start, stop), stop
        elif stop > end:
            kept = torch.cat([kept[:, start - have :], self.make(end, stop)], 1)
            end = stop
        else:
            kept = kept[:, start - have :]
        self._rows, self._start = kept, start
        return kept[:, : stop - start]


def image_rows(
    scan: AnyArray, grid: NetworkGrid, box: Box, intensity: Intensity, device: str = "cpu"
) -> Window:
    """The normalised, resampled image within a box of the network's grid.

    Args:
        scan: HU, canonical.
        grid: The network's grid.
        box: What of it; beyond the grid the image is 0, as nnU-Net pads.
        intensity: The normalisation.
        device: Where rows are made.
    """
    import torch

    cropped = scan[tuple(slice(*side) for side in grid.crop)]
    parts = [_Part.of(axis, side) for axis, side in zip(grid.image, box, strict=True)]
    is_spline = any((axis.matrix < 0).any() for axis in grid.image)
    bounds = _slice_bounds(cropped, grid, intensity) if is_spline else None

    def make(start: int, stop: int) -> "Tensor":
        first = _Part.of(grid.image[0], (start, stop))
        taken = cropped[first.old, parts[1].old, parts[2].old]
        hu = torch.from_numpy(np.array(taken, dtype=np.float32, order="C")).to(device)[None]
        whole = (first, *parts[1:])
        inside = resample(intensity.apply(hu), [p.tensor(device) for p in whole])
        if bounds is not None:  # a spline may overshoot; nnU-Net's function clips
            lows, highs = (_along(b, grid, whole).to(device) for b in bounds)
            inside = torch.minimum(torch.maximum(inside, lows), highs)
        return _padded(inside, whole)

    return Window(make)


def label_rows(
    labels: LabelArray, grid: NetworkGrid, box: Box, classes: int, device: str = "cpu"
) -> Window:
    """A first stage's label map as the second stage sees it: one channel per foreground class."""
    import torch

    cropped = labels[tuple(slice(*side) for side in grid.crop)]
    parts = [_Part.of(axis, side) for axis, side in zip(grid.labels, box, strict=True)]

    def make(start: int, stop: int) -> "Tensor":
        first = _Part.of(grid.labels[0], (start, stop))
        taken = np.ascontiguousarray(cropped[first.old, parts[1].old, parts[2].old])
        here = torch.from_numpy(taken).to(device)
        whole = (first, *parts[1:])
        matrices = [p.tensor(device) for p in whole]
        shares = torch.stack(
            [resample((here == label).float()[None], matrices)[0] for label in range(classes)]
        )
        if grid.ties_to_nearest:
            nearest = torch.from_numpy(taken[np.ix_(*(p.nearest for p in whole))]).to(device)
            shares.scatter_add_(0, nearest.long()[None], shares.new_full((1, *nearest.shape), _TIE))
        chosen = shares.argmax(0)
        channels = torch.stack([(chosen == label).float() for label in range(1, classes)])
        return _padded(channels, whole)

    return Window(make)


@dataclass(frozen=True, eq=False)
class _Part:
    """One axis of a box: the old voxels it needs, their weights, and how far it reaches beyond."""

    old: slice
    new: slice
    weights: AnyArray | None
    before: int
    after: int
    sizes: tuple[int, int]

    @classmethod
    def of(cls, axis: AxisMap, side: tuple[int, int]) -> "_Part":
        size, old = axis.matrix.shape
        start, stop = max(0, min(side[0], size)), max(0, min(side[1], size))
        before, after = max(0, min(0, side[1]) - side[0]), max(0, side[1] - max(size, side[0]))
        if start == stop:
            return cls(slice(0, 0), slice(start, stop), None, before, after, (old, size))
        low, high = axis.needs(start, stop)
        weights = None if axis.is_identity else axis.part(slice(start, stop), slice(low, high))
        return cls(slice(low, high), slice(start, stop), weights, before, after, (old, size))

    @property
    def nearest(self) -> AnyArray:
        """For each new voxel the nearest old one, counted from the first that is needed."""
        old, new = self.sizes
        chosen: AnyArray = axis_map("nearest", old, new).first[self.new] - self.old.start
        return chosen

    def tensor(self, device: str) -> "Tensor | None":
        import torch

        return None if self.weights is None else torch.from_numpy(self.weights).to(device)


def _padded(inside: "Tensor", parts: tuple[_Part, ...]) -> "Tensor":
    import torch

    if not any(p.before or p.after for p in parts):
        return inside
    margins = [n for p in reversed(parts) for n in (p.before, p.after)]
    return torch.nn.functional.pad(inside, margins)


def _slice_bounds(
    cropped: AnyArray, grid: NetworkGrid, intensity: Intensity
) -> tuple[AnyArray, AnyArray]:
    """Least and greatest normalised value: of each slice along the separate axis, or of all."""
    separate = grid.separate
    others = tuple(axis for axis in range(3) if axis != separate)
    low, high = cropped.min(axis=others), cropped.max(axis=others)

    def normalised(hu: AnyArray) -> AnyArray:
        clipped = np.clip(np.atleast_1d(hu), intensity.low_hu, intensity.high_hu)
        return np.asarray((clipped - intensity.mean_hu) / intensity.std_hu, dtype=np.float32)

    low, high = normalised(low), normalised(high)
    if separate is not None:
        chosen = grid.image[separate].matrix.argmax(1)  # slices are taken as they are
        low, high = low[chosen], high[chosen]
    return low, high


def _along(bounds: AnyArray, grid: NetworkGrid, parts: tuple[_Part, ...]) -> "Tensor":
    """Bounds in the shape in which they meet a block of rows."""
    import torch

    if grid.separate is None:
        return torch.from_numpy(bounds)
    shape = [1, 1, 1, 1]
    shape[grid.separate + 1] = -1
    return torch.from_numpy(bounds[parts[grid.separate].new]).reshape(shape)
