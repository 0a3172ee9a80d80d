"""NIfTI files, read and written through nibabel."""

import gzip
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import Affine, AnyArray
from renalseg.volume.files import StoredImage

#: The header fields that place an image in the patient; kept bit for bit from input to output.
_GEOMETRY_FIELDS = (
    *("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"),
)
_GZIP_MAGIC = b"\x1f\x8b"
_NIFTI2_HEADER_SIZE = 540
#: Label maps shrink to a hundredth at any level; a CT gains little beyond this one.
_COMPRESSION_LEVEL = 4
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
        with _open(path) as stream:
            return _read_stream(path, stream, voxels=voxels)
    except (*damage, ImageFileError, HeaderDataError, WrapStructError) as error:
        reason = " ".join(str(error).replace(f" from {path}", "").split()) or type(error).__name__
        raise VolumeError(
            f"{path}: not a whole NIfTI image ({reason}); copy or export it again"
        ) from None


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
    if not compressed:
        return path.open("rb")
    from zlib_ng import gzip_ng  # many times as fast as Python's gzip on a label map

    return cast("IO[bytes]", gzip_ng.open(path, "rb"))  # type: ignore[no-untyped-call]


def _read_stream(path: Path, stream: IO[bytes], *, voxels: bool) -> StoredImage:
    import nibabel as nib

    start = stream.read(4)
    stream.seek(0)
    sizes = {int.from_bytes(start, "little"), int.from_bytes(start, "big")}
    kind = nib.Nifti2Image if _NIFTI2_HEADER_SIZE in sizes else nib.Nifti1Image
    holder = nib.FileHolder(fileobj=stream)
    image = kind.from_file_map({"header": holder, "image": holder}, mmap=False)
    header = image.header
    if image.dataobj.dtype.kind not in "iuf":
        raise VolumeError(
            f"{path}: expected one number per voxel, got {image.dataobj.dtype}; export a plain CT"
        )
    shape = _shape_3d(path, tuple(int(n) for n in image.shape))
    if voxels and 0 not in shape:
        array = _voxels(image, stream)
        while array.ndim > 3:
            array = array[..., 0]
        # the stream's end holds its checksum, which is read and compared only on arrival there
        while stream.read(_CHUNK_BYTES):
            pass
    else:
        array = np.broadcast_to(np.zeros((), np.uint8), shape)
    geometry = {name: np.array(header[name]) for name in _GEOMETRY_FIELDS}
    placed = bool(geometry["qform_code"] > 0 or geometry["sform_code"] > 0)
    affine = np.asarray(image.affine, dtype=np.float64)
    return StoredImage(array, affine, geometry, placed)


def _shape_3d(path: Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise VolumeError(f"{path}: expected a 3D image, got shape {shape}; give one 3D volume")
    return shape[:3]


def _voxels(image: Any, stream: IO[bytes]) -> AnyArray:
    """The scaled voxels; scaling goes through float32, half of nibabel's float64."""
    proxy = image.dataobj
    if proxy.slope != 1 or proxy.inter != 0:
        return np.asarray(proxy, dtype=np.float32)
    stream.seek(proxy.offset)
    count, dtype = int(np.prod(proxy.shape)), proxy.dtype
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
    return array.reshape(proxy.shape, order="F")


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
    image = nib.Nifti1Image(array, header.get_best_affine(), header)
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
