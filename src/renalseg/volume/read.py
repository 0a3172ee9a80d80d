"""Read a CT, a label map, or a file's grid alone, and refuse what is none."""

import warnings
from pathlib import Path

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray
from renalseg.volume.checks import as_labels, check_extent, check_finite, check_grid, check_hu
from renalseg.volume.files import StoredImage, read_file
from renalseg.volume.segments import merged
from renalseg.volume.volume import Volume
from renalseg.volume.warning import UnusualImageWarning


def read_image(path: Path | str) -> Volume:
    """Read a CT in HU.

    Args:
        path: ``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``; any orientation.

    Returns:
        The volume in canonical orientation, int16 where that holds every value, else float32.

    Raises:
        VolumeError: The file is missing, damaged, not 3D or empty, its affine cannot be inverted,
            or is larger than a patient, or its voxels cannot be HU.

    Warns:
        UnusualImageWarning: The voxels are hardly HU, or the header does not say plainly how the
            image lies.
    """
    path = Path(path)
    stored = _read(path)
    if stored.array.ndim != 3:
        raise VolumeError(f"{path}: expected a CT, got layers of segments; give the image")
    check_finite(path, stored.array)
    check_hu(path, stored.array)
    return _volume(stored, _as_ct(stored.array))


def read_labels(path: Path | str, *, max_label: int | None = 3, contiguous: bool = True) -> Volume:
    """Read a label map.

    Args:
        path: A file as for ``read_image``, or a segmentation by 3D Slicer (``.seg.nrrd``), whose
            segments are taken by their names; floats are taken where they are whole numbers, or
            nearly so.
        max_label: The highest label allowed; None allows any up to 255.
        contiguous: False gives a view with the file's own strides, for those who crop it at once.

    Returns:
        The volume in canonical orientation, uint8.

    Raises:
        VolumeError: The file is missing, damaged, not 3D or empty, its affine cannot be inverted,
            or is larger than a patient, or its voxels are not labels.

    Warns:
        UnusualImageWarning: The header does not say plainly how the image lies, or the segments
            have names that say nothing.
    """
    path = Path(path)
    stored = _read(path)
    check_finite(path, stored.array)
    array = stored.array
    if stored.segments:
        array, remark = merged(path, array, stored.segments)
        _warn(path, remark)
    return _volume(stored, as_labels(path, array, max_label), contiguous=contiguous)


def read_grid(path: Path | str) -> Volume:
    """Read a file's grid without its voxels: the array is a read-only view of one zero.

    Raises:
        VolumeError: The header is missing, damaged, not 3D or empty, or its affine cannot be
            inverted or is larger than a patient.

    Warns:
        UnusualImageWarning: The header does not say plainly how the image lies.
    """
    stored = _read(Path(path), voxels=False)
    zeros = np.broadcast_to(np.zeros((), np.uint8), stored.shape)
    return _volume(stored, zeros, contiguous=False)


def _read(path: Path, *, voxels: bool = True) -> StoredImage:
    stored = read_file(path, voxels=voxels)
    check_grid(path, stored.shape, stored.affine)
    check_extent(path, stored.shape, stored.affine, stored.unit)
    _warn(path, "; ".join(stored.remarks), stacklevel=4)
    return stored


def _warn(path: Path, remark: str, stacklevel: int = 3) -> None:
    if remark:
        warnings.warn(f"{path}: {remark}", UnusualImageWarning, stacklevel=stacklevel)


def _volume(stored: StoredImage, array: AnyArray, *, contiguous: bool = True) -> Volume:
    return Volume.from_stored(array, stored.affine, stored.nifti_geometry, contiguous=contiguous)


def _as_ct(array: AnyArray) -> AnyArray:
    if np.issubdtype(array.dtype, np.integer) and -(2**15) <= array.min() <= array.max() < 2**15:
        return array.astype(np.int16, copy=False)
    return array.astype(np.float32, copy=False)
