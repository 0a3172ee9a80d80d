"""Kidneys, tumors and cysts of real patients, for a phantom to be built around."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from renalseg.cohort.case import Case
from renalseg.cohort.cohort import Cohort
from renalseg.cohort.masks import CaseMasks, Crop
from renalseg.cohort.phantom.config import PhantomConfig
from renalseg.cohort.phantom.grid import Box, Grid, Place, stream
from renalseg.cohort.phantom.patient import Patient, place_at
from renalseg.cohort.phantom.urinary import Kind, Outline
from renalseg.errors import CohortError
from renalseg.types import AnyArray

#: Room around an instance, mm. That around a kidney holds its fat.
_ROOM: dict[Kind, float] = {"kidney": 20.0, "tumor": 6.0, "cyst": 6.0}


@lru_cache(maxsize=4)
def annotated_cases(folder: Path) -> tuple[Case, ...]:
    """The cases of a folder that have annotations of single instances, with a kidney.

    Raises:
        CohortError: If there is none.
    """
    cases = tuple(
        case
        for case in Cohort.open(folder).cases
        if any(instance.label.title == "kidney" for instance in case.instances)
    )
    if not cases:
        raise CohortError(f"{folder}: no annotated kidneys; expected KiTS21's or KiTS23's cases")
    return cases


def real_anatomy(
    config: PhantomConfig, index: int, grid: Grid, patient: Patient
) -> tuple[Grid, Patient, Place, list[Outline]]:
    """Lay a real patient's kidneys into a grid, and a body around them.

    Args:
        config: The cohort; its ``anatomy`` is set.
        index: The case's number; it takes the annotated case ``index mod n``.
        grid: The grid as drawn; its spacing stays, its height follows the kidneys.
        patient: The build as drawn; widened where the kidneys need it.

    Returns:
        Grid, build and place that fit, and the outlines with their real annotations.

    Raises:
        CohortError: If the anatomy cannot be read.
    """
    if config.anatomy is None:
        raise CohortError("real anatomy needs a folder of annotations; give anatomy")
    cases = annotated_cases(config.anatomy)
    case = cases[index % len(cases)]
    masks = CaseMasks(case)
    spacing = np.array(masks.grid.spacing_mm)
    crops = {
        (i.label.title, i.number): [
            masks.crop((i.label, i.number, a.number)) for a in i.annotations
        ]
        for i in case.instances
    }
    kidneys = np.array(
        [_center(c[0], spacing) for (kind, _), c in crops.items() if kind == "kidney"]
    )
    low = np.min([_corner(c, spacing, "start") for c in crops.values()], axis=0)
    high = np.max([_corner(c, spacing, "stop") for c in crops.values()], axis=0)
    # The loin: between the kidneys, or beside the only one, and a little in front of it.
    origin = kidneys.mean(0)
    image_middle = 0.5 * masks.grid.shape[2] * spacing[2]
    if np.ptp(kidneys[:, 2]) < 60:
        origin[2] += 66.0 * np.sign(image_middle - origin[2])
    reach = max(abs(low[2] - origin[2]), abs(high[2] - origin[2]))
    width = max(patient.half_width, reach + patient.wall + 6)
    patient = replace(
        patient, half_width=width, half_depth=0.73 * width, visceral=min(patient.visceral, 9.0)
    )
    grid, shift = _fit(grid, patient, origin, low, high)
    place = place_at(stream(config.seed, index, "place"), grid, origin - shift)
    outlines = []
    for (kind, _), annotations in crops.items():
        known: Kind = "kidney" if kind == "kidney" else "tumor" if kind == "tumor" else "cyst"
        outlines.append(_outline(known, annotations, spacing, shift, grid))
    return grid, patient, place, outlines


def _fit(
    grid: Grid, patient: Patient, origin: AnyArray, low: AnyArray, high: AnyArray
) -> tuple[Grid, AnyArray]:
    """Make the grid hold everything; also where its first voxel lies in the real grid, mm."""
    thick, pixel, _ = grid.spacing_mm
    tall = max(grid.shape[0] * thick, high[0] - low[0] + 24)
    field = max(grid.shape[2] * pixel, 2.08 * (patient.half_width + 0.9 * patient.fat))
    shape = (round(tall / thick), round(field / pixel), round(field / pixel))
    middle = np.array([(low[0] + high[0]) / 2 - 8, origin[1] + patient.middle, origin[2]])
    extent = np.array(shape) * grid.spacing_mm
    return Grid(shape, grid.spacing_mm), middle - extent / 2


def _center(crop: Crop, spacing: AnyArray) -> AnyArray:
    inside = np.argwhere(crop.inside).mean(0)
    return np.asarray((inside + [part.start for part in crop.box]) * spacing)


def _corner(crops: list[Crop], spacing: AnyArray, end: str) -> AnyArray:
    corners = [[getattr(part, end) for part in crop.box] for crop in crops]
    return np.asarray((np.min if end == "start" else np.max)(corners, axis=0) * spacing)


def _outline(
    kind: Kind, crops: list[Crop], spacing: AnyArray, shift: AnyArray, grid: Grid
) -> Outline:
    low, high = _corner(crops, spacing, "start"), _corner(crops, spacing, "stop")
    room_mm = _ROOM[kind]
    box = grid.box(low - shift - room_mm, high - shift + room_mm)
    shapes = [_resample(crop, spacing, shift, grid, box, room_mm) for crop in crops]
    # The middle one of three signed distances is that of the majority.
    shape = np.median(shapes, axis=0).astype(np.float32)
    masks = tuple(np.asarray(one < 0) for one in shapes)
    radius = float(np.cbrt((shape < 0).sum() * np.prod(grid.spacing_mm) / 4.19))
    return Outline(kind, box, shape, shape, radius_mm=radius, annotations=masks)


def _resample(
    crop: Crop, spacing: AnyArray, shift: AnyArray, grid: Grid, box: Box, room_mm: float
) -> AnyArray:
    """Signed distance of a mask on another grid."""
    from scipy import ndimage

    room = np.ceil(room_mm / spacing).astype(int)
    inside = np.pad(crop.inside, [(int(r), int(r)) for r in room])
    distance = ndimage.distance_transform_edt(~inside, spacing)
    distance -= ndimage.distance_transform_edt(inside, spacing)
    # Between voxel centers the border lies half a voxel from either.
    distance -= np.sign(distance) * 0.5 * spacing[1]
    start = np.array([part.start for part in crop.box]) - room
    at = [
        ((axis + mm) / own - first).ravel()
        for axis, mm, own, first in zip(grid.axes(box), shift, spacing, start, strict=True)
    ]
    values: AnyArray = distance.astype(np.float32)
    for axis, where in enumerate(at):
        values = _along(values, where, axis)
    return values


def _along(values: AnyArray, where: AnyArray, axis: int) -> AnyArray:
    """Linear interpolation along one axis; beyond the ends the last value holds."""
    where = np.clip(where, 0, values.shape[axis] - 1)
    lower = np.minimum(where.astype(int), values.shape[axis] - 2)
    share = (where - lower).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
    low, high = np.take(values, lower, axis), np.take(values, lower + 1, axis)
    return np.asarray(low + share * (high - low))
