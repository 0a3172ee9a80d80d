"""Which voxels the regularised loss compares with one another, and how much each pair weighs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt

#: How many neighbours there are whose offsets differ from zero in up to so many axes, by the number
#: of axes that are compared.
_DIFFERING = {(2, 4): 1, (2, 8): 2, (3, 6): 1, (3, 18): 2, (3, 26): 3}


@dataclass(frozen=True)
class Neighbourhood:
    """Half of a voxel's neighbours: each has its opposite, and a pair is compared once.

    Attributes:
        offsets: Steps along the three axes of a volume.
        weights: Of each offset's pairs.
    """

    offsets: tuple[tuple[int, int, int], ...]
    weights: tuple[float, ...]


def neighbourhood(
    neighbours: int,
    *,
    axial: int = 0,
    dilation: int = 1,
    spacing_mm: Sequence[float] | None = None,
) -> Neighbourhood:
    """The neighbours of a voxel.

    Args:
        neighbours: 4 or 8 in the axial plane; 6, 18 or 26 in the volume.
        axial: The axis through the axial planes.
        dilation: How many voxels a step goes.
        spacing_mm: Voxel size along the three axes. Where it is given, an offset's pairs weigh the
            smallest step of the neighbourhood at dilation 1 over their distance, as a length of
            boundary is measured by cuts (Boykov and Kolmogorov 2003): 1 for the six neighbours of
            an isotropic volume, and everything 1 where it is not given.

    Raises:
        ValueError: There is no such neighbourhood.
    """
    planar = neighbours in (4, 8)
    differing = _DIFFERING.get((2 if planar else 3, neighbours))
    if differing is None:
        raise ValueError(f"neighbours must be 4, 6, 8, 18 or 26, got {neighbours}")
    offsets = [
        (z, y, x)
        for z, y, x in product((0, 1, -1), repeat=3)
        if (z, y, x) > (0, 0, 0)
        and sum(map(abs, (z, y, x))) <= differing
        and not (planar and (z, y, x)[axial])
    ]
    if spacing_mm is None:
        weights = [1.0] * len(offsets)
    else:
        lengths = [
            sqrt(sum((step * mm) ** 2 for step, mm in zip(offset, spacing_mm, strict=True)))
            for offset in offsets
        ]
        weights = [min(lengths) / (dilation * length) for length in lengths]
    wide = [(z * dilation, y * dilation, x * dilation) for z, y, x in offsets]
    return Neighbourhood(tuple(wide), tuple(weights))
