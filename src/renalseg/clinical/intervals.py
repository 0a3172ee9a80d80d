"""How the members of an ensemble differ in a number: each measures what it found itself."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from renalseg.clinical.diameters import axial_diameter, diameter_3d
from renalseg.clinical.instances import Instance, Kidney, lesions_mask
from renalseg.clinical.records import Interval
from renalseg.types import Affine

_T = TypeVar("_T")
_Numbers = dict[str, float]


def lesion_intervals(
    lesion: Instance, members: Sequence[Sequence[Kidney]], affine: Affine
) -> dict[str, Interval]:
    """Volume and diameters of the members' own lesions that overlap a lesion most.

    Args:
        lesion: Of the ensemble.
        members: The kidneys that each member found.
        affine: Of the volume.
    """

    def numbers(one: Instance) -> _Numbers:
        axial = axial_diameter(one.mask, one.box, affine)
        return {
            "volume_ml": _ml(int(one.mask.sum()), affine),
            "largest_axial_diameter_mm": axial.long.length_mm,
            "short_axis_mm": axial.short.length_mm,
            "largest_3d_diameter_mm": diameter_3d(one.mask, one.box, affine).length_mm,
        }

    found = []
    for kidneys in members:
        theirs = [one for kidney in kidneys for one in kidney.lesions]
        shared = [_overlap(lesion, one) for one in theirs]
        if any(shared):
            found.append(theirs[int(np.argmax(shared))])
    return _intervals(found, numbers)


def kidney_intervals(
    kidney: Kidney, members: Sequence[Sequence[Kidney]], affine: Affine
) -> dict[str, Interval]:
    """Volumes of the members' own kidneys of the same side."""

    def numbers(one: Kidney) -> _Numbers:
        whole = one.mask | lesions_mask(one)
        return {
            "volume_ml": _ml(int(whole.sum()), affine),
            "parenchyma_ml": _ml(int(one.mask.sum()), affine),
        }

    found = [
        one for kidneys in members for one in kidneys if one.side == kidney.side and one.mask.any()
    ]
    return _intervals(found, numbers)


def _intervals(found: Sequence[_T], numbers: Callable[[_T], _Numbers]) -> dict[str, Interval]:
    if not found:
        return {}
    rows = [numbers(one) for one in found]
    return {
        name: Interval(
            low=min(row[name] for row in rows),
            high=max(row[name] for row in rows),
            members=len(rows),
        )
        for name in rows[0]
    }


def _overlap(first: Instance, second: Instance) -> int:
    """How many voxels two instances share."""
    common = [
        (max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first.box, second.box, strict=True)
    ]
    if any(start >= stop for start, stop in common):
        return 0
    parts = [
        one.mask[
            tuple(
                slice(start - side.start, stop - side.start)
                for (start, stop), side in zip(common, one.box, strict=True)
            )
        ]
        for one in (first, second)
    ]
    return int((parts[0] & parts[1]).sum())


def _ml(voxels: int, affine: Affine) -> float:
    return voxels * abs(float(np.linalg.det(affine[:3, :3]))) / 1000
