"""NRRD and MetaImage files, read and written through SimpleITK.

ITK's world is LPS+ (x to the patient's left, y to the back), the package's RAS+; and ITK's arrays
come with their axes reversed. Both are undone here and nowhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import Affine, AnyArray
from renalseg.volume.claims import check_claim
from renalseg.volume.files import StoredImage
from renalseg.volume.itk_header import is_meta, read_header

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path, *, voxels: bool) -> StoredImage:
    """Read a NRRD or MetaImage file.

    Raises:
        VolumeError: It is truncated, damaged, or not a 3D scalar image.
    """
    import SimpleITK

    header = read_header(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    # left to itself, ITK knows MetaImage files by a suffix in lower case alone
    reader.SetImageIO("MetaImageIO" if is_meta(path) else "NrrdImageIO")
    with _quiet(), _said_in_a_line(path):
        reader.ReadImageInformation()
    size = tuple(reader.GetSize())
    if len(size) < 3 or any(n != 1 for n in size[3:]):
        raise VolumeError(f"{path}: expected a 3D image, got shape {size}; give one 3D volume")
    if reader.GetNumberOfComponents() != 1:
        raise VolumeError(
            f"{path}: expected one number per voxel, got {reader.GetNumberOfComponents()}; "
            "export a plain CT"
        )
    if voxels:
        check_claim(
            path,
            size,
            voxel_bytes=1 if header.is_text else _bytes(reader.GetPixelID()),
            offset=0,
            file_bytes=header.data.stat().st_size,
            compressed=header.compressed,
        )
        with _quiet(), _said_in_a_line(path):
            image = reader.Execute()
        array = SimpleITK.GetArrayFromImage(image).reshape(size[2::-1]).transpose()
    else:
        array = np.broadcast_to(np.zeros((), np.uint8), size[:3])
    return StoredImage(array, _affine(reader))


@contextmanager
def _said_in_a_line(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise VolumeError(
            f"{path}: not a whole image ({_one_line(error, path)}); copy or export it again"
        ) from None


def _bytes(pixel: int) -> int:
    """Bytes of one voxel of a type as SimpleITK numbers them."""
    import SimpleITK

    return int(SimpleITK.Image(1, 1, pixel).GetSizeOfPixelComponent())


def write_itk(path: Path, array: AnyArray, affine: Affine) -> None:
    """Write a compressed NRRD or MetaImage file.

    Raises:
        OSError: It cannot be written.
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    lps = _LPS_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing([float(s) for s in spacing])
    image.SetDirection([float(c) for c in (lps[:3, :3] / spacing).ravel()])
    image.SetOrigin([float(x) for x in lps[:3, 3]])
    try:
        with _quiet():
            # ITK finds its format by a suffix in lower case alone
            lower = path.with_suffix(path.suffix.lower())
            SimpleITK.WriteImage(image, str(lower), useCompression=True)
            lower.rename(path)
    except RuntimeError as error:
        raise OSError(_one_line(error, path)) from None


def _affine(reader: Any) -> Affine:
    """The affine from the first three axes of an image of three or more."""
    axes = reader.GetDimension()
    direction = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(reader.GetSpacing()[:3])
    affine[:3, 3] = reader.GetOrigin()[:3]
    return np.asarray(_LPS_RAS @ affine, dtype=np.float64)


def _one_line(error: Exception, path: Path) -> str:
    """The line of ITK's message that holds the reason, without its class names and the path."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # "Reason:" is the system's last error, which need not be this one
    lines = [line for line in lines if not line.startswith("Reason:")]
    reason = lines[-1] if lines else "no reason given"
    reason = reason.split("): ", 1)[-1].removeprefix("sitk::ERROR: ").replace(f"{path}", "the file")
    reason = reason.rstrip(".").removesuffix(": the file for reading") or "no reason given"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in reason[:200])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ITK from writing its own account of an error to the terminal."""
    import SimpleITK

    before = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(before)
