"""What a grid, a CT and a label map must be.

HU follow from physics: air is -1000, fat about -100, water 0, soft tissue 20 to 80, enhanced kidney
up to 250, cortical bone 1000 and more. Scanners pad outside their field of view with values down to
-3024 or beyond, and metal goes past 3071; all that is let through. An image without such a
span has been normalised, or is no CT.
"""

import warnings
from pathlib import Path

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import Affine, AnyArray, LabelArray
from renalseg.volume.show import distinct
from renalseg.volume.warning import UnusualImageWarning

#: Air to soft tissue spans 1000 HU, fat to enhanced kidney 300: less than this is not HU.
_MIN_RANGE_HU = 100.0
_MAX_ABS_HU = 100_000.0
#: Everything below this is air: no patient in the image.
_AIR_ONLY_HU = -500.0
_NO_AIR_HU = -200.0
_UNUSUAL_MAX_HU = 10_000.0
#: A scanner's bore is less than a metre wide, and its table two metres long.
_MOST_M = 5.0
_MOST_M3 = 4.0
_LEAST_MM = 0.01
#: Labels come scaled to whole numbers of 8 or 16 bits and back, as 1.00002 or 0.996.
_ROUNDED = 0.01


def check_grid(path: Path, shape: tuple[int, ...], affine: Affine) -> None:
    """Refuse an empty image and one whose affine does not place every voxel.

    Raises:
        VolumeError: An axis has no voxels, or the affine is not finite and invertible.
    """
    if 0 in shape:
        raise VolumeError(f"{path}: expected voxels, got shape {shape}; export it again")
    if not np.all(np.isfinite(affine)):
        raise VolumeError(
            f"{path}: the affine holds NaN or infinite numbers; mend its orientation and spacing"
        )
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    shown = " x ".join(distinct(*spacing))
    if np.any(spacing <= 0):
        raise VolumeError(f"{path}: expected a spacing above zero, got {shown} mm; mend its header")
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-4:
        raise VolumeError(
            f"{path}: the affine cannot be inverted (axes lie in one plane); mend its header"
        )


def check_extent(path: Path, shape: tuple[int, ...], affine: Affine, unit: str = "mm") -> None:
    """Refuse an image larger than any scanner or finer than any, as of a spacing that is not in mm.

    Args:
        path: Named in errors.
        shape: Voxels along each axis.
        affine: Voxel to world, mm.
        unit: The unit of length that the file says it has.

    Raises:
        VolumeError: It is longer than 5 m, holds more than 4 cubic metres, or has voxels of less
            than 0.01 mm.
    """
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    extent_m = spacing_mm * shape / 1000
    too_large = np.any(extent_m > _MOST_M) or np.prod(extent_m) > _MOST_M3
    if too_large or np.any(spacing_mm < _LEAST_MM):
        shown = " x ".join(distinct(*extent_m))
        raise VolumeError(
            f"{path}: expected a scan of a patient, got one of {shown} m; mend its spacing, "
            f"which is in {unit}"
        )


def check_finite(path: Path, array: AnyArray) -> None:
    """Refuse NaN and infinite voxels.

    Raises:
        VolumeError: There are some; it says how many.
    """
    if not np.issubdtype(array.dtype, np.floating):
        return
    if np.isfinite(array.min()) and np.isfinite(array.max()):
        return
    odd = array.size - int(np.count_nonzero(np.isfinite(array)))
    if odd:
        raise VolumeError(
            f"{path}: {odd} voxels are NaN or infinite; replace them, for example by -1024"
        )


def check_hu(path: Path, array: AnyArray) -> None:
    """Refuse intensities that cannot be HU, and warn of those that hardly are.

    Args:
        path: Named in errors.
        array: Finite voxels.

    Raises:
        VolumeError: The image is constant, normalised, all air, or beyond any HU.
    """
    low, high = float(array.min()), float(array.max())
    shown_low, shown_high = distinct(low, high, -_MAX_ABS_HU, _MAX_ABS_HU)[:2]
    found = f"got {shown_low} to {shown_high}"
    remedy = "give the CT in HU, as the scanner stores it"
    if low == high:
        raise VolumeError(f"{path}: every voxel is {shown_low}; {remedy}")
    if low >= 0 and high <= 255:
        scale = "0 to 1" if high <= 1 else "0 to 255"
        raise VolumeError(
            f"{path}: expected HU (air -1000, soft tissue 50), {found}, "
            f"as of an image normalised to {scale}; {remedy}"
        )
    if high - low < _MIN_RANGE_HU:
        raise VolumeError(
            f"{path}: expected HU, which span {_MIN_RANGE_HU:g} and more, {found}; {remedy}"
        )
    if max(-low, high) > _MAX_ABS_HU:
        raise VolumeError(f"{path}: expected HU within ±{_MAX_ABS_HU:g}, {found}; {remedy}")
    if high < _AIR_ONLY_HU:
        raise VolumeError(f"{path}: expected soft tissue, {found} HU, which is air; {remedy}")
    if low > _NO_AIR_HU:
        warnings.warn(
            f"{path}: no voxel below {_NO_AIR_HU:g} HU ({found}); cropped, or its offset of "
            "-1024 not applied?",
            UnusualImageWarning,
            stacklevel=3,
        )
    elif high > _UNUSUAL_MAX_HU:
        warnings.warn(
            f"{path}: voxels up to {shown_high} HU, above {_UNUSUAL_MAX_HU:g}; metal, or not HU?",
            UnusualImageWarning,
            stacklevel=3,
        )


def as_labels(path: Path, array: AnyArray, max_label: int | None) -> LabelArray:
    """The array as uint8 labels.

    Args:
        path: Named in errors.
        array: Finite voxels of any type; those within 0.01 of a whole number are that number.
        max_label: The highest label allowed; None allows any that uint8 holds.

    Raises:
        VolumeError: Values that are not whole numbers, or outside 0 to ``max_label``.
    """
    top = 255 if max_label is None else max_label
    high = float(array.max())
    low = 0.0 if array.dtype.kind == "u" and high <= top else float(array.min())
    if low < -_ROUNDED or high > top + _ROUNDED:
        shown = distinct(top, low, high)
        raise VolumeError(
            f"{path}: expected labels 0 to {shown[0]}, got {shown[1]} to {shown[2]}; is it a label "
            "map?"
        )
    if not np.issubdtype(array.dtype, np.floating):
        return array.astype(np.uint8, copy=False)
    labels = np.rint(array).astype(np.uint8)
    off = array - labels
    np.abs(off, out=off)
    if float(off.max()) > _ROUNDED:
        odd = array.ravel(order="K")[int(off.ravel(order="K").argmax())]
        shown_odd, _ = distinct(float(odd), float(np.rint(odd)))
        raise VolumeError(
            f"{path}: expected whole numbers as labels, got {shown_odd}; is it a label map, "
            "resampled without interpolation?"
        )
    return labels
