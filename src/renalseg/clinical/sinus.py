"""The renal sinus: the hollow in the kidney that holds fat, vessels and the collecting system.

It is what lies deep within the kidney's own outline, on the side of the body's midline, and is
neither parenchyma nor lesion. Label maps draw it unevenly: some leave it out, some count vessels
and calyces as kidney and leave only islands of fat. So small gaps between its parts are closed. A
hollow near the outline's surface is none of it unless it leads to a deep one, and of those that
open to the surface only the largest is: clefts between lobes and dents beside tumors stay out.

A CT shows more: fat that a label map counts as kidney is given back to the sinus. Where fat is
found in what geometry calls a sinus, the CT confirms it; else it is said to be geometry's alone.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from renalseg.clinical.records import SinusSource
from renalseg.clinical.surfaces import Distance
from renalseg.types import ImageArray, MaskArray

#: Fat in a CT, in HU.
FAT_HU = (-150.0, -20.0)
#: A sinus reaches at least this deep below the outline.
DEEP_MM = 6.0
#: Of the middle of the kidney, to the body's side, a hollow may lie this much off.
_LATERAL_MM = 5.0
#: Gaps up to twice this between parts of the sinus belong to it.
_GAP_MM = 4.0
#: Hollows beside a lesion, up to this far, are no proof of a sinus: labels leave grooves there.
_GROOVE_MM = 2.0
#: The sinus's mouth is this much wider than its depth.
_ASIDE_MM = 2.5
#: Less than this is no sinus.
_LEAST_ML = 0.3
#: A hollow with this share of fat is a sinus by the CT.
_LEAST_FAT = 0.05


@dataclass(frozen=True, eq=False)
class Sinus:
    """The renal sinus in the kidney's frame.

    Attributes:
        mask: Its voxels.
        mouth: Those at the outline's surface, where it opens, on levels where it is deep.
        source: ``ct`` where the CT's fat confirms it.
    """

    mask: MaskArray
    mouth: MaskArray
    source: SinusSource


def find_sinus(
    parenchyma: MaskArray,
    lesions: MaskArray,
    depth_mm: Distance,
    medial_mm: Float[np.ndarray, "slice row column"],
    step_mm: float,
    fat: MaskArray | None = None,
) -> Sinus | None:
    """Find the renal sinus in a kidney's frame.

    Args:
        parenchyma: The kidney without its lesions; axis 0 runs along its long axis.
        lesions: All its lesions.
        depth_mm: How deep each voxel lies below the kidney's own outline; 0 outside.
        medial_mm: How far each voxel lies from the kidney's centre to the body's midline.
        step_mm: Size of the voxels, alike along all axes.
        fat: What is fat in the CT, in the same frame.

    Returns:
        None where there is none to see, as where the labels fill it and no CT is given.
    """
    hollow = (depth_mm > 0) & ~parenchyma & ~lesions
    if fat is not None:
        hollow |= fat & ~lesions & (depth_mm > DEEP_MM)
    core = hollow & (depth_mm > DEEP_MM) & ~grown(lesions, _GROOVE_MM / step_mm)
    mask = _choose(hollow, core, depth_mm, medial_mm, step_mm)
    if (mask & core).sum() * step_mm**3 < _LEAST_ML * 1000:
        return None
    mask = (mask | _closed(mask, _GAP_MM / step_mm)) & (depth_mm > 0) & ~lesions
    mouth = _mouth(mask & hollow, depth_mm, step_mm)
    has_fat = fat is not None and float(fat[mask & hollow].mean()) >= _LEAST_FAT
    return Sinus(mask, mouth, "ct" if has_fat else "geometry")


def find_fat(hu: ImageArray) -> MaskArray:
    """Which voxels of a CT are fat, single ones of noise aside."""
    from scipy.ndimage import median_filter

    smooth = median_filter(hu, size=(1, 3, 3))
    return np.asarray((smooth >= FAT_HU[0]) & (smooth <= FAT_HU[1]))


def grown(mask: MaskArray, reach: float) -> MaskArray:
    """A mask and what lies within some voxels of it."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return mask
    return np.asarray(distance_transform_edt(~mask) <= reach)


def _closed(mask: MaskArray, reach: float) -> MaskArray:
    """A mask with the gaps between its parts filled."""
    from scipy.ndimage import distance_transform_edt

    wide = np.pad(mask, int(np.ceil(reach)) + 1)
    filled = distance_transform_edt(grown(wide, reach)) > reach
    inner = tuple(slice(int(np.ceil(reach)) + 1, -int(np.ceil(reach)) - 1) for _ in range(3))
    return np.asarray(filled[inner])


def _choose(
    hollow: MaskArray,
    core: MaskArray,
    depth_mm: Distance,
    medial_mm: Float[np.ndarray, "slice row column"],
    step_mm: float,
) -> MaskArray:
    """Of the hollows not on the lateral side, the largest that opens, and all that do not open."""
    from scipy import ndimage

    labelled, count = ndimage.label(core)
    if not count:
        return core
    numbers = range(1, count + 1)
    sizes = np.asarray(ndimage.sum_labels(core, labelled, numbers))
    sizes[np.asarray(ndimage.mean(medial_mm, labelled, numbers)) < -_LATERAL_MM] = 0
    # each deep part goes straight outwards, not along the outline
    away, nearest = ndimage.distance_transform_edt(~core, return_indices=True)
    is_straight = away * step_mm <= np.maximum(DEEP_MM - depth_mm, 0) + _ASIDE_MM
    parts = np.where(hollow & is_straight, labelled[tuple(nearest)], 0)
    shallowest = np.asarray(ndimage.minimum(depth_mm, parts, numbers))
    opens = shallowest <= step_mm
    keep = (sizes > 0) & ~opens
    if (sizes * opens).any():
        keep[np.argmax(sizes * opens)] = True
    return np.asarray(np.concatenate([[False], keep])[parts])


def _mouth(sinus: MaskArray, depth_mm: Distance, step_mm: float) -> MaskArray:
    """Where a sinus opens: its surface on levels where that leads deep."""
    from scipy import ndimage

    mouth = np.zeros_like(sinus)
    for level in np.flatnonzero(sinus.any(axis=(1, 2))):
        labelled, count = ndimage.label(sinus[level])
        deepest = np.asarray(ndimage.maximum(depth_mm[level], labelled, range(1, count + 1)))
        is_deep = np.concatenate([[False], deepest > DEEP_MM])
        mouth[level] = is_deep[labelled] & (depth_mm[level] <= step_mm)
    return mouth
