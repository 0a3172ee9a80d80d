"""NIfTI files, read through nibabel."""

import math
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray
from renalseg.volume.claims import check_claim
from renalseg.volume.files import StoredImage

#: The header fields that place an image in the patient; kept bit for bit from input to output.
_GEOMETRY_FIELDS = (
    *("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"),
)
_GZIP_MAGIC = b"\x1f\x8b"
_NIFTI2_HEADER_SIZE = 540
_CHUNK_BYTES = 1 << 20


def read_nifti(path: Path, *, voxels: bool) -> StoredImage:
    """Read a NIfTI-1 or NIfTI-2 file, compressed or not whatever its name says.

    Raises:
        VolumeError: It is truncated, damaged, or not a 3D scalar image.
    """
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError
    from zlib_ng import zlib_ng

    unzipping = cast("type[Exception]", zlib_ng.error)
    damage = (OSError, EOFError, ValueError, OverflowError, MemoryError, unzipping)
    try:
        compressed = _is_compressed(path)
        with _open(path, compressed) as stream:
            return _read_stream(path, stream, compressed, voxels=voxels)
    except (*damage, ImageFileError, HeaderDataError, WrapStructError) as error:
        reason = " ".join(str(error).replace(f" from {path}", "").split()) or type(error).__name__
        raise VolumeError(
            f"{path}: not a whole NIfTI image ({reason}); copy or export it again"
        ) from None


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP_MAGIC


def _open(path: Path, compressed: bool) -> IO[bytes]:
    if not compressed:
        return path.open("rb")
    from zlib_ng import gzip_ng  # many times as fast as Python's gzip on a label map

    return cast("IO[bytes]", gzip_ng.open(path, "rb"))  # type: ignore[no-untyped-call]


def _read_stream(path: Path, stream: IO[bytes], compressed: bool, *, voxels: bool) -> StoredImage:
    header = _header(stream)
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise VolumeError(f"{path}: expected one number per voxel, got {dtype}; export a plain CT")
    stored = tuple(int(n) for n in header.get_data_shape())
    shape = _shape_3d(path, stored)
    if voxels and 0 not in shape:
        offset = int(header.get_data_offset())
        check_claim(
            path,
            shape,
            voxel_bytes=dtype.itemsize,
            offset=offset,
            file_bytes=path.stat().st_size,
            compressed=compressed,
        )
        stream.seek(offset)
        array = _scaled(_voxels(stream, shape, dtype), *header.get_slope_inter())
        _read_to_the_end(path, stream, array.nbytes)
    else:
        array = np.broadcast_to(np.zeros((), np.uint8), shape)
    geometry = {name: np.array(header[name]) for name in _GEOMETRY_FIELDS}
    placed = bool(geometry["qform_code"] > 0 or geometry["sform_code"] > 0)
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    return StoredImage(array, affine, geometry, placed)


def _header(stream: IO[bytes]) -> Any:
    """The header alone: nibabel would also read extensions, of any size that they claim."""
    import nibabel as nib

    start = stream.read(4)
    sizes = {int.from_bytes(start, "little"), int.from_bytes(start, "big")}
    kind = nib.Nifti2Header if _NIFTI2_HEADER_SIZE in sizes else nib.Nifti1Header
    return kind(start + stream.read(kind.template_dtype.itemsize - len(start)))


def _read_to_the_end(path: Path, stream: IO[bytes], most: int) -> None:
    """Read what is left: the stream's end holds its checksum, compared only on arrival there."""
    left = most + _CHUNK_BYTES
    while chunk := stream.read(_CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise VolumeError(
                f"{path}: not a whole NIfTI image (it holds far more than its header says); copy "
                "or export it again"
            )


def _shape_3d(path: Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape) < 0:
        raise VolumeError(f"{path}: expected a 3D image, got shape {shape}; give one 3D volume")
    return shape[:3]


def _scaled(array: AnyArray, slope: float | None, inter: float | None) -> AnyArray:
    """Scaled voxels; through float32, half of nibabel's float64."""
    slope, inter = 1.0 if slope is None else slope, 0.0 if inter is None else inter
    if slope == 1 and inter == 0:
        return array
    scaled = array.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is refused later
        scaled *= np.float32(slope)
        scaled += np.float32(inter)
    return scaled


def _voxels(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    count = math.prod(shape)
    array = np.empty(count, _narrow(dtype))
    step = _CHUNK_BYTES // dtype.itemsize
    wide = np.empty(0 if array.dtype == dtype else step, dtype)
    for start in range(0, count, step):
        part = array[start : start + step]
        if not wide.size:
            _fill(stream, part)
            continue
        read = wide[: part.size]
        _fill(stream, read)
        with np.errstate(over="ignore"):
            part[:] = read if dtype.kind == "f" else np.clip(read, -(2**31), 2**31 - 1)
    return array.reshape(shape, order="F")


def _narrow(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """4 bytes for numbers of more: no HU and no label needs them, and it halves the memory."""
    if dtype.itemsize <= 4:
        return dtype
    return np.dtype(np.float32 if dtype.kind == "f" else np.int32)


def _fill(stream: IO[bytes], array: AnyArray) -> None:
    """Read an array; a megabyte at a time stays in the cache and takes half of nibabel's time."""
    left = memoryview(array.view(np.uint8))
    while left:
        count = stream.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"{len(left)} bytes of voxels or more are missing")
        left = left[count:]
