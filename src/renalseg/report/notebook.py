"""A label map, over its scan if that is there, as a viewer in a notebook (ipyniivue)."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from renalseg.errors import RenalsegError, VolumeError
from renalseg.labels import COLORS, FOREGROUND, Label
from renalseg.types import AnyArray
from renalseg.volume import Volume

if TYPE_CHECKING:
    from ipyniivue import NiiVue

#: The window that a kidney is looked at with, in HU.
WINDOW_HU = (-160, 240)
HEIGHT_PIXELS = 480
#: Azimuth and elevation of the 3D pane, in degrees.
FROM_THE_FRONT = (200, 12)


def is_available() -> bool:
    """Whether the viewer's package is installed."""
    from importlib.util import find_spec

    return find_spec("ipyniivue") is not None


def notebook_view(labels: Volume, ct: Volume | None = None) -> "NiiVue":
    """The viewer: axial, coronal, sagittal and 3D, the patient's right on the left.

    Args:
        labels: The label map.
        ct: The scan, on the same grid.

    Returns:
        A widget; the last value of a notebook's cell is shown.

    Raises:
        RenalsegError: ipyniivue is not installed.
        VolumeError: The scan lies on another grid.
    """
    if not is_available():
        raise RenalsegError(
            "a notebook's viewer needs ipyniivue; install it with: pip install 'renalseg[notebook]'"
        )
    if ct is not None and not ct.same_grid(labels):
        raise VolumeError(
            f"the scan (shape {ct.shape}) does not lie on the label map's grid (shape "
            f"{labels.shape}); give the scan that the labels belong to"
        )
    from ipyniivue import LUT, MultiplanarType, NiiVue, ShowRender, SliceType
    from ipyniivue import Volume as Layer

    view = NiiVue(
        height=HEIGHT_PIXELS,
        is_radiological_convention=True,
        multiplanar_layout=MultiplanarType.GRID,
        multiplanar_show_render=ShowRender.ALWAYS,
        show_3d_crosshair=True,
    )
    view.set_slice_type(SliceType.MULTIPLANAR)
    layers: list[Any] = []
    if ct is not None:
        low, high = WINDOW_HU
        layers.append(
            Layer(data=_nifti(ct), name="scan.nii.gz", colormap="gray", cal_min=low, cal_max=high)
        )
    colors = [0, 0, 0, 0]
    for label in FOREGROUND:
        colors += [*COLORS[label], 255]
    names = ["background", *(label.title for label in FOREGROUND)]
    layers.append(
        Layer(
            data=_nifti(labels),
            name="labels.nii.gz",
            colormap_label=LUT(lut=colors, min=0, max=len(FOREGROUND), labels=names),
            opacity=1.0 if ct is None else 0.5,
        )
    )
    view.load_volumes(layers)
    view.scene.crosshair_pos = _first_look(labels)
    view.scene.render_azimuth, view.scene.render_elevation = FROM_THE_FRONT
    return view


def _first_look(labels: Volume) -> list[float]:
    """Within a tumor, else a cyst, else a kidney: fractions of the grid from left, back, foot."""
    place: AnyArray = (np.array(labels.shape) - 1) / 2
    for label in (Label.TUMOR, Label.CYST, Label.KIDNEY):
        found = np.argwhere(labels.array == label)
        if len(found):
            place = found[len(found) // 2]
            break
    slice_, row, column = (1 - (place + 0.5) / labels.shape).tolist()
    return [column, row, slice_]


def _nifti(volume: Volume) -> bytes:
    """A volume as a NIfTI file on its canonical grid."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        replace(volume, source=None).save(path)
        return path.read_bytes()
