"""Agreement of two surfaces within a tolerance, exactly as DeepMind's ``surface-distance`` has it.

A surface element agrees if the other surface has an element at most a tolerance away. At a
tolerance of a millimetre these are few places, so each element looks there and no distance
transform is made. Counts of elements by their code are whole numbers: they add up over the parts
of a volume without rounding, and become areas at the very end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt

import numpy as np

from renalseg.metrics import kernels
from renalseg.metrics.surfels import surfel_areas_mm2
from renalseg.types import AnyArray, LabelArray, MaskArray
from renalseg.volume.boxes import BoxedLabels, digest, merge_boxes


@dataclass(frozen=True, eq=False)
class Agreement:
    """Voxels and surface elements of several masks, counted in two label maps.

    Attributes:
        voxels: (mask, 3): in the prediction, in the reference, in both.
        surfels: (side, mask, 2, 256): elements of the prediction's surface (side 0) and of the
            reference's, those near the other surface and those far from it, by code.
    """

    voxels: AnyArray
    surfels: AnyArray

    def __add__(self, other: "Agreement") -> "Agreement":
        """Counts of two regions together."""
        return Agreement(self.voxels + other.voxels, self.surfels + other.surfels)

    def dice(self, mask: int) -> float:
        """Dice of one mask; 1 where both are empty."""
        prediction, reference, both = (int(count) for count in self.voxels[mask])
        return 2 * both / (prediction + reference) if prediction + reference else 1.0

    def surface_dice(self, mask: int, areas_mm2: AnyArray) -> float:
        """Surface Dice of one mask; 1 where both are empty, 0 where one is."""
        near, far = self.surfels[:, mask].sum(axis=0) @ areas_mm2
        return float(near / (near + far)) if self.voxels[mask].any() else 1.0


def agreements(
    prediction: BoxedLabels,
    references: Sequence[BoxedLabels],
    *,
    spacing_mm: tuple[float, float, float],
    bits: AnyArray,
    tolerances_mm: Sequence[float],
) -> list[Agreement]:
    """Count how a prediction agrees with each of several references.

    Regions further apart than any tolerance are counted one by one: the prediction's surface once
    in each, and parts that several references share once for all of them.

    Args:
        prediction: A label map.
        references: Label maps of the same shape.
        spacing_mm: Voxel size along the three axes.
        bits: For each label, the masks that it belongs to, a bit for each.
        tolerances_mm: One per mask: how far apart two elements may lie that agree.
    """
    near = _Neighbours.of(spacing_mm, tolerances_mm, prediction.shape)
    boxes = [box for labels in (prediction, *references) for box in labels.boxes]
    masks = len(tolerances_mm)
    nothing = Agreement(np.zeros((masks, 3), np.int64), np.zeros((2, masks, 2, 256), np.int64))
    sums = [nothing] * len(references)
    for box in merge_boxes(boxes, near.reach):
        ours = _Surface.of(prediction.within(box), bits, near)
        known: dict[bytes, Agreement] = {}
        for number, reference in enumerate(references):
            labels = reference.within(box)
            key = digest(labels)
            if key not in known:
                known[key] = near.compare(ours, _Surface.of(labels, bits, near))
            sums[number] += known[key]
    return sums


def surface_dice(
    prediction: MaskArray,
    reference: MaskArray,
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float,
) -> float:
    """Surface Dice of two masks (Nikolov et al. 2018).

    Two empty masks agree: 1. One empty mask: 0 (KiTS21).

    Args:
        prediction: Mask, (slice, row, column).
        reference: Mask of the same shape.
        spacing_mm: Voxel size along the three axes.
        tolerance_mm: Distance up to which two surface elements agree. Time grows with the number
            of voxels within it: meant for a few voxels, not for centimetres.
    """
    (found,) = agreements(
        BoxedLabels.of(prediction.view(np.uint8)),
        [BoxedLabels.of(reference.view(np.uint8))],
        spacing_mm=spacing_mm,
        bits=np.array([0, 1], np.uint8),
        tolerances_mm=[tolerance_mm],
    )
    return found.surface_dice(0, surfel_areas_mm2(spacing_mm))


def bordered(labels: LabelArray, bits: AnyArray) -> AnyArray:
    """The masks' bits of each voxel, with a border of one zero, as the kernels want them."""
    voxels = np.zeros([length + 2 for length in labels.shape], np.uint8)
    np.take(bits, labels, out=voxels[1:-1, 1:-1, 1:-1], mode="clip")
    return voxels


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """The places at which an element of the other surface counts as near."""

    masks: int
    reach: tuple[int, int, int]
    steps: AnyArray
    within: AnyArray

    @classmethod
    def of(
        cls,
        spacing_mm: tuple[float, float, float],
        tolerances_mm: Sequence[float],
        shape: tuple[int, ...],
    ) -> "_Neighbours":
        """The steps within the greatest tolerance, nearest first."""
        furthest = max(tolerances_mm)
        a, b, c = (
            int(min(max(furthest, 0) / size + 1, length + 1))
            for size, length in zip(spacing_mm, shape, strict=True)
        )
        found = []
        for step in product(range(-a, a + 1), range(-b, b + 1), range(-c, c + 1)):
            # the same sum in the same order as in scipy's distance transform
            x, y, z = (n * size for n, size in zip(step, spacing_mm, strict=True))
            distance = sqrt(x * x + y * y + z * z)
            if distance <= furthest:
                masks = sum(1 << m for m, limit in enumerate(tolerances_mm) if distance <= limit)
                found.append((distance, step, masks))
        found.sort()
        steps = np.array([step for _, step, _ in found], np.int64).reshape(-1, 3)
        reach = np.abs(steps).max(axis=0, initial=0)
        within = np.array([masks for _, _, masks in found], np.uint8)
        return cls(len(tolerances_mm), (int(reach[0]), int(reach[1]), int(reach[2])), steps, within)

    def compare(self, ours: "_Surface", theirs: "_Surface") -> Agreement:
        """Count in one region."""
        _, height, width = ours.corners.shape
        offsets = self.steps @ np.array([height * width, width, 1])
        surfels = [
            kernels.agreement(
                own.voxels,
                own.corners,
                other.corners,
                self.reach,
                offsets,
                self.within,
                self.masks,
            )
            for own, other in ((ours, theirs), (theirs, ours))
        ]
        voxels = kernels.overlap(ours.voxels, theirs.voxels, self.masks)
        return Agreement(voxels, np.stack(surfels))


@dataclass(frozen=True, eq=False)
class _Surface:
    """The masks of one region and their surfaces."""

    voxels: AnyArray
    corners: AnyArray

    @classmethod
    def of(cls, labels: LabelArray, bits: AnyArray, near: _Neighbours) -> "_Surface":
        """Find the surfaces."""
        voxels = bordered(labels, bits)
        return cls(voxels, kernels.surfaces(voxels, near.reach))
