"""Where in a scan the kidneys are, from a label map at low resolution.

A box is widened rather than trusted where the map cannot be right, and each time it says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from renalseg.inference.grid import Box
from renalseg.labels import Label
from renalseg.types import AnyArray, LabelArray

#: Less than this is noise at low resolution; a kidney is 80 ml and more, an atrophic one 20 ml.
NOISE_ML = 2.0
KIDNEY_ML = 20.0
#: With one kidney found the other is looked for at its height, so far up and down.
_OTHER_KIDNEY_MM = 60.0
#: What the scan's edge cuts is looked at with this many times the margin.
_WIDER = 2.0


@dataclass(frozen=True)
class Region:
    """Boxes of a scan that are looked at closely.

    Attributes:
        boxes: They do not touch one another.
        notes: What was unusual, one sentence each.
    """

    boxes: tuple[Box, ...]
    notes: tuple[str, ...] = ()


def kidney_region(
    suspected: LabelArray,
    labels: LabelArray,
    spacing_mm: Sequence[float],
    within: Box,
    margin_mm: float,
) -> Region:
    """Find boxes around what may be kidneys and masses.

    What is suspected counts where part of it is probably kidney; all of it does where nothing is.

    Args:
        suspected: Where foreground is suspected, of the whole scan, uint8; an empty one gives
            ``within``.
        labels: What is the most probable there, uint8.
        spacing_mm: Voxel size of both.
        within: The box in which they were computed: no box leaves it.
        margin_mm: How far around what was found.
    """
    parts = _components(suspected, labels, within, spacing_mm)
    if not parts:
        note = "no kidney found at low resolution, so the whole body was computed"
        return Region((within,), (note,))
    notes = []
    boxes = []
    for box, _ in parts:
        is_cut = any(
            side[0] == 0 or side[1] == size for side, size in zip(box, labels.shape, strict=True)
        )
        if is_cut:
            notes.append("what was found is cut by the scan's edge, so more around it was computed")
        margin = margin_mm * (_WIDER if is_cut else 1)
        boxes.append(grown(box, margin, spacing_mm, within))
    if sum(ml >= KIDNEY_ML for _, ml in parts) < 2:
        notes.append(
            "one kidney found at low resolution, so both sides at its height were computed"
        )
        (first, last), *_ = _union([box for box, _ in parts])
        height = grown(((first, last), *within[1:]), _OTHER_KIDNEY_MM, spacing_mm, within)
        boxes.append(height)
    return Region(tuple(merged(boxes)), tuple(dict.fromkeys(notes)))


def grown(box: Box, margin_mm: float, spacing_mm: Sequence[float], within: Box) -> Box:
    """A box with a margin on all sides, as far as another one allows."""
    sides = []
    for (start, stop), mm, (low, high) in zip(box, spacing_mm, within, strict=True):
        steps = int(np.ceil(margin_mm / mm))
        sides.append((max(low, start - steps), min(high, stop + steps)))
    first, second, third = sides
    return first, second, third


def merged(boxes: Sequence[Box]) -> list[Box]:
    """Replace boxes that overlap by the box around both, until none do."""
    rest = list(boxes)
    done: list[Box] = []
    while rest:
        box = rest.pop()
        near = [other for other in rest if _overlap(box, other)]
        if near:
            rest = [other for other in rest if other not in near]
            rest.append(_union([box, *near]))
        else:
            touched = [other for other in done if _overlap(box, other)]
            done = [other for other in done if other not in touched]
            if touched:
                rest.append(_union([box, *touched]))
            else:
                done.append(box)
    return sorted(done)


def joined(boxes: Sequence[Box], cost: Callable[[Box], int]) -> list[Box]:
    """Replace two boxes by the one around both where that costs no more."""
    rest = merged(boxes)
    for one, other in combinations(rest, 2):
        both = _union([one, other])
        if cost(both) <= cost(one) + cost(other):
            left = [box for box in rest if box not in (one, other)]
            return joined([*left, both], cost)
    return rest


def agreed(labels: LabelArray, other: LabelArray, voxel_ml: float) -> LabelArray:
    """Keep what two networks agree on: findings of which both call some part, 2 ml, kidney.

    Args:
        labels: Label map whose components (26-connected) of foreground are kept or removed.
        other: The other network's, on the same grid.
        voxel_ml: Volume of a voxel.
    """
    import cc3d

    numbered = cc3d.connected_components(labels > 0, connectivity=26)
    both = (labels == Label.KIDNEY) & (other == Label.KIDNEY)
    counts = np.bincount(numbered[both], minlength=int(numbered.max()) + 1)
    kept = counts * voxel_ml >= NOISE_ML
    return np.where(kept[numbered], labels, np.uint8(Label.BACKGROUND))


def largest_ml(labels: LabelArray, voxel_ml: float) -> float:
    """Volume of the largest finding, 26-connected foreground; 0 where there is none."""
    import cc3d

    numbered = cc3d.connected_components(labels > 0, connectivity=26)
    return float(np.bincount(numbered.ravel())[1:].max(initial=0)) * voxel_ml


def widened(
    labels: LabelArray, box: Box, margin_mm: float, spacing_mm: Sequence[float], within: Box
) -> Box:
    """A box grown on the sides that foreground reaches; the same one where it reaches none.

    Args:
        labels: Label map of what is in the box.
        box: The box.
        margin_mm: How far each of these sides moves.
        spacing_mm: Voxel size.
        within: No side leaves this.
    """
    sides = []
    wide = grown(box, margin_mm, spacing_mm, within)
    for axis, ((start, stop), (low, high)) in enumerate(zip(box, wide, strict=True)):
        faces = np.moveaxis(labels, axis, 0)
        sides.append((low if faces[0].any() else start, high if faces[-1].any() else stop))
    first, second, third = sides
    return first, second, third


def _components(
    suspected: LabelArray, labels: LabelArray, within: Box, spacing_mm: Sequence[float]
) -> list[tuple[Box, float]]:
    """Boxes and volumes in ml of what is suspected, larger than noise, and kidney in part."""
    import cc3d

    inner = tuple(slice(*side) for side in within)
    view = suspected[inner]
    if not view.any():
        return []
    numbered = cc3d.connected_components(view > 0, connectivity=26)
    statistics = cc3d.statistics(numbered)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    found: list[tuple[Box, float]] = []
    sure = np.bincount(
        numbered[labels[inner] == Label.KIDNEY], minlength=len(statistics["voxel_counts"])
    )
    counts = statistics["voxel_counts"]
    if (sure[1:] * voxel_ml >= NOISE_ML).any():
        counts = np.where(sure * voxel_ml >= NOISE_ML, counts, 0)
    for count, slices in zip(counts[1:], statistics["bounding_boxes"][1:], strict=True):
        if count * voxel_ml >= NOISE_ML:
            first, second, third = (
                (side.start + low, side.stop + low)
                for side, (low, _) in zip(slices, within, strict=True)
            )
            found.append(((first, second, third), float(count) * voxel_ml))
    return found


def _union(boxes: Sequence[Box]) -> Box:
    corners: AnyArray = np.asarray(boxes)
    low, high = corners[..., 0].min(0), corners[..., 1].max(0)
    first, second, third = ((int(a), int(b)) for a, b in zip(low, high, strict=True))
    return first, second, third


def _overlap(one: Box, other: Box) -> bool:
    return all(a[0] < b[1] and b[0] < a[1] for a, b in zip(one, other, strict=True))
