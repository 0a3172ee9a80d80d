"""Axes of a NRRD file, and their place in the patient, as SimpleITK reads them."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import Affine
from renalseg.volume.orientation import LPS_RAS
from renalseg.volume.text_header import Fields

_MOST_AXES = 8
#: Spaces that do not say how the patient lies in them; read as LPS+, as ITK does.
_UNPLACED = ("scanner-xyz", "3d-right-handed", "3d-left-handed")
#: Signs that bring a space to LPS+.
_SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), "+++"),
    **dict.fromkeys(("right-anterior-superior", "ras"), "--+"),
    **dict.fromkeys(("left-anterior-superior", "las"), "+-+"),
    **dict.fromkeys(_UNPLACED, "+++"),
}
_UNITS_MM = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres", ""), 1.0),
    **dict.fromkeys(("???", "none"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers"), 0.001),
}
#: Kinds of axes along which voxels lie; along all others lie the numbers of one voxel.
_SPATIAL_KINDS = ("domain", "space", "none", "???")
_GUESS = "it does not say how it lies in the patient, so its orientation is a guess"
_NO_SPACING = "it gives no spacing, so 1 mm is taken"
_VECTOR = re.compile(r"none|\([^()]*\)")


@dataclass(frozen=True)
class NrrdAxes:
    """The axes of the array, the fastest first.

    Attributes:
        sizes: Length of each.
        spatial: The three along which voxels lie.
        directions: The step along each of these in its space; None if not given.
    """

    sizes: tuple[int, ...]
    spatial: tuple[int, int, int]
    directions: tuple[tuple[float, ...], ...] | None

    @property
    def values(self) -> int:
        """Number of values in one voxel."""
        others = [n for axis, n in enumerate(self.sizes) if axis not in self.spatial]
        return int(np.prod(others, dtype=np.int64)) if others else 1


def read_axes(path: Path, fields: Fields) -> NrrdAxes:
    """Read the axes' sizes, kinds and directions.

    Raises:
        VolumeError: There are not three along which voxels lie.
    """
    (count,) = fields.wholes("dimension", 1)
    if not 1 <= count <= _MOST_AXES:
        raise fields.wrong("dimension", "3")
    sizes = tuple(fields.wholes("sizes", count))
    directions = _directions(fields, count)
    kinds = fields.text("kinds", "").lower().split() or ["none"] * count
    if len(kinds) != count:
        raise fields.wrong("kinds", f"{count} words")
    spatial = [
        axis
        for axis, kind in enumerate(kinds)
        if kind in _SPATIAL_KINDS and not (directions and directions[axis] is None)
    ]
    while len(spatial) > 3 and sizes[spatial[-1]] == 1 and directions is None:
        spatial.pop()
    if len(spatial) != 3 or min(sizes) < 0:
        raise VolumeError(f"{path}: expected a 3D image, got shape {sizes}; give one 3D volume")
    first, second, third = spatial
    steps = None if directions is None else tuple(directions[axis] or () for axis in spatial)
    return NrrdAxes(sizes, (first, second, third), steps)


def read_affine(fields: Fields, axes: NrrdAxes) -> tuple[Affine, tuple[str, ...]]:
    """Voxel to world, RAS+, mm; and what a person should know of it.

    Raises:
        VolumeError: The header places the voxels in no way, or in two.
    """
    if "space" in fields or "spacedimension" in fields:
        lps, remarks = _in_space(fields, axes)
    else:
        lps, remarks = _without_space(fields, axes)
    return np.asarray(LPS_RAS @ lps, dtype=np.float64), remarks


def _in_space(fields: Fields, axes: NrrdAxes) -> tuple[Affine, tuple[str, ...]]:
    if "spacings" in fields or "axismins" in fields or "units" in fields:
        raise fields.header.error("a space and spacings for axes without one contradict each other")
    if "space" in fields and "spacedimension" in fields:
        raise fields.header.error("'space' and 'space dimension' are both there")
    signs = fields.choice("space", _SPACES, "left-posterior-superior")
    if "spacedimension" in fields and fields.wholes("spacedimension", 1) != [3]:
        raise fields.wrong("spacedimension", "3")
    lps = np.eye(4)
    remarks: tuple[str, ...] = ()
    if axes.directions is None:
        remarks = (_NO_SPACING,)
    else:
        lps[:3, :3] = np.array(axes.directions).T
    if "spaceorigin" in fields:
        (origin,) = _vectors(fields, "spaceorigin", 1)
        if origin is None:
            raise fields.wrong("spaceorigin", "a vector")
        lps[:3, 3] = origin
    if fields.text("space", _UNPLACED[0]).lower() in _UNPLACED:
        remarks += (_GUESS,)
    flips = [-1.0 if sign == "-" else 1.0 for sign in signs]
    lps[:3] *= (np.array(flips) * _units(fields, "spaceunits", 3))[:, None]
    return lps, remarks


def _without_space(fields: Fields, axes: NrrdAxes) -> tuple[Affine, tuple[str, ...]]:
    for name in ("spaceorigin", "spaceunits"):
        if name in fields:
            raise fields.header.error(f"{name!r} is there without a space")
    count = len(axes.sizes)
    chosen = list(axes.spatial)
    remarks: tuple[str, ...] = ()
    spacing = np.full(3, np.nan)
    if "spacings" in fields:
        spacing = np.array(fields.numbers("spacings", count))[chosen]
    if np.any(np.isnan(spacing)):
        remarks = (_NO_SPACING,)
    lps = np.eye(4)
    lps[:3, :3] = np.diag(np.where(np.isnan(spacing), 1.0, spacing))
    if "axismins" in fields:
        mins = np.array(fields.numbers("axismins", count))[chosen]
        if remarks or np.any(np.isnan(mins)):
            raise fields.header.error("'axis mins' need spacings, and both need to be whole")
        lps[:3, 3] = mins + spacing / 2 * ~_at_nodes(fields, count)[chosen]
    lps[:3] *= _units(fields, "units", count)[chosen][:, None]
    return lps, (*remarks, _GUESS)


def _at_nodes(fields: Fields, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Mask of the axes that begin at the middle of their first voxel, not at its edge."""
    centers = fields.text("centerings", "").lower().split() or ["cell"] * count
    if len(centers) != count or set(centers) - {"cell", "node", "none", "???"}:
        raise fields.wrong("centerings", f"{count} of cell and node")
    return np.array([center == "node" for center in centers])


