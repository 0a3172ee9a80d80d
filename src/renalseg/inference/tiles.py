"""Where tiles lie: nnU-Net's grid of them over a whole scan, and what of it a region takes.

A region takes the tiles of the whole scan that have a say in it, so that what is found in it does
not depend on how far around it was looked, or into which parts a scan was cut. Where a network of
its own has found the kidneys, tiles are fitted to each region instead: they are fewer, and hardly
a kidney lies on a seam.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from renalseg.inference.grid import Box, NetworkGrid, Shape

if TYPE_CHECKING:
    from torch import Tensor

#: A tile that reaches less than this share of itself into a region is left out of it: its Gaussian
#: is below an eighth there, and only in the region's rim, where another tile says more.
_REACH = 0.25


@dataclass(frozen=True)
class Tiles:
    """Tiles over a box of a network's grid.

    Attributes:
        box: What they cover.
        starts: Where they begin along each axis, counted from the box's first voxel.
        patch: Voxels of each.
    """

    box: Box
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    patch: Shape

    @property
    def count(self) -> int:
        """How many there are."""
        return int(np.prod([len(side) for side in self.starts]))


def tiles_for(
    grid: NetworkGrid, region: Box, patch: Shape, step: float, *, fitted: bool = False
) -> Tiles:
    """The tiles that a region of the crop takes.

    Args:
        grid: The network's grid.
        region: Counted from the crop's first voxel.
        patch: Voxels of a tile.
        step: Distance of two tiles as a share of the patch.
        fitted: Lay them over the region rather than over the scan.

    Returns:
        Tiles that cover all that the region is made of. Where the whole grid is smaller than a
        patch they reach beyond it on both sides, as nnU-Net pads.
    """
    starts = fitted_starts if fitted else axis_starts
    sides = [
        starts(size, edge, step, *back.needs(*side))
        for size, edge, back, side in zip(grid.shape, patch, grid.back, region, strict=True)
    ]
    first, second, third = ((side[0], side[-1] + e) for side, e in zip(sides, patch, strict=True))
    one, two, three = (tuple(start - side[0] for start in side) for side in sides)
    return Tiles((first, second, third), (one, two, three), patch)


def axis_starts(size: int, edge: int, step: float, low: int, high: int) -> list[int]:
    """Starts along one axis of the tiles that have a say between ``low`` and ``high``."""
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    if size <= edge:
        return [-((edge - size) // 2)]
    if edge == 1:  # of a 2D network, where every slice is a tile
        return list(range(low, high))
    starts = compute_steps_for_sliding_window((size,), (edge,), step)[0]
    least = min(_REACH * edge, high - low)
    return [s for s in starts if min(s + edge, high) - max(s, low) >= least]


def fitted_starts(size: int, edge: int, step: float, low: int, high: int) -> list[int]:
    """Starts along one axis of tiles laid over ``low`` to ``high``; a single one is centred."""
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    if size <= edge or edge == 1:
        return axis_starts(size, edge, step, low, high)
    if high - low <= edge:
        return [min(max((low + high - edge) // 2, 0), size - edge)]
    return [low + s for s in compute_steps_for_sliding_window((high - low,), (edge,), step)[0]]


@cache
def gaussian(patch: Shape, device: str, *, single: bool = False) -> "Tensor":
    """nnU-Net's weights of a tile's voxels: v2's in half precision, or v1's in single."""
    import torch
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

    edges = tuple(edge for edge in patch if edge > 1) or patch
    dtype = torch.float32 if single else torch.float16
    weights: Tensor = compute_gaussian(
        edges, value_scaling_factor=10, dtype=dtype, device=torch.device("cpu")
    )
    return weights.reshape(patch).to(device)
