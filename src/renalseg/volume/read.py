"""Read a CT, a label map, or a file's grid alone, and refuse what is none."""

import warnings
from pathlib import Path

import numpy as np

from renalseg.types import AnyArray
from renalseg.volume.checks import as_labels, check_extent, check_finite, check_grid, check_hu
from renalseg.volume.files import StoredImage, read_file
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
        UnusualImageWarning: The voxels are hardly HU, or the file does not say how it lies.
    """
    path = Path(path)
    stored = _read(path)
    check_extent(path, stored.array.shape, stored.affine)
    check_finite(path, stored.array)
    check_hu(path, stored.array)
    if not stored.placed:
        warnings.warn(
            f"{path}: neither qform nor sform is set, so its orientation is a guess",
            UnusualImageWarning,
            stacklevel=2,
        )
    return _volume(stored, _as_ct(stored.array))


def read_labels(path: Path | str, *, max_label: int | None = 3, contiguous: bool = True) -> Volume:
    """Read a label map.

    Args:
        path: A file as for ``read_image``; floats are taken where they are whole numbers.
        max_label: The highest label allowed; None allows any up to 255.
        contiguous: False gives a view with the file's own strides, for those who crop it at once.

    Returns:
        The volume in canonical orientation, uint8.

    Raises:
        VolumeError: The file is missing, damaged, not 3D or empty, its affine cannot be inverted,
            or its voxels are not labels.
    """
    path = Path(path)
    stored = _read(path)
    check_finite(path, stored.array)
    return _volume(stored, as_labels(path, stored.array, max_label), contiguous=contiguous)


def read_grid(path: Path | str) -> Volume:
    """Read a file's grid without its voxels: the array is a read-only view of one zero.

    Raises:
        VolumeError: The header is missing, damaged, not 3D or empty, or its affine cannot be
            inverted.
    """
    path = Path(path)
    stored = read_file(path, voxels=False)
    check_grid(path, stored.array.shape, stored.affine)
    return _volume(stored, stored.array, contiguous=False)


def _read(path: Path) -> StoredImage:
    stored = read_file(path)
    check_grid(path, stored.array.shape, stored.affine)
    return stored


def _volume(stored: StoredImage, array: AnyArray, *, contiguous: bool = True) -> Volume:
    return Volume.from_stored(array, stored.affine, stored.nifti_geometry, contiguous=contiguous)


def _as_ct(array: AnyArray) -> AnyArray:
    if np.issubdtype(array.dtype, np.integer) and -(2**15) <= array.min() <= array.max() < 2**15:
        return array.astype(np.int16, copy=False)
    return array.astype(np.float32, copy=False)
