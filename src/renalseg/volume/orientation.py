"""Axis permutations and flips between an array as a file stores it and the canonical one.

Axes and affines
----------------
World coordinates are in mm, RAS+: +x points to the patient's right, +y to the front (anterior),
+z to the head (superior). An affine is a 4 x 4 matrix that maps a voxel's index, (i, j, k, 1), to
the world coordinates of its centre. Its first three columns are the steps, in mm, that one voxel
along each array axis takes; the length of a step is that axis's spacing.

The canonical array is I-P-L: axis 0 steps to the feet (-z), axis 1 to the back (-y), axis 2 to
the patient's left (-x). An oblique grid is given to the nearest axes and stays oblique: its
affine keeps the tilt, and no voxel is resampled.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from renalseg.types import Affine, AnyArray

#: World axis (0 x, 1 y, 2 z) that each canonical array axis runs against: I is -z, P -y, L -x.
CANONICAL_WORLD_AXES = (2, 1, 0)
#: From the world of ITK, NRRD and MetaImage, LPS+, to RAS+; and back.
LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Alignments this close count as equal, so that a tilt of exactly 45 degrees has one answer.
_TIE = 1e-5


@dataclass(frozen=True)
class Reorientation:
    """The way from a stored array to the canonical one, and back.

    Attributes:
        permutation: For each canonical axis, the stored axis that it is.
        flips: For each canonical axis, whether it runs against that stored axis.
    """

    permutation: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def forward(self, array: AnyArray) -> AnyArray:
        """A view of a stored array with canonical axes."""
        turned = array.transpose(self.permutation)
        return turned[self._steps]

    def backward(self, array: AnyArray) -> AnyArray:
        """A view of a canonical array with the stored axes."""
        inverse = tuple(int(axis) for axis in np.argsort(self.permutation))
        return array[self._steps].transpose(inverse)

    def forward_affine(self, affine: Affine, shape: tuple[int, ...]) -> Affine:
        """The affine of ``forward(array)`` for a stored array of this affine and shape."""
        canonical = affine.copy()
        for axis, (stored, flip) in enumerate(zip(self.permutation, self.flips, strict=True)):
            step = affine[:3, stored]
            canonical[:3, axis] = -step if flip else step
            if flip:
                canonical[:3, 3] += step * (shape[stored] - 1)
        return canonical

    @property
    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)


def _alignment(affine: Affine) -> Affine:
    """Cosines between canonical axes (rows) and the steps of the array's axes (columns)."""
    steps = affine[:3, :3]
    cosines = -steps / np.linalg.norm(steps, axis=0)
    return np.asarray(cosines[list(CANONICAL_WORLD_AXES)], dtype=np.float64)


def to_canonical(affine: Affine) -> Reorientation:
    """Find the axis permutation and flips that bring a grid nearest to I-P-L.

    Nearest means the greatest sum of the cosines between each axis and its anatomical direction.

    Args:
        affine: Voxel to world, RAS+, mm; invertible.
    """
    cosines = _alignment(affine)
    best, best_score = (0, 1, 2), -1.0
    for i, j, k in permutations(range(3)):
        score = abs(float(cosines[0, i])) + abs(float(cosines[1, j])) + abs(float(cosines[2, k]))
        if score > best_score + _TIE:
            best, best_score = (i, j, k), score
    i, j, k = best
    flips = (bool(cosines[0, i] < 0), bool(cosines[1, j] < 0), bool(cosines[2, k] < 0))
    return Reorientation((i, j, k), flips)


def is_canonical(affine: Affine) -> bool:
    """Whether a grid's axes already are the nearest to I-P-L (a tie counts as nearest)."""
    cosines = _alignment(affine)
    if np.any(np.diag(cosines) < -_TIE):
        return False
    best = to_canonical(affine).permutation
    score = sum(abs(float(cosines[axis, stored])) for axis, stored in enumerate(best))
    return float(np.trace(cosines)) >= score - 2 * _TIE


def axis_codes(affine: Affine) -> str:
    """The letters of a grid's axes, such as ``"I-P-L"``: where each array axis points to."""
    way = to_canonical(affine)
    letters = [""] * 3
    for axis, (stored, flip) in enumerate(zip(way.permutation, way.flips, strict=True)):
        letters[stored] = ("IS", "PA", "LR")[axis][flip]
    return "-".join(letters)
