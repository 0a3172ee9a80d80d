"""NIfTI files, written through nibabel."""

import gzip
from pathlib import Path
from typing import Any

from renalseg.types import Affine, AnyArray

#: Label maps shrink to a hundredth at any level; a CT gains little beyond this one.
_COMPRESSION_LEVEL = 4


def write_nifti(
    path: Path, array: AnyArray, affine: Affine, geometry: dict[str, AnyArray] | None
) -> None:
    """Write a NIfTI-1 file; the same voxels always give the same bytes.

    Args:
        path: Its suffix says whether it is compressed.
        array: Voxels, in the type to store.
        affine: Voxel to world, RAS+, mm.
        geometry: Header fields of the NIfTI file that the grid came from; they overrule the affine.
    """
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    if geometry is None:
        header.set_sform(affine, code="scanner")
        header.set_qform(affine, code="scanner")
        header.set_xyzt_units("mm")
    else:
        for name, value in geometry.items():
            header[name] = value
        header["pixdim"][4:] = 1
    # without an affine nibabel leaves the geometry as it is
    image = nib.Nifti1Image(array, None, header)
    with path.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, file, mtime=0) as stream:
                _write_stream(image, stream)
        else:
            _write_stream(image, file)


def _write_stream(image: Any, stream: Any) -> None:
    import nibabel as nib

    holder = nib.FileHolder(fileobj=stream)
    image.to_file_map({"header": holder, "image": holder})
