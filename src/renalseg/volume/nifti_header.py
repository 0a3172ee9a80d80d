"""The header of a NIfTI file, checked field by field."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from renalseg.errors import VolumeError
from renalseg.volume.show import distinct

_NIFTI1_BYTES = 348
_NIFTI2_BYTES = 540
#: Four bytes after the header say whether extensions follow.
_EXTENDER_BYTES = 4
_UNIT_BITS = 7
_UNITS = {0: ("mm", 1.0), 1: ("metres", 1000.0), 2: ("mm", 1.0), 3: ("microns", 0.001)}
_OTHER_FILES = {
    b"\x1f\x8b": "one that was compressed by gzip twice; unpack it once",
    b"PK": "a zip archive; unpack it",
    b"BZh": "a bzip2 file; unpack it",
    b"\xfd7zXZ": "an xz file; unpack it",
    b"NRRD": "an NRRD file; name it .nrrd",
    b"ObjectType": "a MetaImage file; name it .mha",
}


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """Checked fields of a NIfTI header.

    Attributes:
        fields: The header as nibabel has it, unchanged.
        shape: Voxels along three axes.
        dtype: Type of a stored voxel.
        offset: Where the voxels begin.
        slope: Factor from stored to real values.
        inter: What is added then.
        unit: Name of the unit of length.
        unit_mm: That unit in mm.
        remarks: What a person should know of it.
    """

    fields: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    unit: str
    unit_mm: float
    remarks: tuple[str, ...]


def read_header(path: Path, stream: IO[bytes]) -> NiftiHeader:
    """Read the header of a NIfTI-1 or NIfTI-2 file, and nothing behind it.

    Raises:
        VolumeError: It is no NIfTI header, or a field makes no sense.
        EOFError: The file ends in it.
    """
    fields = _fields(path, stream)
    slope, inter = _scaling(path, float(fields["scl_slope"]), float(fields["scl_inter"]))
    code = int(fields["xyzt_units"]) & _UNIT_BITS
    unit, unit_mm = _UNITS.get(code, _UNITS[0])
    remarks = () if code in _UNITS else (f"unit of length {code}, which NIfTI lacks, taken as mm",)
    shape = _shape(path, [int(n) for n in fields["dim"]])
    dtype = _dtype(path, fields)
    return NiftiHeader(
        fields, shape, dtype, _offset(path, fields), slope, inter, unit, unit_mm, remarks
    )


def _fields(path: Path, stream: IO[bytes]) -> Any:
    """The header alone: nibabel would also read extensions, of any size that they claim."""
    import nibabel as nib

    block = stream.read(_NIFTI1_BYTES)
    sizes = {int.from_bytes(block[:4], order): order for order in ("little", "big")}
    second = _NIFTI2_BYTES in sizes
    if second:
        block += stream.read(_NIFTI2_BYTES - _NIFTI1_BYTES)
    magic = block[4:7] if second else block[344:347]
    size = _NIFTI2_BYTES if second else _NIFTI1_BYTES
    if size not in sizes and not magic.startswith(b"n"):
        raise VolumeError(f"{path}: {_unlike(block)}")
    if len(block) < size:
        raise EOFError(f"its header has {len(block)} of {size} bytes")
    if magic in (b"ni1", b"ni2"):
        raise VolumeError(
            f"{path}: its header says that the voxels lie in an .img file; convert both to one "
            "NIfTI file"
        )
    if magic != (b"n+2" if second else b"n+1"):
        raise VolumeError(
            f"{path}: expected n+1 as the mark of a NIfTI header, got {magic.decode('latin-1')!r}; "
            "convert it to NIfTI"
        )
    kind = nib.Nifti2Header if second else nib.Nifti1Header
    endianness = {"little": "<", "big": ">"}.get(sizes.get(size, ""))
    return kind(block, endianness, check=False)


def _unlike(block: bytes) -> str:
    """Describe a file that has no NIfTI header."""
    if not block:
        return "not a whole NIfTI image (the file is empty); copy or export it again"
    others = [other for start, other in _OTHER_FILES.items() if block.startswith(start)]
    if block[128:132] == b"DICM":
        others = ["a DICOM file; name its folder"]
    other = others[0] if others else f"one that begins with {block[:12]!r}; convert or export it"
    return f"expected a NIfTI file, got {other}"


def _shape(path: Path, dim: list[int]) -> tuple[int, ...]:
    """Three axes; further ones may hold one voxel, or none as some programs write it."""
    axes = dim[0]
    if not 1 <= axes <= len(dim) - 1:
        raise VolumeError(f"{path}: expected 3 axes in its header, got {axes}; export it again")
    shape = tuple(dim[1 : axes + 1])
    if axes < 3 or min(shape) < 0 or max(shape[3:], default=1) > 1:
        raise VolumeError(f"{path}: expected a 3D image, got shape {shape}; give one 3D volume")
    return shape[:3]


def _dtype(path: Path, fields: Any) -> np.dtype[Any]:
    from nibabel.nifti1 import data_type_codes

    code = int(fields["datatype"])
    if code not in data_type_codes.code:
        raise VolumeError(
            f"{path}: its header names data type {code}, which NIfTI lacks; export it again"
        )
    dtype: np.dtype[Any] = np.dtype(data_type_codes.dtype[code]).newbyteorder(fields.endianness)
    if dtype.kind not in "iuf":
        name = data_type_codes.label[code]
        raise VolumeError(f"{path}: expected one number per voxel, got {name}; export a plain CT")
    return dtype


def _offset(path: Path, fields: Any) -> int:
    """Offset of the voxels; 0 means right behind the header."""
    offset = float(fields["vox_offset"])
    least = fields.sizeof_hdr + _EXTENDER_BYTES
    if offset == 0:
        return int(least)
    if not offset.is_integer() or offset < fields.sizeof_hdr:
        (shown,) = distinct(offset)
        raise VolumeError(
            f"{path}: its header says that the voxels begin at byte {shown}, expected {least} or "
            "later; export it again"
        )
    return int(offset)


def _scaling(path: Path, slope: float, inter: float) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 means that the voxels are not scaled, as NaN does."""
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0
    if not math.isfinite(slope) or not math.isfinite(inter):
        raise VolumeError(
            f"{path}: its header scales the voxels by {slope:g} and adds {inter:g}; mend scl_slope "
            "and scl_inter"
        )
    return slope, inter
