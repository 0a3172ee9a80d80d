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
from renalseg.volume.files import StoredImage

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path, *, voxels: bool) -> StoredImage:
    """Read a NRRD or MetaImage file.

    Raises:
        VolumeError: It is truncated, damaged, or not a 3D scalar image.
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    # left to itself, ITK knows MetaImage files by a suffix in lower case alone
    meta = path.suffix.lower() in (".mha", ".mhd")
    reader.SetImageIO("MetaImageIO" if meta else "NrrdImageIO")
    try:
        with _quiet():
            reader.ReadImageInformation()
            image = reader.Execute() if voxels else None
    except RuntimeError as error:
        raise VolumeError(
            f"{path}: not a whole image ({_one_line(error, path)}); copy or export it again"
        ) from None
    size = tuple(reader.GetSize())
    if len(size) < 3 or any(n != 1 for n in size[3:]):
        raise VolumeError(f"{path}: expected a 3D image, got shape {size}; give one 3D volume")
    if reader.GetNumberOfComponents() != 1:
        raise VolumeError(
            f"{path}: expected one number per voxel, got {reader.GetNumberOfComponents()}; "
            "export a plain CT"
        )
    if image is None:
        array: AnyArray = np.broadcast_to(np.zeros((), np.uint8), size[:3])
    else:
        array = SimpleITK.GetArrayFromImage(image).reshape(size[2::-1]).transpose()
    return StoredImage(array, _affine(reader))


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


def _one_line(error: RuntimeError, path: Path) -> str:
    """The line of ITK's message that holds the reason, without its class names and the path."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # "Reason:" is the system's last error, which need not be this one
    lines = [line for line in lines if not line.startswith("Reason:")]
    reason = lines[-1] if lines else "no reason given"
    reason = reason.split("): ", 1)[-1].removeprefix("sitk::ERROR: ").replace(f"{path}", "the file")
    return reason.rstrip(".").removesuffix(": the file for reading") or "no reason given"


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