def _directions(fields: Fields, count: int) -> list[tuple[float, ...] | None] | None:
    if "spacedirections" not in fields:
        return None
    if "space" not in fields and "spacedimension" not in fields:
        raise fields.header.error("'space directions' are there without a space")
    return _vectors(fields, "spacedirections", count)


def _vectors(fields: Fields, name: str, count: int) -> list[tuple[float, ...] | None]:
    """Vectors of three numbers in parentheses, or "none" in place of one."""
    text = fields.text(name)
    vectors: list[tuple[float, ...] | None] = []
    for word in _VECTOR.findall(text):
        try:
            numbers = [float(number) for number in word[1:-1].split(",") if "_" not in number]
        except ValueError:
            numbers = []
        absent = word == "none" or (len(numbers) == 3 and all(np.isnan(numbers)))
        if not absent and len(numbers) != 3:
            raise fields.wrong(name, f"{count} vectors of 3 numbers")
        vectors.append(None if absent else tuple(numbers))
    if len(vectors) != count or _VECTOR.sub("", text).strip():
        raise fields.wrong(name, f"{count} vectors of 3 numbers")
    return vectors


def _units(
    fields: Fields, name: str, count: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Units of length in mm, each in quotation marks."""
    if name not in fields:
        return np.ones(count)
    text = fields.text(name)
    words = re.findall(r'"([^"]*)"', text)
    if len(words) != count or re.sub(r'"[^"]*"', "", text).strip():
        raise fields.wrong(name, f"{count} units in quotation marks")
    if unknown := [word for word in words if word.strip().lower() not in _UNITS_MM]:
        raise fields.header.error(f"the unit {unknown[0][:20]!r} is none of length; mend it to mm")
    return np.array([_UNITS_MM[word.strip().lower()] for word in words])
