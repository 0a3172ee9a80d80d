"""Which reader and writer a file needs, and files that appear whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from renalseg.errors import VolumeError
from renalseg.files import move
from renalseg.formats import META_SUFFIXES, NIFTI_SUFFIXES, SUFFIXES
from renalseg.types import Affine, AnyArray
from renalseg.volume.presence import why_absent
from renalseg.volume.segments import Segment


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image with the axes of its file.

    Attributes:
        array: Voxels, three axes; of layered segments four, the first of them the layer.
        affine: Voxel to world, RAS+, mm.
        nifti_geometry: Of a NIfTI file, the header fields that place it.
        unit: The file's unit of length, which the affine was in.
        remarks: What a person should know of how the file was read.
        segments: The segments of a segmentation by Slicer.
    """

    array: AnyArray
    affine: Affine
    nifti_geometry: dict[str, AnyArray] | None = None
    unit: str = "mm"
    remarks: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along the three axes."""
        return tuple(self.array.shape[-3:])


def format_suffix(path: Path) -> str:
    """The suffix that decides a file's format, in lower case.

    Raises:
        VolumeError: It is none that renalseg knows.
    """
    name = path.name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    known = ", ".join(SUFFIXES)
    raise VolumeError(f"{path}: unknown suffix; expected one of {known}; convert it to one of them")


def read_file(path: Path, *, voxels: bool = True) -> StoredImage:
    """Read an image as its file stores it.

    Args:
        path: The file.
        voxels: False reads the grid alone; the array is then a view of one zero.

    Raises:
        VolumeError: The file is missing, of an unknown format, truncated, or not a 3D image.
    """
    suffix = format_suffix(path)
    if path.is_dir():
        raise VolumeError(f"{path}: expected an image file, got a folder; name the file in it")
    if why := why_absent(path):
        raise VolumeError(f"{path}: cannot be read ({why}); give a file that can be")
    if not path.is_file():
        raise VolumeError(f"{path}: no such file; check the path")
    if suffix in NIFTI_SUFFIXES:
        from renalseg.volume.nifti import read_nifti

        return read_nifti(path, voxels=voxels)
    if suffix in META_SUFFIXES:
        from renalseg.volume.metaimage import read_meta

        return read_meta(path, voxels=voxels)
    from renalseg.volume.nrrd import read_nrrd

    return read_nrrd(path, voxels=voxels)


def write_file(path: Path, image: StoredImage) -> None:
    """Write an image in the format of its path's suffix.

    Raises:
        VolumeError: Unknown suffix, or the file cannot be written.
    """
    suffix = format_suffix(path)
    array = storable(image.array)
    try:
        with written_beside(path) as beside:
            if suffix in NIFTI_SUFFIXES:
                from renalseg.volume.nifti_write import write_nifti

                write_nifti(beside, array, image.affine, image.nifti_geometry)
            else:
                from renalseg.volume.itk_write import write_itk

                write_itk(beside, array, image.affine)
    except OSError as error:
        reason = error.strerror or error
        raise VolumeError(f"{path}: cannot be written ({reason}); check folder and space") from None


def storable(array: AnyArray) -> AnyArray:
    """The array in the type it is stored with: uint8, int16, int32 or float32."""
    kind = array.dtype
    if kind in (np.uint8, np.int16, np.float32):
        return array
    if kind == np.bool_:
        return array.astype(np.uint8)
    if np.issubdtype(kind, np.floating):
        return array.astype(np.float32)
    fits = array.size == 0 or (array.min() >= -(2**15) and array.max() < 2**15)
    return array.astype(np.int16 if fits else np.int32)


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a path in a hidden folder beside ``path``; what is written there moves when all is well.

    A folder and not another name, because the header of a two-file format (``.mhd``, ``.nhdr``)
    holds the name of its data file. The file of the given name moves last.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_beside(path), dir=path.parent))
    try:
        yield folder / path.name
        for written in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
            move(written, path.parent / written.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(path: Path) -> None:
    """Remove the hidden folders of those who were killed while they wrote ``path``.

    Nobody else may be writing it now.
    """
    for folder in path.parent.glob(f"{_beside(path)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _beside(path: Path) -> str:
    """How the names of a file's hidden folders begin; short, for the file's own may be long."""
    return f".renalseg-{crc32(path.name.encode(errors='surrogateescape')):08x}-"
