"""NIfTI files whose bytes depend on nothing but their content, and folders of them."""

import os
import shutil
import zlib
from collections.abc import Iterable
from pathlib import Path

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


def write_folder(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a folder of named files beside, then rename it: it stands whole or not at all."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        for name, content in files:
            (beside / name).parent.mkdir(exist_ok=True)
            (beside / name).write_bytes(content)
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
