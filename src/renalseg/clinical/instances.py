"""Kidneys and lesions of a label map: what belongs together, and to which side.

RAS+: the patient's right has the larger first coordinate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int

from renalseg.clinical.records import Side
from renalseg.clinical.surfaces import crop_affine, to_world, voxel_points
from renalseg.labels import Label
from renalseg.types import LabelArray, MaskArray
from renalseg.volume import Volume
from renalseg.volume.boxes import Box, bounding_box, part_of

#: Less kidney than this in one piece is none of its own: it goes to the nearest kidney.
LEAST_KIDNEY_ML = 5.0
#: A smaller piece of tumor or cyst, a ball of 4 mm, is a speck and no lesion.
LEAST_LESION_ML = 0.03
#: Two pieces of kidney whose centres are nearer than this, from right to left, are of one side.
_SIDES_APART_MM = 50.0
#: One piece of kidney that reaches further from right to left is two that are joined.
_JOINED_MM = 150.0
#: Voxels around a kidney's box.
_MARGIN = 2

Numbered = Int[np.ndarray, "slice row column"]


@dataclass(frozen=True, eq=False)
class Instance:
    """One tumor or cyst: a piece of one label, its voxels connected over faces, edges, corners.

    Attributes:
        label: What it is.
        mask: Its voxels within its box.
        box: Where in the volume.
    """

    label: Label
    mask: MaskArray
    box: Box


@dataclass(frozen=True, eq=False)
class Kidney:
    """One kidney with its lesions.

    Attributes:
        side: The patient's side.
        mask: Parenchyma, the voxels of label 1, within its box; none where lesions lie on a side
            that has no kidney.
        box: Around parenchyma and lesions, two voxels wider where the volume allows.
        lesions: Largest first.
        specks: How many pieces of tumor and cyst are too small to be lesions.
        is_divided: Whether it was joined to the other one and divided in the middle.
    """

    side: Side
    mask: MaskArray
    box: Box
    lesions: tuple[Instance, ...]
    specks: int = 0
    is_divided: bool = False


def find_kidneys(labels: Volume) -> tuple[Kidney, ...]:
    """Find the kidneys and give each lesion to the one that it touches, or that is nearest.

    The largest pieces make two kidneys where they lie apart from right to left. One alone takes its
    side from the half of the volume that it lies in. One that reaches from one side to the other
    (a horseshoe kidney) is divided in its middle.

    Args:
        labels: Label map, (slice, row, column).

    Returns:
        At most two, the right one first; none of an empty map.
    """
    import cc3d

    box = bounding_box(labels.array)
    cut = labels.array[box]
    if not cut.size:
        return ()
    affine = crop_affine(labels.affine, box)
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    pieces: Numbered = cc3d.connected_components(cut > 0, connectivity=26)
    count = int(pieces.max())
    kidney_ml = np.bincount(pieces[cut == Label.KIDNEY], minlength=count + 1) * voxel_ml
    boxes = cc3d.statistics(pieces)["bounding_boxes"][1:]  # the ground may have none
    inner = dict(enumerate(map(_as_box, boxes), start=1))
    centres = np.array(
        [
            voxel_points(pieces[inner[n]] == n, crop_affine(affine, inner[n])).mean(axis=0)
            for n in range(1, count + 1)
        ]
    )
    order = np.argsort(-kidney_ml[1:], kind="stable")
    seeds = [int(n) for n in order if kidney_ml[n + 1] >= LEAST_KIDNEY_ML]
    middle = float(to_world((np.array([labels.shape]) - 1) / 2, labels.affine)[0, 0])
    is_right = np.zeros(count + 1, bool)
    divided = None
    apart = [n for n in seeds if abs(centres[n, 0] - centres[seeds[0], 0]) > _SIDES_APART_MM]
    if apart:
        between = float(centres[[seeds[0], apart[0]], 0].mean())
        is_right[1:] = _nearest_side(centres, centres[seeds], between)
    else:
        is_right[1:] = centres[:, 0] > middle
        if seeds:
            is_right[1:] = is_right[seeds[0] + 1]
            divided = _middle_of_joined(pieces == seeds[0] + 1, affine)
    right = is_right[pieces]
    if divided is not None:
        right = _first_coordinate(cut.shape, affine) > divided
    kidneys = []
    lesions = list(_lesions(cut, right, voxel_ml))
    sides: tuple[tuple[Side, MaskArray], ...] = (("right", right), ("left", ~right))
    for side, here in sides:
        own = [one for one in lesions if one[0] == (side == "right")]
        mask = (cut == Label.KIDNEY) & here
        found = [one for _, one, ml in own if ml >= LEAST_LESION_ML]
        if not mask.any() and not found:
            continue
        kidneys.append(
            _kidney(
                side, mask, found, labels.shape, box, len(own) - len(found), divided is not None
            )
        )
    return tuple(kidneys)


def _as_box(sides: Sequence[slice]) -> Box:
    """A box of plain whole numbers."""
    slices, rows, columns = (slice(int(side.start), int(side.stop)) for side in sides)
    return slices, rows, columns


def _nearest_side(centres: Any, seeds: Any, between: float) -> Any:
    """Whether each piece belongs to the right: as the nearest of the large pieces does."""
    distance = np.linalg.norm(centres[:, None] - seeds[None], axis=2)
    return (seeds[:, 0] > between)[distance.argmin(axis=1)]


def _first_coordinate(shape: tuple[int, ...], affine: Any) -> Any:
    """How far right every voxel lies, in mm."""
    parts = [
        (affine[0, axis] * np.arange(n)).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, n in enumerate(shape)
    ]
    return parts[0] + parts[1] + parts[2] + affine[0, 3]


def _middle_of_joined(piece: MaskArray, affine: Any) -> float | None:
    """Where to divide a piece that reaches from one side to the other; None where it does not."""
    place = bounding_box(piece)
    here = piece[place]
    right = _first_coordinate(here.shape, crop_affine(affine, place))
    low, high = float(right[here].min()), float(right[here].max())
    return (low + high) / 2 if high - low > _JOINED_MM else None


def _lesions(
    cut: LabelArray, right: MaskArray, voxel_ml: float
) -> Iterator[tuple[bool, Instance, float]]:
    """Whether it lies on the right, the lesion within the cut, and its volume; largest first."""
    import cc3d

    found = []
    for label in (Label.TUMOR, Label.CYST):
        numbered = cc3d.connected_components(cut == label, connectivity=26)
        statistics = cc3d.statistics(numbered)
        for number, sides in enumerate(statistics["bounding_boxes"]):
            if number == 0:
                continue
            place = _as_box(sides)
            mask = numbered[place] == number
            on_right = 2 * int(right[place][mask].sum()) > int(mask.sum())
            volume_ml = float(mask.sum()) * voxel_ml
            found.append((on_right, Instance(label, mask, place), volume_ml))
    yield from sorted(found, key=lambda one: -one[2])


def _kidney(
    side: Side,
    mask: MaskArray,
    lesions: list[Instance],
    shape: tuple[int, ...],
    origin: Box,
    specks: int,
    is_divided: bool,
) -> Kidney:
    """Bring a kidney and its lesions from the cut to boxes of the volume."""
    boxes = [one.box for one in lesions] + ([bounding_box(mask)] if mask.any() else [])
    wide = _as_box(
        [
            slice(
                max(0, first.start + min(box[axis].start for box in boxes) - _MARGIN),
                min(shape[axis], first.start + max(box[axis].stop for box in boxes) + _MARGIN),
            )
            for axis, first in enumerate(origin)
        ]
    )
    placed = np.zeros([side.stop - side.start for side in wide], bool)
    common = [
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(origin, wide, strict=True)
    ]
    placed[part_of(_as_box(common), wide)] = mask[part_of(_as_box(common), origin)]
    moved = tuple(replace(one, box=_moved(one.box, origin)) for one in lesions)
    return Kidney(side, placed, wide, moved, specks, is_divided)


def _moved(box: Box, origin: Box) -> Box:
    """A box of the cut as one of the volume."""
    return _as_box(
        [slice(a.start + o.start, a.stop + o.start) for a, o in zip(box, origin, strict=True)]
    )


def lesions_mask(kidney: Kidney) -> MaskArray:
    """All lesions of a kidney as one mask within its box."""
    mask = np.zeros_like(kidney.mask)
    for lesion in kidney.lesions:
        mask[part_of(lesion.box, kidney.box)] |= lesion.mask
    return mask
