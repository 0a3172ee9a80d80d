"""Median voxel sizes and shapes of a cohort, as plans give them.

nnU-Net v1 found the median shapes that the paper prints (Golts et al. 2021, sections 2.3.1 and
2.3.2) so: every case at the plan's voxel size, and of these shapes the median, axis by axis. This
is not the median shape of the scans brought to that voxel size from the median one: 109 slices of
3 mm are 419 of 0.78 mm, where the paper has 528.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

#: A value for each axis of a case: slice, row, column.
PerAxis = Sequence[float]


def median_of_axes(values: Sequence[PerAxis]) -> list[float]:
    """Median over cases, axis by axis."""
    return [float(median(axis)) for axis in zip(*values, strict=True)]


def median_shape(
    spacings_mm: Sequence[PerAxis], shapes: Sequence[PerAxis], spacing_mm: PerAxis
) -> list[float]:
    """Median shape of cases that are resampled to one voxel size.

    Args:
        spacings_mm: Voxel size of each case.
        shapes: Shape of each case, in the same order.
        spacing_mm: The voxel size that they are resampled to; of the last two axes for a 2D
            network, which sees slices as they are.

    Returns:
        Whole numbers, one for each axis of ``spacing_mm``.
    """
    axes = slice(-len(spacing_mm), None)
    resampled = [
        [n * old / new for n, old, new in zip(shape[axes], mm[axes], spacing_mm, strict=True)]
        for shape, mm in zip(shapes, spacings_mm, strict=True)
    ]
    return [float(round(size)) for size in median_of_axes(resampled)]


def with_medians(
    plans: Mapping[str, Any], spacings_mm: Sequence[PerAxis], shapes: Sequence[PerAxis]
) -> dict[str, Any]:
    """Plans that another data set takes over, with the medians of its cases.

    Args:
        plans: Content of a plans file.
        spacings_mm: Voxel size of each case: slice, row, column.
        shapes: Shape of each case in the same order.
    """
    order = [2 - axis for axis in plans["transpose_forward"]]  # SimpleITK's axes are the reverse
    turned_mm, turned = (
        [[case[axis] for axis in order] for case in cases] for cases in (spacings_mm, shapes)
    )

    def described(configuration: Mapping[str, Any]) -> dict[str, Any]:
        if "spacing" not in configuration:  # it inherits all of this
            return dict(configuration)
        shape = median_shape(turned_mm, turned, configuration["spacing"])
        return {**configuration, "median_image_size_in_voxels": shape}

    return {
        **plans,
        "original_median_spacing_after_transp": median_of_axes(turned_mm),
        "original_median_shape_after_transp": [round(size) for size in median_of_axes(turned)],
        "configurations": {name: described(own) for name, own in plans["configurations"].items()},
    }
