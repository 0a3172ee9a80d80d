"""Remove implausible findings from a label map (Golts et al. 2021, section 3.5)."""

from dataclasses import dataclass

import numpy as np

from renalseg.labels import Label
from renalseg.types import AnyArray, LabelArray, MaskArray

#: Kidney components as large as this one or larger are left alone.
KEPT_KIDNEYS = 3


@dataclass(frozen=True)
class Cleaning:
    """How label maps are cleaned: section 3.5 of the paper, and what an ensemble asks for beyond.

    Attributes:
        least_ml: Smaller findings by themselves are removed (:func:`remove_small`); none when
            absent.
        least_tumor_ml: Smaller tumors are kidney or cyst (:func:`relabel_small_tumors`); none when
            absent.
    """

    least_ml: float | None = None
    least_tumor_ml: float | None = None

    def apply(self, labels: LabelArray, voxel_mm3: float) -> LabelArray:
        """The cleaned map; the input is not changed.

        Args:
            labels: Label map, uint8, (slice, row, column).
            voxel_mm3: Volume of a voxel.
        """
        labels = postprocess(labels)
        if self.least_ml is not None:
            labels = remove_small(labels, voxel_mm3, self.least_ml)
        if self.least_tumor_ml is not None:
            labels = relabel_small_tumors(labels, voxel_mm3, self.least_tumor_ml)
        return labels


def postprocess(labels: LabelArray) -> LabelArray:
    """Remove masses without a kidney, then small kidney fragments.

    Components are 26-connected and one step of dilation is 3 x 3 x 3:

    1. A component of tumor and cyst whose dilation meets no kidney becomes background.
    2. A component of kidney smaller than the third largest takes the majority label of the ring
       that its dilation adds, background included; ties go to the lower label. All rings are read
       from the map as step 1 left it.

    Args:
        labels: Label map, uint8, (slice, row, column).

    Returns:
        The cleaned map; the input is not changed.
    """
    return _relabel_fragments(_remove_distant_masses(labels))


def remove_small(labels: LabelArray, voxel_mm3: float, least_ml: float) -> LabelArray:
    """Remove what is too small for a kidney, even a shrunken one, and touches none.

    A component of kidney, tumor and cyst that the scan's edge cuts stays.

    Args:
        labels: Label map, uint8, (slice, row, column).
        voxel_mm3: Volume of a voxel.
        least_ml: Components (26-connected) smaller than this become background.

    Returns:
        The cleaned map; the input is not changed.
    """
    result = labels.copy()
    for component, box in _small(labels > 0, voxel_mm3, least_ml):
        result[box][component] = Label.BACKGROUND
    return result


def relabel_small_tumors(labels: LabelArray, voxel_mm3: float, least_ml: float) -> LabelArray:
    """Take specks of tumor for what they lie in: cyst where they touch one, kidney elsewhere.

    A component that the scan's edge cuts stays.

    Args:
        labels: Label map, uint8, (slice, row, column).
        voxel_mm3: Volume of a voxel.
        least_ml: Components of tumor (26-connected) smaller than this are no tumor.

    Returns:
        The relabelled map; the input is not changed.
    """
    result = labels.copy()
    for component, box in _small(labels == Label.TUMOR, voxel_mm3, least_ml):
        touches_cyst = (_dilate(component) & (labels[box] == Label.CYST)).any()
        result[box][component] = Label.CYST if touches_cyst else Label.KIDNEY
    return result


def _remove_distant_masses(labels: LabelArray) -> LabelArray:
    result = labels.copy()
    kidney = labels == Label.KIDNEY
    masses = (labels == Label.TUMOR) | (labels == Label.CYST)
    for component, box, _ in _components(masses):
        if not (_dilate(component) & kidney[box]).any():
            result[box][component] = Label.BACKGROUND
    return result


def _relabel_fragments(labels: LabelArray) -> LabelArray:
    result = labels.copy()
    components = _components(labels == Label.KIDNEY)
    if len(components) <= KEPT_KIDNEYS:
        return result
    threshold = sorted((size for *_, size in components), reverse=True)[KEPT_KIDNEYS - 1]
    for component, box, size in components:
        if size < threshold:
            ring = labels[box][_dilate(component) & ~component]
            # a component that fills the map has no ring and stays what it is
            if ring.size:
                result[box][component] = np.bincount(ring, minlength=len(Label)).argmax()
    return result


def _components(mask: MaskArray) -> list[tuple[MaskArray, tuple[slice, ...], int]]:
    """Each 26-connected component in its bounding box and one voxel more, the box, and its size."""
    import cc3d

    numbered = cc3d.connected_components(mask, connectivity=26)
    statistics = cc3d.statistics(numbered)
    found = []
    for number in range(1, len(statistics["voxel_counts"])):
        box = tuple(
            slice(max(0, side.start - 1), min(size, side.stop + 1))
            for side, size in zip(statistics["bounding_boxes"][number], mask.shape, strict=True)
        )
        found.append((numbered[box] == number, box, int(statistics["voxel_counts"][number])))
    return found


def _small(
    mask: MaskArray, voxel_mm3: float, least_ml: float
) -> list[tuple[MaskArray, tuple[slice, ...]]]:
    """Components smaller than this that the scan's edge does not cut, each in its box."""
    return [
        (component, box)
        for component, box, size in _components(mask)
        if size * voxel_mm3 < 1000 * least_ml
        and all(
            side.start > 0 and side.stop < count
            for side, count in zip(box, mask.shape, strict=True)
        )
    ]


def _dilate(mask: MaskArray) -> MaskArray:
    from scipy import ndimage

    dilated: AnyArray = ndimage.binary_dilation(mask, np.ones((3, 3, 3), bool))
    return dilated
