"""Distances between two surfaces, in mm: HD95 and mean, as ``surface-distance`` defines them."""

from dataclasses import dataclass

import numpy as np

from renalseg.metrics import kernels
from renalseg.metrics.surface import bordered
from renalseg.metrics.surfels import surfel_areas_mm2
from renalseg.types import AnyArray
from renalseg.volume.boxes import BoxedLabels

_NO_BORDER = (0, 0, 0)


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface elements of one mask.

    Attributes:
        positions_mm: Their centres, (element, 3), from the volume's first corner.
        areas_mm2: Their areas.
    """

    positions_mm: AnyArray
    areas_mm2: AnyArray

    @classmethod
    def of(
        cls,
        labels: BoxedLabels,
        bits: AnyArray,
        mask: int,
        spacing_mm: tuple[float, float, float],
    ) -> "Surface":
        """Find a mask's surface.

        Args:
            labels: Label map.
            bits: For each label, the masks that it belongs to, a bit for each.
            mask: The mask's bit.
            spacing_mm: Voxel size along the three axes.
        """
        positions, codes = [np.empty((0, 3))], [np.empty(0, np.uint8)]
        for box, piece in labels.pieces:
            voxels = bordered(piece, bits)
            corners, found = kernels.elements(voxels, kernels.surfaces(voxels, _NO_BORDER), mask)
            positions.append((corners + [side.start for side in box]) * spacing_mm)
            codes.append(found)
        return cls(np.concatenate(positions), surfel_areas_mm2(spacing_mm)[np.concatenate(codes)])

    @property
    def is_empty(self) -> bool:
        """Whether the mask is empty."""
        return not len(self.areas_mm2)

    def distances_mm(self, other: "Surface") -> AnyArray:
        """From each element to the nearest one of another surface, which must not be empty."""
        from scipy.spatial import cKDTree

        tree = cKDTree(other.positions_mm, balanced_tree=False, compact_nodes=False)
        found: AnyArray = tree.query(self.positions_mm)[0]
        return found


def surface_distances(prediction: Surface, reference: Surface) -> tuple[float, float]:
    """HD95 and mean surface distance, in mm.

    HD95 is the greater of the two directed 95th percentiles, weighted by area
    (``compute_robust_hausdorff``); the mean is taken over the area of both surfaces. Two empty
    masks are at distance 0; with one empty mask both are NaN.
    """
    if prediction.is_empty and reference.is_empty:
        return 0.0, 0.0
    if prediction.is_empty or reference.is_empty:
        return float("nan"), float("nan")
    there, back = prediction.distances_mm(reference), reference.distances_mm(prediction)
    hd95 = max(_percentile(there, prediction.areas_mm2), _percentile(back, reference.areas_mm2))
    total = there @ prediction.areas_mm2 + back @ reference.areas_mm2
    return hd95, float(total / (prediction.areas_mm2.sum() + reference.areas_mm2.sum()))


def _percentile(distances_mm: AnyArray, areas_mm2: AnyArray) -> float:
    order = np.lexsort((areas_mm2, distances_mm))  # as the challenge adds up
    areas = areas_mm2[order]
    share = np.cumsum(areas) / areas.sum()
    index = min(int(np.searchsorted(share, 0.95)), len(order) - 1)
    return float(distances_mm[order[index]])
