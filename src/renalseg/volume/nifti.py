"""NIfTI files."""

from pathlib import Path
from typing import IO

import numpy as np

from renalseg.types import AnyArray
from renalseg.volume.claims import check_claim
from renalseg.volume.files import StoredImage
from renalseg.volume.nifti_header import NiftiHeader, read_header
from renalseg.volume.nifti_place import place
from renalseg.volume.stream import Packing, damage_named, finish, is_gzip, opened, read_voxels, skip

#: The header fields that place an image in the patient; kept bit for bit from input to output.
_GEOMETRY_FIELDS = (
    *("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"),
)
_PADDING_BYTES = 1 << 20


def read_nifti(path: Path, *, voxels: bool) -> StoredImage:
    """Read a NIfTI-1 or NIfTI-2 file, compressed or not whatever its name says.

    Raises:
        VolumeError: It is truncated, damaged, or not a 3D scalar image, or its header contradicts
            itself.
    """
    with damage_named(path, "NIfTI image"):
        with path.open("rb") as file:
            packing = Packing.DEFLATE if is_gzip(file.read(2)) else Packing.NONE
        with opened(path, packing) as stream:
            header = read_header(path, stream)
            placement = place(path, header.fields, header.shape)
            remarks = header.remarks + placement.remarks
            if voxels and 0 not in header.shape:
                array, junk = _read_array(path, stream, header, packing)
                remarks += ("what follows its compressed data is ignored",) if junk else ()
            else:
                array = np.broadcast_to(np.zeros((), np.uint8), header.shape)
    affine = placement.affine.copy()
    affine[:3] *= header.unit_mm
    geometry = {name: np.array(header.fields[name]) for name in _GEOMETRY_FIELDS}
    return StoredImage(array, affine, geometry, header.unit, remarks)


def _read_array(
    path: Path, stream: IO[bytes], header: NiftiHeader, packing: Packing
) -> tuple[AnyArray, bool]:
    """The scaled voxels, and whether junk follows the compressed data."""
    check_claim(
        path,
        header.shape,
        voxel_bytes=header.dtype.itemsize,
        offset=header.offset,
        file_bytes=path.stat().st_size,
        packing=packing,
    )
    skip(stream, header.offset - header.fields.sizeof_hdr)
    array = read_voxels(stream, header.shape, header.dtype)
    junk = finish(stream, array.nbytes + _PADDING_BYTES)
    if header.slope == 1 and header.inter == 0:
        return array, junk
    # through float32, half of nibabel's float64
    scaled = array.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is refused later
        scaled *= np.float32(header.slope)
        scaled += np.float32(header.inter)
    return scaled, junk
