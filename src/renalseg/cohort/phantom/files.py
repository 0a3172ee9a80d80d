"""NIfTI files whose bytes depend on nothing but their content."""

import zlib

import numpy as np

from renalseg.types import AnyArray


def nifti_header(shape: tuple[int, ...], dtype: "np.dtype[np.generic]", affine: AnyArray) -> bytes:
    """Everything in a NIfTI-1 file before its voxels."""
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_xyzt_units("mm")
    header.set_zooms(np.sqrt((affine[:3, :3] ** 2).sum(0)))
    header.set_sform(affine, code=2)
    header.set_qform(affine, code=1)
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    return bytes(header.binaryblock) + bytes(4)


def gz(content: bytes, level: int = 1) -> bytes:
    """Compress without a name or a time: the same content gives the same bytes."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packer.compress(content) + packer.flush()


def nifti_gz(array: AnyArray, affine: AnyArray) -> bytes:
    """A whole compressed NIfTI file."""
    return gz(nifti_header(array.shape, array.dtype, affine) + array.tobytes("F"))
