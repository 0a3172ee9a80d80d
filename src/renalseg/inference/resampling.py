"""nnU-Net's resampling as one small matrix per axis.

Splines, linear and nearest interpolation are linear and act on one axis after the other. So a
matrix per axis says all of what nnU-Net's functions do, any rows of the result can be computed
without the others, and the work is matrix products: many threads on a CPU, nothing on a GPU.
The matrices are what nnU-Net's own library functions make of the unit vectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from renalseg.errors import ModelError
from renalseg.types import AnyArray

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["nearest", "linear", "cubic", "torch-nearest", "torch-linear"]

#: Weights below this are left out: together they change no value by 1e-4 of the range.
_NEGLIGIBLE = 1e-6
_ORDERS: dict[int, Kind] = {0: "nearest", 1: "linear", 3: "cubic"}


@dataclass(frozen=True, eq=False)
class AxisMap:
    """What becomes of the voxels along one axis.

    Attributes:
        matrix: Weights, float32, (new, old).
        first: For each new voxel the first old one that it needs.
        stop: One past the last.
    """

    matrix: AnyArray
    first: AnyArray
    stop: AnyArray

    @property
    def is_identity(self) -> bool:
        """Whether every voxel stays what it is."""
        new, old = self.matrix.shape
        return new == old and bool((self.stop - self.first == 1).all())

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """The old voxels that new ones from ``start`` to ``stop`` are made of."""
        return int(self.first[start:stop].min()), int(self.stop[start:stop].max())

    def part(self, new: slice, old: slice) -> AnyArray:
        """The weights of some new voxels, for old ones of which no others are needed."""
        return np.ascontiguousarray(self.matrix[new, old])


@dataclass(frozen=True)
class Rule:
    """How a plans file wants arrays to be resampled.

    Attributes:
        kinds: Of each axis.
        separate: The axis that is treated by itself, because voxels are long there, or None.
    """

    kinds: tuple[Kind, Kind, Kind]
    separate: int | None


def resampling_rule(
    function: str,
    options: Mapping[str, Any],
    old_spacing_mm: Sequence[float],
    new_spacing_mm: Sequence[float],
) -> Rule:
    """Read a resampling function of a plans file.

    Args:
        function: Its name in nnU-Net.
        options: Its keyword arguments.
        old_spacing_mm: Per axis.
        new_spacing_mm: Per axis.

    Raises:
        ModelError: If it is none that nnU-Net's planners choose.
    """
    from nnunetv2.configuration import ANISO_THRESHOLD
    from nnunetv2.preprocessing.resampling.default_resampling import determine_do_sep_z_and_axis

    within: Kind
    along: Kind
    if function == "resample_data_or_seg_to_shape":
        within = _order(options.get("order", 3))
        along = _order(options.get("order_z", 0))
    elif function == "resample_torch_fornnunet":
        within, along = "torch-linear", "torch-nearest"
    else:
        raise ModelError(
            f"plans.json: resampling by {function!r} is not known; expected "
            "resample_data_or_seg_to_shape or resample_torch_fornnunet"
        )
    _, axis = determine_do_sep_z_and_axis(
        options.get("force_separate_z"),
        np.asarray(old_spacing_mm),
        np.asarray(new_spacing_mm),
        options.get("separate_z_anisotropy_threshold", ANISO_THRESHOLD),
    )
    separate = None if axis is None else int(axis)
    first, second, third = (along if n == separate else within for n in range(3))
    return Rule((first, second, third), separate)


def _order(order: int) -> Kind:
    if order not in _ORDERS:
        raise ModelError(f"plans.json: resampling of order {order} is not known; expected 0, 1, 3")
    return _ORDERS[order]


@cache
def axis_map(kind: Kind, old: int, new: int) -> AxisMap:
    """The matrix that brings ``old`` voxels to ``new`` ones over the same length."""
    matrix = np.eye(old) if old == new else _interpolated_units(kind, old, new)
    used = np.abs(matrix) > _NEGLIGIBLE
    first = used.argmax(1)
    stop = old - used[:, ::-1].argmax(1)
    return AxisMap(matrix.astype(np.float32), first, stop)


def _interpolated_units(kind: Kind, old: int, new: int) -> AnyArray:
    from scipy import ndimage

    if kind in ("torch-linear", "torch-nearest"):
        import torch
        from torch.nn.functional import interpolate

        mode = "linear" if kind == "torch-linear" else "nearest-exact"
        units = torch.eye(old, dtype=torch.float64)[None]
        return np.asarray(interpolate(units, new, mode=mode)[0].T.numpy())
    if kind == "nearest":
        places = old / new * (np.arange(new) + 0.5) - 0.5
        chosen = ndimage.map_coordinates(np.arange(old), places[None], order=0, mode="nearest")
        return np.asarray(np.eye(old)[chosen])
    order = 1 if kind == "linear" else 3
    units = ndimage.zoom(np.eye(old), (new / old, 1), order=order, mode="nearest", grid_mode=True)
    return np.asarray(units)


def resample(array: "Tensor", matrices: Sequence["Tensor | None"]) -> "Tensor":
    """Apply a matrix to each of the last three axes; None leaves an axis as it is.

    Args:
        array: (channel, slice, row, column), float32.
        matrices: (new, old) per axis.
    """
    slices, rows, columns = matrices
    if slices is not None:
        channels, _, height, width = array.shape
        array = (slices @ array.reshape(channels, -1, height * width)).reshape(
            channels, -1, height, width
        )
    if rows is not None:
        array = rows @ array
    if columns is not None:
        array = array @ columns.T
    return array
