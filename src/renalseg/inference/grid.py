"""A scan's voxels as the networks of one configuration see them, and the way there and back.

All axes are canonical (slice, row, column), whatever order a network wants its patches in: the
plans' transposition is left to the moment when a patch is handed to a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from renalseg.inference.resampling import AxisMap, Rule, axis_map, resampling_rule
from renalseg.types import AnyArray

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class NetworkGrid:
    """The grid of one configuration over a scan.

    Attributes:
        crop: The box of the scan that nnU-Net keeps: what is not zero.
        shape: Voxels of the crop, as the network sees them.
        spacing_mm: Their size.
        image: Per axis, from the crop to the network's grid.
        labels: The same for the label map of a cascade's first stage, whose classes are resampled
            one by one.
        ties_to_nearest: Where two classes have the same share, whether the nearest voxel decides.
        separate: The axis along which slices are resampled one by one, or None.
        back: Per axis, from the network's grid to the crop.
    """

    crop: Box
    shape: Shape
    spacing_mm: tuple[float, float, float]
    image: tuple[AxisMap, AxisMap, AxisMap]
    labels: tuple[AxisMap, AxisMap, AxisMap]
    ties_to_nearest: bool
    separate: int | None
    back: tuple[AxisMap, AxisMap, AxisMap]


def canonical_axes(transpose_forward: Sequence[int]) -> tuple[int, int, int]:
    """The canonical axis of each of a network's axes.

    nnU-Net's arrays are SimpleITK's: for I-P-L storage (column, row, slice), canonical reversed.
    """
    first, second, third = (2 - int(axis) for axis in transpose_forward)
    return first, second, third


def network_grid(
    crop: Box,
    spacing_mm: Sequence[float],
    settings: Mapping[str, Any],
    axes: Sequence[int],
) -> NetworkGrid:
    """Work out a configuration's grid over a scan.

    Args:
        crop: See :func:`nonzero_box`.
        spacing_mm: The scan's voxel size.
        settings: The configuration in the plans file.
        axes: The canonical axis of each of the network's axes.
    """
    from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape

    target = [float(mm) for mm in settings["spacing"]]
    if len(target) == 2:  # a 2D network leaves slices as they are
        target = [spacing_mm[axes[0]], *target]
    wanted_mm = tuple(target[list(axes).index(axis)] for axis in range(3))
    old = tuple(stop - start for start, stop in crop)
    # a slice thinner than half a voxel of the network stays one
    new = tuple(max(1, int(n)) for n in compute_new_shape(old, list(spacing_mm), list(wanted_mm)))

    def maps(which: str, before: Any, after: Any, sizes: Any, targets: Any) -> tuple[Any, Rule]:
        function = settings[f"resampling_fn_{which}"]
        options = settings[f"resampling_fn_{which}_kwargs"]
        rule = resampling_rule(function, options, before, after)
        found = zip(rule.kinds, sizes, targets, strict=True)
        return tuple(axis_map(kind, n, m) for kind, n, m in found), rule

    image, rule = maps("data", spacing_mm, wanted_mm, old, new)
    labels, _ = maps("seg", spacing_mm, wanted_mm, old, new)
    back, _ = maps("probabilities", wanted_mm, spacing_mm, new, old)
    return NetworkGrid(
        crop=crop,
        shape=(new[0], new[1], new[2]),
        spacing_mm=(wanted_mm[0], wanted_mm[1], wanted_mm[2]),
        image=image,
        labels=labels,
        ties_to_nearest=settings["resampling_fn_seg"] == "resample_data_or_seg_to_shape",
        separate=rule.separate,
        back=back,
    )


def nonzero_box(array: AnyArray) -> Box:
    """The box of voxels that are not zero, as nnU-Net crops; all of it if there are none."""
    sides: list[tuple[int, int]] = []
    for axis in range(3):
        others = tuple(n for n in range(3) if n != axis)
        used = np.flatnonzero(array.any(axis=others))
        if not used.size:
            return (0, array.shape[0]), (0, array.shape[1]), (0, array.shape[2])
        sides.append((int(used[0]), int(used[-1]) + 1))
    return sides[0], sides[1], sides[2]
