"""NRRD and MetaImage files, written through SimpleITK.

ITK's world is LPS+ (x to the patient's left, y to the back), the package's RAS+; and ITK's arrays
come with their axes reversed. Both are undone here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from renalseg.types import Affine, AnyArray
from renalseg.volume.orientation import LPS_RAS


def write_itk(path: Path, array: AnyArray, affine: Affine) -> None:
    """Write a compressed NRRD or MetaImage file.

    Raises:
        OSError: It cannot be written.
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    lps = LPS_RAS @ affine
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
